"""Opening a journal with its rollups, wherever they are."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from entente.db import DATABASE_NAME
from entente.ledger.places import Place
from entente.ledger.rollups.fold import Folding
from entente.ledger.rollups.schema import USAGE_NAME, make_tables, open_usage_file
from entente.ledger.rollups.source import PostgresSource, SqliteSource
from entente.ledger.rollups.table import Rollups


def now_s() -> int:
    """Give the seconds since 1970."""
    return int(time.time())


def open_folding(data_dir: Path, place: Place | None = None) -> Folding:
    """Open a journal and its rollups; the journal of the data folder unless another is named.

    In PostgreSQL they stand beside the journal, for all servers; in SQLite in a file of their
    own. Raises LedgerUnavailable.
    """
    place = place or data_dir / DATABASE_NAME
    if isinstance(place, Path):
        with ExitStack() as opening:
            rollups = Rollups(open_usage_file(data_dir / USAGE_NAME))
            opening.callback(rollups.database.close)
            folding = Folding(rollups, SqliteSource(place))
            opening.pop_all()
        return folding
    make_tables(place)
    return Folding(Rollups(place), PostgresSource(place))
