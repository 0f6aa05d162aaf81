"""News of the database: who keeps a copy of something that stands there is told of changes.

Whatever finds out that another process has written (the journal's writer on SQLite) says so
here, once, and everybody who keeps keys, rules or prices in memory reads them again, in the
order in which they began to listen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from entente.domain.errors import EntenteError
from entente.telemetry.trouble import Trouble

RETRY_S: Final = 0.25
"""What could not be read is read again so soon: a change must not stay unseen."""

_log = logging.getLogger("entente.news")


class News:
    """Tells of changes, on the event loop."""

    def __init__(self) -> None:
        """Start with nobody listening."""
        self._listeners: list[Callable[[], None]] = []
        self._again: asyncio.TimerHandle | None = None
        self._outage = Trouble(_log, "a change is not seen yet: %s", "changes are seen again")

    def listen(self, reload: Callable[[], None]) -> None:
        """Have `reload` called after each change, behind those that listen already."""
        self._listeners.append(reload)

    def changed(self) -> None:
        """Tell everybody; what cannot be read now is tried again until it can."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        try:
            for reload in self._listeners:
                reload()
        except EntenteError as error:
            self._outage.begin(error.message)
            self._again = asyncio.get_running_loop().call_later(RETRY_S, self.changed)
        else:
            self._outage.end()

    def close(self) -> None:
        """Tell nobody any more."""
        self._listeners.clear()
        if self._again is not None:
            self._again.cancel()
