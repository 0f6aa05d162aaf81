"""Rates in tiers for many paths at once: what a quantity costs since counting began."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import floor

import numpy as np

from entente.agreement.money import Rate
from entente.agreement.paths.exacts import Exacts, Ints, denominator, plus, roomy, scaled
from entente.agreement.settle.tariff import charge


def rate_denominator(rates: Iterable[Rate], grains: int, units: int) -> int:
    """Give a denominator in which everything that these rates charge is whole."""
    return denominator(n for rate in rates for line in _lines(rate, grains, units) for n in line)


def charges(rate: Rate, quantity: Ints, grains: int, units: int, of: int) -> Exacts:
    """Price whole quantities, of which `grains` are one; the result is in money's units."""
    lines = _lines(rate, grains, units)
    quantity = roomy(quantity, of, max(abs(slope) for slope, _ in lines), 2)
    # A quantity is in the tier whose end it has not passed: it is past b from floor(b) + 1 on.
    ends = [tier.up_to for tier in rate.tiers if tier.up_to is not None]
    edges = np.array([floor(end * grains) + 1 for end in ends], quantity.dtype)
    at = np.searchsorted(edges, quantity, side="right")
    numerators = np.array([int(slope * of) for slope, _ in lines], quantity.dtype)
    wholes = np.array([floor(offset) for _, offset in lines], quantity.dtype)
    rests = np.array([int((offset % 1) * of) for _, offset in lines], quantity.dtype)
    return plus(scaled(quantity, numerators[at], of), Exacts(wholes[at], rests[at], of))


def _lines(rate: Rate, grains: int, units: int) -> list[tuple[Fraction, Fraction]]:
    """Give each tier's line: what one grain costs in it, and where the line begins."""
    found: list[tuple[Fraction, Fraction]] = []
    begin = Fraction(0)
    for tier in rate.tiers:
        price = tier.price / rate.per
        paid = charge(rate.tiers, rate.mode, rate.per, begin)
        offset = Fraction(0) if rate.mode == "volume" else paid - price * begin
        found.append((price * units / grains, offset * units))
        begin = tier.up_to if tier.up_to is not None else begin
    return found
