"""Windows of time as keys: `2026-11` is a month, `2026-11-22T04:15` a minute. Pure.

Because a window is a key, nothing ever resets: the next window has another key. A key says
which window it is of by its form. One in another zone than UTC ends in `@ZONE`, so that a key
alone tells when its window ends.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NS_PER_S: Final = 1_000_000_000
UTC_NAME: Final = "UTC"
LIFETIME_KEY: Final = "all"
ZONES_KEPT_MAX: Final = 1024
_MONTHS_PER_QUARTER: Final = 3
_MONTHS_PER_YEAR: Final = 12


class Window(StrEnum):
    """How long an amount has to last. All but a lifetime are those of the calendar."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    """From Monday on, as ISO 8601 counts them."""
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    LIFETIME = "lifetime"


@lru_cache(ZONES_KEPT_MAX)
def zone_of(name: str) -> ZoneInfo:
    """Find a time zone by its IANA name. Raises ValueError for what is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"{name!r} is not a time zone; it takes a name such as Europe/Berlin"
        raise ValueError(message) from error


def span_of(window: Window, zone: str, at_ns: int) -> tuple[str, int | None]:
    """Give the key of the window that a moment is in, and when it ends, in ns since 1970."""
    if window is Window.LIFETIME:
        return LIFETIME_KEY, None
    moment = datetime.fromtimestamp(at_ns // NS_PER_S, UTC).astimezone(zone_of(zone))
    start = _FLOOR[window](moment)
    text = _WRITE[window](start)
    return text if zone == UTC_NAME else f"{text}@{zone}", _ns(_next(window, start))


def end_ns(key: str) -> int | None:
    """Say when the window of a key ends; None for one that does not. Raises ValueError."""
    text, _, zone = key.partition("@")
    if text == LIFETIME_KEY:
        return None
    window, start = _start(text)
    return _ns(_next(window, start.replace(tzinfo=zone_of(zone or UTC_NAME))))


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def _month(moment: datetime, month: int) -> datetime:
    return _midnight(moment).replace(month=month, day=1)


def _shown(start: datetime, at: datetime) -> datetime:
    """Mark the start of the minute or hour of `at` where a clock that went back shows it again.

    The offset tells: where clocks change by half an hour, or within one, `fold` alone does not.
    """
    start = start.replace(second=0, microsecond=0, fold=0)
    return start.replace(fold=int(_offset(at) < _offset(start)))


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta()


_FLOOR: Final[dict[Window, Callable[[datetime], datetime]]] = {
    Window.MINUTE: lambda at: _shown(at, at),
    Window.HOUR: lambda at: _shown(at.replace(minute=0), at),
    Window.DAY: _midnight,
    Window.WEEK: lambda at: _midnight(at - timedelta(days=at.weekday())),
    Window.MONTH: lambda at: _month(at, at.month),
    Window.QUARTER: lambda at: _month(at, at.month - (at.month - 1) % _MONTHS_PER_QUARTER),
    Window.YEAR: lambda at: _month(at, 1),
}


def _clock(start: datetime, form: str) -> str:
    """Write a time of day; the second time that a clock shows it, in autumn, ends in `b`."""
    return f"{start:{form}}{'b' if start.fold else ''}"


_WRITE: Final[dict[Window, Callable[[datetime], str]]] = {
    Window.MINUTE: lambda start: _clock(start, "%Y-%m-%dT%H:%M"),
    Window.HOUR: lambda start: _clock(start, "%Y-%m-%dT%H"),
    Window.DAY: lambda start: f"{start:%Y-%m-%d}",
    Window.WEEK: lambda start: f"{start:%G-W%V}",
    Window.MONTH: lambda start: f"{start:%Y-%m}",
    Window.QUARTER: lambda start: f"{start:%Y}-Q{(start.month - 1) // _MONTHS_PER_QUARTER + 1}",
    Window.YEAR: lambda start: f"{start:%Y}",
}
_FORMS: Final = {
    len("2026-11-22T04:15"): (Window.MINUTE, "%Y-%m-%dT%H:%M"),
    len("2026-11-22T04"): (Window.HOUR, "%Y-%m-%dT%H"),
    len("2026-11-22"): (Window.DAY, "%Y-%m-%d"),
    len("2026-11"): (Window.MONTH, "%Y-%m"),
    len("2026"): (Window.YEAR, "%Y"),
}


def _start(text: str) -> tuple[Window, datetime]:
    """Read a key without its zone. Raises ValueError."""
    year, _, part = text.partition("-")
    if part.startswith("Q"):
        month = (int(part[1:]) - 1) * _MONTHS_PER_QUARTER + 1
        return Window.QUARTER, datetime(int(year), month, 1)  # noqa: DTZ001  (the zone comes after)
    if part.startswith("W"):
        return Window.WEEK, datetime.strptime(f"{text}-1", "%G-W%V-%u")  # noqa: DTZ007  (likewise)
    plain = text.removesuffix("b")
    if len(plain) not in _FORMS:
        message = f"{text!r} is not the key of a window"
        raise ValueError(message)
    window, form = _FORMS[len(plain)]
    start = datetime.strptime(plain, form)  # noqa: DTZ007  (likewise)
    return window, start.replace(fold=int(plain != text))


def _next(window: Window, start: datetime) -> datetime:
    """Give the start of the window behind."""
    if window in _PASSING:
        return _passed(start, _PASSING[window])
    if window in _DAYS:
        return start + timedelta(days=_DAYS[window])
    years, month = divmod(start.month - 1 + _MONTHS[window], _MONTHS_PER_YEAR)
    return start.replace(year=start.year + years, month=month + 1)


def _passed(start: datetime, length: timedelta) -> datetime:
    """Give the moment at which clocks have shown a minute or an hour, whole or as far as they do.

    Clocks that change inside of it end it there, unless they go on to its last second.
    """
    last = (start + length - _SECOND).replace(fold=start.fold)
    is_skipped = _offset(last) < _offset(last.replace(fold=1))
    if start.fold or (not is_skipped and _offset(last) >= _offset(start)):
        return last.astimezone(UTC) + _SECOND
    first = start.astimezone(UTC)
    moments = [first + timedelta(minutes=n) for n in range(length // timedelta(minutes=1))]
    changed = bisect_left(
        moments, 1, key=lambda at: int(_offset(at.astimezone(start.tzinfo)) != _offset(start))
    )
    return first + timedelta(minutes=changed)


_SECOND: Final = timedelta(seconds=1)
_PASSING: Final = {Window.MINUTE: timedelta(minutes=1), Window.HOUR: timedelta(hours=1)}
"""These pass, whatever clocks on walls do."""
_DAYS: Final = {Window.DAY: 1, Window.WEEK: 7}
_MONTHS: Final = {Window.MONTH: 1, Window.QUARTER: _MONTHS_PER_QUARTER, Window.YEAR: 12}


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * NS_PER_S
