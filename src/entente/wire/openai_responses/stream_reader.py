"""Streams of a response, read into events. Pure.

What counts is what the deltas say. Servers differ in which of them they send: what comes
only in whole, at the end of a part or an item, is read there.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from entente.domain.events import (
    Ended,
    Event,
    Failed,
    Failure,
    LogprobsDelta,
    RedactedThinkingPart,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.inference import Thinking
from entente.wire.openai_responses import thoughts
from entente.wire.openai_responses.answer_reader import (
    ErrorForm,
    ItemForm,
    ResponseForm,
    TokenForm,
    read_item,
    read_usage,
)
from entente.wire.progress import EventReader

UNSAID: Final = "The provider failed while it answered."
_NULL: Final = Raw(b"null")
_PREFIX: Final = "response."
_CONTENT: Final = frozenset(
    {
        "output_text.delta",
        "output_text.done",
        "refusal.delta",
        "refusal.done",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "reasoning_summary_text.delta",
        "reasoning_text.delta",
        "output_item.added",
        "output_item.done",
    }
)
"""The events that say something of the answer."""


class _EventForm(msgspec.Struct):
    """The data of an event of any type."""

    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    logprobs: list[TokenForm] | None = None
    item: Raw = _NULL
    response: Raw = _NULL
    code: str | int | None = None
    message: str | None = None
    error: Raw = _NULL


_decoder = msgspec.json.Decoder(_EventForm)
_error_decoder: Final[msgspec.json.Decoder[ErrorForm | str | None]] = msgspec.json.Decoder(
    ErrorForm | str | None
)
_response_decoder: Final[msgspec.json.Decoder[ResponseForm | None]] = msgspec.json.Decoder(
    ResponseForm | None
)


class _Item:
    """What an item has said so far."""

    __slots__ = ("arguments", "call", "done", "parts", "summary", "thought")

    def __init__(self) -> None:
        """Start before its first delta."""
        self.call: int | None = None
        self.arguments = False
        self.done = False
        self.parts: set[int] = set()
        self.thought: str | None = None
        """The kind of event that shows the thought: its summary, or itself, but not both."""
        self.summary = 0


class ResponsesStreamReader(EventReader):
    """Reads one stream; see `wire.dialect.StreamReader`."""

    __slots__ = ("_calls", "_items", "_started")

    def __init__(self, *, choices: int = 1) -> None:
        """Start before the first byte; this dialect has no more than one choice."""
        super().__init__(choices=min(choices, 1))
        self._started = False
        self._calls = 0
        self._items: dict[int, _Item] = {}

    def _read(self, data: bytes, found: list[Event]) -> None:
        """Read the data of one event; what is new to us means nothing."""
        if self.done or not data:
            return
        try:
            event = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        kind = event.type.removeprefix(_PREFIX)
        if kind in _CONTENT:
            self._begin(ResponseForm(), found)
            self._read_content(kind, event, found)
        elif kind == "error" or not kind:
            self._read_error(event, found)
        elif bytes(event.response) != b"null":
            self._read_response(kind, event.response, found)

    def _read_content(self, kind: str, event: _EventForm, found: list[Event]) -> None:
        item = self._items.get(event.output_index)
        if item is None:
            item = self._items[event.output_index] = _Item()
        match kind:
            case "output_text.delta" | "refusal.delta" if event.delta:
                item.parts.add(event.content_index)
                _say(kind, event.delta, event.logprobs, found)
            case "function_call_arguments.delta" if event.delta:
                _argue(item, event.delta, found)
            case "reasoning_summary_text.delta" | "reasoning_text.delta" if event.delta:
                _think(item, event, kind, event.delta, found)
            case "output_text.done" | "refusal.done":
                _read_part(item, event, kind, found)
            case "function_call_arguments.done" if event.arguments and not item.arguments:
                _argue(item, event.arguments, found)
            case "output_item.added" | "output_item.done":
                form = read_item(event.item)
                if form is not None:
                    self._read_item(item, form, found, whole=kind == "output_item.done")
            case _:
                pass

    def _read_item(self, item: _Item, form: ItemForm, found: list[Event], *, whole: bool) -> None:
        """Read the beginning of an item, or the whole of it."""
        arguments = form.called
        if arguments is not None and item.call is None:
            item.call = self._calls
            self._calls += 1
            found.append(ToolCallStarted(item.call, form.call_id or form.id or "", form.name or ""))
        if not whole or item.done:
            return
        item.done = True
        if arguments is not None:
            if arguments and not item.arguments:
                _argue(item, arguments, found)
        elif form.type == "reasoning":
            _read_thought(item, form, found)
        else:
            for at, part in enumerate(form.content or ()):
                if at not in item.parts and (part.text or part.refusal):
                    item.parts.add(at)
                    kind = "refusal" if part.refusal else "output_text"
                    _say(kind, part.refusal or part.text or "", part.logprobs, found)

    def _begin(self, response: ResponseForm, found: list[Event]) -> None:
        if not self._started:
            self._started = True
            model = response.model or ""
            found.append(Started(response.id or "", model, response.created_s))

    def _read_response(self, kind: str, raw: Raw, found: list[Event]) -> None:
        """Read the response as a whole: at its beginning, and at its end."""
        try:
            response = _response_decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if response is None:
            return
        if kind not in ("completed", "incomplete", "failed", "cancelled"):
            self._begin(response, found)
            return
        self.done = True
        self._begin(response, found)
        stop = None
        if kind in ("completed", "incomplete"):
            response.status = kind
            stop = response.stop(called=self._calls > 0)
        if stop is None:
            self._fail(response.error or ErrorForm(), found)
        else:
            found.append(Ended(stop))
        self.service_tier = response.service_tier or ""
        usage = read_usage(response.usage)
        if usage is not None:
            self.usage = usage
            found.append(Used(usage))

    def _read_error(self, event: _EventForm, found: list[Event]) -> None:
        """Read an `error` event, or the envelope that some servers send in its place."""
        error: ErrorForm | str | None = None
        try:
            error = _error_decoder.decode(event.error)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            error = ErrorForm()
        if isinstance(error, str):
            error = ErrorForm(message=error)
        if error is not None or event.type:
            self._fail(error or ErrorForm(event.code, event.message), found)

    def _fail(self, error: ErrorForm, found: list[Event]) -> None:
        """Read that the provider failed, once: some say it twice."""
        if self.failed:
            return
        self.failed = True
        code = str(error.code)
        kind = next((kind for word, kind in _FAILURES if word in code), Failure.SERVER)
        found.append(Failed(kind, error.message or UNSAID))


def _say(kind: str, text: str, logprobs: list[TokenForm] | None, found: list[Event]) -> None:
    if logprobs:
        found.append(LogprobsDelta(tuple(token.canonical() for token in logprobs)))
    found.append(RefusalDelta(text) if kind.startswith("refusal") else TextDelta(text))


def _read_part(item: _Item, event: _EventForm, kind: str, found: list[Event]) -> None:
    """Read a whole part, if nothing has come of it before."""
    text = event.refusal if kind.startswith("refusal") else event.text
    if text and event.content_index not in item.parts:
        item.parts.add(event.content_index)
        _say(kind, text, event.logprobs, found)


def _argue(item: _Item, text: str, found: list[Event]) -> None:
    """Read arguments; those of a call that has not begun belong to no call."""
    if item.call is not None:
        item.arguments = True
        found.append(ToolArgumentsDelta(item.call, text))


def _think(item: _Item, event: _EventForm, kind: str, text: str, found: list[Event]) -> None:
    """Read more of a thought; the parts of its summary are paragraphs."""
    if item.thought is None:
        item.thought = kind
        item.summary = event.summary_index
    if item.thought != kind:
        return
    if event.summary_index != item.summary:
        item.summary = event.summary_index
        found.append(ThinkingDelta(thoughts.PART_SEPARATOR))
    found.append(ThinkingDelta(text))


def _read_thought(item: _Item, form: ItemForm, found: list[Event]) -> None:
    """Read the end of a thought, which has its seal."""
    if item.thought is not None:
        if form.encrypted_content:
            sealed = thoughts.seal(form.id or "", form.encrypted_content)
            found.append(ThinkingDelta("", sealed))
        return
    thought = thoughts.by_provider(form.id or "", form.thought, form.encrypted_content)
    if isinstance(thought, Thinking):
        found.append(ThinkingDelta(thought.text))
        if thought.signature is not None:
            found.append(ThinkingDelta("", thought.signature))
    elif thought is not None:
        found.append(RedactedThinkingPart(thought.data))


_FAILURES: Final = (
    ("overloaded", Failure.OVERLOADED),
    ("unavailable", Failure.OVERLOADED),
    ("rate_limit", Failure.RATE_LIMITED),
    ("slow_down", Failure.RATE_LIMITED),
    ("timeout", Failure.TIMEOUT),
    ("invalid", Failure.INVALID),
    ("context_length", Failure.INVALID),
    ("image", Failure.INVALID),
    ("policy", Failure.INVALID),
)
"""Words of a code that tell the kind, the first that fits."""
