"""Budgets that keys were granted, read and written on either kind of journal.

Where a budget stands is read from the last checkpoints on, and grants by their index: neither
takes longer because many requests were served.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final, Protocol

from entente.control.budgets import USD, Budget, budget_of
from entente.db import Database, SqliteDatabase
from entente.ledger.appending import append_now
from entente.ledger.journal import decode
from entente.ledger.model import Grant
from entente.ledger.postgres_reader import books_of
from entente.ledger.reader import load

if TYPE_CHECKING:
    from entente.ledger.books import Books

_GRANTS: Final = (
    "SELECT line FROM entries WHERE idempotency_key >= 'grant:' AND idempotency_key < 'grant;'"
)
_SIDE_GRANTS: Final = "SELECT line FROM side_entries WHERE name LIKE 'grant:%' ORDER BY id"


class _Journal(Protocol):
    """What the two kinds do differently."""

    def books(self, keys: Collection[str]) -> Books:
        """Give books that have the balances of these keys."""

    def grants(self) -> list[bytes]:
        """Give the lines of all grants."""

    def last(self) -> int:
        """Give the number of the last entry that a grant can be."""


class Granted:
    """Grants in a database. Raises LedgerUnavailable."""

    def __init__(self, database: Database, journal: _Journal) -> None:
        """Use a connection, so that a grant can be a part of its transaction."""
        self._database = database
        self._journal = journal

    def budget(self, key: str) -> Budget:
        """Give where the budget of a key stands now."""
        (budget,) = self.budgets((key,))
        return budget

    def budgets(self, keys: Collection[str]) -> list[Budget]:
        """Give where the budgets of keys stand now, in the order of the keys."""
        books = self._journal.books(keys)
        granted = dict.fromkeys(keys, 0)
        for each in self._grants():
            if each.key in granted:
                granted[each.key] += each.nano
        return [budget_of(key, nano, books) for key, nano in granted.items()]

    def granted(self, key: str) -> int:
        """Give what a key was granted in all, in nano-units."""
        return sum(each.nano for each in self._grants() if each.key == key)

    def append(self, entry: Grant) -> None:
        """Write a grant; the books of every server have it within a second."""
        append_now(self._database, [entry])

    def find(self, grant_id: str) -> Grant | None:
        """Give a grant by its id."""
        return next((each for each in self._grants() if each.id == grant_id), None)

    def last(self) -> int:
        """Give the number of the last entry that a grant can be."""
        return self._journal.last()

    def _grants(self) -> list[Grant]:
        found = [decode(line) for line in self._journal.grants()]
        return [each for each in found if isinstance(each, Grant) and each.asset == USD]


class _Sqlite:
    """The one chain in a file."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def books(self, keys: Collection[str]) -> Books:
        """Give the books from the last checkpoint on."""
        del keys
        return load(self._database.connection).books

    def grants(self) -> list[bytes]:
        """Give the lines that the index of grants has."""
        return [line for (line,) in self._database.execute(_GRANTS)]

    def last(self) -> int:
        """Give the number of the journal's last entry."""
        (seq,) = self._database.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()
        return int(seq)


class _Postgres:
    """The chains in PostgreSQL; each grant is one of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def books(self, keys: Collection[str]) -> Books:
        """Give the balances of closed chains, with open ones from their checkpoints on."""
        return books_of(self._database, keys)

    def grants(self) -> list[bytes]:
        """Give the lines of what was written beside the servers."""
        return [line for (line,) in self._database.execute(_SIDE_GRANTS)]

    def last(self) -> int:
        """Give the number of the last entry that was written beside the servers."""
        (last,) = self._database.execute("SELECT coalesce(max(id), 0) FROM side_entries").fetchone()
        return int(last)


def granting_on(database: Database) -> Granted:
    """Give the grants of a database, whichever kind it is."""
    if isinstance(database, SqliteDatabase):
        return Granted(database, _Sqlite(database))
    return Granted(database, _Postgres(database))
