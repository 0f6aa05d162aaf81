"""What every drill stands on: an upstream, a server, one growing ledger, and its proof."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, Self

from entente.db import DATABASE_NAME
from entente.ledger.journal import decode
from entente.ledger.model import AnyEntry
from entente.ledger.reader import rows
from soak.accounts import Accounts
from soak.run import Run
from soak.upstream import UpstreamProcess
from tests.support.load import FIRST_NUMBER, Load
from tests.support.server import EntenteServer, wait_until
from tests.support.upstream import config

DURABILITIES: Final = ("full", "settle", "async")
WORDS: Final = 5


class Stand:
    """An upstream that outlives the server, and the server; both end with the context.

    `configure` gives the server anew, on the same data folder.
    """

    def __init__(
        self,
        run: Run,
        *,
        pause_s: float = 0.002,
        words: int = WORDS,
        server: str = "",
        prelude: str = "",
    ) -> None:
        """Nothing runs yet. `server` are lines of `[server]`; see `EntenteServer`."""
        self.run = run
        self.outcome = run.outcome
        self.accounts = Accounts(words)
        self.numbers = itertools.count(FIRST_NUMBER)
        self.upstream = UpstreamProcess(run.folder, pause_s=pause_s, words=words)
        self._server_lines, self._prelude = server, prelude
        self._server: EntenteServer | None = None
        self._seq = 0
        self._loads = itertools.count()

    async def __aenter__(self) -> Self:
        """Start the upstream."""
        await asyncio.to_thread(self.upstream.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what runs, however the drill ended; keep what was counted."""
        if self._server is not None and self._server.running:
            self._server.kill()
        self.upstream.kill()
        accounts, outcome = self.accounts, self.outcome
        outcome.requests, outcome.entries = accounts.requests, accounts.entries
        outcome.calls, outcome.answered = self.upstream.calls, accounts.answered
        outcome.estimated, outcome.recovered = accounts.estimated, accounts.recovered
        outcome.statuses = dict(sorted(accounts.statuses.items()))

    @property
    def server(self) -> EntenteServer:
        """The server, as it was configured last."""
        return self._server or self.configure()

    @property
    def database(self) -> Path:
        """The file with the ledger."""
        return self.run.folder / "data" / DATABASE_NAME

    def configure(self, durability: str = DURABILITIES[0]) -> EntenteServer:
        """Write the configuration; nothing starts."""
        text = config(self.upstream.base_url) + f'[ledger]\ndurability = "{durability}"\n'
        self._server = EntenteServer(
            self.run.folder, text, server=self._server_lines, prelude=self._prelude
        )
        return self._server

    def load(self) -> Load:
        """Make a load of its own mixture, whose requests have numbers of their own."""
        name = f"{self.run.seed} {self.run.drill} load {next(self._loads)}"
        return Load(name, numbers=self.numbers)

    async def start(self) -> float:
        """Start the server; give how many seconds it took until it answered."""
        began_s = time.monotonic()
        await asyncio.to_thread(self.server.start)
        return time.monotonic() - began_s

    async def kill(self, *, whole: bool = True) -> None:
        """End the server as `kill -9` does; not `whole`, its journal's writer ends by itself."""
        await asyncio.to_thread(self.server.kill, whole=whole)

    def take_in(self, load: Load | None = None) -> None:
        """Take in what ledger, upstream and clients have said since the last time."""
        self.accounts.ledger(self._entries())
        self.accounts.upstream(self.upstream.numbers(self.accounts.calls))
        if load is not None:
            self.accounts.clients(load.sent)
            load.sent.clear()

    def expect_rest(self) -> None:
        """Note it if holds are open in what was taken in last, when nothing is under way."""
        self.outcome.expect(self.accounts.open_holds == 0, "holds were open at rest")

    def _entries(self) -> Iterator[AnyEntry]:
        """Read the entries behind those that were read before, one by one."""
        for row in rows(self.database, after_seq=self._seq):
            self._seq = row.seq
            yield decode(row.line)

    async def until_ready(self) -> float:
        """Wait until the server says it can serve; give the seconds."""
        began_s = time.monotonic()
        await asyncio.to_thread(
            wait_until, lambda: self.server.get("/readyz").status == 200, "readiness"
        )
        return time.monotonic() - began_s

    async def until_served(self, load: Load) -> None:
        """Ask until a request is answered, which must come to be by itself."""
        async with asyncio.timeout(30):
            while not (await load.one(self.server.port)).answered:  # noqa: ASYNC110 - it asks
                await asyncio.sleep(0.05)

    def checkpoint_lag(self) -> int:
        """Count the entries behind the last checkpoint, which the next start has to fold."""
        with closing(sqlite3.connect(self.database)) as connection:
            (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()
            (at,) = connection.execute("SELECT coalesce(max(seq), 0) FROM checkpoints").fetchone()
        return int(last) - int(at)

    async def verify(self) -> None:
        """Run `ledger verify`, as an operator would."""
        done = await asyncio.to_thread(self.server.cli, "ledger", "verify", "--json")
        self.outcome.verifications += 1
        if not done.stdout.lstrip().startswith("{"):
            self.outcome.unverified += 1
            self.outcome.notes.append(f"`ledger verify` failed: {done.stderr.strip()[-300:]}")
            return
        report = json.loads(done.stdout)
        problems = report["problems"]
        self.outcome.unverified += len(problems) or int(done.returncode != 0)
        self.outcome.notes += problems[:3]

    async def finish(self) -> None:
        """Stop the server in order, verify, and compare all three accounts."""
        if self.server.running and (status := await asyncio.to_thread(self.server.stop)):
            self.outcome.expect(False, f"the server stopped with status {status}")  # noqa: FBT003
        self.run.tell(1.0, "verifying")
        self.take_in()
        await self.verify()
        accounts, outcome = self.accounts, self.outcome
        outcome.lost = accounts.lost()
        outcome.unsettled = accounts.open_holds
        outcome.unverified += accounts.faults
        outcome.notes += accounts.said
        if said := self.server.err_log.read_text(errors="replace").strip():
            outcome.notes.append(f"the server said: {said[-300:]}")


def check_refusals(load: Load, *, allowed: frozenset[int]) -> int:
    """Check that what is not answered was refused in so many words; give how many there are.

    A stream that had begun must have ended with an error event, and never with [DONE].
    """
    refused = 0
    for one in load.sent:
        if one.answered:
            continue
        refused += 1
        if one.reply.status == 200 and one.stream:
            assert b'"error":{' in one.reply.body, f"{one.number}: broken off without a word"
            assert b"[DONE]" not in one.reply.body, f"{one.number}: an error, and [DONE]"
        else:
            assert one.reply.status in allowed, f"{one.number}: status {one.reply.status}"
    return refused


def check_unbroken(load: Load, *, killed: bool) -> None:
    """Check that every request was answered whole, or cut off by the server's death alone."""
    for one in load.sent:
        cut = killed and one.reply.status in (0, 200)
        assert one.answered or cut, f"{one.number}: status {one.reply.status}"
