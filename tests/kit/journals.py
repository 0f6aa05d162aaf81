"""A journal that keeps entries in line, as the one on disk does, until a test lets it write."""

from __future__ import annotations

import asyncio

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
