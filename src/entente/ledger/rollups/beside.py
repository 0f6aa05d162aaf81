"""The rollups of a data folder, in their file beside the journal's."""

from __future__ import annotations

import time
from pathlib import Path

from entente.db import DATABASE_NAME
from entente.ledger.places import Place
from entente.ledger.rollups.fold import Folding
from entente.ledger.rollups.schema import USAGE_NAME, open_usage_file
from entente.ledger.rollups.source import PostgresSource, Source, SqliteSource
from entente.ledger.rollups.table import Rollups


def now_s() -> int:
    """Give the seconds since 1970."""
    return int(time.time())


def open_folding(data_dir: Path, place: Place | None = None) -> Folding:
    """Open a journal and the rollups of a data folder; its own journal unless one is named.

    Raises LedgerUnavailable.
    """
    path = data_dir / USAGE_NAME
    place = place or data_dir / DATABASE_NAME
    source: Source = SqliteSource(place) if isinstance(place, Path) else PostgresSource(place)
    return Folding(Rollups(open_usage_file(path)), source)
