"""HTTP/1.1 on one connection: bytes to exchanges, in order, within bounds.

httptools parses; what is here is the order of things. A connection is always in one
phase, each with its own patience, and a sweep once a second ends those that ran out of
it, so that no request needs a timer. The clock of the sweep is good to a second, which
is all that patience needs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final, NamedTuple
from urllib.parse import unquote

import httptools

from entente.domain.errors import Overloaded, RequestError
from entente.http.exchange import ClientGone, Exchange, timed_out
from entente.wire.carried import CARRIED

HEAD_BYTES_MAX: Final = 64 * 1024
CHUNK_OVERHEAD_MAX: Final = 8
"""Bytes that a byte of a body may take on the wire: six, in chunks of one byte."""
HEAD_S: Final = 30.0
"""From the connection, or a request's first byte, to the end of its head."""
BODY_IDLE_S: Final = 30.0
KEEP_ALIVE_S: Final = 75.0
LINGER_S: Final = 2.0
"""How long what a refused client still sends is read and dropped, so that it can read why."""
STALL_S: Final = 120.0
"""A client that takes nothing for so long has left."""
BODIES_BYTES_MAX: Final = 2 * 1024**3
"""Bodies of all requests together."""
WRITE_BUFFER_BYTES: Final = 256 * 1024
HEADERS_READ: Final = CARRIED | frozenset(
    {
        b"api-key",
        b"authorization",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"idempotency-key",
        b"openai-beta",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
        b"transfer-encoding",
        b"upgrade",
        b"x-api-key",
    }
)
"""All that anything here acts on; other headers are dropped as they come."""

_MALFORMED: Final = (
    b'{"error":{"message":"This is not an HTTP/1.1 request.","type":"invalid_request_error",'
    b'"param":null,"code":null}}'
)
_MALFORMED_BODY: Final = "The body of the request is not framed as HTTP/1.1 says."
_HEAD_TOO_LARGE: Final = (
    b'{"error":{"message":"The head of the request is larger than 65536 bytes.",'
    b'"type":"invalid_request_error","param":null,"code":null}}'
)
_FULL: Final = (
    b'{"error":{"message":"The server has reached its bound of connections. Try again in a '
    b'moment.","type":"service_unavailable_error","param":null,"code":"server_is_overloaded"}}'
)
_BODIES_FULL: Final = (
    "The server has reached its bound of request bodies at once. Try again in a moment."
)


class Phase(NamedTuple):
    """What a connection waits for, and for how long at most."""

    name: str
    patience_s: float


HEAD: Final = Phase("head", HEAD_S)
BODY: Final = Phase("body", BODY_IDLE_S)
ANSWER: Final = Phase("answer", float("inf"))
READER: Final = Phase("reader", STALL_S)
"""The client, to read what is in the buffer."""
IDLE: Final = Phase("idle", KEEP_ALIVE_S)
LINGER: Final = Phase("linger", LINGER_S)


class Shared:
    """What all connections of a server share."""

    __slots__ = (
        "body_bytes",
        "body_bytes_max",
        "connections",
        "connections_max",
        "emptied",
        "loop",
        "now_s",
        "orphans",
        "service",
        "stopping",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        service: Callable[[Exchange], Coroutine[None, None, None]],
        *,
        body_bytes_max: int,
        connections_max: int,
    ) -> None:
        """Start with no connection."""
        self.loop = loop
        self.service = service
        self.body_bytes_max = body_bytes_max
        self.body_bytes = 0
        """What the bodies of all requests take, from their first byte to their answer."""
        self.connections_max = connections_max
        self.connections: set[Connection] = set()
        self.emptied = asyncio.Event()
        """Set when the last connection has gone."""
        self.orphans: set[Exchange] = set()
        """Exchanges that go on after their client has left."""
        self.now_s = loop.time()
        """The clock of the sweep."""
        self.stopping = False

    def tasks(self) -> list[asyncio.Task[None]]:
        """Give the tasks of the requests that are being served."""
        served = [connection.current for connection in self.connections]
        return [
            exchange.task
            for exchange in (*served, *self.orphans)
            if exchange is not None and exchange.task is not None
        ]


class Connection(asyncio.Protocol):
    """A client's connection; see the module."""

    __slots__ = (
        "_begun",
        "_body_came",
        "_deadline_s",
        "_deaf",
        "_framing",
        "_head_bytes",
        "_headers",
        "_in_head",
        "_incoming",
        "_overhead",
        "_parser",
        "_phase",
        "_shared",
        "_transport",
        "_unread",
        "_url",
        "_waiting",
        "current",
        "paused",
        "write",
    )

    def __init__(self, shared: Shared) -> None:
        """Wait for the connection to be made."""
        self._shared = shared
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set when connected
        self.write: Callable[[bytes], None]
        self._headers: list[tuple[bytes, bytes]] = []
        self._url = b""
        self._in_head = True
        self._head_bytes = 0
        self._begun = 0
        """Requests that began in the bytes that came last."""
        self._body_came = 0
        """Bytes of a body in the bytes that came last."""
        self._overhead = 0
        """Bytes around a body that are no part of it: sizes of chunks, and trailers."""
        self._framing = False
        """The head being parsed is our own; see `_parse`."""
        self._deaf = False
        """What still comes is dropped."""
        self.current: Exchange | None = None
        """The exchange that is being served."""
        self._incoming: Exchange | None = None
        """The exchange whose request is coming in."""
        self._waiting: deque[Exchange] = deque()
        """Requests that a client sent before the answer to the one before."""
        self.paused: asyncio.Future[None] | None = None
        self._unread = 0
        """Bytes in the buffer when the wait for the reader began."""
        self._enter(HEAD)

    def _enter(self, phase: Phase) -> None:
        """Begin to wait for something."""
        self._phase = phase
        self._deadline_s = self._shared.now_s + phase.patience_s

    # ---- asyncio's side ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the others, or be refused past the bound."""
        self._transport = transport  # type: ignore[assignment]  # a stream's transport
        self.write = self._transport.write
        self._transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)
        self._shared.connections.add(self)
        if len(self._shared.connections) > self._shared.connections_max:
            self._refuse(503, _FULL)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's)
        """Tell the exchanges that their client has left."""
        del self._parser  # it holds our bound methods; end the cycle here
        self._shared.connections.discard(self)
        if not self._shared.connections:
            self._shared.emptied.set()
        current = self.current
        if current is not None:
            current.leave()
            self._shared.orphans.add(current)
        while self._waiting:
            self._shared.body_bytes -= self._waiting.popleft().body_bytes
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._deaf:
            return
        in_body, self._begun, self._body_came = self._incoming is not None, 0, 0
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(400, _MALFORMED)
            return
        if self._in_head:
            if self._begun + in_body < 2:  # noqa: PLR2004  (else most was not this head)
                self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(431, _HEAD_TOO_LARGE)
        elif in_body and self._incoming is not None:
            grown = self._overhead + len(data) - CHUNK_OVERHEAD_MAX * self._body_came
            self._overhead = max(grown, 0)
            if self._overhead > HEAD_BYTES_MAX:
                self._refuse(431, _HEAD_TOO_LARGE)
        if self._phase is BODY:
            self._deadline_s = self._shared.now_s + BODY_IDLE_S

    def _parse(self, data: bytes) -> None:
        """Parse, past offers of another protocol: it is up to a handler to take one.

        Clients make the offer with their first request (Java's does, of h2c), and the
        parser stops behind its head. A new parser reads the body, told its length by a
        head of ours that has what frames a body and nothing else.
        """
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                framing = (b"content-length", b"transfer-encoding")
                head = b"".join(b"%s: %s\r\n" % h for h in self._headers if h[0] in framing)
                self._parser = httptools.HttpRequestParser(self)
                self._framing = True
                self._parser.feed_data(b"POST / HTTP/1.1\r\n" + head + b"\r\n")
                data = data[offer.args[0] :]
            else:
                return

    def pause_writing(self) -> None:
        """The client reads more slowly than it is written to."""
        if self.paused is None:
            self.paused = self._shared.loop.create_future()
            self._await_reader()

    def resume_writing(self) -> None:
        """The client has caught up, or left."""
        paused, self.paused = self.paused, None
        if paused is not None:
            if self._phase is READER and self.current is not None:
                self._enter(ANSWER)
            elif self._phase is READER and not self._transport.is_closing():
                self._go_on()
            if not paused.done():
                paused.set_result(None)

    # ---- httptools' side ----

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._framing:
            return
        self._begun += 1
        self._headers = []
        self._url = b""
        self._in_head = True
        self._head_bytes = 0
        if self.current is None:
            self._enter(HEAD)

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        if not self._framing:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if self._in_head and not self._framing:  # trailers say nothing that we act on
            name = name.lower()
            if name in HEADERS_READ:
                self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Make the exchange; serve it, or put it in line behind the one being served."""
        if self._framing:
            self._framing = False
            return
        self._in_head = False
        shared = self._shared
        exchange = Exchange(self, shared.loop, self._headers, shared.body_bytes_max)
        exchange.method = self._parser.get_method().decode("ascii")
        raw_path, _, query = self._url.partition(b"?")
        path = raw_path.decode("latin-1")
        exchange.query = query
        if "://" in path and not path.startswith("/"):  # the form that a proxy is asked in
            path = "/" + path.partition("://")[2].partition("/")[2]
        exchange.path = unquote(path) if "%" in path else path
        exchange.http_1_0 = self._parser.get_http_version() == "1.0"
        exchange.keep_alive = self._parser.should_keep_alive()
        if exchange.http_1_0 and exchange.header(b"transfer-encoding"):
            exchange.keep_alive = False  # whoever passed it on may frame it in another way
        self._incoming = exchange
        self._overhead = 0
        if self.current is None:
            self._serve(exchange)
        else:
            self._waiting.append(exchange)
            self._transport.pause_reading()

    def on_body(self, data: bytes) -> None:
        """Take a piece of a body, within what all bodies together may take."""
        exchange, shared = self._incoming, self._shared
        self._body_came += len(data)
        if exchange is None:
            return
        shared.body_bytes += exchange.receive(data)
        if shared.body_bytes > BODIES_BYTES_MAX:
            exchange.fail_body(Overloaded(_BODIES_FULL))

    def on_message_complete(self) -> None:
        """End a request."""
        if self._parser.should_upgrade():
            return  # the parser takes the body for another protocol
        exchange, self._incoming = self._incoming, None
        if exchange is not None:
            exchange.received()
            if exchange is self.current and self._phase is BODY:
                self._enter(ANSWER)

    # ---- the exchange's side ----

    def answered(self, exchange: Exchange) -> None:
        """Go on with the next request, wait for one, or close."""
        self.current = None
        self._shared.orphans.discard(exchange)
        self._shared.body_bytes -= exchange.body_bytes
        if exchange.gone or self._transport.is_closing():
            return
        if not exchange.keep_alive or self._shared.stopping:
            self._close(linger=not exchange.whole)
        elif self.paused is None:
            self._go_on()
        else:  # a client that asks and does not read would fill the buffer without an end
            self._await_reader()
            self._transport.pause_reading()

    def forsake(self, exchange: Exchange) -> None:
        """Close, though an exchange goes on; its client is not heard any more."""
        self._shared.orphans.add(exchange)
        self._deaf = True
        self._close(linger=not exchange.whole)
        paused, self.paused = self.paused, None
        if paused is not None and not paused.done():
            paused.set_result(None)

    def hold_body(self) -> None:
        """Read no more of the body that comes in; the client is not to blame for the wait."""
        self._transport.pause_reading()
        if self._phase is BODY:
            self._enter(ANSWER)

    def go_on_with_body(self, taken: int) -> None:
        """Read on, unless requests wait behind this one; so many bytes left the memory."""
        self._shared.body_bytes -= taken
        if self._transport.is_closing() or self._waiting:
            return
        self._transport.resume_reading()
        if self._phase is ANSWER and self._incoming is not None:
            self._enter(BODY)

    def hand_over(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """Give what comes from now on to another protocol, for which the client has asked.

        It has to pass on `pause_writing`, `resume_writing` and `connection_lost`. Raises
        ClientGone where that cannot be any more.
        """
        if self._deaf or self._waiting or self._transport.is_closing():
            raise ClientGone
        self._transport.set_protocol(protocol)
        return self._transport

    def keep(self, count: int) -> bool:
        """Count bytes that are kept for the client; say whether there is room for more."""
        self._shared.body_bytes += count
        return self._shared.body_bytes <= BODIES_BYTES_MAX

    def _go_on(self) -> None:
        """Serve the next request, or wait for one."""
        if not self._waiting:
            self._enter(IDLE)
            self._transport.resume_reading()
            return
        exchange = self._waiting.popleft()
        self._serve(exchange)
        if not exchange.whole:
            self._transport.resume_reading()

    def _serve(self, exchange: Exchange) -> None:
        """Serve an exchange in a task of its own."""
        shared = self._shared
        self.current = exchange
        exchange.arrived_s = shared.loop.time()
        self._enter(ANSWER if exchange.whole else BODY)
        exchange.task = shared.loop.create_task(shared.service(exchange))

    # ---- the end ----

    def sweep(self) -> None:
        """End what the connection has no more patience for."""
        if self._shared.now_s < self._deadline_s:
            return
        if self._phase is BODY and self.current is not None:
            self._enter(ANSWER)
            self.current.fail_body(timed_out(BODY_IDLE_S))
        elif self._phase is READER and self._transport.get_write_buffer_size() < self._unread:
            self._await_reader()  # it reads, if slowly
        else:
            self._transport.abort()

    def stop(self) -> None:
        """Close now if nothing is being served; otherwise after the answer."""
        if self.current is None:
            self._transport.close()

    def close(self) -> None:
        """Close as soon as the client has read what is in the buffer."""
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    def _refuse(self, status: int, body: bytes) -> None:
        """Answer what is no request, and close; in the middle of an answer, after it."""
        self._deaf = True
        if self._incoming is not None:
            self._incoming.fail_body(RequestError(_MALFORMED_BODY))
        if self.current is not None:
            self.current.keep_alive = False
            return
        self.write(
            b"HTTP/1.1 %d \r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%s" % (status, len(body), body)
        )
        self._close(linger=True)

    def _close(self, *, linger: bool) -> None:
        """Close; lingering, only our side at first, so that the client can read what we said."""
        if linger and self._transport.can_write_eof():
            self._deaf = True
            self._transport.write_eof()
            self._enter(LINGER)
            self._transport.resume_reading()
        else:
            self._await_reader()
            self._transport.close()

    def _await_reader(self) -> None:
        """Begin to wait for the client to read what is in the buffer."""
        self._unread = self._transport.get_write_buffer_size()
        self._enter(READER)
