"""One socket to a provider: bytes in, parser events out, one exchange at a time.

It lends itself again only when it is certain that nothing can be mixed up: the answer was
parsed to its end, not one byte came after it, the request was written whole, and both
sides keep the connection alive. In every other case it is closed.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from typing import TYPE_CHECKING, Final, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from entente.net.exchange import HELD_BYTES_HIGH, PIECE_BYTES_OVERHEAD
from entente.net.faults import exchange_fault, parse_fault, protocol_fault

if TYPE_CHECKING:
    from entente.domain.errors import UpstreamError
    from entente.net.exchange import Exchange

STALE_CLOSE_S_MAX: Final = 0.5
"""A reused connection that ends later than this after the request was not closed as idle."""

_INTERIM_MAX: Final = 199
_SWITCHING_PROTOCOLS: Final = 101
_BODILESS: Final = frozenset({204, 304})
_VERSIONS: Final = frozenset({"1.1", "1.0"})


class Owner(Protocol):
    """The pool, as a connection sees it."""

    def pass_on(self, offer: Connection | None) -> None:
        """Take it back: it may carry another exchange."""

    def lost(self, connection: Connection) -> None:
        """Forget it: its socket is closed."""


class Connection(asyncio.Protocol):
    """A connection to `peer` (`host:port`), direct, through a proxy, plain or TLS."""

    __slots__ = (
        "_began_at",
        "_defect",
        "_eof",
        "_finished",
        "_header_bytes_max",
        "_keep_alive",
        "_loop",
        "_owner",
        "_parser",
        "_paused",
        "_poll",
        "_quiet_bytes",
        "_reused",
        "_surplus",
        "_transport",
        "closing",
        "exchange",
        "holds_slot",
        "idle_since",
        "peer",
        "write_paused",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, owner: Owner, peer: str, header_bytes_max: int
    ) -> None:
        """Begin without a socket."""
        self.peer = peer
        self.exchange: Exchange | None = None
        self.closing = False
        self.holds_slot = False
        self.idle_since = 0.0
        self.write_paused = False
        self._loop = loop
        self._owner = owner
        self._header_bytes_max = header_bytes_max
        self._parser: HttpResponseParser | None = None
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._began_at = 0.0
        self._reused = False
        self._paused = False
        self._eof = False
        self._quiet_bytes = 0
        self._finished = self._keep_alive = self._surplus = False
        self._defect: str | None = None

    # What the pool and the client do with it.

    def usable(self) -> bool:
        """Tell whether it is open and silent, by asking the kernel for unread bytes or EOF."""
        return not self.closing and self._poll is not None and not self._poll.poll(0)

    def begin(self, exchange: Exchange, data: bytes) -> None:
        """Carry an exchange, and write `data`: its head, and its body if that is small."""
        self.exchange = exchange
        exchange.link = self
        self._finished = self._surplus = self._keep_alive = False
        self._quiet_bytes = 0
        self._defect = None
        self._began_at = self._loop.time()
        self.write(data)

    def write(self, data: bytes | memoryview) -> None:
        """Write, unless it is closed already; the exchange has the reason then."""
        if self._transport is not None and not self.closing:
            self._transport.write(data)

    def resume(self) -> None:
        """Read again if the high-water mark had stopped it."""
        if self._paused and not self.closing and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def fail(self, failure: UpstreamError) -> None:
        """End its exchange with a failure, and close."""
        exchange = self.exchange
        if exchange is not None:
            self._detach(exchange)
            exchange.fail(failure)
        self.discard()

    def discard(self) -> None:
        """Close at once. `Owner.lost` follows from the event loop."""
        if self.exchange is not None:
            self._detach(self.exchange)
        if not self.closing:
            self.closing = True
            if self._transport is not None:
                self._transport.abort()

    def _detach(self, exchange: Exchange) -> None:
        """Part the two: the exchange keeps its bytes, and nothing more reaches it."""
        exchange.link = None
        self.exchange = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; also called by the dialler when TLS runs over a tunnel."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self._parser = HttpResponseParser(self)
        self._poll = select.poll()
        self._poll.register(
            transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLHUP
        )

    def data_received(self, data: bytes) -> None:
        """Parse, then tell the exchange once."""
        exchange, parser = self.exchange, self._parser
        if exchange is None or parser is None:
            self.discard()  # bytes that nobody asked for: it can never be used again
            return
        self._quiet_bytes += len(data)
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self._finished:
                self.fail(parse_fault(error, self.peer))
                return
            self._surplus = True
        if self._defect is not None:
            self.fail(protocol_fault(self._defect, self.peer))
        elif self._finished:
            self._finish(exchange)
        elif self._quiet_bytes > self._header_bytes_max:
            self.fail(protocol_fault(self._too_long(), self.peer))
        else:
            if exchange.held_bytes > HELD_BYTES_HIGH:
                self._pause()
            if not self._quiet_bytes:
                exchange.arrived()

    def eof_received(self) -> None:
        """Remember that the end was announced: only then may it end a body."""
        self._eof = _is_announced(self._transport)
        if self.exchange is None:
            self.discard()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what was running, and tell the pool that the socket is gone."""
        self.closing = True
        self._parser = None  # it holds our bound methods; end the cycle here
        self._poll = None
        exchange = self.exchange
        if exchange is not None:
            self._detach(exchange)
            if exc is None and self._eof and _ends_at_eof(exchange):
                exchange.complete = True
                exchange.wake()
            else:
                exchange.stale = self._closed_while_idle(exchange, exc)
                exchange.fail(exchange_fault(exc, self.peer))
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """Note that the kernel takes no more for now."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Go on with an upload: the kernel has taken what was written."""
        self.write_paused = False
        if self.exchange is not None:
            self.exchange.wake_writer()

    # httptools.HttpResponseParser. `_quiet_bytes` counts what came since the last event that
    # the reader sees; it bounds heads, chunk extensions and trailers alike.

    def on_message_begin(self) -> None:
        """Note a second message behind the answer."""
        if self._finished:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the head; those of a trailer are dropped."""
        exchange = self.exchange
        if exchange is not None and not exchange.head_done:
            exchange.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Publish the head, unless it is an interim one (1xx)."""
        exchange, parser = self.exchange, self._parser
        if exchange is None or parser is None or self._finished:
            return
        status = parser.get_status_code()
        if parser.get_http_version() not in _VERSIONS:
            self._defect = "its version is not HTTP/1.1 or HTTP/1.0"
        elif status <= _INTERIM_MAX:
            exchange.fields.clear()
            if status == _SWITCHING_PROTOCOLS:
                self._defect = "it switched protocols, which nobody asked for"
            return
        elif self._quiet_bytes > self._header_bytes_max and self._head_is_too_long(exchange):
            self._defect = self._too_long()
        if self._defect is not None:
            return
        exchange.status = status
        exchange.head_done = True
        self._quiet_bytes = 0
        if exchange.head_only:
            self._finished = True  # the parser cannot be told; `_finish` will not reuse it

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body for the reader."""
        self._quiet_bytes = 0
        exchange = self.exchange
        if exchange is not None and not self._finished:
            exchange.pieces.append(data)
            exchange.held_bytes += len(data) + PIECE_BYTES_OVERHEAD

    def on_message_complete(self) -> None:
        """Note the end of the answer; an interim one ends nothing."""
        exchange, parser = self.exchange, self._parser
        if exchange is not None and parser is not None and exchange.head_done:
            self._keep_alive = not self._finished and parser.should_keep_alive()
            self._finished = True

    # Endings

    def _finish(self, exchange: Exchange) -> None:
        """Let go of a complete exchange, and lend the connection again if it is clean."""
        self._detach(exchange)
        exchange.complete = True
        reusable = (
            self._keep_alive
            and exchange.sent
            and not exchange.head_only
            and not self._surplus
            and not self.closing
            and self._transport is not None
            and not self._transport.get_write_buffer_size()
        )
        if reusable:
            if self._paused:
                self.resume()
            self._reused = True
            self.idle_since = self._loop.time()
            self._owner.pass_on(self)
        else:
            self.discard()
        exchange.wake()

    def _pause(self) -> None:
        """Stop reading until the reader has taken what is held."""
        if not self._paused and not self.closing and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _closed_while_idle(self, exchange: Exchange, exc: Exception | None) -> bool:
        """Tell whether the server closed an idle connection just as it was used again."""
        return (
            self._reused
            and not self._quiet_bytes
            and not exchange.head_done
            and (exc is None or isinstance(exc, ConnectionError))
            and self._loop.time() - self._began_at <= STALE_CLOSE_S_MAX
        )

    def _head_is_too_long(self, exchange: Exchange) -> bool:
        """Measure the head itself: much of a body may have come in the same segment."""
        size = sum(len(name) + len(value) + 4 for name, value in exchange.fields)
        return size > self._header_bytes_max

    def _too_long(self) -> str:
        """Name the bound that was passed."""
        return f"its headers are longer than {self._header_bytes_max} bytes (header_bytes_max)"


def _is_announced(transport: asyncio.Transport | None) -> bool:
    """Tell whether the server itself ended the stream: under TLS only by a close_notify.

    asyncio reports a bare EOF of the socket in the same way; OpenSSL knows the difference.
    """
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLError:
        return False


def _ends_at_eof(exchange: Exchange) -> bool:
    """Tell whether the body has no length of its own, so that EOF is its end (RFC 9112, 6.3)."""
    if not exchange.head_done:
        return False
    for name, value in exchange.fields:
        if name == b"content-length":
            return False
        if name == b"transfer-encoding":
            return value.lower().rpartition(b",")[2].strip() != b"chunked"
    return exchange.status not in _BODILESS
