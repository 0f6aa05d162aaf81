"""Everything that an official SDK receives in a test, held against what its vendor specifies.

The SDKs' own transports are watched, not each client that a test makes, so that none can be
forgotten: whole answers, the events of streams and errors, of clients that wait and that do not;
and what a realtime session says, whose clients share one library for sockets. A stream that its
client leaves is looked at as far as it came. Clients of another process, Node's, are copied there
and shown here (`tests.support.node`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, cast
from unittest import mock
from urllib.parse import urlsplit

import httpx2
import pytest
from websockets.asyncio import client as sockets

from tests.support.contract.answers import defects_of, realtime_defects

_STREAM: Final = "text/event-stream"
_RUNTIME: Final = "llama.cpp"
"""Who answers the tests of the runtime alone, in its own way."""
_REALTIME: Final = ("/v1/realtime", "/openai/v1/realtime")
"""Azure's classic surface has the events of a preview, which no specification here describes."""


class Watch:
    """What was seen, until somebody asks."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.answers = 0
        self.events = 0
        self._wrong: list[str] = []

    def take(self) -> list[str]:
        """Give what was wrong since the last time."""
        wrong, self._wrong = self._wrong, []
        return wrong

    def answer(
        self, request: httpx2.Request, answer: httpx2.Response, body: bytes, *, ended: bool
    ) -> None:
        """Look at an answer, of which `body` has been read."""
        if answer.headers.get("server", "") == _RUNTIME:
            return
        kind = answer.headers.get("content-type", "")
        streamed = kind.startswith(_STREAM)
        if not ended:
            if not streamed:
                return
            body = body[: body.rfind(b"\n\n") + 2]
        path = request.url.raw_path.decode()
        said = {name.lower(): value for name, value in request.headers.items()}
        try:
            found = defects_of(
                request.method, path, answer.status_code, dict(answer.headers), body, asked=said
            )
        except ValueError as error:
            found = [f"unreadable: {error}"]
        self.answers += 1
        self.events += body.count(b"data:") if streamed else 0
        self._wrong += [f"{request.method} {path} {answer.status_code}: {each}" for each in found]

    def event(self, path: str, message: str | bytes) -> None:
        """Look at what a realtime session said."""
        if urlsplit(path).path in _REALTIME:
            event = json.loads(message)
            self.events += 1
            found = realtime_defects(event)
            self._wrong += [f"{path} {event.get('type')}: {each}" for each in found]


class _Tee(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that is kept while it is read, and shown when it has ended or its reader leaves."""

    def __init__(self, inner: Any, show: Callable[[bytes, bool], None]) -> None:
        """Read from `inner`."""
        self._inner = inner
        self._show: Callable[[bytes, bool], None] | None = show
        self._kept = bytearray()

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._inner:
            self._kept += piece
            yield piece
        self._end(ended=True)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            self._kept += piece
            yield piece
        self._end(ended=True)

    def close(self) -> None:
        """Close, as who leaves does."""
        self._end(ended=False)
        self._inner.close()

    async def aclose(self) -> None:
        """Close, as who leaves does."""
        self._end(ended=False)
        await self._inner.aclose()

    def _end(self, *, ended: bool) -> None:
        """Show what was read, once."""
        show, self._show = self._show, None
        if show is not None:
            show(bytes(self._kept), ended)


WATCH: Final = pytest.StashKey[Watch]()
"""Where a run of the tests has its watch."""
_open: Final[list[Watch]] = []


def the_watch() -> Watch:
    """Give the watch of this process, for what its children received."""
    return _open[-1]


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Watch every client of this process."""
    watch = Watch()
    _open.append(watch)
    send = httpx2.HTTPTransport.handle_request
    send_later = httpx2.AsyncHTTPTransport.handle_async_request
    receive = sockets.ClientConnection.recv

    def teed(request: httpx2.Request, answer: httpx2.Response) -> httpx2.Response:
        def show(body: bytes, ended: bool) -> None:
            watch.answer(request, answer, body, ended=ended)

        answer.stream = _Tee(answer.stream, show)
        return answer

    def handle(self: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
        return teed(request, send(self, request))

    async def handle_later(
        self: httpx2.AsyncHTTPTransport, request: httpx2.Request
    ) -> httpx2.Response:
        return teed(request, await send_later(self, request))

    async def recv(
        self: sockets.ClientConnection,
        decode: bool | None = None,
    ) -> Any:
        message = await cast("Any", receive)(self, decode)
        if self.request is not None:
            watch.event(self.request.path, message)
        return message

    with (
        mock.patch.object(httpx2.HTTPTransport, "handle_request", handle),
        mock.patch.object(httpx2.AsyncHTTPTransport, "handle_async_request", handle_later),
        mock.patch.object(sockets.ClientConnection, "recv", recv),
    ):
        yield watch
    _open.remove(watch)
