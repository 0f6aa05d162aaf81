"""The values of an agreement: exact numbers, days and instants, and the one way to split.

A number is a `Fraction` and is written as text (`"1/5"`, `"0.2"`, `"20%"`, `"92e9"`,
`"250_000_000_000"`) or as a whole number; a float has lost digits before it is read and is
refused. Amounts of money are in whole units of their currency. A day is `2026-04-27`, in the
zone of the document; an instant carries its own zone (`2026-04-27T12:00:00Z`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Annotated, Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

Exact: TypeAlias = Fraction
"""An exact number: a ratio, a count, or an amount in whole units of a currency."""

DIGITS_MAX: Final = 40
"""Digits before or behind the point, or of a numerator or denominator."""
EXPONENT_MAX: Final = 30
NANO: Final = 1_000_000_000

_NUMBER: Final = (
    rf"[+-]?(?:\d[\d_]{{0,{DIGITS_MAX - 1}}})(?:\.\d{{1,{DIGITS_MAX}}})?(?:[eE][+]?\d{{1,2}})?%?"
)
_RATIO: Final = rf"[+-]?\d[\d_]{{0,{DIGITS_MAX - 1}}}/\d[\d_]{{0,{DIGITS_MAX - 1}}}"
_NUMBER_RE: Final = re.compile(_NUMBER, re.ASCII)
_RATIO_RE: Final = re.compile(_RATIO, re.ASCII)

_DAY: Final = r"\d{4}-\d{2}-\d{2}"
_CLOCK: Final = r"\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?"
_DAY_RE: Final = re.compile(_DAY, re.ASCII)
_INSTANT_RE: Final = re.compile(rf"({_DAY})T({_CLOCK})(Z|[+-]\d{{2}}:\d{{2}})", re.ASCII)

Day: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=f"^{_DAY}$", description="A day, such as 2026-04-27.")
]
When: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^{_DAY}(T{_CLOCK}(Z|[+-]\d{{2}}:\d{{2}}))?$",
        description="A day in the document's zone (its first instant), or an instant with a zone.",
    ),
]
Name: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9_.:\-]{0,63}$",
        description="An id: a letter, then letters, digits, and _ . : -",
    ),
]


def parse(value: object) -> Fraction:
    """Read an exact number from text or from a whole number.

    Raises ValueError for everything else, floats above all, and says what would do.
    """
    if isinstance(value, Fraction):
        return value
    if isinstance(value, bool) or not isinstance(value, int | str):
        hint = f'; write "{value}"' if isinstance(value, float) else ""
        message = f'{value!r} is not an exact number: quote it, as in "0.2" or "1/5"{hint}'
        raise ValueError(message)  # noqa: TRY004 - msgspec maps ValueError to a place
    if isinstance(value, int):
        return Fraction(value)
    text = value.strip()
    if _RATIO_RE.fullmatch(text):
        above, below = text.replace("_", "").split("/")
        if int(below) == 0:
            message = f"{value!r} divides by zero"
            raise ValueError(message)
        return Fraction(int(above), int(below))
    if not _NUMBER_RE.fullmatch(text):
        message = f'{value!r} is not a number such as "0.2", "1/5", "20%", "92e9" or "250_000"'
        raise ValueError(message)
    return _decimal(text.replace("_", ""))


def _decimal(text: str) -> Fraction:
    """Read a decimal with an exponent or a per cent sign."""
    plain = text.removesuffix("%")
    _, _, exponent = plain.lower().partition("e")
    if exponent and int(exponent) > EXPONENT_MAX:
        message = f"{text!r} has an exponent above {EXPONENT_MAX}"
        raise ValueError(message)
    number = Fraction(plain)
    return number / 100 if text.endswith("%") else number


def text_of(number: Fraction) -> str:
    """Write a number in its one canonical form: `13`, `-1/3`."""
    return str(number)


def shown(number: Fraction, places: int = 6) -> str:
    """Write a number for people: the exact decimal where one is short, else rounded with `…`."""
    units = number * 10**places
    whole = math.floor(abs(units))
    sign = "-" if number < 0 and whole else ""
    text = f"{whole // 10**places:,}.{whole % 10**places:0{places}d}".rstrip("0").rstrip(".")
    return f"{sign}{text}" if units.denominator == 1 else f"{sign}{text}…"


def day(text: str) -> date:
    """Read a day. Raises ValueError for a day that no calendar has."""
    return date.fromisoformat(text)


def instant_ns(text: str, zone: ZoneInfo) -> int:
    """Read a day as its first instant in `zone`, or an instant; nanoseconds since 1970.

    Raises ValueError for what is neither.
    """
    if _DAY_RE.fullmatch(text):
        return midnight_ns(day(text), zone)
    found = _INSTANT_RE.fullmatch(text)
    if found is None:
        message = f"{text!r} is neither a day (2026-04-27) nor an instant (2026-04-27T12:00:00Z)"
        raise ValueError(message)
    on, clock, offset = found.groups()
    clock, _, part = clock.partition(".")
    moment = datetime.fromisoformat(f"{on}T{clock}{'+00:00' if offset == 'Z' else offset}")
    return _seconds(moment) * NANO + int(part.ljust(9, "0") or 0)


def midnight_ns(on: date, zone: ZoneInfo) -> int:
    """Give the first instant of a day in a zone.

    Where clocks are moved at midnight, that is the earlier of two midnights, or the first
    instant behind a midnight that there was not.
    """
    return _seconds(datetime(on.year, on.month, on.day, tzinfo=zone)) * NANO


def next_day_ns(text: str, zone: ZoneInfo) -> int:
    """Give the first instant behind a day: what "through" that day, inclusive, means."""
    return midnight_ns(day(text) + timedelta(days=1), zone)


def _seconds(moment: datetime) -> int:
    """Count whole seconds since 1970, without a float in between."""
    since = moment - _EPOCH
    return since.days * 86_400 + since.seconds


_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def floor_then_first(
    parts: Sequence[Fraction], closed: frozenset[int] = frozenset()
) -> tuple[int, ...]:
    """Round amounts to whole units: the one rounding of everything that is settled.

    The sum is rounded down and so is each part; the units that are then left go to the
    earliest parts, one each. A part at an index in `closed` (its payee has reached a cap)
    takes one only when no other is left. Negative amounts are rounded as their opposites.
    """
    if sum(parts) < 0:
        return tuple(-unit for unit in floor_then_first([-part for part in parts], closed))
    units = [math.floor(part) for part in parts]
    left = math.floor(sum(parts)) - sum(units)
    order = sorted(range(len(parts)), key=lambda index: (index in closed, index))
    for index in order[:left]:
        units[index] += 1
    return tuple(units)


def split(total: int, shares: Sequence[Fraction | None]) -> tuple[int, ...]:
    """Split whole units by shares that sum to 1; `None` stands once for what remains.

    Each part is rounded down and the units that are left go to the earliest parts: 15 by
    80/8/12 % is 13, 1, 1. Raises ValueError for shares that do not sum to 1.
    """
    known = sum((share for share in shares if share is not None), Fraction(0))
    open_ends = shares.count(None)
    if open_ends > 1 or known > 1 or (not open_ends and known != 1):
        message = f"shares sum to {known}, not to 1; give one of them as what remains"
        raise ValueError(message)
    return floor_then_first([total * (1 - known if s is None else s) for s in shares])


def dec_hook(kind: type, value: object) -> object:
    """Let msgspec read the types of this module."""
    if kind is Fraction:
        return parse(value)
    message = f"{kind.__name__} cannot be read from a document"
    raise NotImplementedError(message)


def enc_hook(value: object) -> object:
    """Let msgspec write the types of this module."""
    if isinstance(value, Fraction):
        return text_of(value)
    message = f"{type(value).__name__} cannot be written to a document"
    raise NotImplementedError(message)


def schema_hook(kind: type) -> dict[str, Any]:
    """Describe the types of this module in JSON Schema."""
    if kind is Fraction:
        return {
            "description": "An exact number, as text or as a whole number; never a float.",
            "anyOf": [
                {"type": "string", "pattern": f"^({_RATIO}|{_NUMBER})$"},
                {"type": "integer"},
            ],
            "examples": ["1/5", "0.2", "20%", "92e9", "250_000_000_000"],
        }
    message = f"{kind.__name__} has no schema"
    raise NotImplementedError(message)
