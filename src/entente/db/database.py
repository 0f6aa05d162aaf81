"""The seam between stores and databases: what a store may ask of either kind.

A store is written once, in SQL that SQLite and PostgreSQL both understand: places are `?`,
columns are integers, texts and bytes, `INSERT … ON CONFLICT DO NOTHING` with `rowcount`
says whether something was there, and no text of SQL has a literal question mark. What one
kind alone can do (the journal's tables, pragmas, listening) is done beside this seam.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

Value: TypeAlias = int | str | bytes | None
"""What a place can hold. Amounts of any size come back as `int`, never as a float."""


class Kind(StrEnum):
    """Which database it is."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    # A row has the types that its statement asks for, which only its reader knows.
    def fetchone(self) -> Any:
        """Give the next row as a tuple, None after the last."""

    def fetchall(self) -> list[Any]:
        """Give the rest."""

    def __iter__(self) -> Iterator[Any]:
        """Give row by row."""


class Database(Protocol):
    """One connection to a database, for one thread at a time.

    Whatever goes wrong in the database is a LedgerUnavailable that says where, and never
    with which password.
    """

    @property
    def kind(self) -> Kind:
        """Which database it is, for what only one kind can do."""

    @property
    def place(self) -> str:
        """Where it is, for people: a path, or host, port and name."""

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> Rows:
        """Run one statement, committed at once unless a transaction is open."""

    def transaction(self) -> AbstractContextManager[None]:
        """Make what happens inside one change, excluding every other such change.

        Inside another one it is a part of that.
        """

    def close(self) -> None:
        """Let go of the connection."""
