"""One end of a WebSocket: whole messages in and out, both with back-pressure and bounds.

Framing is that of `websockets`, which does no I/O; what is here is the order of things on
asyncio. Fragments are joined, because what governs a message may stand in any of them; its
bytes stay as they are. Pings are answered and sent here: they are about one connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, NamedTuple, Protocol, cast

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.protocol import Protocol as WebSocketProtocol

HELD_BYTES_HIGH: Final = 256 * 1024
"""Messages held for a reader above which the connection stops reading."""
MESSAGE_BYTES_OVERHEAD: Final = 64
"""What a held message costs beside its bytes, so that many tiny ones are bounded as well."""
PING_S: Final = 20.0
"""A peer that was silent for so long is sent a ping."""
SILENT_S_MAX: Final = 60.0
"""A peer that has not even answered a ping for so long is gone."""
CLOSE_S: Final = 5.0
"""How long the other side may take to close."""
REASON_BYTES_MAX: Final = 123
QUIET: Final = logging.Logger("entente.net.socket", logging.CRITICAL)  # noqa: LOG001
"""For `websockets`, which writes headers, credentials among them, to any logger that shows them.

It is no part of the tree of loggers, so that no setting makes it speak.
"""

_DATA: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
_BAD_TEXT: Final = "a text message is not UTF-8"
_FULL: Final = "too many messages at once"


class Message(NamedTuple):
    """A whole message, as it came."""

    data: bytes
    text: bool = True


class Ending(NamedTuple):
    """How the other side closed: RFC 6455's code and its reason; 1006 is not at all."""

    code: int
    reason: str


class Owner(Protocol):
    """Who is told of what concerns the connection beneath a socket."""

    def keep(self, count: int) -> bool:
        """Count bytes that are kept, fewer if negative; say whether there is room for more."""

    def pause_writing(self) -> None:
        """What is written is not taken."""

    def resume_writing(self) -> None:
        """It is taken again."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""


class Socket(asyncio.Protocol):
    """An end of a WebSocket. One task receives, any may send."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: WebSocketProtocol,
        owner: Owner,
    ) -> None:
        """Begin without a connection."""
        self._loop = loop
        self._protocol = protocol
        self._owner = owner
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set when attached
        self._messages: deque[Message] = deque()
        self._held_bytes = 0
        """Of messages that wait for their reader."""
        self._kept_bytes = 0
        """Of messages, whole and in part, as they were last counted."""
        self._part = bytearray()
        self._part_is_text: bool | None = None
        """Whether the message that is coming in is text; None between messages."""
        self._reading = True
        self._writable: asyncio.Future[None] | None = None
        self._news: asyncio.Future[None] | None = None
        self._answer: Response | None = None
        """To our handshake."""
        self._heard_s = loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] = loop.create_future()

    # ---- for whoever holds this end ----

    @property
    def open(self) -> bool:
        """Whether both sides may still send."""
        return self._protocol.state is OPEN and not self._gone.done()

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return self._gone.done()

    @property
    def ending(self) -> Ending:
        """How the other side has closed, as far as it is known."""
        said = self._protocol.close_rcvd
        return Ending(said.code, said.reason) if said is not None else Ending(1006, "")

    @property
    def subprotocol(self) -> str | None:
        """What both sides have agreed to speak."""
        return self._protocol.subprotocol

    async def receive(self) -> Message | None:
        """Give the next message, None when no more can come."""
        while not self._messages:
            if not self.open:
                return None
            await self._news_come()
        message = self._messages.popleft()
        self._held_bytes -= len(message.data) + MESSAGE_BYTES_OVERHEAD
        self._settle_reading()
        self._recount()
        return message

    async def send(self, message: Message) -> None:
        """Send a message; wait while the other side takes it more slowly.

        To a side that has closed it is no error, and nothing is sent.
        """
        self.post(message)
        if self._writable is not None:
            await asyncio.shield(self._writable)

    def post(self, message: Message) -> None:
        """Send a message and do not wait: for the few that are not passed on from elsewhere."""
        if not self.open:
            return
        if message.text:
            self._protocol.send_text(message.data)
        else:
            self._protocol.send_binary(message.data)
        self._flush()

    def close(self, code: int | None, reason: str = "") -> None:
        """Begin to close; a code of None says nothing. A second time changes nothing."""
        if not self.open:
            return
        said = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore") if code else ""
        self._protocol.send_close(code, said)
        self._flush()
        self._wake()

    async def closed(self) -> None:
        """Wait until the connection is gone, which takes `CLOSE_S` at most once closing began."""
        await asyncio.shield(self._gone)

    def abort(self) -> None:
        """Drop the connection now."""
        if self._timer is not None and not self._gone.done():
            self._transport.abort()

    # ---- the beginning ----

    def attach(self, transport: asyncio.BaseTransport) -> None:
        """Begin on a connection: what the protocol has to say goes out."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self._heard_s = self._loop.time()
        self._timer = self._loop.call_later(PING_S, self._check)
        self._flush()

    async def answered(self) -> Response:
        """Wait for the answer to a handshake.

        Raises EOFError if none comes, and ValueError for what is not HTTP.
        """
        while self._answer is None:
            wrong = self._protocol.handshake_exc
            if self.lost or (wrong is not None and isinstance(wrong.__cause__, EOFError)):
                raise EOFError
            if wrong is not None:
                raise ValueError
            await self._news_come()
        return self._answer

    # ---- asyncio.Protocol ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.attach(transport)

    def data_received(self, data: bytes) -> None:
        """Take what came, and answer what wants an answer."""
        self._heard_s = self._loop.time()
        if self._protocol.reader.eof:
            return
        self._protocol.receive_data(data)
        self._take_events()
        self._flush()
        self._recount()

    def eof_received(self) -> None:
        """Take the end."""
        self._protocol.receive_eof()
        self._take_events()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: no more comes and nothing more goes."""
        if self._timer is not None:
            self._timer.cancel()
        self._protocol.receive_eof()
        if not self._gone.done():
            self._gone.set_result(None)
        self._take_events()
        self._part.clear()
        self._wake()
        self._resume_writer()
        self._recount()
        self._owner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Stop reading, too: each ping that came would grow what cannot be written."""
        if self._writable is None:
            self._writable = self._loop.create_future()
        self._settle_reading()
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """Go on."""
        self._resume_writer()
        self._settle_reading()
        self._owner.resume_writing()

    # ---- inside ----

    def _take_events(self) -> None:
        """Sort what the protocol has understood."""
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                if event.opcode in _DATA:
                    self._take_frame(event)
            elif isinstance(event, Response):
                self._answer = event
        if self._messages or self._answer is not None or not self.open:
            self._wake()

    def _take_frame(self, frame: Frame) -> None:
        """Take a frame; the last of a message makes it whole."""
        if self._part_is_text is None:
            self._part_is_text = frame.opcode is Opcode.TEXT
        if frame.fin and not self._part:
            data = bytes(frame.data)
        else:
            self._part += frame.data
            if not frame.fin:
                return
            data = bytes(self._part)
            self._part = bytearray()
        text, self._part_is_text = self._part_is_text, None
        if text and not _is_text(data):
            self._protocol.fail(CloseCode.INVALID_DATA, _BAD_TEXT)
            return
        self._messages.append(Message(data, text))
        self._held_bytes += len(data) + MESSAGE_BYTES_OVERHEAD
        self._settle_reading()

    def _flush(self) -> None:
        """Write what the protocol has to say, its half of the end included."""
        closing = self._transport.is_closing()
        for data in self._protocol.data_to_send():
            if closing:
                continue
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()
        if self._protocol.close_expected() and not self._gone.done():
            self._expect_end()

    def _expect_end(self) -> None:
        """Give the other side so long to close."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(CLOSE_S, self._transport.abort)
        self._reading = True
        self._transport.resume_reading()  # its close has to be heard, whoever reads

    def _check(self) -> None:
        """Ping a silent peer, and drop one that is gone."""
        silent_s = self._loop.time() - self._heard_s
        if self._reading and silent_s >= SILENT_S_MAX:
            self._transport.abort()
            return
        if self._reading and silent_s >= PING_S / 2 and self.open:
            self._protocol.send_ping(b"")
            self._flush()
        self._timer = self._loop.call_later(PING_S, self._check)

    def _settle_reading(self) -> None:
        """Read as long as there is room for what comes, and for the answers to it."""
        if self._gone.done() or self._transport.is_closing() or not self.open:
            return
        wanted = self._held_bytes <= HELD_BYTES_HIGH and self._writable is None
        if wanted and not self._reading:
            self._reading = True
            self._heard_s = self._loop.time()
            self._transport.resume_reading()
        elif not wanted and self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _recount(self) -> None:
        """Tell how much is kept here now, and give up where there is no room for it."""
        kept = self._held_bytes + len(self._part) + len(self._protocol.reader.buffer)
        if self.lost:
            kept = 0
        more, self._kept_bytes = kept - self._kept_bytes, kept
        if more and not self._owner.keep(more) and more > 0 and self.open:
            self._protocol.fail(CloseCode.TRY_AGAIN_LATER, _FULL)
            self._flush()
            self._wake()

    async def _news_come(self) -> None:
        """Wait until something has changed."""
        self._news = self._loop.create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _wake(self) -> None:
        """Let who waits for a message look again."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _resume_writer(self) -> None:
        """Let who waits to send go on."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)


def passed_on(ending: Ending) -> tuple[int | None, str]:
    """Give the code and reason to close with where the other side has ended so.

    Some codes only say that nothing was said (RFC 6455, 7.4.1) and may not be sent.
    """
    if ending.code == CloseCode.NO_STATUS_RCVD:
        return None, ""
    if ending.code == CloseCode.ABNORMAL_CLOSURE:
        return CloseCode.INTERNAL_ERROR, "The other side broke off."
    return ending


def _is_text(data: bytes) -> bool:
    """Say whether this is UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
