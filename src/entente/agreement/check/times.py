"""Days and zones: each one has to be in the calendar, and ends come after beginnings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from entente.agreement.check.finding import Finding
from entente.agreement.clauses import Clause, Until
from entente.agreement.document import Agreement
from entente.agreement.money import Commitment, Share, Waterfall
from entente.agreement.values import instant_ns, next_day_ns

SCALE_MAX: Final = 9
DAY_MAX: Final = date.max.isoformat()


def check(agreement: Agreement) -> Iterator[Finding]:
    """Find days that there are not, and clauses that end before they begin."""
    head = agreement.agreement
    if not 0 <= head.scale <= SCALE_MAX:
        text = f"must be 0 to {SCALE_MAX} decimal places: 2 for cents"
        yield Finding("", ("scale",), text)
    try:
        zone = ZoneInfo(head.zone)
    except (ValueError, KeyError, OSError):
        text = f"there is no zone {head.zone!r}: write UTC, or a name such as Europe/Berlin"
        yield Finding("", ("zone",), text)
        return
    yield from _day("", ("effective",), head.effective, zone)
    for _, _, clause in agreement.clauses():
        found = list(_clause(clause, zone))
        yield from found
        if not found:
            yield from _order(clause, zone)


def _clause(clause: Clause, zone: ZoneInfo) -> Iterator[Finding]:
    for path, text in _days(clause):
        yield from _day(clause.id, path, text, zone)
    if clause.effective is not None:
        yield from _day(clause.id, ("effective",), clause.effective, zone)
    if clause.until is not None:
        yield from _until(clause.id, ("until",), clause.until, zone)


def _days(clause: Clause) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Give every day that a clause names beside its beginning and its end."""
    match clause:
        case Share():
            yield from _of_share(clause)
        case Commitment():
            for number, step in enumerate(clause.schedule):
                yield ("schedule", number, "begins"), step.begins
                yield ("schedule", number, "before"), step.before
        case Waterfall():
            for number, tier in enumerate(clause.tiers):
                for party, limit in tier.until.items():
                    if limit.growth is not None:
                        path = ("tiers", number, "until", party, "growth", "starts")
                        yield path, limit.growth.starts


def _of_share(share: Share) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for number, later in enumerate(share.later):
        yield ("later", number, "effective"), later.effective
    if share.cap is not None and share.cap.counts_from != "inception":
        yield ("cap", "counts_from"), share.cap.counts_from
    if share.defer is not None and share.defer.released is not None:
        yield ("defer", "released"), share.defer.released


def _until(
    name: str, path: tuple[str | int, ...], until: Until, zone: ZoneInfo
) -> Iterator[Finding]:
    if until.date is not None:
        place = (*path, "date")
        if until.inclusive and until.date == DAY_MAX:
            text = f"nothing comes after {DAY_MAX}: write `inclusive: false`, or leave the end out"
            yield Finding(name, place, text)
        else:
            yield from _day(name, place, until.date, zone)
    for form, parts in (("earliest_of", until.earliest_of), ("latest_of", until.latest_of)):
        for position, part in enumerate(parts):
            yield from _until(name, (*path, form, position), part, zone)


def _day(name: str, path: tuple[str | int, ...], text: str, zone: ZoneInfo) -> Iterator[Finding]:
    try:
        instant_ns(text, zone)
    except (ValueError, OverflowError):
        yield Finding(name, path, f"{text} is in no calendar: correct the day")


def _order(clause: Clause, zone: ZoneInfo) -> Iterator[Finding]:
    if isinstance(clause, Share):
        instants = [instant_ns(later.effective, zone) for later in clause.later]
        if any(later <= earlier for earlier, later in pairwise(instants)):
            yield Finding(clause.id, ("later",), "must be in the order of time: sort it")
    until = clause.until
    if clause.effective is None or until is None or until.date is None:
        return
    end_ns = next_day_ns(until.date, zone) if until.inclusive else instant_ns(until.date, zone)
    if end_ns <= instant_ns(clause.effective, zone):
        text = f"ends ({until.date}) before it begins ({clause.effective}): it never holds"
        yield Finding(clause.id, ("until",), text)
