"""Sums of usage beside the server: folded in the background, served to admins."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

from entente.config import Config
from entente.db import DATABASE_NAME, SqliteDatabase
from entente.http.handler import Handler
from entente.http.usage import Usage
from entente.ledger.rollups.fold import Folding
from entente.ledger.rollups.folder import Folder
from entente.ledger.rollups.schema import USAGE_NAME, open_usage_file
from entente.ledger.rollups.source import SqliteSource
from entente.ledger.rollups.table import Rollups


def now_s() -> int:
    """Give the seconds since 1970."""
    return int(time.time())


def open_folding(data_dir: Path) -> Folding:
    """Open the journal of a data folder and its rollups. Raises LedgerUnavailable."""
    path = data_dir / USAGE_NAME
    source = SqliteSource(data_dir / DATABASE_NAME)
    return Folding(Rollups(SqliteDatabase(open_usage_file(path), str(path))), source)


def open_usage(config: Config, stack: contextlib.AsyncExitStack) -> Mapping[str, Handler]:
    """Begin to fold, until the stack closes; give the handlers of the routes."""
    folder = Folder(lambda: open_folding(config.server.data_dir), now_s)
    folder.start()
    stack.push_async_callback(folder.aclose)
    return Usage(folder, now_s).handlers()
