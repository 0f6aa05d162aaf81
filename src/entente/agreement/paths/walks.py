"""Waterfalls whose ladder changes on the way: path by path, by the exact engine itself.

Where a cap grows, a tranche is given, or an amendment changes a tier, what was paid before
depends on each path's own past, and no one table serves all of them. This is some hundred
times slower than a ladder that stands still.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from entente.agreement.paths.exacts import Ints, roomy
from entente.agreement.settle.ladder import START, Ladder, advance, capped, paid
from entente.agreement.values import floor_then_first


def settled(
    rungs: Sequence[Ladder | None], profit: Ints, payer: str, grains: int, units: int
) -> dict[str, Ints]:
    """Give what each party but the payer has received in units, by path and column."""
    named = dict.fromkeys(p for each in rungs if each is not None for p in each.parties())
    parties = tuple(party for party in named if party != payer)
    kind = roomy(profit, 1, terms=profit.shape[1]).dtype
    tables = np.zeros((len(parties), *profit.shape), kind)
    for row in range(profit.shape[0]):
        path = START
        for column, ladder in enumerate(rungs):
            if ladder is None:
                tables[:, row, column] = tables[:, row, max(0, column - 1)]
                continue
            path = advance(ladder, path, Fraction(int(profit[row, column]), grains))
            sums, at_cap = paid(path), capped(ladder, path)
            exact = [sums.get(party, Fraction(0)) * units for party in parties]
            closed = frozenset(i for i, party in enumerate(parties) if party in at_cap)
            tables[:, row, column] = floor_then_first(exact, closed)
    return dict(zip(parties, tables, strict=True))
