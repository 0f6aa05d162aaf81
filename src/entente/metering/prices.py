"""Prices: exact rates per token class, and the book that names their version. Pure.

Rates are rationals, compiled once to whole numerators over one denominator, so that the
price of a request is a few integer multiplications and one rounding. Where a class has
no rate of its own, cached and cache-write tokens cost what input costs and reasoning
tokens what output costs; audio has no such relation, so audio without a rate is
unpriced. Unpriced is not zero: it is None.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Final

import msgspec

from entente.domain.money import NANO_PER_UNIT, round_half_even, round_up
from entente.domain.usage import INPUT_CLASSES, TOKEN_CLASSES, Usage

_FALLBACK: Final = {"cache_read": "input", "cache_write": "input", "reasoning": "output"}
_INPUTS: Final = len(INPUT_CLASSES)
"""Token classes of the input come first in `TOKEN_CLASSES`."""
VERSION_DIGITS: Final = 12


class Price(msgspec.Struct, frozen=True, dict=True):
    """The rates of one model, in nano-units per token as numerators over `denominator`.

    Numerators stand in the order of `TOKEN_CLASSES`; None is a class without a rate.
    """

    asset: str
    numerators: tuple[int | None, ...]
    denominator: int

    def cost(self, usage: Usage) -> int | None:
        """Give the price of a usage in nano-units; None if a used class has no rate."""
        counts = usage.counts()
        for place in self.unrated:
            if counts[place]:
                return None
        total = 0
        for place, rate in self.rated:
            total += counts[place] * rate
        return round_half_even(total, self.denominator)

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

    def bound(self, input_tokens: int, output_tokens: int) -> int:
        """Give the most that so many tokens can cost, whatever classes they fall in."""
        dearest_in, dearest_out = self.dearest
        return round_up(input_tokens * dearest_in + output_tokens * dearest_out, self.denominator)

    def scaled(self, factor: Fraction) -> Price:
        """Give the price of which this part is asked."""
        return Price(
            asset=self.asset,
            numerators=tuple(
                None if rate is None else rate * factor.numerator for rate in self.numerators
            ),
            denominator=self.denominator * factor.denominator,
        )


def compile_price(asset: str, rates: Mapping[str, Fraction], tokens_per: int) -> Price:
    """Make a price of rates in whole units of `asset` per `tokens_per` tokens.

    `rates` are by token class; see the module for what the missing ones mean.
    """
    nano: list[Fraction | None] = []
    for name in TOKEN_CLASSES:
        rate = rates.get(name, rates.get(_FALLBACK.get(name, "")))
        nano.append(None if rate is None else rate * NANO_PER_UNIT / tokens_per)
    denominator = lcm(*(rate.denominator for rate in nano if rate is not None))
    return Price(
        asset=asset,
        numerators=tuple(None if rate is None else int(rate * denominator) for rate in nano),
        denominator=denominator,
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
