"""Following a stream of server-sent events without taking it apart. Pure.

Blocks of whole events pass through as they came. Only an event that may matter is read;
the end marker is kept back, because the gateway settles before it lets the last bytes go.
"""

from __future__ import annotations

import re

from entente.wire.progress import EventReader, Followed
from entente.wire.sse import Splitter, events


class Follower(Followed):
    """What has come of one stream so far, and what it means."""

    __slots__ = ("_bytes_seen", "_notable", "_splitter", "end")

    def __init__(self, reader: EventReader, notable: re.Pattern[bytes]) -> None:
        """Start before the first byte; `notable` is found in every event that may matter."""
        super().__init__(reader)
        self._splitter = Splitter()
        self._notable = notable
        self._bytes_seen = 0
        self.end = b""
        """The end marker and what follows it, to be sent after the settlement."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the stream; give what may go to the client now."""
        block = self._splitter.feed(data)
        if not block:
            return block
        self._bytes_seen += len(block)
        if self.done or self._notable.search(block):
            return b"".join([self._event(event) for event in events(block)])
        return block

    def _event(self, event: bytes) -> bytes:
        """Note what an event means; give it back unless it is of the end."""
        if not self.done and self._notable.search(event):
            self._reader.feed(event)
        shown = self._shown(event)
        if self.done:
            self.end += shown
            return b""
        return shown

    def _shown(self, event: bytes) -> bytes:
        """Give an event that may matter as the client gets it."""
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
        rest = self._shown(rest)
        if self.done:
            self.end += rest
            return b""
        return rest if self.whole else b""

    @property
    def output_tokens_bound(self) -> int:
        """An upper bound of the output tokens so far: an event's bytes are more than its tokens."""
        return self._bytes_seen
