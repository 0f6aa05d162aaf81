"""The seam between rollups and the journals that they are made of; both kinds are here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from entente.db import Database, open_sqlite

ONLY_CHAIN: Final = ""
"""The name of a chain that has no others beside it."""


class Found(NamedTuple):
    """An entry as it stands in a chain."""

    seq: int
    hash: bytes
    line: bytes


class Source(Protocol):
    """A journal of one or more chains. Raises LedgerUnavailable."""

    def ends(self) -> Mapping[str, int]:
        """Give the number of each chain's last entry, by the chain's name."""

    def after(self, chain: str, seq: int, most: int) -> Iterator[Found]:
        """Give the entries of a chain behind `seq`, in order, at most so many."""

    def hash_of(self, chain: str, seq: int) -> bytes | None:
        """Give the hash of an entry, None where it is not there (any more)."""

    def close(self) -> None:
        """Let go of the journal."""


class SqliteSource:
    """The journal in a SQLite file, on a connection that only reads."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`."""
        self._database: Database = open_sqlite(path, read_only=True)

    def ends(self) -> Mapping[str, int]:
        """Give the number of the last entry."""
        (seq,) = self._database.execute("SELECT max(seq) FROM entries").fetchone()
        return {ONLY_CHAIN: seq or 0}

    def after(self, chain: str, seq: int, most: int) -> Iterator[Found]:
        """Give the entries behind `seq`."""
        del chain
        found = self._database.execute(
            "SELECT seq, hash, line FROM entries WHERE seq > ? ORDER BY seq LIMIT ?", (seq, most)
        )
        return map(Found._make, found)

    def hash_of(self, chain: str, seq: int) -> bytes | None:
        """Give the hash of an entry."""
        del chain
        row = self._database.execute("SELECT hash FROM entries WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


class PostgresSource:
    """The chains in a PostgreSQL database that is open."""

    def __init__(self, database: Database) -> None:
        """Read over this connection, which is closed with this."""
        self._database = database

    def ends(self) -> Mapping[str, int]:
        """Give the number of each chain's last entry; a closed one has it in its row."""
        rows = self._database.execute(
            "SELECT id, CASE WHEN closed_ns IS NULL THEN coalesce((SELECT e.seq FROM entries e"
            " WHERE e.chain = chains.id ORDER BY e.seq DESC LIMIT 1), 0) ELSE seq END FROM chains"
        )
        return {str(number): seq for number, seq in rows}

    def after(self, chain: str, seq: int, most: int) -> Iterator[Found]:
        """Give the entries of a chain behind `seq`."""
        found = self._database.execute(
            "SELECT seq, hash, line FROM entries WHERE chain = ? AND seq > ? ORDER BY seq LIMIT ?",
            (int(chain), seq, most),
        )
        return map(Found._make, found)

    def hash_of(self, chain: str, seq: int) -> bytes | None:
        """Give the hash of an entry."""
        row = self._database.execute(
            "SELECT hash FROM entries WHERE chain = ? AND seq = ?", (int(chain), seq)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Close the connection."""
        self._database.close()
