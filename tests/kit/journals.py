"""A journal that keeps entries in line, as the one on disk does, until a test lets it write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from entente.domain.errors import LedgerUnavailable
from entente.ledger.memory import MemoryJournal
from entente.ledger.model import AnyEntry, Settlement


class SlowJournal(MemoryJournal):
    """Writes what is in line when told to; on a bad disk holds fail and settlements wait."""

    def __init__(self) -> None:
        """Start with a disk that works."""
        super().__init__()
        self.line: list[tuple[AnyEntry, asyncio.Future[None]]] = []

    def append(self, entry: AnyEntry) -> asyncio.Future[None]:
        """Put an entry in line."""
        done = asyncio.get_running_loop().create_future()
        self.line.append((entry, done))
        return done

    def write(self, *, works: bool) -> None:
        """Write the line, or fail as the journal on disk does."""
        line, self.line = self.line, []
        for entry, done in line:
            if works:
                super().append(entry)
                if not done.done():
                    done.set_result(None)
                continue
            if isinstance(entry, Settlement):
                self.line.append((entry, done))
            if not done.done():
                done.set_exception(LedgerUnavailable("The disk is full."))
                done.exception()


class TickJournal(MemoryJournal):
    """Writes each entry in a later turn of the loop; `broken` says what it refuses to write."""

    def __init__(self, *, broken: tuple[type[AnyEntry], ...] = ()) -> None:
        """Start with no entry."""
        super().__init__()
        self.broken = broken
        self.on_written: Callable[[list[AnyEntry]], None] = lambda _: None
        """Told of what stands."""

    def append(self, entry: AnyEntry) -> asyncio.Future[None]:
        """Put an entry in line, two turns away from being written."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(loop.call_soon, self._write, entry, done)
        return done

    def _write(self, entry: AnyEntry, done: asyncio.Future[None]) -> None:
        if isinstance(entry, self.broken):
            done.set_exception(LedgerUnavailable("The disk is full."))
            done.exception()
            return
        super().append(entry)
        self.on_written([entry])
        if not done.done():
            done.set_result(None)
