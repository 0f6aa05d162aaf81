"""Windows: every moment is in exactly one, and a key alone tells when it ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.windows import LIFETIME_KEY, Window, end_ns, span_of, zone_of
from tests.kit.run import PROPERTY

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia")
CALENDAR = [window for window in Window if window is not Window.LIFETIME]
MOMENTS = st.integers(0, 4_102_444_800).map(lambda s: s * 1_000_000_000)


def _ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("window", "key", "end"),
    [
        (Window.MINUTE, "2026-11-22T04:15", "2026-11-22T04:16+00:00"),
        (Window.HOUR, "2026-11-22T04", "2026-11-22T05:00+00:00"),
        (Window.DAY, "2026-11-22", "2026-11-23T00:00+00:00"),
        (Window.WEEK, "2026-W47", "2026-11-23T00:00+00:00"),
        (Window.MONTH, "2026-11", "2026-12-01T00:00+00:00"),
        (Window.QUARTER, "2026-Q4", "2027-01-01T00:00+00:00"),
        (Window.YEAR, "2026", "2027-01-01T00:00+00:00"),
    ],
)
def test_a_window_of_each_kind(window: Window, key: str, end: str) -> None:
    """A Sunday morning: the last day of its ISO week."""
    at_ns = _ns("2026-11-22T04:15:37+00:00")
    assert span_of(window, "UTC", at_ns) == (key, _ns(end))


@pytest.mark.parametrize(
    ("window", "at", "key", "end"),
    [
        # Berlin turns its clocks back on 25 October 2026: the hour from 2 to 3 comes twice.
        (Window.HOUR, "2026-10-25T00:30+00:00", "2026-10-25T02", "2026-10-25T01:00+00:00"),
        (Window.HOUR, "2026-10-25T01:30+00:00", "2026-10-25T02b", "2026-10-25T02:00+00:00"),
        (Window.DAY, "2026-10-25T12:00+00:00", "2026-10-25", "2026-10-25T23:00+00:00"),
        # and forward on 29 March: a day of 23 hours.
        (Window.DAY, "2026-03-29T12:00+00:00", "2026-03-29", "2026-03-29T22:00+00:00"),
        (Window.MONTH, "2026-10-31T23:30+00:00", "2026-11", "2026-11-30T23:00+00:00"),
        (Window.YEAR, "2026-12-31T23:30+00:00", "2027", "2027-12-31T23:00+00:00"),
    ],
)
def test_a_zone_has_its_own_calendar(window: Window, at: str, key: str, end: str) -> None:
    """Where clocks change, days are shorter or longer, and no hour is counted as another."""
    zoned = f"{key}@Europe/Berlin"
    assert span_of(window, "Europe/Berlin", _ns(at)) == (zoned, _ns(end))


@PROPERTY
@given(st.sampled_from(CALENDAR), st.sampled_from(ZONES), MOMENTS)
def test_a_moment_is_before_the_end_of_its_window(window: Window, zone: str, at_ns: int) -> None:
    """And the end is the first moment that has another key."""
    key, ends_ns = span_of(window, zone, at_ns)
    assert ends_ns is not None
    assert at_ns < ends_ns
    assert end_ns(key) == ends_ns
    assert span_of(window, zone, ends_ns - 1_000_000_000) == (key, ends_ns)
    assert span_of(window, zone, ends_ns)[0] != key


@pytest.mark.parametrize(
    ("zone", "change", "keys"),
    [
        # From 2:00 to 2:30, and from 2:00 back to 1:30.
        ("Australia/Lord_Howe", "2026-10-03T15:30+00:00", ["T01", "T02", "T03"]),
        ("Australia/Lord_Howe", "2026-04-04T15:00+00:00", ["T01", "T01b", "T02"]),
        # From 2:45 to 3:45, and from 3:45 back to 2:45.
        ("Pacific/Chatham", "2026-09-26T14:00+00:00", ["T02", "T03", "T04"]),
        ("Pacific/Chatham", "2026-04-04T14:00+00:00", ["T02", "T03", "T02b", "T03b", "T04"]),
    ],
)
def test_hours_where_clocks_change_by_half_of_one_or_inside_one(
    zone: str, change: str, keys: list[str]
) -> None:
    """One follows the other, each ends where the next begins, and none comes again."""
    minute_ns = 60 * 1_000_000_000
    seen: list[str] = []
    for minute in range(-59, 76):
        at_ns = _ns(change) + minute * minute_ns
        key, ends_ns = span_of(Window.HOUR, zone, at_ns)
        assert end_ns(key) == ends_ns
        assert ends_ns is not None
        assert at_ns < ends_ns
        assert span_of(Window.HOUR, zone, ends_ns - minute_ns)[0] == key
        assert span_of(Window.HOUR, zone, ends_ns)[0] != key
        if key not in seen[-1:]:
            seen.append(key)
    assert len(set(seen)) == len(seen)
    hours = [key.partition("@")[0][len("2026-11-22") :] for key in seen]
    assert [hour for hour in hours if hour in keys] == keys


def test_a_lifetime_has_no_end() -> None:
    """It is one window."""
    assert span_of(Window.LIFETIME, "Europe/Berlin", 1) == (LIFETIME_KEY, None)
    assert end_ns(LIFETIME_KEY) is None


@pytest.mark.parametrize("name", ["", "Nowhere/Atlantis", "../../etc/passwd", "/etc/localtime"])
def test_only_zones_are_zones(name: str) -> None:
    """Whatever the system has under such a name."""
    with pytest.raises(ValueError, match="is not a time zone"):
        zone_of(name)


@pytest.mark.parametrize("key", ["", "20", "2026-11-22T04:15:37", "2026-X1", "2026-13"])
def test_what_is_no_key(key: str) -> None:
    """It is said so, not guessed at."""
    with pytest.raises(ValueError, match=r".+"):
        end_ns(key)


def test_utc_is_what_it_is() -> None:
    """The keys of UTC carry no zone."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert span_of(Window.DAY, "UTC", int(at.timestamp()) * 10**9)[0] == "2026-01-01"
