"""The models that clients can name, and the plan of who is asked for one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from entente.domain.errors import (
    EntenteError,
    UpstreamBusy,
    UpstreamConnectError,
    UpstreamError,
    UpstreamTimeout,
)
from entente.domain.features import OnLoss

RETRIABLE_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504, 529})


class Target(msgspec.Struct, frozen=True):
    """A provider's deployment of a model."""

    provider: str
    model: str

    def __str__(self) -> str:
        """Write it as the ledger does."""
        return f"{self.provider}/{self.model}"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model as clients name it."""

    name: str
    targets: tuple[Target, ...]
    output_tokens_max: int
    context_tokens: int | None = None
    attachment_tokens_max: int = 0
    """The most input tokens that an image or file named by reference can count."""
    audio_s_max: int = 7200
    """The longest recording that a request can bring, in seconds."""
    owned_by: str = "entente"
    shutdown_date: str | None = None
    """The day from which on it is not served, as `2027-03-31`."""
    retires_ns: int | None = None
    """The same, in nanoseconds since 1970."""
    on_loss: OnLoss = OnLoss.REFUSE
    """What to do with a request of which something cannot be said in a target's dialect."""

    def is_retired(self, now_ns: int) -> bool:
        """Say whether its shutdown date has come."""
        return self.retires_ns is not None and self.retires_ns <= now_ns


Catalog: TypeAlias = Mapping[str, Model]


def plan(model: Model) -> tuple[Target, ...]:
    """Give the targets to ask, in order; the next one only if the one before is retriable.

    The plan's length is the bound on attempts: no target is asked twice.
    """
    return model.targets


def retriable(error: UpstreamError) -> bool:
    """Say whether another target may be asked: only if this one got nothing of the request."""
    return not_sent(error)


def not_sent(error: EntenteError) -> bool:
    """Say whether the provider got nothing of the request, so that it cannot cost anything."""
    if isinstance(error, UpstreamTimeout):
        return error.phase == "connect"
    return isinstance(error, UpstreamConnectError | UpstreamBusy)


def retriable_status(status: int) -> bool:
    """Say whether another target may be asked after this answer, which costs nothing."""
    return status in RETRIABLE_STATUSES
