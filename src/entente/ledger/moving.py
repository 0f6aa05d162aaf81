"""Moving everything from a SQLite file into an empty PostgreSQL database, and seeing it is there.

The journal becomes one chain, closed, entry by entry with the same hashes; tables that both
have are copied column by column. All of it is one transaction, and is read back and verified
before that ends: what does not come out equal was never there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from entente.db import open_sqlite
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_backup import advance_numbers, check_empty, tables_of
from entente.db.postgres_migrate import make_months, migrate_postgres, month_of
from entente.domain.errors import LedgerCorrupt, LedgerUnavailable
from entente.ledger.appending import close_chain
from entente.ledger.books import Books
from entente.ledger.journal import Report, Row, decode, verify
from entente.ledger.model import Hold, Settlement
from entente.ledger.postgres_reader import chain_rows
from entente.ledger.reader import repeated, rows

CHAIN_NAME: Final = "moved from SQLite"
NOT_MOVED: Final = frozenset({"entries", "checkpoints"})
"""The journal is moved as a chain; a checkpoint is made anew."""


def move(source: Path, database: PostgresDatabase, now_ns: int) -> Report:
    """Copy the database at `source`, which nobody may write to; give what both verify to.

    Raises LedgerCorrupt where the journal is not in order or does not come out equal, and
    LedgerUnavailable where holds are open, the schema is old, or the target is not empty.
    """
    expected, books, span = _verified(source)
    migrate_postgres(database, now_ns)
    month = month_of(span[0])
    while month <= month_of(span[1]):
        make_months(database, month.start_ns)
        month = month.next
    with database.transaction():
        check_empty(database)
        _copy_tables(source, database)
        number = _copy_journal(source, database, span[0])
        close_chain(database, number, expected.entries, bytes.fromhex(expected.head), books, now_ns)
        found, _ = verify(chain_rows(database, number))
        if msgspec.to_builtins(found) != msgspec.to_builtins(expected):
            message = f"The journal did not come out equal in {database.place}; nothing was moved."
            raise LedgerCorrupt(message)
    return expected


def _verified(source: Path) -> tuple[Report, Books, tuple[int, int]]:
    """Verify the source; give its report, its books, and the first and last times in it."""
    first, last = 2**63, 0

    def watched() -> Iterator[Row]:
        nonlocal first, last
        for row in rows(source):
            at_ns = decode(row.line).at_ns
            first, last = min(first, at_ns), max(last, at_ns)
            yield row

    report, books = verify(watched())
    problems = [*report.problems, *repeated(source)]
    if problems:
        message = f"{source} is not in order: {problems[0]}. Run `entente db check`."
        raise LedgerCorrupt(message)
    if report.open_holds:
        message = (
            f"{source} has {report.open_holds} open holds: start and stop `entente serve` once, "
            "which settles them."
        )
        raise LedgerUnavailable(message)
    return report, books, (min(first, last), last)


def _copy_tables(source: Path, database: PostgresDatabase) -> None:
    there = tables_of(database)
    with closing(open_sqlite(source, read_only=True)) as old:
        names = old.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            " ORDER BY name"
        ).fetchall()
        for (name,) in names:
            if name in NOT_MOVED:
                continue
            columns = [row[1] for row in old.execute(f"PRAGMA table_info({name})")]
            if not set(columns) <= set(there.get(name, ())):
                message = f"{source} has a table {name} that {database.place} has not."
                raise LedgerUnavailable(message)
            if name == "projects":
                database.execute("DELETE FROM projects")  # the one that a migration makes
            listed = ", ".join(columns)
            with database.copying(f"COPY {name} ({listed}) FROM STDIN") as copy:
                for row in old.execute(f"SELECT {listed} FROM {name}"):  # noqa: S608
                    copy.write_row(row)
    advance_numbers(database)


def _copy_journal(source: Path, database: PostgresDatabase, opened_ns: int) -> int:
    """Write the entries as a chain, and beside it what people have written; give its number."""
    (number,) = database.execute(
        "INSERT INTO chains (name, opened_ns) VALUES (?, ?) RETURNING id", (CHAIN_NAME, opened_ns)
    ).fetchone()
    beside: list[tuple[str, bytes]] = []
    columns = "chain, seq, at_ns, name, line, hash"
    with database.copying(f"COPY entries ({columns}) FROM STDIN") as copy:
        for row in rows(source):
            entry = decode(row.line)
            copy.write_row((number, row.seq, entry.at_ns, row.idempotency_key, row.line, row.hash))
            if not isinstance(entry, Hold | Settlement):
                beside.append((row.idempotency_key, row.line))
    for name, line in beside:
        database.execute(
            "INSERT INTO side_entries (name, chain, line) VALUES (?, ?, ?)", (name, number, line)
        )
    return int(number)
