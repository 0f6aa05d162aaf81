"""How far a provider's stream has come, kept the same way for every dialect. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from entente.domain.chat import Status
from entente.domain.events import (
    Ended,
    Event,
    Failed,
    RedactedThinkingPart,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from entente.domain.inference import STATUSES, Stop
from entente.domain.usage import Usage
from entente.wire.dialect import StreamReader
from entente.wire.sse import Splitter, events, payload

_ORDER: Final = (Status.FILTERED, Status.LENGTH)
"""Of several choices a filter weighs more than a length, and a length more than an end."""


def status_of(stops: Iterable[Stop]) -> Status:
    """Give the one status of an answer whose choices stopped so."""
    statuses = {STATUSES[stop] for stop in stops}
    return next((status for status in _ORDER if status in statuses), Status.COMPLETE)


class Progress:
    """The part of a stream reader that does not depend on the dialect.

    A reader passes the events that it makes through `note`. `usage` is set by the reader,
    and only to what can be charged for the whole answer so far.
    """

    __slots__ = ("_choices", "_output_bytes", "done", "failed", "service_tier", "stops", "usage")

    def __init__(self, *, choices: int = 1) -> None:
        """Start before the first byte; so many choices have to end."""
        self._choices = choices
        self._output_bytes = 0
        self.stops: dict[int, Stop] = {}
        self.usage: Usage | None = None
        self.service_tier = ""
        """As the provider reported it."""
        self.done = False
        self.failed = False

    def note(self, events: list[Event]) -> list[Event]:
        """Take notice of events that go on; give them back."""
        for event in events:
            match event:
                case TextDelta() | RefusalDelta() | ToolArgumentsDelta():
                    self._output_bytes += _size(event.text)
                case ThinkingDelta():
                    self._output_bytes += _size(event.text) + len(event.signature or "")
                case RedactedThinkingPart():
                    self._output_bytes += _size(event.data)
                case ToolCallStarted():
                    self._output_bytes += _size(event.name)
                case Ended():
                    self.stops.setdefault(event.choice, event.stop)
                case Failed():
                    self.failed = True
                case Started():
                    self._output_bytes += 1
                case _:
                    pass
        return events

    @property
    def whole(self) -> bool:
        """Whether the answer came to an end of its own: every choice gave its reason.

        A provider that gives fewer choices than were asked for says so by its end marker.
        """
        enough = 1 if self.done else self._choices
        return len(self.stops) >= enough and not self.failed

    @property
    def status(self) -> Status:
        """How the stream ended, once no more comes. The end of the bytes alone is no end."""
        if self.failed:
            return Status.FAILED
        return status_of(self.stops.values()) if self.whole else Status.TRUNCATED

    @property
    def output_tokens_bound(self) -> int:
        """An upper bound of the output tokens so far: a byte of text each, and one a delta."""
        return self._output_bytes


class Followed:
    """What holds a reader and is as far as that has come."""

    __slots__ = ("_reader",)

    def __init__(self, reader: StreamReader) -> None:
        """Take the reader."""
        self._reader = reader

    @property
    def done(self) -> bool:
        """Whether the provider's end marker has come."""
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
    def service_tier(self) -> str:
        """The tier that the provider says it is served in; empty while it has not."""
        return self._reader.service_tier


class EventReader(Progress, ABC):
    """A stream reader of a dialect whose events are server-sent events."""

    __slots__ = ("_splitter",)

    def __init__(self, *, choices: int = 1) -> None:
        """Start before the first byte; so many choices have to end."""
        super().__init__(choices=choices)
        self._splitter = Splitter()

    def feed(self, data: bytes) -> list[Event]:
        """Take a piece of the stream; give the events that it completes."""
        found: list[Event] = []
        for event in events(self._splitter.feed(data)):
            self._read(payload(event), found)
        return self.note(found)

    def close(self) -> list[Event]:
        """Take the end of the bytes. An event may lack its blank line, but not its half."""
        rest = self._splitter.rest
        found: list[Event] = []
        if rest:
            self._read(payload(rest), found)
        return self.note(found)

    @abstractmethod
    def _read(self, data: bytes, found: list[Event]) -> None:
        """Read the data of one event; what is new to us means nothing."""


def _size(text: str) -> int:
    """Count the bytes of a text, and one."""
    return 1 + (len(text) if text.isascii() else len(text.encode()))
