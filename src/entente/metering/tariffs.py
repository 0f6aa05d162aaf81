"""Tariffs: what a model costs by length of the input and by service tier. Pure.

A tariff has standard terms and terms of further tiers. Terms are steps: the rates of the last
step that the whole input is above hold for the whole request. Which tier a request is served
in is known when the provider has said so. Until then it is one of several that can be, and a
bound takes the dearest. A tier that the tariff does not know has no known price; that is not
the standard one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final

import msgspec

from entente.domain.usage import NOTHING, Usage
from entente.metering.prices import Price

BATCH: Final = "batch"
"""The tier of requests that are handed to a provider's own batches."""
STANDARD: Final = frozenset({"default", "standard", "standard_only", "on_demand"})
"""What providers call the tier of those who ask for none."""
UNDECIDED: Final = frozenset({"", "auto"})
"""What leaves the choice to the provider; or says nothing of it."""


class Terms(msgspec.Struct, frozen=True):
    """The prices of one tier, by length: each holds where the input is longer than its step.

    `steps` rise, and the first is below every length.
    """

    steps: tuple[tuple[int, Price], ...]

    def price(self, input_total: int) -> Price:
        """Give the price of a request with so many tokens of input, cached ones included."""
        for above, price in reversed(self.steps):
            if input_total > above:
                return price
        return self.steps[0][1]

    def cost(self, usage: Usage) -> int | None:
        """Give what a usage costs; None where a class has no rate."""
        if len(self.steps) == 1:
            return self.steps[0][1].cost(usage)
        return self.price(usage.input_total).cost(usage)

    def bound(self, input_tokens: int, output_tokens: int, measured: Usage = NOTHING) -> int | None:
        """Give the most that so many tokens can cost; None where a step that they reach has none.

        Longer requests can cost less than shorter ones, so every step counts that the input
        can be above.
        """
        most: int | None = None
        for above, price in self.steps:
            if input_tokens <= above:
                break
            bound = price.bound(input_tokens, output_tokens, measured)
            if bound is None:
                return None
            most = bound if most is None else max(most, bound)
        return most

    def scaled(self, factor: Fraction) -> Terms:
        """Give the terms of which this part is asked."""
        return Terms(tuple((above, price.scaled(factor)) for above, price in self.steps))


class Tariff(msgspec.Struct, frozen=True):
    """What a model costs for a while."""

    asset: str
    standard: Terms
    tiers: Mapping[str, Terms] = MappingProxyType({})
    from_ns: int | None = None
    """The first instant for which it holds; None for ever before."""
    until_ns: int | None = None
    """The first instant for which it no longer holds; None for ever after."""

    def holds(self, at_ns: int) -> bool:
        """Say whether it holds then."""
        since, until = self.from_ns, self.until_ns
        return (since is None or since <= at_ns) and (until is None or at_ns < until)

    def terms(self, tier: str = "") -> Terms | None:
        """Give the terms of a tier, None where it has none here."""
        if tier in UNDECIDED or tier in STANDARD:
            return self.standard
        return self.tiers.get(tier)

    def possible(self, asked: str) -> tuple[Terms, ...]:
        """Give the terms on which a request may be served that asks for a tier.

        A provider may always serve it as a standard one. Whose request leaves the choice may
        get any tier that its account is set to.
        """
        if asked in UNDECIDED:
            others = [terms for tier, terms in self.tiers.items() if tier != BATCH]
            return (self.standard, *others)
        own = self.terms(asked)
        return (self.standard,) if own is None or own is self.standard else (self.standard, own)

    def bound(
        self, asked: str, input_tokens: int, output_tokens: int, measured: Usage = NOTHING
    ) -> int | None:
        """Give the most that a request can cost; None where that is unknown."""
        most: int | None = None
        for terms in self.possible(asked):
            bound = terms.bound(input_tokens, output_tokens, measured)
            if bound is None:
                return None
            most = bound if most is None else max(most, bound)
        return most

    def cost(self, usage: Usage, *, asked: str, served: str, estimated: bool) -> int | None:
        """Give what a request cost that was served in a tier, as the provider reported it.

        Where it reported none, it is the dearest that can have been: of an answer that came to
        its end the tier that was asked for, or the standard one; of any other all that could.
        """
        if served not in UNDECIDED:
            terms = self.terms(served)
            return None if terms is None else terms.cost(usage)
        candidates = (
            self.possible(asked) if estimated or asked not in UNDECIDED else (self.standard,)
        )
        return dearest(terms.cost(usage) for terms in candidates)


def dearest(costs: Iterable[int | None]) -> int | None:
    """Give the highest of some costs; None where one is unknown, or there are none."""
    most: int | None = None
    for cost in costs:
        if cost is None:
            return None
        most = cost if most is None else max(most, cost)
    return most


def flat(price: Price) -> Tariff:
    """Make the tariff of a model with one price, whatever the tier and the length."""
    return Tariff(asset=price.asset, standard=Terms(((-1, price),)))
