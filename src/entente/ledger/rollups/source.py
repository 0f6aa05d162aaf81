"""The seam between rollups and the journals that they are made of; both kinds are here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from entente.db import Database, open_sqlite

ONLY_CHAIN: Final = ""
"""The name of a chain that has no others beside it."""


class Source(Protocol):
    """A journal of one or more chains, numbered without gaps. Raises LedgerUnavailable."""

    def ends(self) -> Mapping[str, int]:
        """Give the number of each chain's last entry, by the chain's name.

        A chain that has ended and is folded may be left out.
        """

    def lines(self, chain: str, after: int, upto: int) -> Iterator[bytes]:
        """Give the lines behind entry `after` up to `upto`, in order; none need be a hold's."""

    def hash_of(self, chain: str, seq: int) -> bytes | None:
        """Give the hash of an entry, None where it is not there (any more)."""

    def whole(self) -> Source:
        """Give the same journal for other rollups, with every chain that it has."""

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

    def lines(self, chain: str, after: int, upto: int) -> Iterator[bytes]:
        """Give lines; holds do not leave the database."""
        del chain
        found = self._database.execute(
            "SELECT line FROM entries WHERE seq > ? AND seq <= ?"
            " AND (idempotency_key < 'hold:' OR idempotency_key >= 'hold;') ORDER BY seq",
            (after, upto),
        )
        return (line for (line,) in found)

    def hash_of(self, chain: str, seq: int) -> bytes | None:
        """Give the hash of an entry."""
        del chain
        row = self._database.execute("SELECT hash FROM entries WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else bytes(row[0])

    def whole(self) -> Source:
        """Give itself: there is one chain."""
        return self

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


_ENDS: Final = (
    "SELECT c.id, CASE WHEN c.closed_ns IS NULL THEN coalesce((SELECT e.seq FROM entries e"
    " WHERE e.chain = c.id ORDER BY e.seq DESC LIMIT 1), 0) ELSE c.seq END FROM chains c"
)
_NOT_FOLDED: Final = (
    " WHERE c.closed_ns IS NULL OR NOT EXISTS (SELECT 1 FROM rollup_positions p"
    " WHERE p.chain = c.id::text AND p.seq >= c.seq)"
)


class PostgresSource:
    """The chains in a PostgreSQL database that is open, and has the rollups of them, too."""

    def __init__(self, database: Database, *, is_whole: bool = False) -> None:
        """Read over this connection, which is closed with this.

        Unless it `is_whole`, chains that have ended and are folded there are left out.
        """
        self._database = database
        self._is_whole = is_whole

    def ends(self) -> Mapping[str, int]:
        """Give the number of each chain's last entry; a closed one has it in its row."""
        rows = self._database.execute(_ENDS if self._is_whole else _ENDS + _NOT_FOLDED)
        return {str(number): seq for number, seq in rows.fetchall()}

    def lines(self, chain: str, after: int, upto: int) -> Iterator[bytes]:
        """Give lines; holds do not leave the database."""
        found = self._database.execute(
            "SELECT line FROM entries WHERE chain = ? AND seq > ? AND seq <= ?"
            " AND name NOT LIKE 'hold:%' ORDER BY seq",
            (int(chain), after, upto),
        )
        return (line for (line,) in found)

    def hash_of(self, chain: str, seq: int) -> bytes | None:
        """Give the hash of an entry."""
        row = self._database.execute(
            "SELECT hash FROM entries WHERE chain = ? AND seq = ?", (int(chain), seq)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def whole(self) -> Source:
        """Give the same with all its chains."""
        return PostgresSource(self._database, is_whole=True)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()
