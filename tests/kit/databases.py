"""A database with a journal and a ledger on it, as `app` puts them together."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from entente.db import DATABASE_NAME, connect, migrate
from entente.ledger.checkpoints import Checkpoints
from entente.ledger.journal import Report, verify
from entente.ledger.ledger import Ledger
from entente.ledger.model import AnyEntry
from entente.ledger.reader import Position, load, rows
from entente.ledger.sqlite import Launch, SqliteJournal
from entente.ledger.store import Durability
from entente.ledger.table import append_now
from tests.kit.entries import now_ns
from tests.kit.writers import Threads


class Desk:
    """A ledger on SQLite, and what it was told of other writers."""

    def __init__(
        self,
        path: Path,
        durability: Durability = Durability.FULL,
        *,
        by_hand: bool = False,
        launch: Launch | None = None,
    ) -> None:
        """Open the journal at `path` as a server does at its start, its writer in a thread."""
        with closing(connect(path)) as connection:
            position = load(connection)
        self.path = path
        self.foreign: list[AnyEntry] = []
        self.changes = 0
        self.saved: list[Position] = []
        self.checkpoints = Checkpoints(position, self.saved.append)
        self.threads = Threads(by_hand=by_hand)
        self.journal = SqliteJournal(
            path,
            seq=position.seq,
            head=position.head,
            durability=durability,
            on_foreign=self._see,
            on_written=self.checkpoints.written,
            on_change=self._note_change,
            launch=launch or self.threads,
        )
        self.ledger = Ledger(self.journal, position.books, now_ns=now_ns, budget_wait_s=1000.0)

    def _see(self, entries: Iterable[AnyEntry]) -> None:
        seen = list(entries)
        self.foreign += seen
        self.ledger.see(seen)

    def _note_change(self) -> None:
        self.changes += 1

    def names(self) -> list[str]:
        """List what is in the file."""
        return [row.idempotency_key for row in rows(self.path)]

    def verify(self) -> Report:
        """Verify the file, and that books in memory and the next checkpoint say the same."""
        report, books = verify(rows(self.path))
        position = self.checkpoints.position()
        assert position.head.hex() == report.head
        for said in (self.ledger.books, position.books):
            assert books.open_holds == said.open_holds
            for account in {*books.balances, *said.balances}:
                for asset in ("USD", "EUR"):
                    assert books.balance(account, asset) == said.balance(account, asset)
        return report

    def writer(self) -> sqlite3.Connection:
        """Give the writer's own connection, to make it fail."""
        return self.threads.writers[-1].connection


def new_database(folder: Path, *entries: AnyEntry) -> Path:
    """Make a migrated database with entries in its journal."""
    path = folder / DATABASE_NAME
    with closing(connect(path)) as connection:
        migrate(connection)
        append_now(connection, entries)
    return path


@asynccontextmanager
async def desk(
    path: Path,
    durability: Durability = Durability.FULL,
    *,
    by_hand: bool = False,
    launch: Launch | None = None,
) -> AsyncIterator[Desk]:
    """Open a desk and close it."""
    opened = Desk(path, durability, by_hand=by_hand, launch=launch)
    try:
        yield opened
    finally:
        await opened.ledger.aclose()
