"""Steps of time, and when clauses hold: by path where that depends on what happens.

A step is a period of the calendar, accounted for at its last instant. Columns are these
instants, with one more in front: the last instant before the first step, at which what came
earlier counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from zoneinfo import ZoneInfo

import numpy as np

from entente.agreement.clauses import Clause, Until
from entente.agreement.paths.draws import Paths
from entente.agreement.paths.exacts import Flags, Ints
from entente.agreement.paths.plan import Happening, Outline
from entente.agreement.settle.calendar import Period, following, named
from entente.agreement.values import instant_ns, next_day_ns

Columns: TypeAlias = Sequence[int]
"""Instants in nanoseconds."""


def steps(outline: Outline, zone: ZoneInfo) -> tuple[Period, ...]:
    """Cut the scenario's time. Raises InvalidParameter for a beginning that is no period."""
    span, period = named(str(outline.begins), zone)
    found = [period]
    while len(found) < outline.steps:
        found.append(following(found[-1], span, zone))
    return tuple(found)


def columns_of(times: Sequence[Period]) -> Columns:
    """Give the instants at which steps are accounted for."""
    return (times[0].begins_ns - 1, *(step.ends_ns - 1 for step in times))


def reached(at_ns: int, columns: Columns) -> int:
    """Give the first column that is not before an instant; behind the last if all are."""
    return sum(each < at_ns for each in columns)


def happened(
    events: Sequence[Happening], columns: Columns, paths: Paths, zone: ZoneInfo
) -> dict[str, Ints]:
    """Give for each state the column in which each path reaches it; behind the last: never."""
    return {event.state: _happened(event, columns, paths, zone) for event in events}


def _happened(event: Happening, columns: Columns, paths: Paths, zone: ZoneInfo) -> Ints:
    if event.on is not None:
        return np.full(paths.count, reached(instant_ns(event.on, zone), columns), np.int64)
    assert event.probability is not None  # noqa: S101  (one of the two)
    falls = paths.uniforms(f"event:{event.state}", len(columns)) < float(event.probability)
    falls[:, 0] = False
    if event.not_before is not None:
        falls[:, : reached(instant_ns(event.not_before, zone), columns)] = False
    return np.where(falls.any(axis=1), falls.argmax(axis=1), len(columns))


def holding(
    clause: Clause, columns: Columns, zone: ZoneInfo, occurred: Mapping[str, Ints], count: int
) -> Flags:
    """Say by path and column where a clause holds."""
    numbers = np.arange(len(columns))
    first = 0 if clause.effective is None else reached(instant_ns(clause.effective, zone), columns)
    ends = np.full(count, len(columns))
    if clause.until is not None:
        ends = _ends(clause.until, columns, zone, occurred, count)
    return np.asarray((numbers >= first) & (numbers < ends[:, None]), np.bool_)


def ending(
    clause: Clause, columns: Columns, zone: ZoneInfo, occurred: Mapping[str, Ints], count: int
) -> Ints:
    """Give the column in which each path's clause is over; behind the last where it is not.

    An end by date falls due with the step that it closes, one by an event with the step in
    which that happens.
    """
    until = clause.until
    if until is None:
        return np.full(count, len(columns))
    if until.events():
        return _ends(until, columns, zone, occurred, count)
    at_ns = until.ends_ns(zone, {})
    assert at_ns is not None  # noqa: S101  (days alone are always known)
    return np.full(count, reached(at_ns - 1, columns))


def _ends(
    until: Until, columns: Columns, zone: ZoneInfo, occurred: Mapping[str, Ints], count: int
) -> Ints:
    """Give the first column that is past an end; behind the last where none is."""
    if until.date is not None:
        read = next_day_ns if until.inclusive else instant_ns
        return np.full(count, reached(read(until.date, zone), columns))
    if until.event is not None:
        return occurred.get(until.event, np.full(count, len(columns)))
    parts = until.earliest_of or until.latest_of
    ends = np.stack([_ends(part, columns, zone, occurred, count) for part in parts])
    return np.asarray(ends.min(axis=0) if until.earliest_of else ends.max(axis=0))
