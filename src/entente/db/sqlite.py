"""Opening the SQLite file and bringing its schema forward.

WAL lets readers (the command line, an export) work beside the one writer. A schema
version that this program does not know is refused, never guessed at.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from entente.db.database import Kind, Value
from entente.db.schema import MIGRATIONS
from entente.domain.errors import LedgerUnavailable, StartError

DATABASE_NAME = "entente.db"

BUSY_TIMEOUT_MS = 5_000
STATEMENTS_CACHED_MAX = 512


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the database at `path` in autocommit mode, from any one thread at a time.

    A read-only connection never creates the file. Raises LedgerUnavailable with the
    path and the reason.
    """
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    with ExitStack() as opening:
        try:
            connection = sqlite3.connect(
                uri,
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=BUSY_TIMEOUT_MS / 1000,
                cached_statements=STATEMENTS_CACHED_MAX,
            )
            opening.callback(connection.close)
            if not read_only:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        except sqlite3.Error as error:
            message = f"Cannot open the database {path}: {error}. Check the folder's permissions."
            raise LedgerUnavailable(message) from error
        opening.pop_all()
    return connection


class SqliteDatabase:
    """A `Database` on a SQLite connection in autocommit mode."""

    kind: Final = Kind.SQLITE

    def __init__(self, connection: sqlite3.Connection, place: str = "entente.db") -> None:
        """Work on an open connection, which is closed with this."""
        self.connection = connection
        self.place = place

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> sqlite3.Cursor:
        """Run one statement. Raises LedgerUnavailable."""
        with self._errors_mapped():
            return self.connection.execute(sql, parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one change. Raises LedgerUnavailable."""
        with self._errors_mapped(), transaction(self.connection):
            yield

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @contextmanager
    def _errors_mapped(self) -> Iterator[None]:
        """Say of SQLite's errors where they happened."""
        try:
            yield
        except sqlite3.Error as error:
            message = f"The database {self.place} cannot be used now: {error}."
            raise LedgerUnavailable(f"{message} Run `entente doctor`.") from error


def open_sqlite(path: Path, *, read_only: bool = False) -> SqliteDatabase:
    """Open the database at `path` as `connect` does. Raises LedgerUnavailable."""
    return SqliteDatabase(connect(path, read_only=read_only), str(path))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Make what happens inside one change, excluding every other writer.

    Inside another one it is a part of that.
    """
    is_part = connection.in_transaction
    if is_part:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # SQLite has rolled back by itself after some errors, and not after others.
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def migrate(
    connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> None:
    """Run the migrations that this file has not seen, each in a transaction of its own.

    Two processes may call it at once: the second waits and then finds nothing to do.
    Raises StartError for a file that a newer program has written, and LedgerUnavailable for
    one that another process keeps locked.
    """
    try:
        _migrate(connection, migrations)
    except sqlite3.Error as error:
        message = (
            f"Cannot use the database: {error}. Close what else has it open, a shell of sqlite3 "
            "perhaps, and try again."
        )
        raise LedgerUnavailable(message) from error


def _migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> None:
    """Run what is missing."""
    for version in range(1, len(migrations) + 1):
        with transaction(connection):
            (current,) = connection.execute("PRAGMA user_version").fetchone()
            if current > len(migrations):
                message = (
                    f"The database has schema {current}; this program knows {len(migrations)}. "
                    "Run the newer version of entente that wrote it."
                )
                raise StartError(message)
            if current < version:
                for statement in migrations[version - 1]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={version}")
