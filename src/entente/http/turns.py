"""One at a time: whoever reads an object to change it has it alone until that is done."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """A lock for each object, by its id; it is gone when nobody waits for it any more."""

    def __init__(self) -> None:
        """Nobody has a turn."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, id: str) -> asyncio.Lock:
        """Give the lock of an object, to be held as a context."""
        return self._locks.setdefault(id, asyncio.Lock())
