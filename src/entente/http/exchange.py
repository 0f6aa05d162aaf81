"""One request and its answer on a connection.

The head of an answer is kept until there is something to send with it, so that a whole
answer is one write and a stream begins with its first event.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import AsyncIterator
from typing import Final, Protocol

from entente.domain.errors import BodyTimeout, BodyTooLarge, InvalidParameter
from entente.gateway.client import Fail, Headers
from entente.net.socket import Owner
from entente.wire.nesting import check_depth

_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode())
    for status in http.HTTPStatus
}
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_MS_PER_S: Final = 1_000
_UNCODED: Final = {b"content-encoding": b"identity", b"transfer-encoding": b"chunked"}
"""What these headers say of a body that comes as it is."""
BUFFER_BYTES: Final = 256 * 1024
"""Of a body that is read in pieces, or of which nobody has asked for anything yet, so much is
taken in advance."""


class ClientGone(Exception):
    """The client left before its request was whole; nobody is there to be answered."""


class Wire(Owner, Protocol):
    """What an exchange needs of its connection."""

    paused: asyncio.Future[None] | None
    """While the client reads more slowly than it is written to: done when it has caught up,
    or left."""

    def write(self, data: bytes) -> None:
        """Write to the socket, or its buffer."""

    def answered(self, exchange: Exchange) -> None:
        """Take note that the answer is complete."""

    def forsake(self, exchange: Exchange) -> None:
        """Close once the client has read what it was sent, though the exchange goes on."""

    def hold_body(self) -> None:
        """Read no more of the request for now."""

    def go_on_with_body(self, taken: int) -> None:
        """Read on; so many bytes of the body are no longer in memory."""

    def hand_over(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """Give what comes from now on to another protocol. Raises ClientGone."""


class Exchange:
    """A request on its way in and its answer on its way out; the gateway's `Client`."""

    __slots__ = (
        "_body",
        "_body_done",
        "_body_error",
        "_came",
        "_chunked",
        "_head",
        "_held",
        "_in_pieces",
        "_loop",
        "_setting",
        "_wire",
        "arrived_s",
        "body_bytes",
        "body_bytes_max",
        "complete",
        "cut",
        "decided",
        "fail",
        "gone",
        "headers",
        "http_1_0",
        "is_passed_on",
        "keep_alive",
        "method",
        "path",
        "query",
        "request_id",
        "started",
        "task",
        "whole",
    )

    def __init__(
        self,
        wire: Wire,
        loop: asyncio.AbstractEventLoop,
        headers: list[tuple[bytes, bytes]],
        body_bytes_max: int,
    ) -> None:
        """Start behind the head of a request."""
        self._wire = wire
        self._loop = loop
        self._body: list[bytes] | None = []
        self._body_done: asyncio.Future[None] | None = None
        self._body_error: Exception | None = None
        self._came = 0
        """Bytes of the body that came."""
        self._in_pieces: bool | None = None
        """How the body is read; None until somebody asks for it."""
        self._held = False
        """The connection was told to read no more for now."""
        self._setting = "server.body_bytes_max"
        """What bounds the body."""
        self._head = b""
        """What has not gone out of the head of the answer."""
        self._chunked = False
        self.arrived_s = 0.0
        """When its turn came to be served, on the loop's clock."""
        self.body_bytes = 0
        """Bytes of the body that are in memory."""
        self.body_bytes_max = body_bytes_max
        self.headers = headers
        self.method = ""
        self.path = ""
        self.query = b""
        """As it was sent."""
        self.request_id = ""
        """Goes on the answer as `x-request-id`."""
        self.http_1_0 = False
        self.keep_alive = True
        self.task: asyncio.Task[None] | None = None
        self.is_passed_on = False
        """Another worker of the host has passed it on."""
        self.whole = False
        """The request has come in whole."""
        self.started = False
        """The head of the answer is decided."""
        self.complete = False
        """The answer is complete."""
        self.gone = False
        """The client has left."""
        self.decided = False
        """How the answer ends is decided."""
        self.fail: Fail | None = None
        """Gives what ends a stream that has begun."""
        self.cut = False
        """The request's task was cancelled because its client had left for too long."""

    # ---- the connection's side ----

    def receive(self, data: bytes) -> int:
        """Take a piece of the body; give how many bytes of it were taken."""
        if self._body is None:
            return 0
        self._came += len(data)
        if self._came > self.body_bytes_max and self._in_pieces is not None:
            self.fail_body(self._too_large())
            return 0
        self.body_bytes += len(data)
        self._body.append(data)
        if self._in_pieces is not False and not self._held and self.body_bytes > BUFFER_BYTES:
            self._held = True
            self._wire.hold_body()
        if self._in_pieces:
            self._wake()
        return len(data)

    def received(self) -> None:
        """Take note that the request is whole."""
        self.whole = True
        if self._body_done is not None:
            self._wake()

    def fail_body(self, error: Exception) -> None:
        """End the wait for the body with an error; what still comes is dropped."""
        self._body = None
        self._body_error = error
        self._wake()

    def leave(self) -> None:
        """Take note that the client has left."""
        self.gone = True
        if not self.whole:
            self.fail_body(ClientGone())

    def cut_off(self) -> None:
        """End the task of a request whose client has left."""
        if not self.cut and self.task is not None:
            self.cut = True
            self.task.cancel()

    def dismiss(self, last: bytes) -> None:
        """End a stream with `last`, b"" for nothing, though its maker has not come to an end.

        To its maker the client has left from now on.
        """
        if not self.gone:
            if last:
                self._wire.write(self._head + self._last(last))
            self.leave()
            self._wire.forsake(self)

    def dismiss_with(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer, though the maker of another answer has not come to an end."""
        if not self.gone:
            self.keep_alive = False
            self._make_head(status, headers, len(body))
            self._wire.write(self._head + (b"" if self.method == "HEAD" else body))
            self.leave()
            self._wire.forsake(self)

    def _wake(self) -> None:
        """Wake who waits for the body."""
        if self._body_done is not None and not self._body_done.done():
            self._body_done.set_result(None)

    # ---- the application's side ----

    async def body(self) -> bytes:
        """Give the whole body.

        Raises BodyTooLarge as soon as that is known, BodyTimeout when the client stops in
        the middle, ClientGone when it leaves, InvalidParameter for a compressed body,
        MalformedJson for JSON that is nested too deep.
        """
        self._ask(in_pieces=False)
        self._read_on(0)
        if not self.whole and self._body_error is None:
            self._invite()
            self._body_done = self._loop.create_future()
            await self._body_done
        if self._body_error is not None:
            raise self._body_error
        pieces, self._body = self._body or [], None
        whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        check_depth(whole)
        return whole

    async def pieces(self, bytes_max: int, setting: str) -> AsyncIterator[bytes]:
        """Give the body piece by piece; while nobody asks for the next, no more is read.

        `bytes_max` bounds this body, and `setting` is the name of that bound for people.
        Raises as `body` does.
        """
        self.body_bytes_max, self._setting = bytes_max, setting
        self._ask(in_pieces=True)
        self._invite()
        while self._body_error is None:
            if self._body:
                piece, self._body = b"".join(self._body), []
                self._read_on(len(piece))
                yield piece
            elif self.whole:
                return
            else:
                self._read_on(0)
                self._body_done = self._loop.create_future()
                await self._body_done
        raise self._body_error

    def header(self, name: bytes) -> bytes:
        """Give a header's value, b"" for one that is not there."""
        return next((value for key, value in self.headers if key == name), b"")

    def _ask(self, *, in_pieces: bool) -> None:
        """Say how the body will be read; refuse one that is not read at all."""
        self._in_pieces = in_pieces
        for name, value in self.headers:
            if name == b"content-length" and _length(value) > self.body_bytes_max:
                raise self._too_large()
            if name in _UNCODED and value.strip().lower() != _UNCODED[name]:
                message = "Compressed request bodies are not supported. Send the body as it is."
                raise InvalidParameter(message, param=None, code="unsupported_content_encoding")
        if self._came > self.body_bytes_max and self._body_error is None:
            self.fail_body(self._too_large())

    def _invite(self) -> None:
        """Tell a client that waits to be told that its body is wanted."""
        if self.whole or self._came:
            return
        if (b"expect", b"100-continue") in [(n, v.lower()) for n, v in self.headers]:
            self._wire.write(_CONTINUE)

    def _read_on(self, taken: int) -> None:
        """Let the connection read on, if it was told not to; so many bytes were taken."""
        self.body_bytes -= taken
        if taken or self._held:
            self._held = False
            self._wire.go_on_with_body(taken)

    def _too_large(self) -> BodyTooLarge:
        """Say what the bound is."""
        return BodyTooLarge(
            f"The request's body is larger than the server's bound of {self.body_bytes_max} bytes "
            f"({self._setting})."
        )

    async def start(
        self,
        status: int,
        headers: Headers,
        *,
        length: int | None = None,
        fail: Fail | None = None,
    ) -> None:
        """Decide the head of a streamed answer; it goes out with the first piece.

        `length` is that of all pieces, where it is known; `fail` ends it where it must not go on.
        """
        self.fail = fail
        self._make_head(status, headers, length)

    def send(self, data: bytes) -> bool:
        """Send a piece of the body; False while the client reads more slowly than it is sent to."""
        if self.gone or not data:
            return True
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._wire.write(self._head + data)
        self._head = b""
        return self._wire.paused is None

    async def caught_up(self) -> None:
        """Wait until the client has read what it was sent, or has left."""
        paused = self._wire.paused
        if paused is not None:
            await asyncio.shield(paused)

    def decide(self) -> None:
        """Take note that how the answer ends is decided."""
        self.decided = True

    async def finish(self, data: bytes) -> None:
        """Send the last piece of a streamed answer."""
        self._end(self._last(data))

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer."""
        self._make_head(status, headers, len(body))
        self._end(b"" if self.method == "HEAD" else body)

    def upgrade(self) -> Wire:
        """Leave HTTP: the connection beneath is for another protocol until `abandon`."""
        self.started = self.decided = True
        self.keep_alive = False
        return self._wire

    def abandon(self) -> None:
        """End without an answer, or without the rest of it: the connection is closed."""
        if not self.complete:
            self.keep_alive = False
            self.complete = True
            self._wire.answered(self)

    def _make_head(self, status: int, headers: Headers, length: int | None) -> None:
        """Write the head, to be sent with what follows."""
        self.started = True
        elapsed_ms = (self._loop.time() - self.arrived_s) * _MS_PER_S
        lines = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        for name, value in headers:
            lines += name + b": " + value + b"\r\n"
        framing = connection = b""
        if length is not None:
            framing = b"content-length: %d\r\n" % length
        elif self.http_1_0:
            self.keep_alive = False
        else:
            self._chunked = True
            framing = b"transfer-encoding: chunked\r\n"
        if not self.whole:
            self.keep_alive = False
        if not self.keep_alive:
            connection = b"connection: close\r\n"
        elif self.http_1_0:
            connection = b"connection: keep-alive\r\n"
        self._head = b"%bx-request-id: %b\r\nopenai-processing-ms: %d\r\n%b%b\r\n" % (
            lines,
            self.request_id.encode(),
            elapsed_ms,
            framing,
            connection,
        )

    def _last(self, data: bytes) -> bytes:
        """Frame the last piece of a streamed answer."""
        if not self._chunked:
            return data
        return b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else _LAST_CHUNK

    def _end(self, data: bytes) -> None:
        """Write the last bytes."""
        if not self.gone:
            self._wire.write(self._head + data)
        self.complete = True
        self._wire.answered(self)


def timed_out(idle_s: float) -> BodyTimeout:
    """Say that the client stopped in the middle of its body."""
    return BodyTimeout(f"No byte of the request's body came for {idle_s:g} seconds.")


def _length(value: bytes) -> int:
    """Read the length of a body, which the parser has bounded; zeros before it are no digits."""
    return int(value.lstrip(b"0 \t") or b"0")
