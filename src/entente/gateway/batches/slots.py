"""Places for requests of batches that run at once, shared among projects.

A place that is given back goes to the project that has the fewest. A project that has none gets
one although all are taken, within as many again: so requests that hang hold up nobody else's.
A request that only waits gives its place up.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable
from typing import Self, TypeVar

T = TypeVar("T")


class Places:
    """So many places, for one event loop."""

    def __init__(self, most: int) -> None:
        """Begin with all of them free."""
        self._most = most
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, project: str) -> None:
        """Wait for a place."""
        if project not in self._waiting and self._is_free_for(project):
            self._held[project] += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(project, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given a place just now
                self.give_back(project)
            raise

    def give_back(self, project: str) -> None:
        """Let somebody else have a place."""
        self._held[project] -= 1
        if not self._held[project]:
            del self._held[project]
        while self._waiting:
            fewest = min(self._waiting, key=self._held.__getitem__)
            if not self._is_free_for(fewest):
                return
            self._hand_to(fewest)

    def _hand_to(self, project: str) -> None:
        """Wake the first of a project that still waits."""
        queue = self._waiting[project]
        turn = queue.popleft()
        if not queue:
            del self._waiting[project]
        if not turn.done():
            self._held[project] += 1
            turn.set_result(None)

    def _is_free_for(self, project: str) -> bool:
        held = self._held.total()
        return held < self._most or (project not in self._held and held < 2 * self._most)


class Slot:
    """One place, while the context is open."""

    def __init__(self, places: Places, project: str) -> None:
        """Take one of `places` for a project on the way in."""
        self._places = places
        self._project = project
        self._held = False

    async def __aenter__(self) -> Self:
        """Wait for a place."""
        await self._places.take(self._project)
        self._held = True
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give it back."""
        if self._held:
            self._places.give_back(self._project)

    async def without(self, waiting: Awaitable[T]) -> T:
        """Let others have the place during a wait, and wait for one again."""
        self._held = False
        self._places.give_back(self._project)
        waited = await waiting
        await self._places.take(self._project)
        self._held = True
        return waited
