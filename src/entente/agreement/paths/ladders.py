"""The waterfall for many paths at once.

With one ladder, what everybody has received is a function of the profit since inception, and
that function is made of straight pieces. So a ladder is compiled once, by the exact engine,
into its pieces; a payout is then a look-up, one multiplication and one addition.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import msgspec
import numpy as np

from entente.agreement.paths.exacts import (
    Exacts,
    Ints,
    denominator,
    plus,
    roomy,
    rounded,
    scaled,
)
from entente.agreement.settle.ladder import START as NOTHING_PAID
from entente.agreement.settle.ladder import Bend, Ladder, advance, bends, capped, paid


class Piece(msgspec.Struct, frozen=True):
    """A stretch of profit that is split one way; amounts in grains of the base."""

    profit: Fraction
    """Where it begins."""
    tier: str
    shares: tuple[Fraction, ...]
    """By party, in the order of the ladder's parties."""
    paid: tuple[Fraction, ...]
    """What each has received where it begins."""
    closed: frozenset[str]
    """Parties that stand at a cap."""


class Pieces(msgspec.Struct, frozen=True):
    """A ladder as straight pieces."""

    parties: tuple[str, ...]
    pieces: tuple[Piece, ...]


def compile_ladder(ladder: Ladder, units: int) -> Pieces:
    """Cut a ladder into its pieces; `units` of the result are one of the currency."""
    parties = ladder.parties()
    return Pieces(parties, tuple(_piece(ladder, bend, parties, units) for bend in bends(ladder)))


def _piece(ladder: Ladder, bend: Bend, parties: tuple[str, ...], units: int) -> Piece:
    path = advance(ladder, NOTHING_PAID, bend.profit)
    received, shares = paid(path), dict(bend.split)
    return Piece(
        profit=bend.profit * units,
        tier=bend.tier,
        shares=tuple(shares.get(party, Fraction(0)) for party in parties),
        paid=tuple(received.get(party, Fraction(0)) * units for party in parties),
        closed=capped(ladder, path),
    )


def payouts(pieces: Pieces, profit: Ints, grains: int = 1) -> dict[str, Exacts]:
    """Give what each party has received in units, exactly, for profits since inception."""
    count = len(pieces.parties)
    lines = [
        (piece.shares[i] / grains, (piece.paid[i] - piece.shares[i] * piece.profit) / grains)
        for i in range(count)
        for piece in pieces.pieces
    ]
    of = denominator(number for line in lines for number in line)
    profit = roomy(np.maximum(profit, 0), of)
    at = _places(pieces, profit)
    size = len(pieces.pieces)
    found: dict[str, Exacts] = {}
    for i, party in enumerate(pieces.parties):
        slopes, starts = zip(*lines[i * size : (i + 1) * size], strict=True)
        numerators = np.array([int(slope * of) for slope in slopes], profit.dtype)
        wholes = np.array([start.numerator // start.denominator for start in starts], profit.dtype)
        rests = np.array([int((start % 1) * of) for start in starts], profit.dtype)
        run = scaled(profit, numerators[at], of)
        found[party] = plus(run, Exacts(wholes[at], rests[at], of))
    return found


def settled(pieces: Pieces, profit: Ints, payer: str = "", grains: int = 1) -> dict[str, Ints]:
    """Give what each party but the payer has received, in whole units as a statement would.

    Profits and pieces are in grains, of which so many are one unit.
    """
    exact = {
        party: paid for party, paid in payouts(pieces, profit, grains).items() if party != payer
    }
    at = _places(pieces, np.maximum(profit, 0))
    closed = [np.array([party in piece.closed for piece in pieces.pieces])[at] for party in exact]
    units = rounded(list(exact.values()), closed)
    return dict(zip(exact, units, strict=True))


def _places(pieces: Pieces, profit: Ints) -> Ints:
    """Give the number of the piece in which each profit lies.

    A profit is whole, so it has passed the beginning of a piece exactly when it has passed
    that beginning rounded up.
    """
    begins = np.array([ceil(piece.profit) for piece in pieces.pieces], profit.dtype)
    return np.asarray(np.searchsorted(begins, profit, side="right") - 1)
