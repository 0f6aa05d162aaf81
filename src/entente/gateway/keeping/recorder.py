"""Recording an answer on its way to the client.

A recorder stands between the gateway and the client's connection. What it records is on
the disk before the last bytes go out, so that an id that a client holds can be fetched.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

import msgspec

from entente.domain.errors import StorageUnavailable
from entente.domain.ids import Ids, NowNs
from entente.gateway.client import Client, Fail, Headers
from entente.objects import Objects

ID_CHARS_MAX: Final = 256

_HTTP_NO_ANSWER: Final = 300
_USABLE: Final = re.compile(rf"[\w.:-]{{1,{ID_CHARS_MAX}}}", re.ASCII)


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """Where answers are kept, and for how long."""

    objects: Objects
    ids: Ids
    now_ns: NowNs
    kept_ns: int

    def expiry_ns(self) -> int:
        """Give the time until which what is made now is kept."""
        return self.now_ns() + self.kept_ns

    async def is_taken(self, id: str) -> bool:
        """Say whether something has this id already."""
        return await self.objects.is_taken(id)


class Record(Protocol):
    """What becomes of one answer. Each part is given back as the client gets it."""

    reads_pieces: bool
    """Whether it wants the events of a stream before the last ones; others pass it by."""

    async def whole(self, body: bytes) -> bytes:
        """Keep a whole answer. Raises StorageUnavailable."""

    async def piece(self, block: bytes) -> bytes:
        """Take whole events of a stream. Raises StorageUnavailable."""

    async def end(self, last: bytes) -> bytes:
        """Keep what was streamed; `last` are the events that end it. Raises StorageUnavailable."""

    def fault(self, error: StorageUnavailable) -> bytes:
        """Give the event that ends a stream that cannot be kept."""


class Recorder:
    """The gateway's `Client`, in front of the real one."""

    def __init__(self, client: Client, record: Record) -> None:
        """Stand between."""
        self._client = client
        self._record = record
        self._pieces: list[bytes] = []
        """Of a stream, to be recorded and sent in turn."""

    @property
    def gone(self) -> bool:
        """Whether the client is known to have left."""
        return self._client.gone

    async def start(self, status: int, headers: Headers, *, fail: Fail | None = None) -> None:
        """Send the head of the answer."""
        await self._client.start(status, headers, fail=fail)

    def decide(self) -> None:
        """Take note that how the answer ends is decided."""
        self._client.decide()

    def send(self, data: bytes) -> bool:
        """Take a piece of a stream; recording it may take until the next turn."""
        if not self._record.reads_pieces:
            return self._client.send(data)
        self._pieces.append(data)
        return False

    async def caught_up(self) -> None:
        """Record what was taken, send it, and wait for the client."""
        if not self._record.reads_pieces:
            await self._client.caught_up()
            return
        pieces, self._pieces = self._pieces, []
        for data in pieces:
            if not self._client.send(await self._record.piece(data)):
                await self._client.caught_up()

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Keep a whole answer, unless it is an error, and send it."""
        if status < _HTTP_NO_ANSWER:
            body = await self._record.whole(body)
        await self._client.answer(status, headers, body)

    async def finish(self, data: bytes) -> None:
        """Keep what was streamed, and send its end."""
        try:
            await self.caught_up()
            data = await self._record.end(data)
        except StorageUnavailable as error:
            data = self._record.fault(error)
        await self._client.finish(data)


def is_usable(id: str) -> bool:
    """Say whether a provider's id can stand in a path."""
    return _USABLE.fullmatch(id) is not None


class Renaming:
    """Puts an id of ours in the place of a provider's, wherever a stream says `"id"`."""

    def __init__(self, theirs: str, ours: str) -> None:
        """Take both."""
        self._said = re.compile(rb'("id"\s*:\s*")' + re.escape(theirs.encode()) + rb'(?=")')
        self._ours = rb"\g<1>" + ours.encode()

    def __call__(self, block: bytes) -> bytes:
        """Take whole events; give them renamed."""
        return self._said.sub(self._ours, block)
