"""A gateway in memory over scripted providers, and a client that records what it gets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from entente.domain.errors import EntenteError
from entente.domain.money import parse_rate
from entente.domain.principal import Principal, Role
from entente.gateway.client import Fail, Headers
from entente.gateway.pipeline import Gateway
from entente.gateway.pricing import Pricing
from entente.ledger.books import Books
from entente.ledger.journal import decode, verify
from entente.ledger.ledger import Ledger
from entente.ledger.memory import MemoryJournal
from entente.ledger.meters import Counter
from entente.ledger.model import Settlement
from entente.metering.prices import compile_price, price_book
from entente.policy.rules import RuleBook
from entente.providers.scripted import ScriptedProvider, parse_script
from entente.routing.catalog import Model, Target
from entente.telemetry.metrics import Monitor
from entente.wire.openai import decode_chat
from tests.kit.entries import KEY, USD, granted, now_ns

NANO_PER_TOKEN = 1_000
"""Both prices are 1 USD per million tokens."""


class RecordingClient:
    """A client that is slow by one turn of the loop at each step."""

    def __init__(self, *, leaves_after: int | None = None) -> None:
        """Leave after so many writes, or stay."""
        self.leaves_after = leaves_after
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.finished = False
        self.is_decided = False

    @property
    def gone(self) -> bool:
        """Whether it has left."""
        return self.leaves_after is not None and len(self.pieces) >= self.leaves_after

    @property
    def body(self) -> bytes:
        """All that it got."""
        return b"".join(self.pieces)

    async def start(self, status: int, headers: Headers, *, fail: Fail | None = None) -> None:  # noqa: ARG002
        """Take the head."""
        await asyncio.sleep(0)
        assert not self.status, "an answer starts once"
        self.status = status
        self.headers = {name.decode(): value.decode() for name, value in headers}

    def send(self, data: bytes) -> bool:
        """Take a piece; be behind with it for a turn."""
        assert not self.finished
        self.pieces.append(data)
        return False

    async def caught_up(self) -> None:
        """Read on."""
        await asyncio.sleep(0)

    async def finish(self, data: bytes) -> None:
        """Take the last piece."""
        await asyncio.sleep(0)
        self.send(data)
        self.finished = True

    def decide(self) -> None:
        """Hear that how it ends is decided, once."""
        assert not self.is_decided
        self.is_decided = True

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Take a whole answer."""
        await self.start(status, headers)
        await self.finish(body)


async def _no_sleep(_: float) -> None:
    await asyncio.sleep(0)


class Bench:
    """One gateway, with a provider for each script, asked in that order."""

    def __init__(
        self,
        *scripts: str,
        budget: int | None = None,
        journal: MemoryJournal | None = None,
        priced: bool = True,
        rates: dict[str, str] | None = None,
        rpm: int | None = None,
    ) -> None:
        """Make every part. `budget` in nano-units; `scripts` in the scripted provider's TOML."""
        self.providers = {
            f"p{number}": ScriptedProvider(
                f"p{number}", parse_script(script), now_ns=lambda: 0, sleep=_no_sleep
            )
            for number, script in enumerate(scripts)
        }
        targets = tuple(Target(name, "real") for name in self.providers)
        texts = rates or {"input": "1", "output": "1"}
        price = compile_price(USD, {name: parse_rate(text) for name, text in texts.items()}, 10**6)
        self.journal = journal or MemoryJournal()
        self.ledger = Ledger(self.journal, Books(), now_ns=now_ns, budget_wait_s=1000.0)
        self.monitor = Monitor()
        self.rules = RuleBook()
        self.gateway = Gateway(
            catalog={"m": Model(name="m", targets=targets, output_tokens_max=100)},
            providers=self.providers,
            prices=Pricing(price_book({"m": price} if priced else {})),
            rules=lambda: self.rules,
            ledger=self.ledger,
            monitor=self.monitor,
            now_ns=now_ns,
        )
        self.budget = budget
        self.who = Principal(
            key_id=KEY,
            name="n",
            role=Role.MEMBER,
            budgeted=budget is not None,
            requests_per_minute=rpm,
        )

    async def ready(self) -> None:
        """Write the budget's grant."""
        if self.budget is not None and not self.journal.rows:
            entry = granted("g", self.budget)
            MemoryJournal.append(self.journal, entry)
            self.ledger.books.apply(entry)

    async def chat(
        self, client: RecordingClient, request_id: str = "r", **members: Any
    ) -> EntenteError | None:
        """Serve one request; give the error that the data plane would answer with."""
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
        call = decode_chat(json.dumps(body).encode())
        try:
            await self.gateway.chat(self.who, call, request_id, client)
        except EntenteError as error:
            return error
        return None

    def counters(self) -> list[Counter]:
        """Give what its meters stand at."""
        return list(self.ledger.books.meters.counters.values())

    def settled(self) -> list[Settlement]:
        """Give the settlements, after checking that the journal verifies and is at rest."""
        report, books = verify(self.journal.rows)
        assert report.problems == []
        assert report.open_holds == 0
        assert self.ledger.books.open_holds == {}
        assert self.ledger.books.held(KEY, USD) == 0
        assert books.available(KEY, USD) == self.ledger.books.available(KEY, USD)
        assert all(provider.open_answers == 0 for provider in self.providers.values())
        entries = [decode(row.line) for row in self.journal.rows]
        return [entry for entry in entries if isinstance(entry, Settlement)]
