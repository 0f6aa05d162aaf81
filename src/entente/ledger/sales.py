"""What a provider is owed where that is not what the key is charged. Pure.

A key can be charged a part of the price, or more than all of it, and in another asset than the
provider asks. Its amount is rounded from the provider's, so that the two never drift apart; the
difference is a mark-up or a discount, never lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import msgspec

from entente.domain.exchange import parse_named
from entente.domain.money import round_half_even

MARKUP: Final = "revenue:markup"
DISCOUNT: Final = "discount"
EXCHANGE: Final = "exchange"


class Sale(msgspec.Struct, frozen=True):
    """What the provider is owed: `nano` of `asset`, which are `value` in the key's asset."""

    nano: int
    asset: str
    value: int
    rate: str = ""
    """The rate of exchange, as it is named; empty where the assets are the same."""


def implied(price_factor: str, rates: tuple[str, ...], asset: str, nano: int) -> Sale | None:
    """Work back from what a key was charged in `asset`, where only that is known.

    Takes a hold's own factor and rates; None for one that has neither.
    """
    if not price_factor and not rates:
        return None
    factor = 1 / Fraction(price_factor or 1)
    value = round_half_even(nano * factor.numerator, factor.denominator)
    if not rates:
        return Sale(value, asset, value)
    rate = parse_named(rates[0])
    other, factor = (rate.base, 1 / rate.value) if rate.quote == asset else (rate.quote, rate.value)
    owed = round_half_even(value * factor.numerator, factor.denominator)
    return Sale(owed, other, value, rates[0])


def moves(
    sale: Sale, charged: int, asset: str, provider: str
) -> Iterator[tuple[str | None, str, int, str]]:
    """Give source, destination, amount and asset of what a sale moves; None is the key.

    `provider` is the account of what the provider is owed.
    """
    between = provider if sale.asset == asset else EXCHANGE
    yield None, between, min(charged, sale.value), asset
    yield None, MARKUP, charged - sale.value, asset
    yield DISCOUNT, between, sale.value - charged, asset
    if between == EXCHANGE:
        yield EXCHANGE, provider, sale.nano, sale.asset
