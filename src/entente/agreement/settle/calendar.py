"""Stretches of the calendar in a zone: the periods of statements, and windows of clauses.

A day begins at midnight of the document's zone, so that a period may be an hour longer or
shorter than another of as many days.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from entente.agreement.money import Span
from entente.agreement.values import NANO, midnight_ns
from entente.domain.errors import InvalidParameter

PERIODS_MAX: Final = 2_400
"""Of one span: two hundred years of months."""
YEAR_MAX: Final = 9_998

_MONTHS: Final[dict[Span, int]] = {"month": 1, "quarter": 3, "year": 12}
_LABEL: Final = re.compile(r"(\d{4})(?:-(?:Q([1-4])|(0[1-9]|1[0-2])))?", re.ASCII)


class Period(msgspec.Struct, frozen=True, order=True):
    """From one instant up to, but without, another."""

    begins_ns: int
    ends_ns: int
    label: str
    """`2026`, `2026-Q2`, `2026-05`."""
    first: date
    before: date
    """The first day that is no longer in it."""

    def closes_ns(self, lag_days: int, zone: ZoneInfo) -> int:
        """Give the instant at which its books close."""
        return midnight_ns(self.before + timedelta(days=lag_days), zone)


def local_day(at_ns: int, zone: ZoneInfo) -> date:
    """Give the day of an instant in a zone."""
    return datetime.fromtimestamp(at_ns // NANO, UTC).astimezone(zone).date()


def period_of(at_ns: int, span: Span, zone: ZoneInfo) -> Period:
    """Give the period that an instant falls into."""
    on = local_day(at_ns, zone)
    return _starting(on.year, (on.month - 1) // _MONTHS[span] * _MONTHS[span], span, zone)


def following(period: Period, span: Span, zone: ZoneInfo) -> Period:
    """Give the period behind one."""
    return _starting(period.before.year, period.before.month - 1, span, zone)


def through(at_ns: int, last: Period, span: Span, zone: ZoneInfo) -> tuple[Period, ...]:
    """Give the periods from that of an instant through `last`; none if it comes after it."""
    found: list[Period] = []
    if at_ns >= last.ends_ns:
        return ()
    period = period_of(at_ns, span, zone)
    while period.begins_ns <= last.begins_ns:
        found.append(period)
        if len(found) > PERIODS_MAX:
            message = f"More than {PERIODS_MAX} periods lie before {last.label}."
            raise InvalidParameter(message, param="period", code=None)
        period = following(period, span, zone)
    return tuple(found)


def starts(begins_ns: int, ends_ns: int, span: Span, zone: ZoneInfo) -> Iterator[int]:
    """Give the first instants of the periods that begin between two instants."""
    period = period_of(begins_ns, span, zone)
    while period.begins_ns < ends_ns:
        yield period.begins_ns
        period = following(period, span, zone)


def named(label: str, zone: ZoneInfo) -> tuple[Span, Period]:
    """Read `2026`, `2026-Q2` or `2026-05`. Raises InvalidParameter for anything else."""
    found = _LABEL.fullmatch(label)
    if found is None or not 1 <= int(found[1]) <= YEAR_MAX:
        message = f"{label!r} is no period: write 2026, 2026-Q2 or 2026-05."
        raise InvalidParameter(message, param="period", code=None)
    year, quarter, month = int(found[1]), found[2], found[3]
    if quarter:
        return "quarter", _starting(year, 3 * (int(quarter) - 1), "quarter", zone)
    if month:
        return "month", _starting(year, int(month) - 1, "month", zone)
    return "year", _starting(year, 0, "year", zone)


def _starting(year: int, month: int, span: Span, zone: ZoneInfo) -> Period:
    """Make the period that starts with a month, counted from 0."""
    first = date(year, month + 1, 1)
    ends = month + _MONTHS[span]
    before = date(year + ends // 12, ends % 12 + 1, 1)
    label = f"{year:04d}"
    if span == "quarter":
        label += f"-Q{month // 3 + 1}"
    elif span == "month":
        label += f"-{month + 1:02d}"
    return Period(midnight_ns(first, zone), midnight_ns(before, zone), label, first, before)
