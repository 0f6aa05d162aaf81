"""Batches: many requests in one file, their states, and what became of each of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from entente.domain.usage import NOTHING, Usage


class State(StrEnum):
    """Where a batch is; the words are OpenAI's."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


UNFINISHED: Final = (State.VALIDATING, State.IN_PROGRESS, State.CANCELLING, State.FINALIZING)
CANCELLABLE: Final = (State.VALIDATING, State.IN_PROGRESS)


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with the input of a batch. Lines count from one."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class Counts(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many requests ended how."""

    total: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A batch as it is kept. Times are seconds since 1970."""

    id: str
    kind: str
    """Of stored object: `batch`, OpenAI's, or `message_batch`, Anthropic's."""
    route: str
    """OpenAI's or Anthropic's path of the requests."""
    endpoint: str = ""
    """The same as the client wrote it."""
    is_azures: bool = False
    input_file_id: str = ""
    window: str = "24h"
    output_kept_s: int | None = None
    """How long the files of results are kept; None for ever."""
    metadata: Mapping[str, str] | None = None
    model: str = ""
    state: State = State.VALIDATING
    ending: State = State.COMPLETED
    """What it will be when it is finalised."""
    created_s: int
    expires_s: int
    """Nothing is begun after this."""
    in_progress_s: int | None = None
    cancelling_s: int | None = None
    finalizing_s: int | None = None
    ended_s: int | None = None
    faults: tuple[Fault, ...] = ()
    counts: Counts = Counts()
    usage: Usage = NOTHING
    output_id: str = ""
    error_id: str = ""


class Ending(StrEnum):
    """What became of one request of a batch."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    INTERRUPTED = "interrupted"
    """The server ended twice while it ran."""


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one request: an answer, or the reason for none."""

    ending: Ending
    custom_id: str
    request_id: str = ""
    status: int = 0
    body: bytes = b""
    usage: Usage = NOTHING
    times: int = 1
    """How often it was begun: two after a crash came between."""
