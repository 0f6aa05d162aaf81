"""Commitments: what was drawn of a promised spend, and what is missing at the end of a step."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Literal

import msgspec

ZERO: Final = Fraction(0)


class Policy(msgspec.Struct, frozen=True):
    """What becomes of too little and too much; as in the clause."""

    shortfall: Literal["true_up", "rollover", "none"]
    at_end: Literal["true_up", "none"] | None = None
    excess: Literal["carries", "lapses"] | None = None


class Outcome(msgspec.Struct, frozen=True):
    """How a step stands, or ended."""

    required: Fraction
    """The step's amount and what was rolled over to it."""
    credited: Fraction
    """What was spent in it and what was carried over to it."""
    short: Fraction
    """What is missing."""
    due: Fraction
    """What of that the buyer pays at the end of the step."""


def outcomes(
    amounts: Sequence[Fraction], spent: Sequence[Fraction], policy: Policy
) -> tuple[Outcome, ...]:
    """Say for each step what it asked for, what was spent, and what is due at its end."""
    found: list[Outcome] = []
    rolled, carried = ZERO, ZERO
    for number, (amount, own) in enumerate(zip(amounts, spent, strict=True)):
        required, credited = amount + rolled, own + carried
        short = max(ZERO, required - credited)
        last = number == len(amounts) - 1
        pays = policy.at_end if policy.shortfall == "rollover" and last else policy.shortfall
        found.append(Outcome(required, credited, short, short if pays == "true_up" else ZERO))
        rolled = short if policy.shortfall == "rollover" else ZERO
        carried = max(ZERO, credited - required) if policy.excess == "carries" else ZERO
    return tuple(found)


def remaining(total: Fraction, spent: Fraction) -> Fraction:
    """Give what of a commitment is not yet drawn."""
    return max(ZERO, total - spent)
