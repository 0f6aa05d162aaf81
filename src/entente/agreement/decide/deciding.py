"""Deciding over time: which version counts, what has happened, and then the rules.

Time is cut where something changes: a version begins, a clause begins or ends, an event or a
trigger changes its state, a lead or a response time is over. Between two cuts nothing
changes, so that the rules of a stretch are made once, when a request first falls into it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from entente.agreement.clauses import Until
from entente.agreement.decide.decision import Decision, Stretch
from entente.agreement.decide.formulas import Request
from entente.agreement.decide.words import Words
from entente.agreement.document import Agreement
from entente.agreement.occasions import NOTHING, Courses, Facts, courses
from entente.agreement.rights import FirstRefusal, FirstShip, duration_ns
from entente.agreement.values import instant_ns, next_day_ns

STRETCHES_MAX: Final = 64
"""Stretches of time whose rules are kept."""
FOREVER_NS: Final = 1 << 63

NOT_YET: Final = Decision(
    allowed=True, clauses=(), sentence="Allowed: no agreement counts yet.", version=""
)


class Version(Protocol):
    """What deciding reads of a version: `load.Version` is one."""

    @property
    def agreement(self) -> Agreement:
        """The clauses."""

    @property
    def hash(self) -> str:
        """The hash that names it."""

    @property
    def effective_ns(self) -> int:
        """From when it counts."""


class Rules:
    """The versions of an agreement, ready to be asked about requests."""

    def __init__(self, versions: Iterable[Version]) -> None:
        """Take the versions in the order in which they count, as `Book.versions` gives them."""
        self._versions = tuple(versions)
        self._words = tuple(Words(version.agreement) for version in self._versions)
        self._facts: Facts = NOTHING
        self._standing = _Standing(self._versions, self._words, NOTHING)

    def given(self, facts: Facts) -> _Standing:
        """Give the rules under what has happened; the last facts are remembered."""
        if facts is not self._facts and facts != self._facts:
            self._standing = _Standing(self._versions, self._words, facts)
        self._facts = facts
        return self._standing


def decide(rules: Rules, facts: Facts, request: Request, at_ns: int) -> Decision:
    """Decide one request at one instant. The same arguments give the same answer."""
    return rules.given(facts).decide(request, at_ns)


class _Standing:
    """Rules under certain facts."""

    def __init__(
        self, versions: tuple[Version, ...], words: tuple[Words, ...], facts: Facts
    ) -> None:
        self._versions = versions
        self._words = words
        self._begins = [version.effective_ns for version in versions]
        self._courses = tuple(
            courses(
                version.agreement.events,
                version.agreement.triggers,
                version.agreement.parties,
                facts,
            )
            for version in versions
        )
        cuts = set(self._begins)
        for version, course in zip(versions, self._courses, strict=True):
            cuts |= course.instants()
            cuts.update(_changes(version.agreement, course))
        self._cuts = sorted(cut for cut in cuts if self._begins and cut >= self._begins[0])
        self._stretches: dict[int, Stretch] = {}

    def decide(self, request: Request, at_ns: int) -> Decision:
        """Decide one request at one instant."""
        place = bisect_right(self._cuts, at_ns)
        if not place:
            return NOT_YET
        stretch = self._stretches.get(place) or self._stretch(place)
        return stretch.decide(request)

    def changes_after(self, at_ns: int) -> int:
        """Give the first instant after one at which answers may differ; far away for none."""
        place = bisect_right(self._cuts, at_ns)
        return self._cuts[place] if place < len(self._cuts) else FOREVER_NS

    def _stretch(self, place: int) -> Stretch:
        """Make the rules of a stretch, and keep them."""
        at_ns = self._cuts[place - 1]
        number = bisect_right(self._begins, at_ns) - 1
        version = self._versions[number]
        stretch = Stretch(
            version.agreement, version.hash, self._words[number], self._courses[number], at_ns
        )
        if len(self._stretches) >= STRETCHES_MAX:
            self._stretches.clear()
        self._stretches[place] = stretch
        return stretch


def _changes(agreement: Agreement, course: Courses) -> Iterator[int]:
    """Give the instants at which clauses of a version begin, end, or are let go."""
    zone = ZoneInfo(agreement.agreement.zone)
    for _, _, clause in agreement.clauses():
        if clause.effective is not None:
            yield instant_ns(clause.effective, zone)
        if clause.until is not None:
            yield from _ends(clause.until, zone)
        if isinstance(clause, FirstShip):
            yield from _later(course, clause.shipped, clause.lead)
        if isinstance(clause, FirstRefusal):
            yield from _later(course, clause.offered, clause.response)


def _later(course: Courses, event: str, duration: str) -> Iterator[int]:
    for _, each in course.of(event):
        for at_ns, _ in each.steps:
            yield at_ns + duration_ns(duration)


def _ends(until: Until, zone: ZoneInfo) -> Iterator[int]:
    if until.date is not None:
        yield next_day_ns(until.date, zone) if until.inclusive else instant_ns(until.date, zone)
    for part in (*until.earliest_of, *until.latest_of):
        yield from _ends(part, zone)
