"""Streams of chat completion chunks, read into events. Pure."""

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
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.inference import Text
from entente.wire.openai import WireUsage, read_created, read_tier
from entente.wire.openai_chat.answers import (
    CalledForm,
    CallForm,
    LogprobsForm,
    MessageForm,
    call_id,
    read_stop,
    read_tokens,
)
from entente.wire.progress import EventReader

_DONE: Final = b"[DONE]"
_NO_ERROR: Final = (b"null", b"{}", b'""', b"false", b"0")
_UNSAID: Final = "The provider failed while it answered."


class _ErrorForm(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None


class _ChoiceForm(msgspec.Struct):
    index: int | None = None
    delta: MessageForm | None = None
    finish_reason: str | None = None
    logprobs: LogprobsForm | None = None


class _Unmetered(msgspec.Struct):
    """A chunk without its usage."""

    choices: list[_ChoiceForm] | None = None
    id: str | None = None
    model: str | None = None
    created: Raw = Raw(b"null")
    error: Raw = Raw(b"null")


class _ChunkForm(_Unmetered):
    """A chunk."""

    usage: WireUsage | None = None
    service_tier: Raw = Raw(b"null")


_decoder = msgspec.json.Decoder(_ChunkForm)
_unmetered_decoder = msgspec.json.Decoder(_Unmetered)
_error_decoder = msgspec.json.Decoder(_ErrorForm | str)


class ChatStreamReader(EventReader):
    """Reads one stream; see `wire.dialect.StreamReader`."""

    __slots__ = ("_calls", "_id", "_started")

    def __init__(self, *, choices: int = 1) -> None:
        """Start before the first byte of an answer of so many choices."""
        super().__init__(choices=choices)
        self._started = False
        self._id = ""
        self._calls: dict[int, _Calls] = {}

    def _read(self, data: bytes, found: list[Event]) -> None:
        """Read the data of one event; what is no chunk means nothing."""
        if self.done or not data:
            return
        if data.strip() == _DONE:
            self.done = True
            return
        chunk = _read_chunk(data)
        if chunk is None:
            return
        if bytes(chunk.error) not in _NO_ERROR:
            found.append(_failure(chunk.error))
            return
        if not self._started and (chunk.id or any(c.delta for c in chunk.choices or ())):
            self._started = True
            self._id = chunk.id or ""
            found.append(Started(self._id, chunk.model or "", read_created(chunk.created)))
        for choice in chunk.choices or ():
            self._read_choice(choice, found)
        if isinstance(chunk, _ChunkForm) and chunk.usage is not None:
            self.usage = chunk.usage.disjoint()
            self.service_tier = read_tier(chunk.service_tier)
            if self.usage is not None:
                found.append(Used(self.usage))

    def _read_choice(self, form: _ChoiceForm, found: list[Event]) -> None:
        index = form.index or 0
        if form.logprobs is not None:
            _read_logprobs(form.logprobs, index, found)
        delta = form.delta
        if delta is not None:
            if delta.content:
                _read_content(delta, index, found)
            thought = delta.reasoning_content or delta.reasoning
            if thought:
                found.append(ThinkingDelta(thought, None, index))
            if delta.refusal:
                found.append(RefusalDelta(delta.refusal, index))
            if delta.tool_calls:
                calls = self._calls.setdefault(index, _Calls())
                for call in delta.tool_calls:
                    calls.read(call, self._id, index, found)
        if form.finish_reason and index not in self.stops:
            stop = read_stop(form.finish_reason, called=index in self._calls)
            self.stops[index] = stop
            found.append(Ended(stop, None, index))


class _Calls:
    """The calls of one choice so far, counted as they begin.

    Providers differ: some leave the index out, some give every call the same one. A call
    begins with a new index, or with an id other than that of the call before.
    """

    __slots__ = ("_count", "_ids", "_numbers")

    def __init__(self) -> None:
        """Start before the first call."""
        self._count = 0
        self._numbers: dict[int | None, int] = {}
        self._ids: dict[int, str | None] = {}

    def read(self, call: CallForm, answer_id: str, choice: int, found: list[Event]) -> None:
        """Read a piece of a call."""
        function = call.function or CalledForm()
        number = self._numbers.get(call.index)
        if number is None or (call.id and function.name and call.id != self._ids[number]):
            number = self._count
            self._count += 1
            self._numbers[call.index] = number
            self._ids[number] = call.id
            name = call.id or call_id(answer_id, choice, number)
            found.append(ToolCallStarted(number, name, function.name or "", choice))
        if function.arguments:
            found.append(ToolArgumentsDelta(number, function.arguments, choice))


def _read_chunk(data: bytes) -> _Unmetered | None:
    """Read a chunk; one whose usage makes no sense is a chunk still."""
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    try:
        return _unmetered_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _read_content(delta: MessageForm, choice: int, found: list[Event]) -> None:
    if isinstance(delta.content, str):
        found.append(TextDelta(delta.content, choice))
        return
    for piece in delta.said():
        if isinstance(piece, Text):
            found.append(TextDelta(piece.text, choice))
        else:
            found.append(ThinkingDelta(piece.text, None, choice))


def _read_logprobs(form: LogprobsForm, choice: int, found: list[Event]) -> None:
    for tokens, refusal in ((form.content, False), (form.refusal, True)):
        if read := read_tokens(tokens):
            found.append(LogprobsDelta(read, refusal, choice))


def _failure(error: Raw) -> Failed:
    """Read the error that ends a stream in place of an answer."""
    try:
        form = _error_decoder.decode(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Failed(Failure.SERVER, _UNSAID)
    if isinstance(form, str):
        return Failed(Failure.SERVER, form)
    words = f"{form.type} {form.code}"
    kind = next((kind for word, kind in _FAILURES if word in words), Failure.SERVER)
    return Failed(kind, form.message or _UNSAID)


_FAILURES: Final = (
    ("overloaded", Failure.OVERLOADED),
    ("unavailable", Failure.OVERLOADED),
    ("rate_limit", Failure.RATE_LIMITED),
    ("429", Failure.RATE_LIMITED),
    ("timeout", Failure.TIMEOUT),
    ("invalid_request", Failure.INVALID),
)
"""Words of a type or code that tell the kind, the first that fits."""
