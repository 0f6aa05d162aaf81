"""An OpenAI-compatible upstream that outlives the server: it counts, remembers and plays.

It runs on the test's own event loop, so what it counted is there whatever happens to the
server under test.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, Self

from tests.support.loops import LoopThread
from tests.support.rawserver import Peer, RawServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Play = Callable[[Peer, dict[str, Any]], Awaitable[None]]

EVENTS_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"
FIVE_WORDS: Final = ("one", " two", " three", " four", " five")
FORTY_WORDS: Final = (" word",) * 40


def chunk(data: bytes) -> bytes:
    """Write a chunk of HTTP's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: object) -> bytes:
    """Write a server-sent event."""
    return b"data: %b\n\n" % json.dumps(value, separators=(",", ":")).encode()


def piece(text: str) -> bytes:
    """Write the event of a piece of content."""
    return event({"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]})


def ending(*, prompt_tokens: int, completion_tokens: int) -> bytes:
    """Write the events that end an answer: the reason, the usage, the marker."""
    return (
        event({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        + event({"id": "c", "choices": [], "usage": usage(prompt_tokens, completion_tokens)})
        + b"data: [DONE]\n\n"
    )


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Write token counts."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def completion(text: str, *, prompt_tokens: int, completion_tokens: int) -> bytes:
    """Write a whole answer."""
    message = {"role": "assistant", "content": text}
    return json.dumps(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage(prompt_tokens, completion_tokens),
        }
    ).encode()


class Upstream(RawServer):
    """Answers each request as `play` says and keeps connections open between them.

    `heads` and `bodies` are what arrived, byte for byte; `calls` counts.
    """

    def __init__(self, play: Play, *, port: int = 0) -> None:
        """Keep how to answer."""
        super().__init__(self._connection, port=port)
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.play = play

    @property
    def calls(self) -> int:
        """Requests that arrived whole."""
        return len(self.bodies)

    def note(self, head: bytes, body: bytes) -> None:
        """Remember a request, before it is answered."""
        self.heads.append(head)
        self.bodies.append(body)

    async def _connection(self, peer: Peer) -> None:
        """Serve one connection until the other side closes it."""
        while True:
            head, body = await peer.request()
            self.note(head, body)
            await self.play(peer, json.loads(body))


class UpstreamThread:
    """An upstream on a loop of its own, for tests that are not coroutines.

    `upstream.play` may be set between requests.
    """

    def __init__(self) -> None:
        """Make the loop; nothing listens yet."""
        self._thread = LoopThread()
        self.loop = self._thread.loop
        self.upstream = Upstream(play_words)

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.__enter__()
        self._thread.do(self.upstream.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and end the thread."""
        self._thread.do(self.upstream.__aexit__())
        self._thread.__exit__()


async def play_words(
    peer: Peer,
    request: dict[str, Any],
    *,
    pause_s: float = 0.002,
    words: Sequence[str] = FIVE_WORDS,
) -> None:
    """Answer with some words, in a stream or whole, slowly enough to be interrupted."""
    count = len(words)
    if not request.get("stream"):
        await asyncio.sleep(pause_s)
        await peer.answer(completion("".join(words), prompt_tokens=3, completion_tokens=count))
        return
    await peer.send(EVENTS_HEAD)
    for word in words:
        await peer.send(chunk(piece(word)))
        await asyncio.sleep(pause_s)
    await peer.send(chunk(ending(prompt_tokens=3, completion_tokens=count)) + LAST_CHUNK)


def config(base_url: str, *, provider: str = "", model: str = "") -> str:
    """Write a configuration with this upstream behind the model `m`."""
    return (
        f'[providers.up]\nkind = "openai"\nbase_url = "{base_url}/v1"\n{provider}\n'
        '[models."m"]\ntargets = [{ provider = "up", model = "m" }]\n'
        'price = { currency = "USD", per = "1M tokens", input = "1", output = "1" }\n'
        f"{model}\n"
    )
