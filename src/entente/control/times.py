"""Moments as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from entente.control.reports import utc
from entente.domain.errors import InvalidParameter

NS_PER_S: Final = 1_000_000_000
_NS_PER_US: Final = 1_000
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
_SPAN: Final = re.compile(r"(\d{1,9})([smhd])")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def utc_or_none(at_ns: int | None) -> str | None:
    """Write a moment, where there is one."""
    return None if at_ns is None else utc(at_ns)


def ns_of(moment: datetime) -> int:
    """Give an aware moment in nanoseconds since 1970, exactly."""
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * _NS_PER_US


def span_s(text: str, option: str) -> int:
    """Read a span such as `90s`, `15m`, `24h` or `30d`, in seconds. Raises InvalidParameter."""
    found = _SPAN.fullmatch(text)
    if found is None:
        message = f"{option}: {text!r} is no span of time: write one such as 15m, 24h or 30d."
        raise InvalidParameter(message, param=option, code=None)
    return int(found[1]) * _UNITS_S[found[2]]


def moment_ns(text: str, option: str, now_ns: int) -> int:
    """Read a moment: a span from now on, a day (its begin in UTC), or an instant with its zone.

    Raises InvalidParameter that names the option.
    """
    if _SPAN.fullmatch(text):
        return now_ns + span_s(text, option) * NS_PER_S
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = (
            f"{option}: {text!r} is no moment: write a span such as 30d, a day such as 2027-01-31, "
            "or an instant such as 2027-01-31T12:00:00Z."
        )
        raise InvalidParameter(message, param=option, code=None) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return ns_of(moment)
