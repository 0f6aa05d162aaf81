"""The clauses with money in them, one after another, over the paths of a chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

import numpy as np

from entente.agreement.money import Commitment, Rate, Share, Waterfall
from entente.agreement.paths import accruals, burns, ladders, tariffs, walks
from entente.agreement.paths.exacts import Exacts, Flags, Ints, minus, rounded, summed, where
from entente.agreement.paths.measured import Counted, meter_weights
from entente.agreement.paths.outcome import Capped, Drawn, Fall, Flow, Table
from entente.agreement.paths.terms import Terms
from entente.agreement.paths.times import ending, reached
from entente.agreement.settle.burn import Policy
from entente.agreement.settle.calendar import period_of
from entente.agreement.settle.cascade import ladder_of
from entente.agreement.values import instant_ns

__all__ = ["Run", "meter_weights"]

ZERO: Final = Fraction(0)


class Run:
    """The clauses of a chunk at work; what they come to gathers in its lists."""

    def __init__(
        self,
        terms: Terms,
        occurred: Mapping[str, Ints],
        count: int,
        base: Callable[[str], Counted],
        meter: Callable[[str, str], Counted],
    ) -> None:
        """Take the terms, what happens, and where amounts come from."""
        self._terms = terms
        self._occurred = occurred
        self._count = count
        self._base = base
        self._meter = meter
        self.flows: list[Flow] = []
        self.falls: list[Fall] = []
        self.capped: list[Capped] = []
        self.drawn: list[Drawn] = []

    def all(self) -> None:
        """Run them."""
        terms = self._terms
        for falls in terms.named(lambda agreement: agreement.waterfalls).values():
            self._waterfall(falls)
        for shares in terms.named(lambda agreement: agreement.shares).values():
            self._share(shares)
        for rates in terms.named(lambda agreement: agreement.rates).values():
            self._rate(rates)
        for commitments in terms.named(lambda agreement: agreement.commitments).values():
            self._commitment(commitments)

    def _flow(self, clause: str, kind: str, payer: str, payee: str, paid: Table) -> None:
        if payer != payee:
            self.flows.append(Flow(clause, kind, payer, payee, paid))

    def _holds(self, clauses: tuple[Waterfall | Share | Rate | Commitment | None, ...]) -> Flags:
        return self._terms.holds(clauses, self._occurred, self._count)

    def _waterfall(self, clauses: tuple[Waterfall | None, ...]) -> None:
        clause = next(each for each in clauses if each is not None)
        base, units = self._base(clause.base), self._terms.units
        profit = np.where(self._holds(clauses), base.amounts, 0)
        rungs = [
            None if each is None else ladder_of(each, self._terms.cut(column))
            for column, each in enumerate(clauses)
        ]
        ladder = next(each for each in rungs if each is not None)
        grains = units * base.grains
        pieces = ladders.compile_ladder(ladder, grains)
        profits = np.cumsum(profit, axis=1)
        if all(each is None or each == ladder for each in rungs):
            paid = ladders.settled(pieces, profits, clause.payer, base.grains)
        else:
            paid = walks.settled(rungs, profit, clause.payer, grains, units)
        for party, table in paid.items():
            self._flow(clause.id, "payout", clause.payer, party, table[:, 1:])
        shown = ladders.compile_ladder(ladder, units)
        profits = profits[:, 1:] // base.grains
        self.falls.append(Fall(clause.id, shown.parties, shown.pieces, profits))

    def _share(self, clauses: tuple[Share | None, ...]) -> None:
        clause = next(each for each in clauses if each is not None)
        terms = self._share_terms(clauses)
        run = accruals.run(self._base(clause.base), self._holds(clauses), terms)
        direct, _ = rounded([run.direct, run.deferred], [_nowhere(run.direct)] * 2)
        paid = direct[:, 1:] + _units(run.released)
        self._flow(clause.id, "share", clause.payer, clause.payee, paid)
        last = next(each for each in reversed(clauses) if each is not None)
        if last.cap is not None:
            cap = int(last.cap.total * self._terms.units)
            accrued = _units(run.accrued)
            self.capped.append(
                Capped(
                    clause.id,
                    clause.payer,
                    clause.payee,
                    cap,
                    accrued,
                    accrued - paid,
                    _units(run.above),
                )
            )

    def _share_terms(self, clauses: tuple[Share | None, ...]) -> list[accruals.Terms | None]:
        capped = [each.cap.counts_from for each in clauses if each is not None and each.cap]
        starts = tuple(dict.fromkeys(capped))
        stood: Share | None = None
        found: list[accruals.Terms | None] = []
        for column, each in enumerate(clauses):
            # What an ended share has deferred is paid on by the terms in which it stood last.
            stood = stood if each is None else each
            found.append(None if stood is None else self._share_term(stood, column, starts))
        return found

    def _share_term(self, clause: Share, column: int, starts: tuple[str, ...]) -> accruals.Terms:
        at_ns, zone, units = self._terms.columns[column], self._terms.zone, self._terms.units
        ratio = clause.ratio
        for later in clause.later:
            ratio = later.ratio if at_ns >= instant_ns(later.effective, zone) else ratio
        defer = clause.defer
        released = defer is None or defer.released
        return accruals.Terms(
            ratio=ratio,
            cap=None if clause.cap is None else clause.cap.total * units,
            counts_from="" if clause.cap is None else clause.cap.counts_from,
            begun=tuple(s for s in starts if s == "inception" or at_ns >= instant_ns(s, zone)),
            pay_ratio=None if defer is None else defer.pay_ratio,
            pay_max=None if defer is None or defer.pay_max is None else defer.pay_max * units,
            window=""
            if defer is None or defer.each is None
            else period_of(at_ns, defer.each, zone).label,
            released=released is True
            or (isinstance(released, str) and at_ns >= instant_ns(released, zone)),
        )

    def _rate(self, clauses: tuple[Rate | None, ...]) -> None:
        there = [each for each in clauses if each is not None]
        clause, terms = there[0], self._terms
        meters = terms.named(lambda agreement: agreement.meters)[clause.meter]
        counts = next(each for each in meters if each is not None).counts
        meter = self._meter(clause.meter, counts)
        own = np.where(self._holds(clauses), meter.amounts, 0)
        of = tariffs.rate_denominator(there, meter.grains, terms.units)
        after = _since_reset(own, self._windows(clauses))
        distinct = list({each.id + repr(each): each for each in there}.values())
        due: Exacts | None = None
        for each in distinct:
            here = np.array([other == each for other in clauses])
            change = minus(
                tariffs.charges(each, after, meter.grains, terms.units, of),
                tariffs.charges(each, after - own, meter.grains, terms.units, of),
            )
            due = change if due is None else where(here, change, due)
        assert due is not None  # noqa: S101  (there is one clause at least)
        there_flags = np.array([each is not None for each in clauses])
        nothing = Exacts(np.zeros_like(due.whole), np.zeros_like(due.part), of)
        paid = _units(summed(where(there_flags, due, nothing)))
        self._flow(clause.id, "rate", clause.payer, clause.payee, paid)

    def _windows(self, clauses: tuple[Rate | None, ...]) -> list[str]:
        labels = []
        for column, clause in enumerate(clauses):
            at_ns = self._terms.columns[column]
            resets = "never" if clause is None else clause.resets
            labels.append(
                "" if resets == "never" else period_of(at_ns, resets, self._terms.zone).label
            )
        return labels

    def _commitment(self, clauses: tuple[Commitment | None, ...]) -> None:
        clause = next(each for each in reversed(clauses) if each is not None)
        units = self._terms.units
        policy = Policy(clause.shortfall, clause.at_end, clause.excess)
        burn = burns.burn(
            self._base(clause.eligible),
            self._holds(clauses),
            clause.total * units,
            self._targets(clause),
            policy,
        )
        self._flow(clause.id, "true_up", clause.buyer, clause.seller, _units(burn.due))
        self.drawn.append(
            Drawn(
                clause.id,
                clause.buyer,
                clause.seller,
                int(clause.total * units),
                _units(burn.drawn),
                _units(burn.remaining),
            )
        )

    def _targets(self, clause: Commitment) -> list[burns.Target]:
        columns, zone, units = self._terms.columns, self._terms.zone, self._terms.units
        if not clause.schedule:
            due = ending(clause, columns, zone, self._occurred, self._count)
            return [burns.Target(0, len(columns), due, clause.total * units)]
        found = []
        for step in clause.schedule:
            before_ns = instant_ns(step.before, zone)
            found.append(
                burns.Target(
                    first=reached(instant_ns(step.begins, zone), columns),
                    before=reached(before_ns, columns),
                    due=np.full(self._count, reached(before_ns - 1, columns)),
                    amount=step.amount * units,
                )
            )
        return found


def _units(numbers: Exacts) -> Table:
    """Round as a statement does where one party is paid, without the first column."""
    (units,) = rounded([numbers], [_nowhere(numbers)])
    return units[:, 1:]


def _nowhere(numbers: Exacts) -> Flags:
    return np.zeros(numbers.whole.shape, np.bool_)


def _since_reset(own: Ints, windows: list[str]) -> Ints:
    """Sum up along the columns, anew in each window."""
    columns, total = [], np.zeros(own.shape[0], own.dtype)
    for column, window in enumerate(windows):
        if column and window != windows[column - 1]:
            total = np.zeros_like(total)
        total = total + own[:, column]
        columns.append(total)
    return np.stack(columns, axis=1)
