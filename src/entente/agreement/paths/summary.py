"""What the paths say together: quantiles, milestones and shares of paths, in whole units.

A quantile is always the number of some path, the first that has at least this share of the
paths at or below it: nothing is interpolated, so nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec
import numpy as np

from entente.agreement.paths.exacts import Flags, Ints
from entente.agreement.paths.outcome import Outcome, Table

PER_CENT: Final = (5, 25, 50, 75, 95)
"""The quantiles that are told."""
MEDIAN: Final = PER_CENT.index(50)
HUNDRED: Final = 100

Row: TypeAlias = tuple[int, ...]


class Band(msgspec.Struct, frozen=True):
    """Quantiles of an amount at the end of each step, and its mean rounded down."""

    p5: Row
    p25: Row
    p50: Row
    p75: Row
    p95: Row
    mean: Row

    def last(self) -> Row:
        """Give the quantiles at the end, in the order of `PER_CENT`."""
        return (self.p5[-1], self.p25[-1], self.p50[-1], self.p75[-1], self.p95[-1])


class Payouts(msgspec.Struct, frozen=True):
    """What a party has received since the beginning."""

    party: str
    received: Band


class Milestone(msgspec.Struct, frozen=True):
    """Something that a path reaches, or does not."""

    kind: str
    """tier, cap, commitment or event."""
    clause: str
    what: str
    amount: int | None
    """The profit at which a tier ends, the cap, or the commitment; None for events."""
    reached: Row
    """By step, how many paths have reached it."""
    when: tuple[str | None, ...]
    """The step by which each of `PER_CENT` of the paths has; None: not in this time."""


class Use(msgspec.Struct, frozen=True):
    """A share under its cap."""

    clause: str
    payer: str
    payee: str
    cap: int
    accrued: Band
    deferred: Band
    saved: Row
    """Quantiles at the end of what the cap has saved the payer."""


class Burn(msgspec.Struct, frozen=True):
    """A commitment."""

    clause: str
    buyer: str
    seller: str
    total: int
    remaining: Band


class Bend(msgspec.Struct, frozen=True):
    """Where a ladder bends: the profit, and what each party has by then."""

    clause: str
    tier: str
    profit: str
    """Units as an exact fraction."""
    paid: dict[str, str]
    shares: dict[str, str]
    """What each gets of what comes behind it."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Amounts are in units of `10 ** -scale` of the currency."""

    currency: str
    scale: int
    paths: int
    steps: tuple[str, ...]
    ends: tuple[str, ...]
    """The first day behind each step."""
    parties: tuple[Payouts, ...]
    bends: tuple[Bend, ...]
    milestones: tuple[Milestone, ...]
    caps: tuple[Use, ...]
    commitments: tuple[Burn, ...]
    left_out: tuple[str, ...]


def summarise(outcome: Outcome) -> Summary:
    """Sum an outcome up."""
    return Summary(
        currency=outcome.currency,
        scale=outcome.scale,
        paths=outcome.count,
        steps=tuple(step.label for step in outcome.times),
        ends=tuple(step.before.isoformat() for step in outcome.times),
        parties=tuple(Payouts(party, band(outcome.received(party))) for party in outcome.parties()),
        bends=tuple(_bends(outcome)),
        milestones=tuple(_milestones(outcome)),
        caps=tuple(
            Use(
                each.clause,
                each.payer,
                each.payee,
                each.cap,
                band(each.accrued),
                band(each.deferred),
                tuple(int(number) for number in quantiles(each.above[:, -1:])[:, 0]),
            )
            for each in outcome.capped
        ),
        commitments=tuple(
            Burn(each.clause, each.buyer, each.seller, each.total, band(each.remaining))
            for each in outcome.drawn
        ),
        left_out=outcome.left_out,
    )


def quantiles(table: Table) -> Ints:
    """Give a row for each of `PER_CENT`, from a row for each path."""
    ordered = np.sort(table, axis=0)
    return ordered[[_place(per_cent, len(ordered)) for per_cent in PER_CENT]]


def band(table: Table) -> Band:
    """Give quantiles and mean by step."""
    p5, p25, p50, p75, p95 = (tuple(int(number) for number in row) for row in quantiles(table))
    sums = np.sum(table.astype(object) if _large(table) else table, axis=0)
    return Band(p5, p25, p50, p75, p95, tuple(int(total) // len(table) for total in sums))


def _place(per_cent: int, count: int) -> int:
    return -(-per_cent * count // HUNDRED) - 1


def _large(table: Table) -> bool:
    return table.dtype != object and int(np.abs(table).max()) * len(table) >= 2**63


def _bends(outcome: Outcome) -> Iterator[Bend]:
    for fall in outcome.falls:
        for piece in fall.pieces:
            yield Bend(
                clause=fall.clause,
                tier=piece.tier,
                profit=str(piece.profit),
                paid=dict(zip(fall.parties, map(str, piece.paid), strict=True)),
                shares=dict(zip(fall.parties, map(str, piece.shares), strict=True)),
            )


def _milestones(outcome: Outcome) -> Iterator[Milestone]:
    for fall in outcome.falls:
        for before, after in zip(fall.pieces, fall.pieces[1:], strict=False):
            met = fall.profit >= -(-after.profit // 1)
            if after.tier != before.tier:
                what = f"{before.tier} ends"
            else:
                what = f"{', '.join(sorted(after.closed - before.closed))} capped"
            yield _milestone(outcome, "tier", fall.clause, what, int(after.profit), met)
    for share in outcome.capped:
        met = share.accrued >= share.cap
        yield _milestone(outcome, "cap", share.clause, "cap exhausted", share.cap, met)
    for commitment in outcome.drawn:
        met = commitment.remaining <= 0
        what = "commitment met"
        total = commitment.total
        yield _milestone(outcome, "commitment", commitment.clause, what, total, met)
    for state, columns in outcome.occurred.items():
        met = columns[:, None] <= np.arange(len(outcome.times))
        if not state.endswith(".met"):
            yield _milestone(outcome, "event", state.partition(".")[0], state, None, met)


def _milestone(
    outcome: Outcome, kind: str, clause: str, what: str, amount: int | None, met: Flags
) -> Milestone:
    """Count paths; once a path has reached something it has."""
    counts = np.logical_or.accumulate(met, axis=1).sum(axis=0)
    when = [
        next(
            (
                step.label
                for step, count in zip(outcome.times, counts, strict=True)
                if count * HUNDRED >= per_cent * outcome.count
            ),
            None,
        )
        for per_cent in PER_CENT
    ]
    return Milestone(kind, clause, what, amount, tuple(map(int, counts)), tuple(when))
