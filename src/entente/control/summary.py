"""Usage for people: sums of rollups by whatever they want to tell apart, in their own zone.

Days of UTC are sums already; days of another zone are made of hours, and of quarters of an
hour where a zone is not whole hours away. End users and tags are told apart by the day only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from entente.control.times import span_s
from entente.domain.errors import InvalidParameter
from entente.ledger.rollups.table import Line, Rollups
from entente.ledger.rollups.tally import DAY_S, END_USER, HOUR_S, TAG, Sums, added

COLUMNS: Final = {
    "key": "key_id",
    "model": "model",
    "target": "target",
    "project": "project",
    "user": "owner",
    "operation": "api",
}
TIMES: Final = {"day": 10, "hour": 13, "month": 7}
"""With how much of a moment, as ISO 8601 writes it, names it."""
LABELS: Final = {"end_user": END_USER, "tag": TAG}
GROUPS: Final = (
    *("key", "model", "target", "day", "hour", "month"),
    *("project", "user", "operation", "end_user", "tag"),
)
NONE: Final = "-"
"""Where there is nothing to name: no provider was reached, a key has no user."""
QUARTER_S: Final = 900
"""Every zone's days begin with one."""
END_S: Final = 253_402_214_400
"""The last day that has a name."""
_SPAN: Final = re.compile(r"\d+[smhd]")
_LABELLED_BY: Final = ("project", "model", "day", "month")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to sum: what began from `since_s` to before `until_s`, by groups."""

    groups: tuple[str, ...]
    since_s: int = 0
    until_s: int = END_S
    zone: tzinfo = UTC


class UsageLine(msgspec.Struct, kw_only=True):
    """Sums over the requests of one group. `costs` are nano-units by currency."""

    group: dict[str, str]
    sums: Sums = Sums()
    """All but the costs."""
    costs: dict[str, int] = {}


def parse_groups(text: str) -> tuple[str, ...]:
    """Read `key,model,target,day`. Raises InvalidParameter for what cannot be told apart."""
    groups = tuple(word.strip() for word in text.split(",") if word.strip())
    if not groups or not set(groups) <= set(GROUPS) or len(set(groups)) != len(groups):
        message = f"--group-by takes a list of {', '.join(GROUPS)}, such as key,model."
        raise InvalidParameter(message, param="group_by", code=None)
    label = [name for name in groups if name in LABELS]
    if label and not set(groups) <= {label[0], *_LABELLED_BY}:
        message = f"--group-by: {label[0]} goes with {', '.join(_LABELLED_BY)} only."
        raise InvalidParameter(message, param="group_by", code=None)
    return groups


def parse_zone(name: str) -> tzinfo:
    """Find a time zone such as Europe/Berlin. Raises InvalidParameter."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"--zone: there is no time zone {name!r}. Name one such as Europe/Berlin."
        raise InvalidParameter(message, param="zone", code=None) from None


def parse_moment(text: str, option: str, zone: tzinfo, now_s: int) -> int:
    """Read a day, an hour or a span back from now, as seconds since 1970.

    It has to be a quarter of an hour: there are no sums of less. Raises InvalidParameter.
    """
    if _SPAN.fullmatch(text):
        at_s = now_s - span_s(text, option)
        return max(0, at_s - at_s % HOUR_S)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None:
        message = (
            f"{option}: {text!r} is no moment: write a day such as 2026-11-21, an hour such as "
            "2026-11-21T15:00, or a span back from now such as 7d."
        )
        raise InvalidParameter(message, param=option, code=None)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    seconds = moment.timestamp()
    if seconds % QUARTER_S or not 0 <= seconds <= END_S:
        message = f"{option}: {text!r} is not the begin of an hour, or of a quarter of one."
        raise InvalidParameter(message, param=option, code=None)
    return int(seconds)


def width_of(wanted: Wanted, *, from_s: int, to_s: int) -> int:
    """Say how wide the sums may be that `wanted` is made of; entries go from `from_s` to `to_s`.

    Raises InvalidParameter for labels of anything but days of UTC.
    """
    width_s = DAY_S
    times = set(TIMES) & set(wanted.groups)
    if "hour" in times:
        width_s = HOUR_S
    for edge_s in (wanted.since_s, wanted.until_s):
        width_s = min(width_s, _widest(edge_s))
    if times:
        since_s, until_s = max(wanted.since_s, from_s), min(wanted.until_s, to_s)
        for at_s in (*range(since_s, until_s, 30 * DAY_S), until_s):
            offset = datetime.fromtimestamp(at_s, wanted.zone).utcoffset() or timedelta()
            width_s = min(width_s, _widest(int(offset.total_seconds())))
    if width_s != DAY_S and set(LABELS) & set(wanted.groups):
        message = "End users and tags are summed by whole days of UTC: leave --zone and hours out."
        raise InvalidParameter(message, param="group_by", code=None)
    return width_s


def _widest(seconds: int) -> int:
    """Give the widest sums that end at a moment."""
    return next((width for width in (DAY_S, HOUR_S) if not seconds % width), QUARTER_S)


def summary(rollups: Rollups, wanted: Wanted, width_s: int) -> list[UsageLine]:
    """Sum by groups, in the order of their values."""
    label = next((name for name in wanted.groups if name in LABELS), None)
    columns = [_column(name) for name in wanted.groups if name not in TIMES]
    asked = (wanted.since_s, wanted.until_s, [*columns, "asset"])
    in_steps = bool(set(TIMES) & set(wanted.groups))
    if label is not None:
        lines = rollups.labelled(LABELS[label], *asked, in_steps=in_steps)
    else:
        lines = rollups.sums(width_s, *asked, in_steps=in_steps)
    return _grouped(lines, wanted)


def total(rollups: Rollups, wanted: Wanted, width_s: int) -> UsageLine:
    """Sum all requests: those without an end user or a tag, too, and each once."""
    whole = msgspec.structs.replace(wanted, groups=())
    found = summary(rollups, whole, width_s)
    return found[0] if found else UsageLine(group={})


def _column(name: str) -> str:
    """Give the column of a group."""
    return "word" if name in LABELS else COLUMNS[name]


def _grouped(lines: Iterable[Line], wanted: Wanted) -> list[UsageLine]:
    """Put lines together that are one group, whatever their currency and their step."""

    @lru_cache(maxsize=4096)
    def moment(start_s: int) -> str:
        return datetime.fromtimestamp(start_s, wanted.zone).isoformat()

    found: dict[tuple[str, ...], dict[str, list[Sums]]] = {}
    for line in lines:
        *values, asset = line.group
        rest = iter(values)
        group = tuple(
            _named(name, moment(line.start_s)) if name in TIMES else str(next(rest)) or NONE
            for name in wanted.groups
        )
        found.setdefault(group, {}).setdefault(asset, []).append(line.sums)
    return [_line(wanted.groups, group, found[group]) for group in sorted(found)]


def _named(name: str, moment: str) -> str:
    """Name an hour with its offset, since some come twice; a day and a month as they are."""
    size = TIMES[name]
    return moment[:size] + (moment[19:] if name == "hour" else "")


def _line(
    names: Sequence[str], group: tuple[str, ...], by_asset: Mapping[str, list[Sums]]
) -> UsageLine:
    """Add up a group."""
    sums = {asset: added(iter(each)) for asset, each in by_asset.items()}
    return UsageLine(
        group=dict(zip(names, group, strict=True)),
        sums=added(iter(sums.values()))._replace(nano=0),
        costs={
            asset: each.nano
            for asset, each in sorted(sums.items())
            if each.nano or each.requests > each.unpriced
        },
    )


def bars(lines: Sequence[UsageLine]) -> Iterator[tuple[str, int, str]]:
    """Give each line's label, its size, and the unit: a cost if there is one of one currency."""
    currencies = {name for line in lines for name, nano in line.costs.items() if nano}
    (unit,) = currencies if len(currencies) == 1 else ("",)
    for line in lines:
        size: Any = line.costs.get(unit, 0) if unit else line.sums.requests
        yield "  ".join(line.group.values()), size, unit
