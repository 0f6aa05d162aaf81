"""Streams of messages, read into events. Pure."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

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
from entente.domain.usage import NOTHING
from entente.wire.anthropic.answers import AnswerForm, UsageForm, read_stop, read_usage
from entente.wire.anthropic.form import NULL, Block, arguments
from entente.wire.progress import EventReader

UNSAID: Final = "The provider failed while it answered."
_EMPTY_OBJECT: Final = ("{}", "{ }")


class _Delta(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = UNSAID


class _EventForm(msgspec.Struct):
    """The data of an event of any type."""

    type: str
    index: int = 0
    delta: _Delta | None = None
    content_block: Block | None = None
    message: AnswerForm | None = None
    usage: Raw = Raw(NULL)
    error: _Error | None = None


_decoder = msgspec.json.Decoder(_EventForm)

_FAILURES: Final = {
    "overloaded_error": Failure.OVERLOADED,
    "rate_limit_error": Failure.RATE_LIMITED,
    "timeout_error": Failure.TIMEOUT,
    "invalid_request_error": Failure.INVALID,
}


class MessagesStreamReader(EventReader):
    """Reads one stream; see `wire.dialect.StreamReader`.

    The usage in the first event is only the input's; `usage` is set by the last one.
    """

    __slots__ = ("_calls", "_reported", "_without_arguments")

    def __init__(self, *, choices: int = 1) -> None:
        """Start before the first byte; this dialect has no more than one choice."""
        super().__init__(choices=min(choices, 1))
        self._reported: UsageForm | None = None
        self._calls: dict[int, int] = {}
        self._without_arguments: set[int] = set()

    def _read(self, data: bytes, found: list[Event]) -> None:
        """Read the data of one event; what is new to us means nothing."""
        if self.done or not data:
            return
        try:
            event = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._read_delta(event.index, event.delta, found)
            case "content_block_start" if event.content_block is not None:
                self._read_block(event.index, event.content_block, found)
            case "content_block_stop" if event.index in self._without_arguments:
                self._without_arguments.discard(event.index)
                found.append(ToolArgumentsDelta(self._calls[event.index], "{}"))
            case "message_start" if event.message is not None:
                self._read_start(event.message, found)
            case "message_delta":
                self._read_end(event, found)
            case "message_stop":
                self.done = True
            case "error":
                error = event.error or _Error()
                kind = _FAILURES.get(error.type, Failure.SERVER)
                found.append(Failed(kind, error.message))
            case _:
                pass

    def _read_start(self, message: AnswerForm, found: list[Event]) -> None:
        found.append(Started(message.id, message.model))
        self._reported = read_usage(message.usage)
        usage = self._reported.disjoint() if self._reported else None
        if usage is not None and usage != NOTHING:
            found.append(Used(usage))

    def _read_block(self, index: int, block: Block, found: list[Event]) -> None:
        """Read the beginning of a block, which may have content already."""
        match block.type:
            case "text" if block.text:
                found.append(TextDelta(block.text))
            case "thinking" if block.thinking or block.signature:
                found.append(ThinkingDelta(block.thinking or "", block.signature or None))
            case "redacted_thinking":
                found.append(RedactedThinkingPart(block.data or ""))
            case "tool_use":
                number = self._calls[index] = len(self._calls)
                found.append(ToolCallStarted(number, block.id or "", block.name or ""))
                text = arguments(block)
                if text in _EMPTY_OBJECT:
                    self._without_arguments.add(index)
                else:
                    found.append(ToolArgumentsDelta(number, text))
            case _:
                pass

    def _read_delta(self, index: int, delta: _Delta, found: list[Event]) -> None:
        match delta.type:
            case "text_delta" if delta.text:
                found.append(TextDelta(delta.text))
            case "input_json_delta" if delta.partial_json and index in self._calls:
                self._without_arguments.discard(index)
                found.append(ToolArgumentsDelta(self._calls[index], delta.partial_json))
            case "thinking_delta" if delta.thinking:
                found.append(ThinkingDelta(delta.thinking))
            case "signature_delta" if delta.signature:
                found.append(ThinkingDelta("", delta.signature))
            case _:
                pass

    def _read_end(self, event: _EventForm, found: list[Event]) -> None:
        """Read why the answer ended, and what it used in all."""
        delta = event.delta
        if delta is not None and delta.stop_reason and not self.stops:
            self.stops[0] = read_stop(delta.stop_reason)
            found.append(Ended(self.stops[0], delta.stop_sequence))
        report = read_usage(event.usage)
        if report is not None:
            self._reported = report.over(self._reported)
            self.service_tier = self._reported.tier or ""
            self.usage = self._reported.disjoint()
            if self.usage is not None:
                found.append(Used(self.usage))
