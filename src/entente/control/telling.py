"""The line between what tells on the event loop and the outbox in the database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from entente.domain.errors import LedgerError
from entente.telemetry.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from entente.control.desk import Clerk, Desk
    from entente.control.events import Event

LINE_MAX: Final = 10_000
"""Events in line; while the database cannot be written the oldest ones are dropped beyond."""
AT_ONCE_MAX: Final = 100
RETRY_S: Final = 1.0
CLOSE_S: Final = 2.0

_log = logging.getLogger("entente.webhooks")


class Teller:
    """Writes events to the outbox, in order, as soon as the database takes them."""

    def __init__(self, clerk: Clerk, *, written: Callable[[], None]) -> None:
        """Take the desk; `written` is called behind each event that was news."""
        self._clerk = clerk
        self._written = written
        self._line: deque[Event] = deque()
        self._some = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._outage = Trouble(_log, "events wait: %s", "events are written again")
        self._dropped = 0
        """Since the database took one last."""

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def tell(self, event: Event) -> None:
        """Put an event in line. Costs nothing that a request would notice."""
        if len(self._line) >= LINE_MAX:
            self._line.popleft()
            if not self._dropped:
                _log.warning("events are dropped: the database takes none")
            self._dropped += 1
        self._line.append(event)
        self._some.set()

    async def aclose(self) -> None:
        """Write what is in line, if the database takes it now."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        with contextlib.suppress(LedgerError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                while self._line:
                    await self._write()

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            try:
                await self._write()
            except LedgerError as error:
                self._outage.begin(error.message)
                await asyncio.sleep(RETRY_S)
            else:
                self._note_well()
            if not self._line:
                self._some.clear()

    def _note_well(self) -> None:
        """Say, where it was said that it does not, that the database takes events again."""
        self._outage.end()
        if self._dropped:
            _log.warning("%d events were dropped", self._dropped)
            self._dropped = 0

    async def _write(self) -> None:
        """Write the first events of the line; they leave it when they are written."""
        events = [self._line[place] for place in range(min(len(self._line), AT_ONCE_MAX))]
        if not events:
            return
        news = await self._clerk.do(lambda desk: _put(desk, events))
        for event in events:
            if self._line and self._line[0] is event:
                self._line.popleft()
        if news:
            self._written()


def _put(desk: Desk, events: list[Event]) -> bool:
    """Write events in one transaction; say whether one of them was news."""
    with desk.base.database.transaction():
        return sum(desk.outbox.put(event) for event in events) > 0
