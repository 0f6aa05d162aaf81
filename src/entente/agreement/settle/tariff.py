"""Rates in tiers: what a quantity costs in all, so that a part of it is a difference."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Literal

import msgspec

from entente.agreement.money import RateTier

ZERO: Final = Fraction(0)


class Band(msgspec.Struct, frozen=True):
    """What falls into one tier."""

    tier: int
    """Its number, from 0."""
    quantity: Fraction
    price: Fraction
    amount: Fraction


def check(tiers: Sequence[RateTier], per: Fraction) -> None:
    """Raise ValueError for tiers that do not price every quantity."""
    ends = [tier.up_to for tier in tiers]
    if not tiers or ends[-1] is not None or None in ends[:-1]:
        message = "the last tier of a rate has no `up_to`, and every other one has"
        raise ValueError(message)
    known = [end for end in ends if end is not None]
    if any(end <= 0 for end in known) or sorted(set(known)) != known:
        message = "the tiers of a rate rise"
        raise ValueError(message)
    if per <= 0:
        message = "a rate is per a quantity above zero"
        raise ValueError(message)


def bands(
    tiers: Sequence[RateTier],
    mode: Literal["graduated", "volume"],
    per: Fraction,
    quantity: Fraction,
) -> tuple[Band, ...]:
    """Price a whole quantity, since counting began. A negative one is a credit at tier 0."""
    if quantity <= 0 or len(tiers) == 1:
        return (_band(0, quantity, tiers[0].price, per),) if quantity else ()
    if mode == "volume":
        number = next(i for i, t in enumerate(tiers) if t.up_to is None or quantity <= t.up_to)
        return (_band(number, quantity, tiers[number].price, per),)
    found, begins = [], ZERO
    for number, tier in enumerate(tiers):
        ends = quantity if tier.up_to is None else min(quantity, tier.up_to)
        if ends > begins:
            found.append(_band(number, ends - begins, tier.price, per))
            begins = ends
    return tuple(found)


def charge(
    tiers: Sequence[RateTier],
    mode: Literal["graduated", "volume"],
    per: Fraction,
    quantity: Fraction,
) -> Fraction:
    """Give what a whole quantity costs."""
    return sum((band.amount for band in bands(tiers, mode, per, quantity)), ZERO)


def _band(number: int, quantity: Fraction, price: Fraction, per: Fraction) -> Band:
    return Band(number, quantity, price, quantity * price / per)
