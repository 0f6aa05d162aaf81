"""What webhooks can tell of, and how an event is written. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from entente.control.reports import utc

if TYPE_CHECKING:
    from collections.abc import Mapping


class EventType(StrEnum):
    """What can happen that somebody may want to be told of."""

    BUDGET_THRESHOLD_REACHED = "budget.threshold_reached"
    """A share of a rule's amount is used, in one window, by one subject."""
    BUDGET_EXCEEDED = "budget.exceeded"
    """A request was refused because it does not fit a budget; once a window."""
    LIMIT_EXCEEDED = "limit.exceeded"
    """A request was refused because it does not fit a limit; once a window."""
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    KEY_EXPIRED = "key.expired"
    PRICES_ACTIVATED = "prices.activated"
    PRICE_MISSING = "price.missing"
    """A request was served, or refused, whose model has no price; once a day and model."""
    LEDGER_TROUBLE = "ledger.trouble"
    """The ledger could not be written, or can be again."""
    WEBHOOK_TEST = "webhook.test"
    """Somebody wants to see one arrive; goes to that webhook alone, whatever it asked for."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has happened. `once` names what is to be told a single time."""

    type: EventType
    at_ns: int
    data: Mapping[str, object]
    once: str | None = None

    def body(self) -> bytes:
        """Write what is sent."""
        written = {"type": self.type, "timestamp": utc(self.at_ns), "data": self.data}
        return msgspec.json.encode(written)
