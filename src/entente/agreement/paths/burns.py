"""Commitments for many paths at once: what is drawn, and what is missing at a step's end."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import msgspec
import numpy as np

from entente.agreement.paths.exacts import (
    Exacts,
    Flags,
    Ints,
    constant,
    denominator,
    minus,
    most,
    plus,
    roomy,
    scaled,
    stacked,
    summed,
    zeros,
)
from entente.agreement.paths.measured import Counted
from entente.agreement.settle.burn import Policy


class Burn(msgspec.Struct, frozen=True):
    """Sums by path and column, since the beginning."""

    drawn: Exacts
    remaining: Exacts
    due: Exacts
    """What the buyer has had to pay for what was not spent."""


class Target(msgspec.Struct, frozen=True):
    """What is to be spent in some columns; an amount in units of the document's scale."""

    first: int
    before: int
    """The first column that is no longer in it."""
    due: Ints
    """By path, the column in which what is missing is due; beyond the last one: not yet."""
    amount: Fraction


def burn(
    base: Counted, holding: Flags, total: Fraction, targets: Sequence[Target], policy: Policy
) -> Burn:
    """Draw a commitment down."""
    of = denominator([Fraction(1, base.grains), total, *(target.amount for target in targets)])
    amounts = roomy(np.where(holding, base.amounts, 0), of, terms=holding.shape[1])
    spent = scaled(amounts, of // base.grains, of)
    drawn = summed(spent)
    zero = zeros(holding.shape[0], of, amounts.dtype)
    due = stacked([zero] * holding.shape[1])
    rolled = carried = zero
    for number, target in enumerate(targets):
        last = number == len(targets) - 1
        own = _between(drawn, target, zero)
        required = plus(constant(target.amount, zero), rolled)
        credited = plus(own, carried)
        short = most(zero, minus(required, credited))
        pays = policy.at_end if policy.shortfall == "rollover" and last else policy.shortfall
        if pays == "true_up":
            due = plus(due, _at(short, target.due, holding.shape[1]))
        rolled = short if policy.shortfall == "rollover" else zero
        over = most(zero, minus(credited, required))
        carried = over if policy.excess == "carries" else zero
    remaining = most(_wide(zero), minus(constant(total, zero), drawn))
    return Burn(drawn, remaining, summed(due))


def _at(numbers: Exacts, columns: Ints, count: int) -> Exacts:
    """Put each path's number into its column, and nothing into the others."""
    here = columns[:, None] == np.arange(count)
    whole = np.where(here, numbers.whole[:, None], 0)
    return Exacts(whole, np.where(here, numbers.part[:, None], 0), numbers.of)


def _between(drawn: Exacts, target: Target, zero: Exacts) -> Exacts:
    last = min(target.before, drawn.whole.shape[1]) - 1
    if last < target.first:
        return zero
    upto = _column(drawn, last)
    return minus(upto, _column(drawn, target.first - 1)) if target.first else upto


def _column(numbers: Exacts, number: int) -> Exacts:
    return Exacts(numbers.whole[:, number], numbers.part[:, number], numbers.of)


def _wide(zero: Exacts) -> Exacts:
    """Give zeros that stand beside any number of columns."""
    return Exacts(_as_column(zero.whole), _as_column(zero.part), zero.of)


def _as_column(numbers: Ints) -> Ints:
    return numbers[:, None]
