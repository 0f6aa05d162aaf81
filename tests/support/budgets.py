"""A budget over several real servers: who pays from it, what was asked, what the ledger says."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg

from entente.auth import OPERATOR
from entente.control.audit import Audit
from entente.control.budgets import initial_grant
from entente.control.rules import Rules, RuleWish
from entente.control.table import Base
from entente.domain.ids import Ids
from entente.domain.rules import Level, Unit
from entente.ledger.appending import append_now
from entente.ledger.model import Settlement
from tests.support.rawclient import connection, post, read_reply
from tests.support.server import chat_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.hosts import WorkersServer
    from tests.support.server import Key

WORDS: Final = 5
COST_NANO: Final = WORDS * 1_000
"""Of each request, exactly what is held for it: only words that are answered have a price."""
UNAVAILABLE: Final = 503
BACK_S: Final = 0.05
"""After which a client comes back that was told so."""
CONFIG: Final = """
[limits]
budget_wait_s = 60.0
[providers.up]
kind = "openai"
base_url = "{0}/v1"
[models."m"]
targets = [{{ provider = "up", model = "m" }}]
price = {{ currency = "USD", per = "1M tokens", input = "0", output = "1" }}
"""


class Asked(NamedTuple):
    """A request and what came of it; it names its end user, and nobody else does."""

    end_user: str
    status: int
    whole: bool
    ended_ns: int
    """By the clock of whoever asks."""


class Budget:
    """What servers, which share the database at `url`, may spend, and do."""

    def __init__(self, url: str, *servers: WorkersServer) -> None:
        """Spend nothing yet."""
        self.server = servers[0]
        self._servers = servers
        self.url = url
        self.statuses: Counter[int] = Counter()
        self.asked: list[Asked] = []
        self._numbers = itertools.count(1)

    def grant(self, requests: int) -> Key:
        """Make a key with a budget for so many requests."""
        key = self.server.make_key(budgeted=True)
        with self.server.opened() as database:
            append_now(
                database,
                [initial_grant(OPERATOR, key.id, requests * COST_NANO, at_ns=time.time_ns())],
            )
        return key

    def limit(self, requests: int) -> Key:
        """Make a key, and a budget for so many requests of everybody."""
        with self.server.opened() as database:
            ids = Ids(time.time_ns, random.SystemRandom().getrandbits)
            base = Base(database, time.time_ns, ids)
            Rules(base, Audit(base)).make(
                OPERATOR,
                RuleWish(
                    level=Level.ORGANIZATION,
                    unit=Unit.SPEND,
                    amount=requests * COST_NANO,
                    asset="USD",
                ),
            )
        return self.server.make_key()

    async def ask(
        self, key: Key, requests: int, connections: int, *, until: Callable[[], bool] | None = None
    ) -> None:
        """Send requests over connections of many workers; what breaks off has the status 0."""
        left = iter(range(requests))

        def goes_on() -> bool:
            return next(left, None) is not None and not (until and until())

        async def client(server: WorkersServer) -> None:
            while goes_on():
                with contextlib.suppress(OSError):
                    async with connection(server.port, host=server.host) as streams:
                        status = 200
                        while status and goes_on():
                            status = await self._one(key, *streams)
                            if status == UNAVAILABLE:
                                await asyncio.sleep(BACK_S)

        await asyncio.gather(
            *(client(self._servers[n % len(self._servers)]) for n in range(connections))
        )

    async def _one(
        self, key: Key, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> int:
        """Send a request, note what comes of it, and give the status."""
        end_user = f"end-user-{next(self._numbers)}"
        writer.write(post(chat_body(max_completion_tokens=WORDS, user=end_user), key.secret))
        reply = await read_reply(reader)
        self.statuses[reply.status] += 1
        self.asked.append(Asked(end_user, reply.status, reply.whole, time.time_ns()))
        return reply.status

    def meters(self) -> list[tuple[int, int]]:
        """Read what meters of money have used, and lent."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT used, lent FROM meters WHERE name LIKE 'spend%'"
            ).fetchall()
        return [(int(used), int(lent)) for used, lent in rows]

    def loans(self) -> int:
        """Count what is on loan to anybody."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT count(*) FROM loans").fetchone()
        assert row is not None
        return int(row[0])

    def cost(self) -> int:
        """Add up what all entries say was spent."""
        entries = self.server.entries()
        return sum(each.cost_nano or 0 for each in entries if isinstance(each, Settlement))
