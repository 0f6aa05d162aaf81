"""A provider that says half of its answer, and goes on when a test says so."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, Self

from tests.support.upstream import (
    EVENTS_HEAD,
    FIVE_WORDS,
    LAST_CHUNK,
    UpstreamThread,
    chunk,
    completion,
    ending,
    piece,
)

if TYPE_CHECKING:
    from tests.support.rawserver import Peer

SEEN: Final = b" two"
"""What a client has seen of a stream when the provider stops."""
USED: Final = (3, 5)
"""Tokens that the provider reports in the end."""


class Gate:
    """Holds the provider's answers back in their middle, and those of `endless` for ever."""

    def __init__(self, upstream: UpstreamThread) -> None:
        """Stand in the way of all answers."""
        self.waiting = 0
        self._upstream = upstream
        self._open = asyncio.Event()

    def __enter__(self) -> Self:
        """Hold back what is asked from now on."""
        self._upstream.upstream.play = self.play
        return self

    def __exit__(self, *_: object) -> None:
        """Let everything pass."""
        self.open()

    def open(self) -> None:
        """Let all answers come to their end."""
        self._upstream.loop.call_soon_threadsafe(self._open.set)

    async def play(self, peer: Peer, request: dict[str, Any]) -> None:
        """Answer, as far as the gate lets."""
        streams = request.get("stream", False)
        if streams:
            await peer.send(EVENTS_HEAD)
            for word in FIVE_WORDS[:2]:
                await peer.send(chunk(piece(word)))
        self.waiting += 1
        if "endless" in json.dumps(request):
            await asyncio.Event().wait()
        await self._open.wait()
        self.waiting -= 1
        if not streams:
            await peer.answer(completion("five", prompt_tokens=USED[0], completion_tokens=USED[1]))
            return
        rest = b"".join(piece(word) for word in FIVE_WORDS[2:])
        last = ending(prompt_tokens=USED[0], completion_tokens=USED[1])
        await peer.send(chunk(rest + last) + LAST_CHUNK)
