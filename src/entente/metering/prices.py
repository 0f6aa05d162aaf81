"""Prices: exact rates by token class, or by a measure, and the book of them. Pure.

Rates are rationals, compiled once to whole numerators over one denominator, so that the
price of a request is a few integer multiplications and one rounding. Where a class has
no rate of its own, cached and cache-write tokens cost what input costs and reasoning
tokens what output costs; audio and pictures have no such relation, so without a rate they
are unpriced. Unpriced is not zero: it is None. What is cached for an hour costs more than
what is cached for minutes wherever that has a rate, so then it needs one of its own.

A price is for tokens or for one measure (time heard, characters spoken, pictures made). What
it is not for, it does not count; a usage of which it counts nothing has no known cost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Final, Literal, TypeAlias

import msgspec

from entente.domain.money import NANO_PER_UNIT, round_half_even, round_up
from entente.domain.usage import INPUT_CLASSES, NOTHING, TOKEN_CLASSES, Usage

_FALLBACK: Final = {"cache_read": "input", "cache_write": "input", "reasoning": "output"}
_LONG_AS_INPUT: Final = {"cache_write_1h": "input"}
_INPUTS: Final = len(INPUT_CLASSES)
"""Token classes of the input come first in `TOKEN_CLASSES`."""
VERSION_DIGITS: Final = 12

Unit: TypeAlias = Literal["tokens", "audio_ms", "characters", "images"]
"""What a price is for: tokens, or one of `MEASURES`."""


class Price(msgspec.Struct, frozen=True, dict=True, omit_defaults=True):
    """The rates of one model, in nano-units per token as numerators over `denominator`.

    Numerators stand in the order of `TOKEN_CLASSES`; None is a class without a rate. For
    another unit there is one numerator, the rate of that unit.
    """

    asset: str
    numerators: tuple[int | None, ...]
    denominator: int
    unit: Unit = "tokens"

    def cost(self, usage: Usage) -> int | None:
        """Give the price of a usage in nano-units; None if a used class has no rate."""
        if self.unit != "tokens":
            return self._measured_cost(usage)
        counts = usage.counts()
        for place in self.unrated:
            if counts[place]:
                return None
        total = 0
        for place, rate in self.rated:
            total += counts[place] * rate
        if not total and usage != NOTHING and not any(counts):
            return None
        return round_half_even(total, self.denominator)

    def _measured_cost(self, usage: Usage) -> int | None:
        """Give the price of what is measured; None if something else is known, but not this."""
        amount = getattr(usage, self.unit)
        if not amount and usage != NOTHING:
            return None
        return round_half_even(amount * (self.numerators[0] or 0), self.denominator)

    def scaled(self, factor: Fraction) -> Price:
        """Give the price of which this part is asked."""
        return Price(
            asset=self.asset,
            numerators=tuple(
                None if rate is None else rate * factor.numerator for rate in self.numerators
            ),
            denominator=self.denominator * factor.denominator,
            unit=self.unit,
        )

    @cached_property
    def rated(self) -> tuple[tuple[int, int], ...]:
        """The classes with a rate: their place, and the rate."""
        return tuple([(n, rate) for n, rate in enumerate(self.numerators) if rate is not None])

    @cached_property
    def unrated(self) -> tuple[int, ...]:
        """The places of classes without a rate."""
        return tuple([n for n, rate in enumerate(self.numerators) if rate is None])

    @cached_property
    def dearest(self) -> tuple[int, int]:
        """The highest rates of an input and of an output token."""
        rates = [rate or 0 for rate in self.numerators]
        return max(rates[:_INPUTS]), max(rates[_INPUTS:])

    def bound(self, input_tokens: int, output_tokens: int, measured: Usage = NOTHING) -> int | None:
        """Give the most that so many tokens can cost, whatever classes they fall in.

        Of another unit it is what is `measured` that counts. None where there is no rate at
        all for what can come.
        """
        if self.unit != "tokens":
            amount = getattr(measured, self.unit)
            return (
                round_up(amount * (self.numerators[0] or 0), self.denominator) if amount else None
            )
        if (input_tokens and not self._rates_input) or (output_tokens and not self._rates_output):
            return None
        dearest_in, dearest_out = self.dearest
        return round_up(input_tokens * dearest_in + output_tokens * dearest_out, self.denominator)

    @cached_property
    def _rates_input(self) -> bool:
        return any(rate is not None for rate in self.numerators[:_INPUTS])

    @cached_property
    def _rates_output(self) -> bool:
        return any(rate is not None for rate in self.numerators[_INPUTS:])


def compile_price(
    asset: str, rates: Mapping[str, Fraction], units_per: int, *, unit: Unit = "tokens"
) -> Price:
    """Make a price of rates in whole units of `asset` per `units_per` tokens, or other units.

    `rates` are by token class; see the module for what the missing ones mean. For another
    unit than tokens there is one, by its name.
    """
    fallback = _FALLBACK if "cache_write" in rates else _FALLBACK | _LONG_AS_INPUT
    nano: list[Fraction | None] = []
    for name in TOKEN_CLASSES if unit == "tokens" else (unit,):
        rate = rates.get(name, rates.get(fallback.get(name, "")))
        nano.append(None if rate is None else rate * NANO_PER_UNIT / units_per)
    denominator = lcm(*(rate.denominator for rate in nano if rate is not None))
    return Price(
        asset=asset,
        numerators=tuple(None if rate is None else int(rate * denominator) for rate in nano),
        denominator=denominator,
        unit=unit,
    )


class PriceBook(msgspec.Struct, frozen=True):
    """The prices in force, and the version that every ledger entry names."""

    version: str
    lines: dict[str, Price]

    def encode(self) -> bytes:
        """Write the lines as canonical JSON: what the version is the digest of."""
        return _canonical(self.lines)


def price_book(lines: Mapping[str, Price]) -> PriceBook:
    """Make a book; equal prices give an equal version on every machine."""
    version = hashlib.sha256(_canonical(lines)).hexdigest()[:VERSION_DIGITS]
    return PriceBook(version=version, lines=dict(lines))


def _canonical(lines: Mapping[str, Price]) -> bytes:
    """Write lines in the order of their names."""
    return msgspec.json.encode(dict(sorted(lines.items())))
