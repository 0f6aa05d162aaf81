"""Keeping responses: the object as the client got it, and the items of its input.

What a response goes on from is not kept again with it, but named; see `earlier`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from msgspec import Raw

from entente.domain.chat import Call
from entente.domain.errors import IdTaken, StorageUnavailable
from entente.domain.principal import Principal
from entente.gateway.keeping.recorder import Shelf
from entente.objects import Item, StoredObject
from entente.wire import openai_responses
from entente.wire.openai_responses import State, form, stored
from entente.wire.openai_responses.head import own_id


class Entry:
    """A response on its way to the shelf, and to a conversation if it is part of one.

    `call` is as the client sent it, without what it builds on; `asked` is its state.
    """

    def __init__(
        self, shelf: Shelf, who: Principal, call: Call, asked: State, request_id: str
    ) -> None:
        """Take what was asked. Raises InvalidParameter for metadata beyond the bounds."""
        self.shelf = shelf
        self.who = who
        self.id = own_id(request_id)
        self._asked = asked
        self._model = call.model
        self._metadata = form.read(call.members, ("metadata",)).metadata or {}
        self._input = stored.numbered(openai_responses.input_items(call), shelf.ids.new)

    async def keep(self, body: bytes) -> None:
        """Keep a response that has ended. Raises StorageUnavailable."""
        found = stored.read_kept(body)
        if found is None:
            return
        work = [self.create(body, found.status, names_in(found))] if self._asked.store else []
        if self._asked.conversation is not None:
            work.append(self.converse(found.output))
        await (work[0] if len(work) == 1 else asyncio.gather(*work))

    async def create(self, body: bytes, state: str, names: Iterable[str] = ()) -> None:
        """Write the response to the disk, in whatever state."""
        made = StoredObject(
            id=self.id,
            kind=stored.KIND,
            project=self.who.project,
            key=self.who.key_id,
            created_ns=self.shelf.now_ns(),
            expires_ns=self.shelf.expiry_ns(),
            model=self._model,
            state=state,
            metadata=self._metadata,
            parent=self._asked.previous_response_id or "",
            body=body,
        )
        items = [Item(*item) for item in self._input]
        await self.shelf.objects.create(self.who, made, items, names)

    async def converse(self, output: Sequence[Raw]) -> None:
        """Add what was said to the conversation, if there is one and it is still there."""
        if self._asked.conversation is None:
            return
        said = [(stored.id_of(item), bytes(item)) for item in output]
        try:
            await self._append([(id, body) for id, body in said if id])
        except IdTaken:
            await self._append(stored.numbered(output, self.shelf.ids.new))

    async def _append(self, output: Sequence[tuple[str, bytes]]) -> None:
        items = [Item(*item) for item in (*self._input, *output)]
        id = self._asked.conversation or ""
        await self.shelf.objects.append(self.who, stored.CONVERSATION, id, items)


class ResponseRecord:
    """The answer to one call, recorded; see `recorder.Record`."""

    reads_pieces = False

    def __init__(self, entry: Entry) -> None:
        """Start before the answer."""
        self._entry = entry
        self._number = 0

    async def whole(self, body: bytes) -> bytes:
        """Keep a whole response."""
        await self._entry.keep(body)
        return body

    async def piece(self, block: bytes) -> bytes:
        """Let events pass: the one that ends a stream says all of it again."""
        return block

    async def end(self, last: bytes) -> bytes:
        """Keep what was streamed."""
        response = stored.ending(last)
        if response is not None:
            await self._entry.keep(response)
        return last

    def fault(self, error: StorageUnavailable) -> bytes:
        """Give the event that ends a stream that cannot be kept."""
        return openai_responses.stream_error(error, self._number)


def names_in(kept: stored.Kept) -> list[str]:
    """Give the ids of a response's output, by which a later request may mean an item."""
    return [id for item in kept.output if (id := stored.id_of(item))]
