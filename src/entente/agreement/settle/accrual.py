"""Revenue shares: what accrues, up to a cap in all, and when it is paid.

Both are sums that only grow by differences: an amount cut in two accrues and pays the same.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import msgspec

ZERO: Final = Fraction(0)


class Accrued(msgspec.Struct, frozen=True):
    """Where a capped share stands."""

    counted: Fraction = ZERO
    """What is owed since the cap counts."""
    above: Fraction = ZERO
    """What would be owed on top without the cap."""


def accrue(state: Accrued, amount: Fraction, cap: Fraction | None) -> Accrued:
    """Add an amount; what is above the cap is not owed.

    A negative amount first takes off what was above the cap. A cap that is raised later
    brings nothing back, and one that is lowered takes nothing away.
    """
    if amount < 0:
        off = min(state.above, -amount)
        return Accrued(state.counted + amount + off, state.above - off)
    owed = amount if cap is None else min(amount, max(ZERO, cap - state.counted))
    return Accrued(state.counted + owed, state.above + amount - owed)


def headroom(state: Accrued, cap: Fraction) -> Fraction:
    """Give what may still be owed under the cap."""
    return max(ZERO, cap - state.counted)


class Payable(msgspec.Struct, frozen=True):
    """Where the paying of a share stands."""

    paid: Fraction = ZERO
    """In all, since inception."""
    deferred: Fraction = ZERO
    """Owed and not yet due."""
    window: str = ""
    """The stretch of the calendar that `paid_in_window` is of."""
    paid_in_window: Fraction = ZERO


def pay_all(state: Payable, owed: Fraction) -> Payable:
    """Pay what is owed, and everything that was deferred."""
    due = state.deferred + owed
    return Payable(state.paid + due, ZERO, state.window, state.paid_in_window + due)


def pay_part(state: Payable, owed: Fraction, ratio: Fraction) -> Payable:
    """Pay this much of what is owed; the rest is deferred."""
    due = owed * ratio
    return Payable(state.paid + due, state.deferred + owed - due)


def pay_up_to(state: Payable, owed: Fraction, most: Fraction, window: str) -> Payable:
    """Pay what is owed or still deferred, but at most this in the window."""
    before = state.paid_in_window if window == state.window else ZERO
    due = min(state.deferred + owed, max(ZERO, most - before))
    return Payable(state.paid + due, state.deferred + owed - due, window, before + due)
