"""Where a journal is, and reading it as a whole wherever that is.

A place is the path of a SQLite file, opened for each reading, or a PostgreSQL database that
is open. In the file one chain holds all entries; in PostgreSQL chains follow one another, in
the order in which they were begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

from entente.db import Database, open_sqlite
from entente.ledger import journal, postgres_verify, reader
from entente.ledger.journal import Report, Row
from entente.ledger.postgres_reader import all_rows

Place: TypeAlias = Path | Database


def rows(place: Place) -> Iterator[Row]:
    """Read every entry, chain by chain. Raises LedgerUnavailable."""
    return reader.rows(place) if isinstance(place, Path) else all_rows(place)


def verify(place: Place) -> Report:
    """Check every chain from its first entry to its last, and what they add up to.

    Raises LedgerUnavailable.
    """
    if isinstance(place, Path):
        report, _ = journal.verify(reader.rows(place))
        report.problems += reader.repeated(place)
        return report
    return postgres_verify.verify(place)


@contextmanager
def reading(place: Place) -> Iterator[Database]:
    """Open the database for what stands beside the journal. Raises LedgerUnavailable."""
    if not isinstance(place, Path):
        yield place
        return
    with closing(open_sqlite(place, read_only=True)) as opened:
        yield opened
