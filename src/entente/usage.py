"""Sums of usage beside the server: folded in the background, served to admins."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from entente.config import Config
from entente.http.handler import Handler
from entente.http.usage import Usage
from entente.ledger.places import Place
from entente.ledger.rollups.beside import now_s, open_folding
from entente.ledger.rollups.folder import Folder
from entente.telemetry.metrics import Monitor


def open_usage(
    config: Config,
    place: Callable[[], Place],
    stack: contextlib.AsyncExitStack,
    monitor: Monitor,
    *,
    folds: bool = True,
) -> Mapping[str, Handler]:
    """Begin to fold what is in `place`, until the stack closes; give the routes' handlers.

    Of several workers one `folds`, and answers.
    """
    folder = Folder(lambda: open_folding(config.server.data_dir, place()), now_s)
    if folds:
        folder.start()
        monitor.gauge(
            "entente_rollups_behind_seconds",
            "Time since the sums of usage had every entry.",
            folder.behind_s,
        )
    stack.push_async_callback(folder.aclose)
    return Usage(folder, now_s).handlers()
