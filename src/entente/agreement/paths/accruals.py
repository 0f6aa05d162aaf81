"""Revenue shares for many paths at once: `settle.accrual`, column by column."""

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
    least,
    minus,
    most,
    negated,
    plus,
    portion,
    roomy,
    scaled,
    stacked,
    where,
    zeros,
)
from entente.agreement.paths.measured import Counted

ZERO = Fraction(0)


class Terms(msgspec.Struct, frozen=True):
    """A share's terms in one column; amounts in units of the document's scale."""

    ratio: Fraction
    cap: Fraction | None
    counts_from: str
    """`inception` or a day; of the cap."""
    begun: tuple[str, ...]
    """Of all such days of any version, those that have come."""
    pay_ratio: Fraction | None
    pay_max: Fraction | None
    window: str
    released: bool


class Run(msgspec.Struct, frozen=True):
    """Sums by path and column, since the beginning."""

    accrued: Exacts
    above: Exacts
    """What the cap has saved the payer."""
    direct: Exacts
    """Paid at once."""
    deferred: Exacts
    """Put off, in all."""
    released: Exacts
    """Of that, paid later."""


def run(base: Counted, holding: Flags, terms: Sequence[Terms | None]) -> Run:
    """Run a share over all columns. `terms` is None before the first version that has the share."""
    known = [each for each in terms if each is not None]
    of = denominator(
        n for each in known for n in (each.ratio / base.grains, each.cap or ZERO)
    ) * denominator(n for each in known for n in (each.pay_ratio or ZERO, each.pay_max or ZERO))
    factor = max((abs(each.ratio) for each in known), default=ZERO)
    amounts = roomy(base.amounts, of * 2, factor, len(terms))
    amounts = np.where(holding, amounts, 0)
    state = _State(zeros(holding.shape[0], of, amounts.dtype))
    columns: list[tuple[Exacts, ...]] = []
    for number, each in enumerate(terms):
        if each is not None:
            state.step(amounts[:, number], each, base.grains)
        columns.append(state.sums())
    return Run(*(stacked(part) for part in zip(*columns, strict=True)))


class _State:
    """Where each path's share stands."""

    def __init__(self, zero: Exacts) -> None:
        self._zero = zero
        self._accrued = self._above = zero
        self._direct = self._deferred = self._released = zero
        self._counted: dict[str, Exacts] = {}
        self._window = ""
        self._paid_in_window = zero

    def sums(self) -> tuple[Exacts, ...]:
        """Give the sums in the order of `Run`."""
        return self._accrued, self._above, self._direct, self._deferred, self._released

    def step(self, amounts: Ints, terms: Terms, grains: int) -> None:
        """Add one column's amounts."""
        of = self._zero.of
        amount = scaled(amounts, int(terms.ratio / grains * of), of)
        owed = self._owed(amount, terms)
        for start in terms.begun:
            self._counted[start] = plus(self._counted.get(start, self._zero), owed)
        self._accrued = plus(self._accrued, owed)
        self._pay(owed, terms)

    def _owed(self, amount: Exacts, terms: Terms) -> Exacts:
        if terms.cap is None or terms.counts_from not in terms.begun:
            return amount
        counted = self._counted.get(terms.counts_from, self._zero)
        room = most(self._zero, minus(constant(terms.cap, self._zero), counted))
        off = least(self._above, negated(amount))
        up = amount.whole >= 0
        owed = where(up, least(amount, room), plus(amount, off))
        self._above = plus(self._above, minus(amount, owed))
        return owed

    def _pay(self, owed: Exacts, terms: Terms) -> None:
        waiting = minus(self._deferred, self._released)
        if terms.released or (terms.pay_ratio is None and terms.pay_max is None):
            due = plus(waiting, owed)
        elif terms.pay_ratio is not None:
            due = portion(owed, terms.pay_ratio)
        else:
            due = self._due_in_window(plus(waiting, owed), terms)
        out = most(self._zero, least(waiting, due))
        direct = minus(due, out)
        self._direct = plus(self._direct, direct)
        self._deferred = plus(self._deferred, minus(owed, direct))
        self._released = plus(self._released, out)

    def _due_in_window(self, open_amount: Exacts, terms: Terms) -> Exacts:
        if terms.window != self._window:
            self._window, self._paid_in_window = terms.window, self._zero
        room = minus(constant(terms.pay_max or ZERO, self._zero), self._paid_in_window)
        due = least(open_amount, room)
        self._paid_in_window = plus(self._paid_in_window, due)
        return due
