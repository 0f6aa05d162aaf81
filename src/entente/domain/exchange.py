"""Rates of exchange: dated, exact, and named in every entry that one was used for. Pure.

A rate says how many units of `quote` one unit of `base` is worth on a day. The rate of a moment
is the latest of its day or before, no older than `AGE_DAYS_MAX`: banks publish none at weekends.
Turned about it is as exact, since rates are rationals.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Final

import msgspec

from entente.domain.money import format_rate, parse_rate

AGE_DAYS_MAX: Final = 7
"""An older rate is none."""
NS_PER_S: Final = 1_000_000_000
_NAME: Final = re.compile(r"([A-Z]{3})/([A-Z]{3}) (\d{4}-\d\d-\d\d) (\S{1,64})")


class Rate(msgspec.Struct, frozen=True, order=True):
    """What one unit of `base` is worth in `quote` on a day."""

    day: str
    base: str
    quote: str
    value: Fraction

    def __str__(self) -> str:
        """Write it as entries name it: `EUR/USD 2026-11-20 1.0823`."""
        return f"{self.base}/{self.quote} {self.day} {format_rate(self.value)}"


def parse_named(text: str) -> Rate:
    """Read a rate as entries name it. Raises ValueError."""
    found = _NAME.fullmatch(text)
    if found is None:
        message = f'{text!r} is no rate such as "EUR/USD 2026-11-20 1.0823"'
        raise ValueError(message)
    base, quote, day, value = found.groups()
    return checked(Rate(day, base, quote, parse_rate(value)))


def checked(rate: Rate) -> Rate:
    """Give a rate that can be one. Raises ValueError."""
    date.fromisoformat(rate.day)
    if rate.base == rate.quote or rate.value <= 0:
        message = "a rate is above zero, and of two currencies"
        raise ValueError(message)
    return rate


class Conversion(msgspec.Struct, frozen=True):
    """How amounts of one asset become amounts of another."""

    factor: Fraction
    name: str
    """The rate that it is of."""


class Exchange:
    """The rates that are known."""

    def __init__(self, rates: Iterable[Rate] = ()) -> None:
        """Take rates in any order; of one pair and day there is one."""
        self._rates: dict[tuple[str, str], list[Rate]] = {}
        for rate in sorted(rates):
            self._rates.setdefault((rate.base, rate.quote), []).append(rate)

    def find(self, source: str, wanted: str, at_ns: int) -> Conversion | None:
        """Say what amounts of `source` are worth in `wanted` at a moment; None where unknown.

        Of a rate and one turned about, the later counts.
        """
        day = self.day_of(at_ns)
        plain = self._latest((source, wanted), day)
        turned = self._latest((wanted, source), day)
        if plain is not None and (turned is None or plain.day >= turned.day):
            return Conversion(plain.value, str(plain))
        return None if turned is None else Conversion(1 / turned.value, str(turned))

    @staticmethod
    def day_of(at_ns: int) -> date:
        """Give the day of a moment, in UTC."""
        return datetime.fromtimestamp(at_ns // NS_PER_S, UTC).date()

    def _latest(self, pair: tuple[str, str], day: date) -> Rate | None:
        rates = self._rates.get(pair, [])
        at = bisect_right(rates, day.isoformat(), key=lambda rate: rate.day)
        oldest = (day - timedelta(days=AGE_DAYS_MAX)).isoformat()
        return rates[at - 1] if at and rates[at - 1].day >= oldest else None
