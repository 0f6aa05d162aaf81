"""The control plane put together: its desk and thread, `/admin/v1`, and who delivers webhooks."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Final

from entente.config import Config
from entente.control.budgets import USD, Budget, budget_of
from entente.control.delivering import Deliverer
from entente.control.desk import Clerk, Desk
from entente.control.table import Base
from entente.control.telling import Teller
from entente.control.watching import Watch
from entente.db import Database, SqliteDatabase
from entente.domain.ids import Ids
from entente.http.admin.service import Administration
from entente.http.handler import Handler
from entente.ledger.appending import append_now
from entente.ledger.journal import decode
from entente.ledger.ledger import Ledger
from entente.ledger.model import Grant
from entente.ledger.postgres_reader import books_of
from entente.ledger.reader import load
from entente.news import News
from entente.policy.rules import RuleBook
from entente.records import Shared

_GRANTS: Final = (
    "SELECT line FROM entries WHERE idempotency_key >= 'grant:' AND idempotency_key < 'grant;'"
)


LOOK_S: Final = 1.0
"""How often it is looked whether the ledger is in trouble."""
SEEN_POLL_S: Final = 0.02
SEEN_POLLS_MAX: Final = 250
"""How often a grant's answer looks whether the ledger has it, which it will in any case."""


class SqliteGranting:
    """Grants on the journal in SQLite, written as the command line writes them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use the desk's connection, so that a grant is a part of the desk's transaction."""
        self._connection = connection

    def budget(self, key: str) -> Budget:
        """Give where the budget of a key stands now, from the last checkpoint on."""
        granted = sum(each.nano for each in self._grants() if each.key == key)
        return budget_of(key, granted, load(self._connection).books)

    def append(self, entry: Grant) -> None:
        """Write a grant; the server's books have it within a second."""
        append_now(SqliteDatabase(self._connection), [entry])

    def find(self, grant_id: str) -> Grant | None:
        """Give a grant by its id."""
        return next((each for each in self._grants() if each.id == grant_id), None)

    def last(self) -> int:
        """Give the number of the journal's last entry."""
        (seq,) = self._connection.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()
        return int(seq)

    def _grants(self) -> list[Grant]:
        lines = self._connection.execute(_GRANTS).fetchall()
        found = [decode(line) for (line,) in lines]
        return [each for each in found if isinstance(each, Grant) and each.asset == USD]


class PostgresGranting:
    """Grants in PostgreSQL, each a chain of its own, which every server is told of."""

    def __init__(self, database: Database) -> None:
        """Use the desk's connection, so that a grant is a part of the desk's transaction."""
        self._database = database

    def budget(self, key: str) -> Budget:
        """Give where the budget of a key stands now, from each chain's last checkpoint on."""
        granted = sum(each.nano for each in self._grants() if each.key == key)
        return budget_of(key, granted, books_of(self._database, key))

    def append(self, entry: Grant) -> None:
        """Write a grant; every server's books have it within a second."""
        append_now(self._database, [entry])

    def find(self, grant_id: str) -> Grant | None:
        """Give a grant by its id."""
        return next((each for each in self._grants() if each.id == grant_id), None)

    def last(self) -> int:
        """Give the number of the last entry that was written beside the servers."""
        (last,) = self._database.execute("SELECT coalesce(max(id), 0) FROM side_entries").fetchone()
        return int(last)

    def _grants(self) -> list[Grant]:
        lines = self._database.execute(
            "SELECT line FROM side_entries WHERE name LIKE 'grant:%' ORDER BY id"
        ).fetchall()
        found = [decode(line) for (line,) in lines]
        return [each for each in found if isinstance(each, Grant) and each.asset == USD]


async def open_control(
    config: Config,
    news: News,
    ledger: Ledger,
    rules: Callable[[], RuleBook],
    shared: Shared,
    stack: contextlib.AsyncExitStack,
    *,
    delivers: bool = True,
) -> dict[str, Handler]:
    """Open the desk on a connection of its own, watch the ledger, and begin to deliver.

    Of several workers one `delivers`. Gives the handlers of `/admin/v1`.
    """
    database = shared.database()
    granting: SqliteGranting | PostgresGranting
    if isinstance(database, SqliteDatabase):
        granting = SqliteGranting(database.connection)
    else:
        granting = PostgresGranting(database)
    chance = random.Random(secrets.randbits(128))  # noqa: S311  (spreads retries, no secret)
    base = Base(database, time.time_ns, Ids(time.time_ns, chance.getrandbits))
    settings = config.webhooks
    clerk = Clerk(
        Desk(
            base,
            granting,
            token_bytes=secrets.token_bytes,
            models=frozenset(config.models),
            allow_private=settings.allow_private,
            retry_days=settings.retry_days,
        )
    )
    stack.push_async_callback(clerk.aclose)
    deliverer = Deliverer(
        clerk, allow_private=settings.allow_private, now_ns=time.time_ns, spread=chance.random
    )
    stack.push_async_callback(deliverer.aclose)
    if delivers:
        deliverer.start()
    teller = Teller(clerk, written=deliverer.wake)
    stack.push_async_callback(teller.aclose)
    teller.start()
    ledger.watcher = watch = Watch(rules, teller.tell, now_ns=time.time_ns)
    for name, counter in ledger.books.meters.counters.items():
        watch.used(name, counter)  # what a crash may have kept from being told

    async def look() -> None:
        while True:
            watch.trouble(ledger.journal.trouble)
            await asyncio.sleep(LOOK_S)

    looking = asyncio.get_running_loop().create_task(look())
    stack.callback(looking.cancel)

    def changed() -> None:
        news.changed()
        deliverer.wake()

    async def granted() -> None:
        written = await clerk.do(lambda _: granting.last())
        for _ in range(SEEN_POLLS_MAX):
            if shared.reached() >= written:
                return
            await asyncio.sleep(SEEN_POLL_S)

    return Administration(clerk, changed=changed, granted=granted).handlers()
