"""Streams of messages, written from events. Pure.

Content comes in blocks, one after the other: a new one begins where the kind of content
changes. Other dialects let calls take turns; here one waits until that before it is whole.
The end of the answer, with its reason and its usage, is written at the very end.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import msgspec

from entente.domain.errors import EntenteError, UpstreamClosed, UpstreamProtocolError
from entente.domain.events import (
    Ended,
    Event,
    Failed,
    Failure,
    RedactedThinkingPart,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.usage import NOTHING, Usage
from entente.wire.anthropic.answers import answer_id, stop_reason, write_usage
from entente.wire.anthropic_errors import stream_error
from entente.wire.brackets import Brackets
from entente.wire.dialect import Head

PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'
"""Keeps a connection alive, anywhere between two events."""
BROKEN_OFF: Final = (
    "The provider's answer broke off before its end. What was sent so far is not the whole answer."
)
HELD_CHARS_MAX: Final = 16 * 1024 * 1024
"""Calls that wait with more than this, their names included, break the answer off."""
CALLS_WAITING_MAX: Final = 1024
_PIECE_CHARS: Final = 64
"""What a held piece costs beside its characters."""
_TOO_MUCH: Final = "The provider began too many calls before it ended others."
_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_DELTA: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}\n\n'
)
_BEGIN: Final = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,'
    b'"content_block":%b}\n\n'
)
_CLOSE: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'

_encode = msgspec.json.Encoder().encode


class _Kind(Enum):
    """What the open block is."""

    NONE = 0
    TEXT = 1
    THINKING = 2
    CALL = 3


class MessagesStreamWriter:
    """Writes one answer; see `wire.dialect.StreamWriter`. It has only the first choice."""

    __slots__ = (
        "_arguments",
        "_calls",
        "_ended",
        "_failure",
        "_head",
        "_held_chars",
        "_index",
        "_open",
        "_refused",
        "_start",
        "_started",
        "_usage",
        "_waiting",
    )

    def __init__(self, head: Head) -> None:
        """Start before the first event."""
        self._head = head
        self._start = Started("", "")
        self._started = False
        self._index = -1
        self._open = _Kind.NONE
        self._calls: dict[int, int] = {}
        self._arguments = Brackets()
        """Of the call that is open."""
        self._waiting: dict[int, tuple[ToolCallStarted, list[str]]] = {}
        self._held_chars = 0
        self._ended: Ended | None = None
        self._refused = False
        self._usage: Usage | None = None
        self._failure: Failed | None = None

    def feed(self, event: Event) -> bytes:
        """Take the next event; give what it makes.

        Raises UpstreamProtocolError for calls that wait with more than `HELD_CHARS_MAX`, or are
        more than `CALLS_WAITING_MAX`.
        """
        written = b""
        match event:
            case TextDelta(choice=0):
                written = self._text(event.text)
            case ToolArgumentsDelta(choice=0) if event.index in self._waiting:
                self._hold(event.text)
                self._waiting[event.index][1].append(event.text)
            case ToolArgumentsDelta(choice=0) if event.index in self._calls:
                written = self._argue(event.index, event.text)
                if self._waiting and self._arguments.closed:
                    written += self._go_on()
            case ToolCallStarted(choice=0):
                if self._open is not _Kind.CALL or self._arguments.closed:
                    written = self._call(event)
                else:
                    self._hold(event.id + event.name)
                    self._waiting[event.index] = (event, [])
            case ThinkingDelta(choice=0):
                written = self._thinking(event)
            case RefusalDelta(choice=0):
                self._refused = True
                written = self._text(event.text)
            case RedactedThinkingPart(choice=0):
                block = b'{"type":"redacted_thinking","data":%b}' % _encode(event.data)
                written = self._block(_Kind.NONE, block) + _CLOSE % self._index
            case _:
                self._keep(event)
        return written

    def _keep(self, event: Event) -> None:
        """Keep what is written later. Further choices and logprobs have no place here."""
        match event:
            case Started():
                self._start = event
            case Ended(choice=0):
                self._ended = event
            case Used():
                self._usage = event.usage
            case Failed():
                self._failure = event
            case _:
                pass

    def end(self) -> bytes:
        """Give the reason, the usage and the stop; or the error that is due instead."""
        if self._failure is not None:
            return _error_event(self._failure)
        ended = self._ended
        if ended is None:
            return self.fail(UpstreamClosed(BROKEN_OFF))
        reason = stop_reason(ended.stop, refused=self._refused)
        delta = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": ended.stop_sequence},
            "usage": write_usage(self._usage or NOTHING),
        }
        written = b"event: message_delta\ndata: %b\n\n" % _encode(delta)
        return self._begin() + self._go_on(whole=False) + self._close() + written + _STOP

    def fail(self, error: EntenteError) -> bytes:
        """Give the error event, behind which nothing comes."""
        return stream_error(error)

    def _call(self, event: ToolCallStarted) -> bytes:
        """Begin a call."""
        call = b'{"type":"tool_use","id":%b,"name":%b,"input":{}}'
        written = self._block(_Kind.CALL, call % (_encode(event.id), _encode(event.name)))
        self._calls[event.index] = self._index
        self._arguments = Brackets()
        return written

    def _argue(self, number: int, text: str) -> bytes:
        """Write more of a call's arguments."""
        index = self._calls[number]
        if index == self._index:
            self._arguments.feed(text)
        delta = b'{"type":"input_json_delta","partial_json":%b}' % _encode(text)
        return _DELTA % (index, delta)

    def _hold(self, text: str) -> None:
        self._held_chars += len(text) + _PIECE_CHARS
        if self._held_chars > HELD_CHARS_MAX or len(self._waiting) > CALLS_WAITING_MAX:
            raise UpstreamProtocolError(_TOO_MUCH)

    def _go_on(self, *, whole: bool = True) -> bytes:
        """Write the calls that wait: `whole` up to the first that is not, or else all."""
        pieces: list[bytes] = []
        while self._waiting and not (whole and pieces and not self._arguments.closed):
            number = next(iter(self._waiting))
            event, texts = self._waiting.pop(number)
            pieces.append(self._call(event))
            pieces += [self._argue(number, text) for text in texts]
        return b"".join(pieces)

    def _text(self, text: str) -> bytes:
        opened = b""
        if self._open is not _Kind.TEXT:
            opened = self._block(_Kind.TEXT, b'{"type":"text","text":""}')
        return opened + _DELTA % (self._index, b'{"type":"text_delta","text":%b}' % _encode(text))

    def _thinking(self, event: ThinkingDelta) -> bytes:
        """Write more of a thought; behind its signature a new one would begin."""
        written = b""
        if self._open is not _Kind.THINKING:
            block = b'{"type":"thinking","thinking":"","signature":""}'
            written = self._block(_Kind.THINKING, block)
        if event.text:
            delta = b'{"type":"thinking_delta","thinking":%b}' % _encode(event.text)
            written += _DELTA % (self._index, delta)
        if event.signature is not None:
            delta = b'{"type":"signature_delta","signature":%b}' % _encode(event.signature)
            written += _DELTA % (self._index, delta) + self._close()
        return written

    def _block(self, kind: _Kind, block: bytes) -> bytes:
        """Begin a block, and end the one before."""
        before = self._begin()
        if kind is not _Kind.CALL:
            before += self._go_on(whole=False)
        before += self._close()
        self._index += 1
        self._open = kind
        return before + _BEGIN % (self._index, block) + (b"" if self._index else PING)

    def _close(self) -> bytes:
        """End the open block, if there is one."""
        if self._open is _Kind.NONE:
            return b""
        self._open = _Kind.NONE
        return _CLOSE % self._index

    def _begin(self) -> bytes:
        """Begin the message, once; with the usage of the input, where it is known by then."""
        if self._started:
            return b""
        self._started = True
        message: dict[str, Any] = {
            "id": answer_id(self._start.id, self._head),
            "type": "message",
            "role": "assistant",
            "model": self._start.model or self._head.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(self._usage or NOTHING),
        }
        start = {"type": "message_start", "message": message}
        return b"event: message_start\ndata: %b\n\n" % _encode(start)


_ERRORS: Final = {
    Failure.SERVER: "api_error",
    Failure.OVERLOADED: "overloaded_error",
    Failure.RATE_LIMITED: "rate_limit_error",
    Failure.TIMEOUT: "timeout_error",
    Failure.INVALID: "invalid_request_error",
}


def _error_event(failure: Failed) -> bytes:
    """Write a provider's failure in Anthropic's envelope."""
    error = {"type": _ERRORS[failure.kind], "message": failure.message}
    return b"event: error\ndata: %b\n\n" % _encode({"type": "error", "error": error})
