"""The instants between which terms stand still.

Whatever changes a term has an edge here: a version, an end, an attestation that counts, a
contribution, an exchange rate, the begin of a period or of a window. Between two edges facts
may be summed, since no calculator can tell a sum from its parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final
from zoneinfo import ZoneInfo

from entente.agreement.clauses import Clause, Until
from entente.agreement.document import Agreement
from entente.agreement.load import Version
from entente.agreement.log import Contributed, Quoted, Term
from entente.agreement.money import Base, Commitment, Meter, Rate, Share, Tier, Waterfall
from entente.agreement.occasions import Courses
from entente.agreement.settle.calendar import Period, starts
from entente.agreement.settle.match import attributes_of
from entente.agreement.values import Day, day, instant_ns, midnight_ns, next_day_ns

EDGES_MAX: Final = 100_000
GROWTHS_MAX: Final = 400
"""Anniversaries of a cap that grows."""


def edges(
    versions: Iterable[Version],
    courses: Iterable[Courses],
    terms: Iterable[Term],
    periods: tuple[Period, ...],
    zone: ZoneInfo,
) -> tuple[int, ...]:
    """Give the starts of the stretches from the first version on; the last is the end of all."""
    versions = tuple(versions)
    begins_ns = min(version.effective_ns for version in versions)
    ends_ns = periods[-1].ends_ns
    found = {begins_ns, ends_ns}
    found.update(period.begins_ns for period in periods)
    for version in versions:
        found.add(version.effective_ns)
        found.update(_of_document(version.agreement, begins_ns, ends_ns, zone))
    for each in courses:
        found.update(each.instants())
    found.update(term.at_ns for term in terms if isinstance(term, Contributed | Quoted))
    inside = sorted(at_ns for at_ns in found if begins_ns <= at_ns <= ends_ns)
    if len(inside) > EDGES_MAX:
        message = f"terms change at more than {EDGES_MAX} instants; settle a shorter time"
        raise ValueError(message)
    return tuple(inside)


def _of_document(
    agreement: Agreement, begins_ns: int, ends_ns: int, zone: ZoneInfo
) -> Iterator[int]:
    for _, _, clause in agreement.clauses():
        if clause.effective is not None:
            yield instant_ns(clause.effective, zone)
        if clause.until is not None:
            yield from ends(clause.until, zone)
        yield from _of_clause(clause, begins_ns, ends_ns, zone)


def ends(until: Until, zone: ZoneInfo) -> Iterator[int]:
    """Give every instant that an end names."""
    if until.date is not None:
        yield (next_day_ns if until.inclusive else instant_ns)(until.date, zone)
    for each in (*until.earliest_of, *until.latest_of):
        yield from ends(each, zone)


def _of_clause(clause: Clause, begins_ns: int, ends_ns: int, zone: ZoneInfo) -> Iterator[int]:
    match clause:
        case Share():
            yield from (instant_ns(later.effective, zone) for later in clause.later)
            if clause.cap is not None and clause.cap.counts_from != "inception":
                yield instant_ns(clause.cap.counts_from, zone)
            if clause.defer is not None and clause.defer.released is not None:
                yield instant_ns(clause.defer.released, zone)
            if clause.defer is not None and clause.defer.each is not None:
                yield from starts(begins_ns, ends_ns, clause.defer.each, zone)
        case Rate() if clause.resets != "never":
            yield from starts(begins_ns, ends_ns, clause.resets, zone)
        case Commitment():
            for step in clause.schedule:
                yield instant_ns(step.begins, zone)
                yield instant_ns(step.before, zone)
        case Waterfall():
            for tier in clause.tiers:
                yield from _growths(tier, ends_ns, zone)


def _growths(tier: Tier, ends_ns: int, zone: ZoneInfo) -> Iterator[int]:
    for limit in tier.until.values():
        if limit.growth is not None:
            yield from anniversaries(limit.growth.starts, ends_ns, zone)


def anniversaries(first: Day, ends_ns: int, zone: ZoneInfo) -> Iterator[int]:
    """Give a day and its anniversaries before an instant; of 29 February, 1 March."""
    start = day(first)
    for years in range(GROWTHS_MAX):
        try:
            on = start.replace(year=start.year + years)
        except ValueError:
            on = start.replace(year=start.year + years, month=3, day=1)
        at_ns = midnight_ns(on, zone)
        if at_ns >= ends_ns:
            return
        yield at_ns


def attributes(versions: Iterable[Version]) -> frozenset[str]:
    """Name the attributes of measured facts that some clause is about."""
    found: set[str] = set()
    for version in versions:
        clauses: tuple[Meter | Base, ...] = (*version.agreement.meters, *version.agreement.bases)
        for clause in clauses:
            found |= _named(clause)
        found.update(event.per for event in version.agreement.events if event.per is not None)
    return frozenset(found)


def counts(versions: Iterable[Version]) -> tuple[str, ...]:
    """Name the numbers of measured facts that some meter counts."""
    return tuple(sorted({m.counts for version in versions for m in version.agreement.meters}))


def _named(clause: Meter | Base) -> frozenset[str]:
    found = attributes_of(clause.when)
    if isinstance(clause, Base):
        if clause.less is not None:
            found |= attributes_of(clause.less)
        for bundle in clause.bundles:
            found |= attributes_of(bundle.when)
    return found
