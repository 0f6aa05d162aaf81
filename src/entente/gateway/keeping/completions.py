"""Keeping chat completions: the answer as the client got it, and the messages of the request."""

from __future__ import annotations

from typing import Final

import msgspec

from entente.domain.chat import Call
from entente.domain.errors import IdTaken, StorageUnavailable
from entente.domain.principal import Principal
from entente.gateway.keeping.recorder import Renaming, Shelf, is_usable
from entente.objects import Item, StoredObject
from entente.wire import openai, openai_stored
from entente.wire.members import changed
from entente.wire.openai_assembly import ChatAssembly

ID_PREFIX: Final = "chatcmpl-"


class CompletionRecord:
    """The answer to one call, recorded; see `recorder.Record`.

    It has the provider's id, as clients know it, or one of ours where that is taken: some
    servers count their answers anew with each start.
    """

    reads_pieces = True

    def __init__(self, shelf: Shelf, who: Principal, call: Call, request_id: str) -> None:
        """Start before the answer. Raises InvalidParameter for metadata beyond the bounds."""
        self._shelf = shelf
        self._who = who
        self._call = call
        self._request_id = request_id
        self._own_id = ID_PREFIX + request_id.rpartition("_")[2]
        self._metadata = openai_stored.metadata_of(call.members)
        self._assembly = ChatAssembly()
        self._is_named = False
        self._renaming: Renaming | None = None

    async def whole(self, body: bytes) -> bytes:
        """Keep a whole completion; what is none passes."""
        found = openai_stored.read_completion(body)
        if found is None:
            return body
        if is_usable(found.id):
            try:
                await self._keep(found.id, body)
            except IdTaken:
                pass
            else:
                return body
        body = changed(body, {"id": msgspec.json.encode(self._own_id)})
        await self._keep(self._own_id, body)
        return body

    async def piece(self, block: bytes) -> bytes:
        """Take chunks of a stream."""
        self._assembly.feed(block)
        if not self._is_named and self._assembly.id:
            self._is_named = True
            if not is_usable(self._assembly.id) or await self._shelf.is_taken(self._assembly.id):
                self._renaming = Renaming(self._assembly.id, self._own_id)
        return self._renaming(block) if self._renaming is not None else block

    async def end(self, last: bytes) -> bytes:
        """Keep what was streamed, if it came to its end."""
        last = await self.piece(last)
        whole = self._assembly.whole()
        if whole is not None and self._assembly.id:
            if self._renaming is not None:
                whole = changed(whole, {"id": msgspec.json.encode(self._own_id)})
            await self._keep(self._own_id if self._renaming else self._assembly.id, whole)
        return last

    def fault(self, error: StorageUnavailable) -> bytes:
        """Give the event that ends a stream that cannot be kept."""
        return openai.stream_error(error)

    async def _keep(self, id: str, body: bytes) -> None:
        """Write it to the disk."""
        made = StoredObject(
            id=id,
            kind=openai_stored.KIND,
            project=self._who.project,
            key=self._who.key_id,
            created_ns=self._shelf.now_ns(),
            expires_ns=self._shelf.expiry_ns(),
            model=self._call.model,
            metadata=self._metadata,
            body=openai_stored.stored(body, self._call, self._request_id),
        )
        listed = openai_stored.messages(self._call, id)
        await self._shelf.objects.create(self._who, made, [Item(*message) for message in listed])
