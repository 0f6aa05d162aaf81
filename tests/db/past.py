"""Databases of the past: the list of migrations, replayed up to a version, with rows in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from entente.db import DATABASE_NAME, SqliteDatabase, connect, migrate
from entente.db.schema import MIGRATIONS
from entente.ledger.model import AnyEntry
from entente.ledger.reader import activate
from entente.ledger.table import append_now
from tests.kit.entries import granted, held, settled

PAST: Final = range(len(MIGRATIONS))
"""Every version before the last, the empty file among them."""
OPENED: Final = held("r", 10)
ENTRIES: Final[tuple[AnyEntry, ...]] = (granted("g", 100), OPENED, settled(OPENED, 4))


def database_of(version: int, folder: Path) -> Path:
    """Make a database as the program of that version left it."""
    path = folder / DATABASE_NAME
    with closing(connect(path)) as connection:
        migrate(connection, MIGRATIONS[:version])
        if version:
            _fill(connection)
    return path


def _fill(connection: sqlite3.Connection) -> None:
    for number in range(3):
        connection.execute(
            "INSERT INTO keys (id, name, digest, hint, role, budgeted, created_ns)"
            " VALUES (?, ?, ?, 'ab', 'member', ?, ?)",
            (f"key_{number}", f"name {number}", b"%d" % number, number % 2, number + 1),
        )
    append_now(connection, ENTRIES)
    activate(SqliteDatabase(connection), "v1", b"{}", 7)


def schema_of(path: Path) -> tuple[int, list[tuple[str, str]]]:
    """Give the version and the definitions of all that is in a database."""
    with closing(connect(path, read_only=True)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        return version, sorted(found.fetchall())


def rows_of(path: Path) -> list[tuple[object, ...]]:
    """Give what has to stay, whatever comes to it."""
    with closing(connect(path, read_only=True)) as connection:
        return [
            *connection.execute("SELECT id, name, digest, created_ns FROM keys ORDER BY id"),
            *connection.execute(
                "SELECT seq, idempotency_key, line, hash FROM entries ORDER BY seq"
            ),
            *connection.execute("SELECT version, lines, activated_ns FROM price_books"),
        ]
