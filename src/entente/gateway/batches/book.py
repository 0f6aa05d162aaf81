"""The durable record of a batch: its object, and an item for each begin and each result.

    s12.1    line 12 was begun for the first time
    r12      what became of it

A line is begun durably before its provider is asked, and its result is durable before the
same worker takes another line. So after a crash each line has a result, or may be run, or
was begun twice already and is not run again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, TypeAlias

import msgspec

from entente.domain.batches import Batch, Result
from entente.domain.errors import IdTaken
from entente.domain.principal import Principal, Role
from entente.objects import Item, Objects, StoredObject

CLOSING: Final = "closing"
"""A batch that has ended is found by this until what it needed no more is deleted."""

Edit: TypeAlias = Callable[[Batch], Batch | None]
"""Gives the changed batch, or None if it cannot be changed so now."""

_ITEM: Final = re.compile(r"([sr])(\d+)(?:\.\d+)?")


class Progress(msgspec.Struct):
    """What the record says of the lines of a batch, by their number."""

    begun: dict[int, int] = {}
    """How often."""
    done: set[int] = set()


class Book:
    """The record of one batch, written by the one task that runs it."""

    def __init__(self, objects: Objects, kept: StoredObject) -> None:
        """Go on with the record as it is kept."""
        self._objects = objects
        self._kept = kept
        self._turn = asyncio.Lock()
        self.batch = read_batch(kept)
        self.key = kept.key
        self.who = Principal(key_id=kept.key, name=kept.key, role=Role.MEMBER, project=kept.project)
        """Whom the batch's objects belong to; what the key may do is asked anew for each line."""

    async def change(
        self, edit: Edit, *, searched: str | None = None, blob_bytes: int | None = None
    ) -> bool:
        """Change the batch, durably, if `edit` finds that it can be. Raises StorageUnavailable.

        `searched` is the state that it is found by, where that is not its own, and
        `blob_bytes` what it has on the disk from now on, where that changes.
        """
        async with self._turn:
            batch = edit(self.batch)
            if batch is None:
                return False
            changed = msgspec.structs.replace(
                self._kept,
                body=msgspec.json.encode(batch),
                state=searched or batch.state,
                model=batch.model,
                blob_bytes=self._kept.blob_bytes if blob_bytes is None else blob_bytes,
            )
            await self._objects.replace(self.who, changed)
            self._kept = msgspec.structs.replace(changed, revision=changed.revision + 1)
            self.batch = batch
            return True

    async def progress(self) -> Progress:
        """Read what became of the lines so far."""
        found = Progress()
        for id in await self._objects.item_ids(self.who, self.batch.kind, self.batch.id):
            item = _ITEM.fullmatch(id)
            if item is None:
                continue
            number = int(item[2])
            if item[1] == "r":
                found.done.add(number)
            else:
                found.begun[number] = found.begun.get(number, 0) + 1
        return found

    async def begin(self, number: int, time: int) -> None:
        """Note that a line is begun, for the first or the second time."""
        await self._add(Item(f"s{number}.{time}", b""))

    async def leave(self, number: int, time: int) -> None:
        """Take back that a line is begun: it was refused for a while, and used nothing."""
        name = f"s{number}.{time}"
        await self._objects.delete_item(self.who, self.batch.kind, self.batch.id, name)

    async def end(self, number: int, result: Result) -> None:
        """Note what became of a line."""
        await self._add(Item(f"r{number}", msgspec.msgpack.encode(result)))

    async def results(self, numbers: Iterable[int]) -> AsyncIterator[tuple[int, Result | None]]:
        """Give the results of lines, one at a time; None for one that has none."""
        for number in numbers:
            item = await self._objects.item(self.who, self.batch.kind, self.batch.id, f"r{number}")
            if item is None:
                yield number, None
            else:
                yield number, msgspec.msgpack.decode(item.body, type=Result)

    async def close(self) -> None:
        """Forget the lines of a batch that has ended: what became of them is in its files."""
        await self._objects.clear(self.who, self.batch.kind, self.batch.id)
        await self.change(lambda batch: batch)

    async def _add(self, item: Item) -> None:
        try:
            await self._objects.append(self.who, self.batch.kind, self.batch.id, [item])
        except IdTaken:  # written before a failure was reported
            return


def read_batch(kept: StoredObject) -> Batch:
    """Read what a batch was kept as."""
    return msgspec.json.decode(kept.body, type=Batch)


def stored_batch(
    who: Principal, batch: Batch, now_ns: int, expires_ns: int | None, blob_bytes: int
) -> StoredObject:
    """Give the object that a new batch is kept as."""
    return StoredObject(
        id=batch.id,
        kind=batch.kind,
        project=who.project,
        key=who.key_id,
        created_ns=now_ns,
        state=batch.state,
        expires_ns=expires_ns,
        blob_bytes=blob_bytes,
        body=msgspec.json.encode(batch),
    )
