"""When: windows, events that are declared and verified, and triggers on totals.

What happened is a list of facts, each with the instant at which it counts (`at_ns`) and the
one at which it was learnt (`known_ns`). This module turns facts into courses: which state an
event is in, and whether a trigger is met, at any instant.

An event is declared by who may; where it has a panel, enough of its members have to verify
it, one voice each. So many rejections that verification is out of reach reject it; a new
declaration then begins a new round. A verified event stays so whatever anybody declares or
rejects; only as many counter-attestations of members as verified it take it back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from math import ceil
from types import MappingProxyType
from typing import Final

import msgspec

from entente.agreement.clauses import Clause
from entente.agreement.rights import AttributeName, Names, Party, Text, listed
from entente.agreement.values import Exact, Name

NO_SUBJECT: Final = ""


class Window(Clause, frozen=True, kw_only=True):
    """Primitive 10: a time with a name, from `effective` until `until`, for conditions."""


class Verification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose word makes an event true: a share of the members of a panel."""

    panel: Name
    quorum: Exact
    """Above 0, at most 1; of the members, rounded up."""


class Evidence(StrEnum):
    """Whether an attestation has to name its evidence by a hash."""

    REQUIRED = "required"
    OPTIONAL = "optional"


class Event(Clause, frozen=True, kw_only=True):
    """Primitive 11: something that parties say has happened."""

    declared_by: Names
    verified_by: Verification | None = None
    evidence: Evidence = Evidence.OPTIONAL
    per: AttributeName | None = None
    """It happens to each value of this attribute apart: to each `product`, say."""


class Trigger(Clause, frozen=True, kw_only=True):
    """Primitive 12: met when a total of the ledger reaches a bound."""

    total: Text
    """The total's name: a meter, a base, or the profit that settlement folds."""
    at_least: Exact
    curable: bool
    """Whether it is no longer met when the total falls below again."""


class State(StrEnum):
    """Where an event stands."""

    DECLARED = "declared"
    VERIFIED = "verified"
    REJECTED = "rejected"


MET: Final = "met"
"""The one state of a trigger, as `ID.met`; the bare id means the same."""


class Verdict(StrEnum):
    """What somebody attests."""

    DECLARED = "declared"
    VERIFIED = "verified"
    REJECTED = "rejected"
    COUNTERED = "countered"


class Attestation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody said of an event."""

    event: str
    by: str
    verdict: Verdict
    at_ns: int
    known_ns: int | None = None
    """None: when it counts."""
    subject: str = NO_SUBJECT
    """Which value of the event's `per`."""
    evidence: str = ""
    """The SHA-256 of the evidence."""


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a total came to at an instant."""

    total: str
    at_ns: int
    value: Exact
    known_ns: int | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that is known to have happened."""

    attestations: tuple[Attestation, ...] = ()
    readings: tuple[Reading, ...] = ()

    def known(self, known_ns: int) -> Facts:
        """Give what was known at an instant."""
        return Facts(
            attestations=tuple(fact for fact in self.attestations if _known(fact) <= known_ns),
            readings=tuple(fact for fact in self.readings if _known(fact) <= known_ns),
        )


NOTHING: Final = Facts()


class Course:
    """The states of one thing over time; before the first there is none."""

    def __init__(self, steps: Iterable[tuple[int, str | None]]) -> None:
        """Take (instant, state from then on) in the order of time; the last of equals counts."""
        kept: list[tuple[int, str | None]] = []
        for at_ns, state in steps:
            if kept and kept[-1][0] == at_ns:
                kept.pop()
            if state != (kept[-1][1] if kept else None):
                kept.append((at_ns, state))
        self.steps = tuple(kept)
        self._instants = [at_ns for at_ns, _ in kept]

    def at(self, at_ns: int) -> str | None:
        """Give the state at an instant."""
        found = bisect_right(self._instants, at_ns)
        return self.steps[found - 1][1] if found else None

    def since(self, at_ns: int) -> int | None:
        """Give the instant from which it has been in the state of `at_ns`; None for none."""
        found = bisect_right(self._instants, at_ns)
        return self._instants[found - 1] if found and self.steps[found - 1][1] else None


class Courses:
    """The courses of all events and triggers of one version, given facts."""

    def __init__(
        self,
        events: Mapping[tuple[str, str], Course],
        triggers: Mapping[str, Course],
        ignored: tuple[tuple[Attestation, str], ...] = (),
    ) -> None:
        """Take courses by (event, subject) and by trigger; `courses` makes them."""
        self._events = events
        self._triggers = triggers
        self.ignored = ignored
        """Attestations that count for nothing, each with the reason."""

    def holds(self, reference: str, at_ns: int, subject: str = NO_SUBJECT) -> bool:
        """Say whether `EVENT.STATE`, `TRIGGER` or `TRIGGER.met` is so at an instant."""
        if reference in self._triggers:
            return self._triggers[reference].at(at_ns) is not None
        name, _, state = reference.rpartition(".")
        if state == MET and name in self._triggers:
            return self._triggers[name].at(at_ns) is not None
        course = self._events.get((name, subject))
        return course is not None and course.at(at_ns) == state

    def subjects(self, event: str, state: str, at_ns: int) -> tuple[str, ...]:
        """Give the subjects of which an event is in a state at an instant."""
        return tuple(
            subject
            for (name, subject), course in self._events.items()
            if name == event and course.at(at_ns) == state
        )

    def of(self, event: str) -> Iterator[tuple[str, Course]]:
        """Give the course of an event for each of its subjects."""
        return (
            (subject, course) for (name, subject), course in self._events.items() if name == event
        )

    def occurred_ns(self, at_ns: int) -> dict[str, int]:
        """Give what is so at an instant, each with since when, as clauses' ends ask for it."""
        occurred: dict[str, int] = {}
        for (name, subject), course in self._events.items():
            since = course.since(at_ns)
            if subject == NO_SUBJECT and since is not None:
                occurred[f"{name}.{course.at(at_ns)}"] = since
        for name, course in self._triggers.items():
            since = course.since(at_ns)
            if since is not None:
                occurred[name] = occurred[f"{name}.{MET}"] = since
        return occurred

    def instants(self) -> set[int]:
        """Give every instant at which something changes."""
        courses = (*self._events.values(), *self._triggers.values())
        return {at_ns for course in courses for at_ns, _ in course.steps}


def courses(
    events: Iterable[Event], triggers: Iterable[Trigger], parties: Iterable[Party], facts: Facts
) -> Courses:
    """Work out every course. Pure, and the same for facts in any order."""
    members = {party.id: party.members for party in parties}
    made: dict[tuple[str, str], Course] = {}
    ignored: list[tuple[Attestation, str]] = []
    for event in events:
        rounds: dict[str, _Round] = {}
        panel = members.get(event.verified_by.panel, ()) if event.verified_by else ()
        for fact in sorted(facts.attestations, key=_order):
            if fact.event != event.id:
                continue
            reason = _unfit(event, panel, fact)
            if reason:
                ignored.append((fact, reason))
            else:
                rounds.setdefault(fact.subject, _Round(_needed(event, panel), len(panel))).hear(
                    fact
                )
        made |= {(event.id, subject): Course(heard.steps) for subject, heard in rounds.items()}
    met = {trigger.id: Course(_met(trigger, facts.readings)) for trigger in triggers}
    return Courses(MappingProxyType(made), MappingProxyType(met), tuple(ignored))


def _known(fact: Attestation | Reading) -> int:
    return fact.at_ns if fact.known_ns is None else fact.known_ns


_VERDICT_ORDER: Final = tuple(Verdict)


def _order(fact: Attestation) -> tuple[int, int, str, str]:
    """Order by time; at one instant declarations first, then verdicts as `Verdict` has them."""
    return fact.at_ns, _VERDICT_ORDER.index(fact.verdict), fact.by, fact.evidence


def _needed(event: Event, panel: tuple[str, ...]) -> int:
    return ceil(event.verified_by.quorum * len(panel)) if event.verified_by else 0


def _unfit(event: Event, panel: tuple[str, ...], fact: Attestation) -> str:
    """Say why an attestation counts for nothing; empty where it counts."""
    if event.per is None and fact.subject != NO_SUBJECT:
        return f"`{event.id}` has no subjects"
    if event.per is not None and fact.subject == NO_SUBJECT:
        return f"`{event.id}` happens to a {event.per}, and this names none"
    if event.evidence is Evidence.REQUIRED and not fact.evidence:
        return "it names no evidence"
    if fact.verdict is Verdict.DECLARED or event.verified_by is None:
        may = listed(event.declared_by)
        if fact.verdict not in (Verdict.DECLARED, Verdict.COUNTERED):
            return f"`{event.id}` is declared only; nobody verifies it"
    else:
        may = panel
    return "" if fact.by in may else f"{fact.by} has no say in this"


class _Round:
    """One event's attestations heard in order; `steps` grows by what they change."""

    def __init__(self, needed: int, size: int) -> None:
        self._needed = needed
        self._size = size
        self._state: State | None = None
        self._voices: dict[str, Verdict] = {}
        self.steps: list[tuple[int, str | None]] = []

    def hear(self, fact: Attestation) -> None:
        """Take one attestation."""
        if fact.verdict is Verdict.COUNTERED:
            if self._state is (State.VERIFIED if self._needed else State.DECLARED):
                self._voice(fact, Verdict.COUNTERED, max(self._needed, 1), None)
        elif fact.verdict is Verdict.DECLARED:
            if self._state in (None, State.REJECTED):
                self._become(State.DECLARED, fact.at_ns)
        elif self._state is State.DECLARED and fact.verdict is Verdict.VERIFIED:
            self._voice(fact, Verdict.VERIFIED, self._needed, State.VERIFIED)
        elif self._state is State.DECLARED:
            beyond = self._size - self._needed + 1
            self._voice(fact, Verdict.REJECTED, beyond, State.REJECTED)

    def _voice(self, fact: Attestation, verdict: Verdict, enough: int, then: State | None) -> None:
        """Count one member's voice, the latest of each, and act when there are enough."""
        self._voices[fact.by] = verdict
        if sum(voice is verdict for voice in self._voices.values()) >= enough:
            self._become(then, fact.at_ns)

    def _become(self, state: State | None, at_ns: int) -> None:
        self._state = state
        self._voices = {}
        self.steps.append((at_ns, state))


def _met(trigger: Trigger, readings: Iterable[Reading]) -> Iterator[tuple[int, str | None]]:
    """Give the steps of a trigger; one that is not curable stays met."""
    for reading in sorted(readings, key=lambda each: (each.at_ns, _known(each), each.value)):
        if reading.total == trigger.total:
            if reading.value >= trigger.at_least:
                yield reading.at_ns, MET
                if not trigger.curable:
                    return
            else:
                yield reading.at_ns, None
