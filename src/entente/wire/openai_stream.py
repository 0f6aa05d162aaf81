"""Following a stream of chunks, of chat or of completions, without taking it apart. Pure.

Events pass through as they came. Each is decoded as far as settling needs (how choices
ended, usage, errors), which is cheaper than to search for what might matter. The end
marker is kept back, because the gateway settles before it lets the last bytes go.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

import msgspec
from msgspec import UNSET

from entente.domain.chat import Status
from entente.domain.errors import EntenteError
from entente.domain.usage import Usage
from entente.wire.openai import ending, read_completion, stream_error
from entente.wire.sse import EVENT_BYTES_MAX, Splitter, events, payload

_USAGE_NULL: Final = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,\s*')
_TEXT: Final = re.compile(rb':\s*"([^"\\]*(?:\\.[^"\\]*)*)"')
_USAGE_NAME: Final = b'"usage"'
_USUAL_NULL: Final = b',"usage":null'
_DATA: Final = b"data: "
_DONE: Final = b"[DONE]"
_DONE_BYTES_MAX: Final = 64
"""With any blanks around it."""
_QUOTES: Final = 2
_NULLS_MAX: Final = 16
"""So many are tried of which one may be the chunk's own; each takes a reading of the chunk."""


class _Texts(msgspec.Struct):
    delta: msgspec.Raw = msgspec.Raw(b"{}")
    text: msgspec.Raw = msgspec.Raw(b'""')
    """A completion has its text here."""


class _Chunk(msgspec.Struct):
    choices: list[_Texts] = []


_texts_decoder = msgspec.json.Decoder(_Chunk)


class ChatStream:
    """What has come of one stream so far, and what it means.

    `hide_usage` takes out what only we asked for: the usage event, and `"usage":null`
    in the chunks before it. `choices` is the number of choices that have to end.
    """

    __slots__ = (
        "_choices",
        "_envelope_bytes",
        "_hide_usage",
        "_reasons",
        "_shortest_bytes",
        "_splitter",
        "bytes_seen",
        "chunks_seen",
        "done",
        "end",
        "failed",
        "service_tier",
        "usage",
    )

    def __init__(self, *, hide_usage: bool, choices: int) -> None:
        """Start before the first byte."""
        self._splitter = Splitter()
        self._hide_usage = hide_usage
        self._choices = choices
        self._reasons: dict[int, str] = {}
        self._shortest_bytes = EVENT_BYTES_MAX
        self._envelope_bytes = EVENT_BYTES_MAX
        self.bytes_seen = 0
        self.chunks_seen = 0
        self.usage: Usage | None = None
        self.service_tier = ""
        self.failed = False
        self.done = False
        self.end = b""
        """The end marker and what follows it, to be sent after the settlement."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the stream; give what may go to the client now."""
        block = self._splitter.feed(data)
        self.bytes_seen += len(block)
        if block.find(b"\n") == len(block) - 2 and block.startswith(_DATA) and b"\r" not in block:
            return self._event(block, block[len(_DATA) : -2])  # one event of one line
        return b"".join([self._event(event, payload(event)) for event in events(block)])

    def _measure(self, event: bytes) -> None:
        """Measure what an estimate is made of, should no usage be reported."""
        self._shortest_bytes = len(event)
        self._envelope_bytes = min(self._envelope_bytes, len(event) - _text_bytes(event))

    def _event(self, event: bytes, data: bytes) -> bytes:
        """Note what an event means; give the part of it that goes to the client now."""
        if self.done or (len(data) < _DONE_BYTES_MAX and data.strip() == _DONE):
            self.done = True
            self.end += event
            return b""
        chunk = read_completion(data)
        if chunk is None:
            return event
        if chunk.choices is not None:
            self.chunks_seen += 1
            if len(event) < self._shortest_bytes:
                self._measure(event)
            for choice in chunk.choices:
                if choice.finish_reason:
                    self._reasons[choice.index or 0] = choice.finish_reason
        if chunk.failed:
            self.failed = True
        if chunk.usage:
            self.usage = chunk.usage.disjoint()
            self.service_tier = chunk.tier
            return b"" if self._hide_usage and not chunk.choices and not chunk.failed else event
        return _without_usage(event) if self._hide_usage and chunk.usage is None else event

    def close(self) -> bytes:
        """Take the end of the bytes; give what of an event without its blank line may go.

        Of an answer that broke off that is nothing: half an event would only mislead.
        """
        rest = self._splitter.rest
        self.bytes_seen += len(rest)
        last = self._event(rest, payload(rest)) if rest else b""
        return last if self.whole else b""

    def fail(self, error: EntenteError) -> bytes:
        """Give the event that ends the stream in failure; no end marker follows it."""
        return stream_error(error)

    @property
    def whole(self) -> bool:
        """Whether the answer came to an end of its own: every choice gave its reason.

        A provider that gives fewer choices than were asked for says so by its end marker.
        """
        enough = 1 if self.done else self._choices
        return len(self._reasons) >= enough and not self.failed

    @property
    def status(self) -> Status:
        """How the stream ended, once no more comes. The end of the bytes alone is no end."""
        if self.failed:
            return Status.FAILED
        return ending(self._reasons.values()) if self.whole else Status.TRUNCATED

    @property
    def output_tokens_bound(self) -> int:
        """An upper bound of the output tokens so far, for a stream that reports none.

        A token is at least a byte, and a chunk at least a token. Text is what chunks have
        above their envelope, as the shortest of them show it.
        """
        if not self.chunks_seen:
            return self.bytes_seen
        return self.bytes_seen - self.chunks_seen * (self._envelope_bytes - 1)


def _text_bytes(event: bytes) -> int:
    """Count the bytes of the texts in a chunk, escapes as they are written."""
    try:
        choices = _texts_decoder.decode(payload(event)).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return len(event)
    deltas = sum(len(text) for c in choices for text in _TEXT.findall(bytes(c.delta)))
    return deltas + sum(max(len(bytes(c.text)) - _QUOTES, 0) for c in choices)


def _without_usage(event: bytes) -> bytes:
    """Take `"usage":null` out of a chunk, and no member of that name deeper inside."""
    if event.count(_USAGE_NAME) == 1 and _USUAL_NULL in event:
        return event.replace(_USUAL_NULL, b"")
    for match in islice(_USAGE_NULL.finditer(event), _NULLS_MAX):
        shorter = event[: match.start()] + event[match.end() :]
        if event.count(_USAGE_NAME) == 1:
            return shorter
        chunk = read_completion(payload(shorter))
        if chunk is not None and chunk.usage is UNSET:
            return shorter
    return event
