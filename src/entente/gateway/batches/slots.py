"""Places for requests of batches that run at once; one that only waits gives its place up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Self, TypeVar

T = TypeVar("T")


class Slot:
    """One place, while the context is open."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        """Take one of `places` on the way in."""
        self._places = places
        self._held = False

    async def __aenter__(self) -> Self:
        """Wait for a place."""
        await self._places.acquire()
        self._held = True
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give it back."""
        if self._held:
            self._places.release()

    async def without(self, waiting: Awaitable[T]) -> T:
        """Let others have the place during a wait, and wait for one again."""
        self._held = False
        self._places.release()
        waited = await waiting
        await self._places.acquire()
        self._held = True
        return waited
