"""Reading the journal: at start, for verification, export and reports."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from entente.db import Database, connect, transaction
from entente.domain.errors import LedgerCorrupt, LedgerUnavailable
from entente.ledger.books import Books
from entente.ledger.journal import GENESIS, PROBLEMS_MAX, PRUNE_ENTRIES, Row, chain, decode


class Position(msgspec.Struct):
    """Where a journal stands, and the books at that entry."""

    seq: int
    head: bytes
    books: Books


def rows(path: Path, *, after_seq: int = 0) -> Iterator[Row]:
    """Read the entries behind `after_seq` from one snapshot of the database.

    Raises LedgerUnavailable when there is no database at `path` or it cannot be read.
    """
    connection = connect(path, read_only=True)
    try:
        connection.execute("BEGIN")
        yield from _rows(connection, after_seq)
    except sqlite3.Error as error:
        message = f"Cannot read the journal in {path}: {error}."
        raise LedgerUnavailable(message) from error
    finally:
        connection.close()


def repeated(path: Path) -> list[str]:
    """Find what stands more than once in a journal: a request is held and settled once.

    The database sorts the names, outside of this process's memory.
    """
    connection = connect(path, read_only=True)
    try:
        found = connection.execute(
            "SELECT idempotency_key, count(*) FROM entries GROUP BY idempotency_key"
            " HAVING count(*) > 1 LIMIT ?",
            (PROBLEMS_MAX,),
        ).fetchall()
    except sqlite3.Error as error:
        message = f"Cannot read the journal in {path}: {error}."
        raise LedgerUnavailable(message) from error
    finally:
        connection.close()
    return [f"{name} stands {count} times in the journal" for name, count in found]


def _rows(connection: sqlite3.Connection, after_seq: int) -> Iterator[Row]:
    """Read rows in order."""
    cursor = connection.execute(
        "SELECT seq, idempotency_key, line, hash FROM entries WHERE seq > ? ORDER BY seq",
        (after_seq,),
    )
    return (Row(*row) for row in cursor)


def load(connection: sqlite3.Connection) -> Position:
    """Fold the journal from the last checkpoint on.

    Raises LedgerCorrupt where the chain does not hold: a server does not start on a
    journal that somebody has changed.
    """
    position = _checkpoint(connection) or Position(0, GENESIS, Books())
    for entry in _rows(connection, position.seq):
        if entry.seq != position.seq + 1 or chain(position.head, entry.line) != entry.hash:
            message = (
                f"The journal is damaged at entry {entry.seq}: its hash does not follow from the "
                "one before. Run `entente ledger verify`, and restore the database from a backup."
            )
            raise LedgerCorrupt(message)
        made = decode(entry.line)
        position.books.apply(made)
        if not entry.seq % PRUNE_ENTRIES:
            position.books.meters.prune(made.at_ns)
        position.seq, position.head = entry.seq, entry.hash
    return position


def granted_behind(database: Database, seq: int) -> frozenset[str]:
    """Give the keys whose budgets are changed by an entry behind `seq`.

    Raises LedgerUnavailable. The plus keeps the search among the entries behind.
    """
    found = database.execute(
        "SELECT line FROM entries WHERE seq > ?"
        " AND +idempotency_key >= 'grant:' AND +idempotency_key < 'grant;'",
        (seq,),
    ).fetchall()
    return frozenset(decode(line).key for (line,) in found)


def _checkpoint(connection: sqlite3.Connection) -> Position | None:
    """Read the last checkpoint; None without one, or with one of another program's shape.

    Raises LedgerCorrupt where the journal no longer has the entry that it was taken at.
    """
    row = connection.execute(
        "SELECT c.seq, c.hash, c.state, e.hash FROM checkpoints c "
        "LEFT JOIN entries e ON e.seq = c.seq ORDER BY c.seq DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    seq, head, state, stored = row
    if seq and stored != head:
        message = (
            f"The journal is damaged: entry {seq}, at which its last checkpoint was taken, is "
            "missing or another one. Restore the database from a backup."
        )
        raise LedgerCorrupt(message)
    try:
        return Position(seq, head, msgspec.json.decode(state, type=Books))
    except msgspec.DecodeError:
        return None


def save_checkpoint(connection: sqlite3.Connection, position: Position) -> None:
    """Keep the books of a journal at rest, so that the next start need not fold it all."""
    with transaction(connection):
        connection.execute("DELETE FROM checkpoints")
        connection.execute(
            "INSERT INTO checkpoints VALUES (?, ?, ?)",
            (position.seq, position.head, msgspec.json.encode(position.books)),
        )


def activate(database: Database, version: str, lines: bytes, now_ns: int) -> None:
    """Keep a price book under its version, so that entries that name it stay explained."""
    database.execute(
        "INSERT INTO price_books (version, lines, activated_ns) VALUES (?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (version, lines, now_ns),
    )
