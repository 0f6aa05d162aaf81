"""Streams of ConverseStream: event-stream messages with JSON in them. Pure.

In order: `messageStart`; for each block of content its start (only of a tool call), deltas
and stop; `messageStop`; `metadata` with the usage. An exception may come in place of any of
them, and is the last message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, TypeVar

import msgspec

from entente.domain.errors import UpstreamProtocolError
from entente.domain.events import (
    Ended,
    Event,
    Failed,
    Failure,
    RedactedThinkingPart,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.inference import Stop
from entente.wire.aws_event_stream import Decoder, Message
from entente.wire.bedrock.answers import MALFORMED, Additional, Tier, WireUsage, stop_of
from entente.wire.progress import Progress

_T = TypeVar("_T")

_FAILURES: Final[Mapping[str, Failure]] = {
    "throttlingException": Failure.RATE_LIMITED,
    "serviceUnavailableException": Failure.OVERLOADED,
    "modelTimeoutException": Failure.TIMEOUT,
    "validationException": Failure.INVALID,
}
"""Exceptions that are more than the server's fault, by their type."""


class _ToolUse(msgspec.Struct, rename="camel"):
    tool_use_id: str
    name: str
    type: str | None = None


class _Start(msgspec.Struct, rename="camel"):
    tool_use: _ToolUse | None = None


class _BlockStart(msgspec.Struct, rename="camel"):
    content_block_index: int
    start: _Start


class _Reasoning(msgspec.Struct, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Input(msgspec.Struct):
    input: str = ""


class _Delta(msgspec.Struct, rename="camel"):
    text: str | None = None
    tool_use: _Input | None = None
    reasoning_content: _Reasoning | None = None


class _BlockDelta(msgspec.Struct, rename="camel"):
    content_block_index: int
    delta: _Delta


class _BlockStop(msgspec.Struct, rename="camel"):
    content_block_index: int


class _MessageStop(msgspec.Struct, rename="camel"):
    stop_reason: str
    additional_model_response_fields: Additional | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    usage: WireUsage | None = None
    service_tier: Tier | None = None


class _Exception(msgspec.Struct, rename="camel"):
    message: str | None = None
    original_message: str | None = None


_block_start = msgspec.json.Decoder(_BlockStart)
_block_delta = msgspec.json.Decoder(_BlockDelta)
_block_stop = msgspec.json.Decoder(_BlockStop)
_message_stop = msgspec.json.Decoder(_MessageStop)
_metadata = msgspec.json.Decoder(_Metadata)
_exception = msgspec.json.Decoder(_Exception)


class StreamReader(Progress):
    """Reads one stream. See `wire.dialect.StreamReader`."""

    __slots__ = ("_calls", "_decoder", "_silent")

    def __init__(self, *, choices: int = 1) -> None:
        """Start before the first byte. Converse gives one choice, so `choices` is not asked."""
        super().__init__(choices=min(choices, 1))
        self._decoder = Decoder()
        self._calls: dict[int, int] = {}
        self._silent: set[int] = set()
        """Blocks of calls for which no arguments have come."""

    def feed(self, data: bytes, /) -> list[Event]:
        """Take a piece of the stream; give the events that it completes.

        Raises UpstreamProtocolError for what is not this framing, or not these events.
        """
        events: list[Event] = []
        for message in self._decoder.feed(data):
            if not self.failed:
                events += self.note(self._events(message))
        return events

    def close(self) -> list[Event]:
        """Take the end of the bytes. Half a message says nothing."""
        return []

    def _events(self, message: Message) -> list[Event]:
        """Read one message; one of a kind that is newer than this module says nothing."""
        if message.text(":message-type") == "exception":
            return [_failed(message.text(":exception-type"), message.payload)]
        if message.text(":message-type") == "error":
            return [Failed(Failure.SERVER, message.text(":error-message") or "Unknown error.")]
        read = self._readers.get(message.text(":event-type"))
        return read(self, message.payload) if read is not None else []

    def _started(self, _: bytes) -> list[Event]:
        return [Started(id="", model="")]

    def _block_started(self, payload: bytes) -> list[Event]:
        event = _decoded(_block_start, payload)
        call = event.start.tool_use
        if call is None or call.type is not None:
            return []
        index = self._calls[event.content_block_index] = len(self._calls)
        self._silent.add(event.content_block_index)
        return [ToolCallStarted(index, call.tool_use_id, call.name)]

    def _delta(self, payload: bytes) -> list[Event]:
        event = _decoded(_block_delta, payload)
        delta = event.delta
        if delta.text is not None:
            return [TextDelta(delta.text)] if delta.text else []
        if delta.tool_use is not None:
            index = self._calls.get(event.content_block_index)
            if index is None or not delta.tool_use.input:
                return []
            self._silent.discard(event.content_block_index)
            return [ToolArgumentsDelta(index, delta.tool_use.input)]
        return _thought(delta.reasoning_content) if delta.reasoning_content is not None else []

    def _block_stopped(self, payload: bytes) -> list[Event]:
        """Give the empty object for a call that takes no arguments and has sent none."""
        block = _decoded(_block_stop, payload).content_block_index
        if block not in self._silent:
            return []
        self._silent.discard(block)
        return [ToolArgumentsDelta(self._calls[block], "{}")]

    def _stopped(self, payload: bytes) -> list[Event]:
        event = _decoded(_message_stop, payload)
        if event.stop_reason in MALFORMED:
            return [Failed(Failure.SERVER, f"The model's output was cut: {event.stop_reason}.")]
        stop = stop_of(event.stop_reason)
        if stop is None:
            return []
        extra = event.additional_model_response_fields
        matched = extra.stop_sequence if extra and stop is Stop.STOP_SEQUENCE else None
        return [Ended(stop, matched)]

    def _used(self, payload: bytes) -> list[Event]:
        """Read the usage, which is the last thing said."""
        metadata = _decoded(_metadata, payload)
        reported = metadata.usage
        self.done = True
        self.service_tier = (metadata.service_tier.name() or "") if metadata.service_tier else ""
        self.usage = reported.disjoint() if reported is not None else None
        return [Used(self.usage)] if self.usage is not None else []

    _readers: ClassVar[Mapping[str, Callable[[StreamReader, bytes], list[Event]]]] = {
        "messageStart": _started,
        "contentBlockStart": _block_started,
        "contentBlockDelta": _delta,
        "contentBlockStop": _block_stopped,
        "messageStop": _stopped,
        "metadata": _used,
    }


def _thought(delta: _Reasoning) -> list[Event]:
    """Read more of a thought."""
    if delta.redacted_content is not None:
        return [RedactedThinkingPart(delta.redacted_content)]
    if delta.text or delta.signature:
        return [ThinkingDelta(delta.text or "", delta.signature)]
    return []


def _failed(kind: str, payload: bytes) -> Failed:
    """Read an exception; its type counts, whatever its payload is."""
    try:
        said = _exception.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = _Exception()
    sentence = said.message or said.original_message or f"The provider sent {kind or 'an error'}."
    return Failed(_FAILURES.get(kind, Failure.SERVER), sentence)


def _decoded(decoder: msgspec.json.Decoder[_T], payload: bytes) -> _T:
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = "The provider sent an event of its stream that cannot be read."
        raise UpstreamProtocolError(message) from None
