"""The line in front of a chain: entries that wait to be written, and who waits for them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from entente.ledger.journal import encode
from entente.ledger.model import AnyEntry, Settlement
from entente.ledger.postgres_chain import REPEATABLE, Line

BATCH_ENTRIES_MAX: Final = 512
SOON_S: Final = 5.0
"""Longer than a commit that does not wait for the disk takes to be there."""


class Item:
    """An entry in line, and who waits for it."""

    __slots__ = ("done", "entry", "fsync", "is_spooled", "line", "told")

    def __init__(self, entry: AnyEntry, done: asyncio.Future[None], *, fsync: bool) -> None:
        """Put an entry in line. `fsync`: it is done when it is on the disk."""
        self.entry = entry
        self.line = Line(entry.at_ns, entry.idempotency_key, encode(entry))
        self.done = done
        self.fsync = fsync
        self.told = False
        """It stood in the chain once, and who waited knows."""
        self.is_spooled = False
        """It is in the spool, or on its way there."""

    @property
    def is_kept(self) -> bool:
        """Whether it is still to be written."""
        return isinstance(self.entry, Settlement) or self.told or not self.is_refused

    @property
    def is_refused(self) -> bool:
        """Whether who waited was told that it is not written."""
        done = self.done
        return done.done() and not done.cancelled() and done.exception() is not None

    def fail(self, error: Exception) -> None:
        """Tell who waits that it is not written."""
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # who waited may have been cancelled

    def succeed(self) -> None:
        """Tell who waits that it is as durable as it has to be."""
        if not self.done.done():
            self.done.set_result(None)


def gather(line: deque[Item]) -> tuple[list[Item], bool]:
    """Take a batch from a line, and whether it needs an fsync; what needs none goes ahead.

    Nothing overtakes: a hold may count on a settlement before it. What can be said twice
    goes alone.
    """
    first = line.popleft()
    batch = [first]
    if first.line.name.startswith(REPEATABLE):
        return batch, True
    while line and len(batch) < BATCH_ENTRIES_MAX:
        following = line[0]
        if following.line.name.startswith(REPEATABLE):
            break
        if following.fsync and not first.fsync:
            break
        batch.append(line.popleft())
    return batch, first.fsync


class End(NamedTuple):
    """An entry of a chain: its number and its hash."""

    seq: int
    head: bytes


class _Batch(NamedTuple):
    at_s: float
    behind: End
    items: list[Item]


class Soon:
    """Batches that the disk may not have yet, as long as it may not."""

    def __init__(self) -> None:
        """Begin with none."""
        self._batches: deque[_Batch] = deque()

    def __iter__(self) -> Iterator[Item]:
        """Give their entries, in order."""
        return (item for batch in self._batches for item in batch.items)

    @property
    def behind(self) -> End | None:
        """The entry behind which they stand; None where there are none."""
        return self._batches[0].behind if self._batches else None

    def add(self, items: list[Item], behind: End) -> None:
        """Keep a batch that was written behind an entry."""
        now_s = time.monotonic()
        self._batches.append(_Batch(now_s, behind, items))
        while self._batches and now_s - self._batches[0].at_s > SOON_S:
            self._batches.popleft()

    def recall(self, last: int) -> list[Item]:
        """Give, and forget, what stood behind entry `last`."""
        lost: list[Item] = []
        while self._batches and self._batches[-1].behind.seq >= last:
            lost[:0] = self._batches.pop().items
        return lost

    def clear(self) -> None:
        """Forget all: the disk has them."""
        self._batches.clear()
