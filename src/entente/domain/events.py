"""An answer as it comes: the events of a stream, the same for every dialect.

In order: one `Started`; deltas; one `Ended` per choice; `Used`, where usage is reported,
anywhere, each report replacing the one before. `Failed` is the last event of an answer
that has no end. `choice` counts the choices of an answer; tool calls are counted within
their choice, from 0. A delta belongs to the part that it continues: a new part begins
where the kind of delta changes, with each `ToolCallStarted`, and behind a signature.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from entente.domain.inference import Stop, TokenLogprob
from entente.domain.usage import Usage


class Started(msgspec.Struct, frozen=True, gc=False):
    """The provider has begun to answer."""

    id: str
    """The provider's own id of the answer, "" where it has none."""
    model: str
    created_s: int | None = None
    """Seconds since 1970."""


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """More text."""

    text: str
    choice: int = 0


class ThinkingDelta(msgspec.Struct, frozen=True, gc=False):
    """More of a thought; a signature closes it."""

    text: str
    signature: str | None = None
    choice: int = 0


class RedactedThinkingPart(msgspec.Struct, frozen=True, gc=False):
    """A whole encrypted thought."""

    data: str
    choice: int = 0


class RefusalDelta(msgspec.Struct, frozen=True, gc=False):
    """More of the model's words of refusing."""

    text: str
    choice: int = 0


class ToolCallStarted(msgspec.Struct, frozen=True, gc=False):
    """The model begins to call a tool."""

    index: int
    """Which call of its choice."""
    id: str
    name: str
    choice: int = 0


class ToolArgumentsDelta(msgspec.Struct, frozen=True, gc=False):
    """More of the JSON of a call's arguments. Calls may take turns."""

    index: int
    text: str
    choice: int = 0


class LogprobsDelta(msgspec.Struct, frozen=True):
    """How likely the tokens were that come next, or have just come."""

    tokens: tuple[TokenLogprob, ...]
    refusal: bool = False
    """They are of the refusal, not of the text."""
    choice: int = 0


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A choice has come to its end."""

    stop: Stop
    stop_sequence: str | None = None
    """The one that was matched, for `Stop.STOP_SEQUENCE`."""
    choice: int = 0


class Used(msgspec.Struct, frozen=True, gc=False):
    """What the provider reports to have used so far in all; it replaces what it said before."""

    usage: Usage


class Failure(StrEnum):
    """What kind of failure broke an answer off."""

    SERVER = "server"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    INVALID = "invalid"
    """The provider found fault with the request after it had begun."""


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The provider broke the answer off, and said so."""

    kind: Failure
    message: str


Event: TypeAlias = (
    Started
    | TextDelta
    | ThinkingDelta
    | RedactedThinkingPart
    | RefusalDelta
    | ToolCallStarted
    | ToolArgumentsDelta
    | LogprobsDelta
    | Ended
    | Used
    | Failed
)
