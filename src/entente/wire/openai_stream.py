"""Following a stream of chat completion chunks without taking it apart. Pure.

Blocks of whole events pass through as they came. Only an event that may matter (it ends a
choice, reports usage or an error, or is the end marker) is decoded; the end marker is
kept back, because the gateway settles before it lets the last bytes go.
"""

from __future__ import annotations

import re
from typing import Final

from entente.domain.chat import Status
from entente.domain.usage import Usage
from entente.wire.openai import ending, read_completion
from entente.wire.sse import Splitter, events, payload

_NOTABLE: Final = re.compile(rb'"finish_reason"\s*:\s*"|"usage"|"error"|\[DONE\]')
_USAGE_NULL: Final = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,\s*')
_DONE: Final = b"[DONE]"


class ChatStream:
    """What has come of one stream so far, and what it means.

    `hide_usage` takes out what only we asked for: the usage event, and `"usage":null`
    in the chunks before it. `choices` is the number of choices that have to end.
    """

    __slots__ = (
        "_choices",
        "_event_bytes_min",
        "_hide_usage",
        "_reasons",
        "_splitter",
        "bytes_seen",
        "done",
        "end",
        "events_seen",
        "failed",
        "usage",
    )

    def __init__(self, *, hide_usage: bool, choices: int) -> None:
        """Start before the first byte."""
        self._splitter = Splitter()
        self._hide_usage = hide_usage
        self._choices = choices
        self._reasons: list[str] = []
        self._event_bytes_min = 0
        self.bytes_seen = 0
        self.events_seen = 0
        self.usage: Usage | None = None
        self.failed = False
        self.done = False
        self.end = b""
        """The end marker and what follows it, to be sent after the settlement."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the stream; give what may go to the client now."""
        block = self._splitter.feed(data)
        if not block:
            return block
        count = block.count(b"\n\n") or 1
        self.events_seen += count
        self.bytes_seen += len(block)
        average = len(block) // count
        if average < self._event_bytes_min or not self._event_bytes_min:
            self._event_bytes_min = average
        if self.done or _NOTABLE.search(block):
            return b"".join([self._event(event) for event in events(block)])
        return block

    def _event(self, event: bytes) -> bytes:
        """Note what an event means; give the part of it that goes to the client now."""
        data = payload(event)
        if self.done or data.strip() == _DONE:
            self.done = True
            self.end += event
            return b""
        chunk = read_completion(data)
        if chunk is None:
            return event
        if chunk.failed:
            self.failed = True
        self._reasons += chunk.reasons
        if chunk.usage is not None:
            self.usage = chunk.usage.disjoint()
            return b"" if self._hide_usage and not chunk.choices else event
        return _USAGE_NULL.sub(b"", event, count=1) if self._hide_usage else event

    @property
    def rest(self) -> bytes:
        """What the provider sent after its last whole event."""
        return self._splitter.rest

    @property
    def whole(self) -> bool:
        """Whether the answer came to an end of its own: every choice gave its reason."""
        return len(self._reasons) >= self._choices and not self.failed

    @property
    def status(self) -> Status:
        """How the stream ended, once no more comes. The end of the bytes alone is no end."""
        if self.failed:
            return Status.FAILED
        return ending(self._reasons) if self.whole else Status.TRUNCATED

    @property
    def output_tokens_bound(self) -> int:
        """An upper bound of the output tokens so far, for a stream that reports none.

        What events have above the shortest of them is at least the text in them; a token
        is at least a byte, and an event at least one token.
        """
        return self.bytes_seen - self.events_seen * self._event_bytes_min + self.events_seen
