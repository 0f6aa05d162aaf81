"""What every clause of an agreement has: an id, a source with its trust mark, and a time.

A clause holds from `effective` (the document's own date without it) until `until`. An end is
declared, never guessed: a day says whether it is inclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from entente.agreement.values import Name, When, instant_ns, next_day_ns

DEPTH_MAX: Final = 8
"""`earliest_of` and `latest_of` inside one another."""


class Trust(StrEnum):
    """How far a source carries a clause (primary, report, secondary, inference, unsourced)."""

    PRIMARY = "P"
    """The contract itself, a company's post, a filing."""
    PRESS = "R"
    """A press report that names its source."""
    SECONDARY = "S"
    """A page that retells others."""
    INFERENCE = "I"
    """Arithmetic or inference from what is sourced."""
    UNSOURCED = "M"
    """No source known."""


class Until(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When something ends; exactly one of the four forms.

    {date: 2032-12-31, inclusive: true}    a day (inclusive has to be said) or an instant
    {event: agi.verified}                  an event's state, reached
    {earliest_of: [...]}, {latest_of: [...]}
    """

    date: When | None = None
    inclusive: bool | None = None
    """Whether the day itself still counts. Required with a day, without meaning otherwise."""
    event: str | None = None
    """`EVENT.STATE`, such as `agi.verified`, or the id of a trigger."""
    earliest_of: tuple[Until, ...] = ()
    latest_of: tuple[Until, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is ambiguous."""
        forms = (self.date, self.event, self.earliest_of or None, self.latest_of or None)
        if sum(form is not None for form in forms) != 1:
            message = "an end takes exactly one of date, event, earliest_of and latest_of"
            raise ValueError(message)
        is_day = self.date is not None and "T" not in self.date
        if is_day != (self.inclusive is not None):
            message = (
                "a day needs `inclusive: true` or `inclusive: false`"
                if is_day
                else "`inclusive` belongs to a day only"
            )
            raise ValueError(message)
        if _depth(self) > DEPTH_MAX:
            message = f"ends are nested more than {DEPTH_MAX} deep"
            raise ValueError(message)

    def ends_ns(self, zone: ZoneInfo, occurred_ns: Mapping[str, int]) -> int | None:
        """Give the first instant at which it no longer holds; None while none is known.

        `occurred_ns` has the instant of each event state that was reached.
        """
        if self.date is not None:
            read = next_day_ns if self.inclusive else instant_ns
            return read(self.date, zone)
        if self.event is not None:
            return occurred_ns.get(self.event)
        ends = [each.ends_ns(zone, occurred_ns) for each in self.earliest_of or self.latest_of]
        known = [end for end in ends if end is not None]
        if self.earliest_of:
            return min(known, default=None)
        return max(known) if len(known) == len(ends) else None

    def events(self) -> frozenset[str]:
        """Name the event states that it depends on."""
        own = {self.event} if self.event is not None else set()
        return frozenset(own).union(*(e.events() for e in (*self.earliest_of, *self.latest_of)))


def _depth(until: Until) -> int:
    return 1 + max((_depth(each) for each in (*until.earliest_of, *until.latest_of)), default=0)


class Clause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all clauses have. Ids are unique across a document."""

    id: Name
    source: str = ""
    """Where it stands: a section of the contract, an address."""
    quote: str = ""
    """The source's own words; a statement shows them beside what the clause brought about."""
    trust: Trust | None = None
    note: str = ""
    """For who reads the document; nothing reads it."""
    effective: When | None = None
    """From when it holds; None: as long as the version of the document that it stands in."""
    until: Until | None = None

    def holds_at(self, at_ns: int, zone: ZoneInfo, occurred_ns: Mapping[str, int]) -> bool:
        """Say whether it holds at an instant: from `effective`, up to but not at its end."""
        if self.effective is not None and at_ns < instant_ns(self.effective, zone):
            return False
        end_ns = None if self.until is None else self.until.ends_ns(zone, occurred_ns)
        return end_ns is None or at_ns < end_ns
