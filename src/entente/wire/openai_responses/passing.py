"""Following a stream of a response without taking it apart. Pure.

Blocks of whole events pass through as they came. Only an event that may matter (the last
of an answer, and errors) is decoded; the last one is kept back, because the gateway settles
before it lets the last bytes go.
"""

from __future__ import annotations

import re
from typing import Final

from entente.domain.chat import Status
from entente.domain.errors import EntenteError
from entente.domain.usage import Usage
from entente.wire.openai_responses import faults
from entente.wire.openai_responses.stream_reader import ResponsesStreamReader
from entente.wire.sse import Splitter, events

_NOTABLE: Final = re.compile(
    rb'"type"\s*:\s*"(?:error|response\.(?:completed|incomplete|failed|cancelled))"'
    rb'|"error"\s*:\s*[{"]'
)
_NUMBER: Final = re.compile(rb'"sequence_number"\s*:\s*(\d{1,15})')
_NUMBER_NAME: Final = b'"sequence_number"'


class ResponsesStream:
    """What has come of one stream so far, and what it means; like `openai_stream.ChatStream`."""

    __slots__ = ("_bytes_seen", "_last", "_reader", "_splitter", "end")

    def __init__(self) -> None:
        """Start before the first byte."""
        self._splitter = Splitter()
        self._reader = ResponsesStreamReader()
        self._bytes_seen = 0
        self._last = b""
        self.end = b""
        """The event that ends the response and what follows it, to be sent after the settlement."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the stream; give what may go to the client now."""
        block = self._splitter.feed(data)
        if not block:
            return block
        self._bytes_seen += len(block)
        if self.done or _NOTABLE.search(block):
            block = b"".join([self._event(event) for event in events(block)])
        if block:
            self._last = block
        return block

    def _event(self, event: bytes) -> bytes:
        """Note what an event means; give it back unless it is of the end."""
        if not self.done and _NOTABLE.search(event):
            self._reader.feed(event)
        if self.done:
            self.end += event
            return b""
        return event

    def close(self) -> bytes:
        """Take the end of the bytes; give what of an event without its blank line may go.

        Of an answer that broke off that is nothing: half an event would only mislead.
        """
        rest = self._splitter.rest
        if not rest:
            return b""
        self._bytes_seen += len(rest)
        if not self.done:
            self._reader.feed(rest)
            self._reader.close()
        if self.done:
            self.end += rest
            return b""
        return rest if self.whole else b""

    def fail(self, error: EntenteError) -> bytes:
        """Give the error event for an answer that we break off, numbered behind what was sent."""
        at = self._last.rfind(_NUMBER_NAME)
        found = _NUMBER.match(self._last, at) if at >= 0 else None
        return faults.stream_error(error, int(found[1]) + 1 if found else 0)

    @property
    def done(self) -> bool:
        """Whether the event that ends the response has come."""
        return self._reader.done

    @property
    def whole(self) -> bool:
        """Whether the answer came to an end of its own."""
        return self._reader.whole

    @property
    def status(self) -> Status:
        """How the stream ended, once no more comes. The end of the bytes alone is no end."""
        return self._reader.status

    @property
    def usage(self) -> Usage | None:
        """What the provider reported for the whole answer; None is unknown."""
        return self._reader.usage

    @property
    def output_tokens_bound(self) -> int:
        """An upper bound of the output tokens so far: an event's bytes are more than its tokens."""
        return self._bytes_seen
