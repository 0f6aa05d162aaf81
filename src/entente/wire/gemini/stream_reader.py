"""Streams of streamGenerateContent with `alt=sse`: each event is a response of its own. Pure.

Calls come whole. The usage is in every event and grows; the reason is in the last one of its
candidate. An error is an event too, and the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from entente.domain.errors import UpstreamProtocolError
from entente.domain.events import (
    Ended,
    Event,
    Failed,
    Failure,
    LogprobsDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.inference import Stop
from entente.domain.usage import Usage
from entente.wire.gemini.answers import (
    FAILED,
    Candidate,
    Error,
    PartForm,
    Response,
    UsageMetadata,
    decoder,
    stop_of,
)
from entente.wire.progress import Progress
from entente.wire.sse import Splitter, events, payload

_DONE: Final = b"[DONE]"
"""No word of Gemini's, but some who stand between send it."""
_CONTENT: Final = frozenset({TextDelta, ThinkingDelta, ToolCallStarted})
_FAILURES: Final[Mapping[str | int | None, Failure]] = {
    "UNAVAILABLE": Failure.OVERLOADED,
    "RESOURCE_EXHAUSTED": Failure.RATE_LIMITED,
    "DEADLINE_EXCEEDED": Failure.TIMEOUT,
    "INVALID_ARGUMENT": Failure.INVALID,
    "FAILED_PRECONDITION": Failure.INVALID,
    503: Failure.OVERLOADED,
    429: Failure.RATE_LIMITED,
    504: Failure.TIMEOUT,
    400: Failure.INVALID,
}


class StreamReader(Progress):
    """Reads one stream. See `wire.dialect.StreamReader`."""

    __slots__ = (
        "_calls",
        "_counted",
        "_reported",
        "_response_id",
        "_said",
        "_splitter",
        "_started",
    )

    def __init__(self, *, choices: int = 1) -> None:
        """Start before the first byte; so many candidates were asked for."""
        super().__init__(choices=choices)
        self._splitter = Splitter()
        self._started = False
        self._response_id: str | None = None
        self._calls: dict[int, int] = {}
        """How many calls each candidate that has begun has made."""
        self._reported: Usage | None = None
        self._counted = False
        """The last report counts all that has come."""
        self._said: set[type[Event]] = set()
        """What kinds of content have come."""

    def feed(self, data: bytes, /) -> list[Event]:
        """Take a piece of the stream; give the events that it completes.

        Raises UpstreamProtocolError for an event that is too long, or no response.
        """
        found: list[Event] = []
        for event in events(self._splitter.feed(data)):
            found += self._event(payload(event))
        return found

    def close(self) -> list[Event]:
        """Take the end of the bytes, which is the end of the stream if all that began ended."""
        rest = payload(self._splitter.rest)
        try:
            found = self._event(rest) if rest else []
        except UpstreamProtocolError:
            found = []
        if self.stops and set(self._calls) <= set(self.stops):
            self.done = True
        return found

    def _event(self, data: bytes) -> list[Event]:
        if self.failed or not data.strip() or data.strip() == _DONE:
            return []
        try:
            response = decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            message = "The provider sent an event of its stream that cannot be read."
            raise UpstreamProtocolError(message) from None
        found = self.note(self._response(response))
        self.usage = self._reported if self._counted or self.whole else None
        return found

    def _response(self, response: Response) -> list[Event]:
        """Read one event."""
        if response.error is not None:
            return [_failed(response.error)]
        found: list[Event] = []
        if not self._started:
            self._started = True
            self._response_id = response.response_id
            found.append(Started(response.response_id or "", response.model_version or ""))
        if response.blocked:
            self.done = True
            found.append(Ended(Stop.FILTERED))
        for candidate in response.candidates:
            found += self._candidate(candidate)
        said = {type(event) for event in found} & _CONTENT
        self._said |= said
        if said:
            self._counted = False
        found += self._usage(response.usage_metadata)
        return found

    def _usage(self, reported: UsageMetadata | None) -> list[Event]:
        """Read the usage so far, where it is another than before."""
        usage = reported.disjoint() if reported is not None else None
        if reported is None or usage is None:
            return []
        self._counted = self._counts(reported)
        if usage == self._reported:
            return []
        self._reported = usage
        return [Used(usage)]

    def _counts(self, reported: UsageMetadata) -> bool:
        """Say whether a report counts what has come: some before the last only count the prompt."""
        if reported.candidates_token_count is not None or not self._said:
            return True
        return self._said == {ThinkingDelta} and reported.thoughts_token_count is not None

    def _candidate(self, candidate: Candidate) -> list[Event]:
        """Read a piece of one answer, and its end."""
        choice = candidate.index
        if choice in self.stops:
            return []
        self._calls.setdefault(choice, 0)
        found: list[Event] = []
        for part in candidate.parts:
            found += self._part(part, choice)
        logprobs = candidate.logprobs()
        if logprobs:
            found.append(LogprobsDelta(logprobs, choice=choice))
        reason = candidate.finish_reason
        if reason in FAILED:
            sentence = candidate.finish_message or f"The model gave no answer: {reason}."
            return [*found, Failed(Failure.SERVER, sentence)]
        stop = stop_of(reason, called=self._calls[choice] > 0)
        if stop is not None:
            found.append(Ended(stop, choice=choice))
        return found

    def _part(self, part: PartForm, choice: int) -> list[Event]:
        """Read a part; a signature comes before its call, and behind its text."""
        signature = part.signature
        signed = [ThinkingDelta("", signature, choice)] if signature else []
        call = part.function_call
        if call is not None:
            number = self._calls[choice]
            self._calls[choice] += 1
            id = call.call_id(self._response_id, number)
            return [
                *signed,
                ToolCallStarted(number, id, call.name, choice),
                ToolArgumentsDelta(number, call.arguments(), choice),
            ]
        if part.text and part.thought:
            return [ThinkingDelta(part.text, signature, choice)]
        return [TextDelta(part.text, choice), *signed] if part.text else [*signed]


def _failed(error: Error) -> Failed:
    """Read an error by its status, or else by its code."""
    kind = _FAILURES.get(error.status) or _FAILURES.get(error.code) or Failure.SERVER
    return Failed(kind, error.message or "The provider sent an error without words.")
