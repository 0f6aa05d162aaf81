"""Clauses at work: what each owes, stretch by stretch, since it first held.

A work keeps sums since inception (`flows`), so that a period is a difference of two of their
values. It notes how it came to them (`workings`), and can say where it stands (`balances`).
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final, TypeAlias

import msgspec

from entente.agreement.money import Commitment, Rate, Share
from entente.agreement.settle import accrual, burn, tariff
from entente.agreement.settle.calendar import period_of
from entente.agreement.settle.cut import Amount, Cut
from entente.agreement.values import instant_ns

ZERO: Final = Fraction(0)

Flow: TypeAlias = tuple[str, str, str]
"""Source account, destination account, and why: share, deferred, released, rate, payout, …"""
Balance: TypeAlias = tuple[str, Fraction]


class Working(msgspec.Struct, frozen=True):
    """A line of how an amount came about: `quantity` times `times` is `amount`."""

    what: str
    quantity: Fraction | None
    times: Fraction | None
    amount: Fraction


def party(id: str) -> str:
    """Name the account of a party."""
    return f"party:{id}"


class Work:
    """What all works have."""

    kind = ""

    def __init__(self) -> None:
        """Begin at inception."""
        self.flows: dict[Flow, Fraction] = {}
        self.closed: frozenset[Flow] = frozenset()
        """Flows to payees that have reached a cap: rounding adds nothing to them."""
        self.workings: list[Working] = []
        self.used = Amount()
        """What was measured for it, since it was last asked for."""

    def flow(self, source: str, destination: str, why: str, amount: Fraction) -> None:
        """Add to what has flowed."""
        if source != destination:
            name = (source, destination, why)
            self.flows[name] = self.flows.get(name, ZERO) + amount

    def note(
        self, what: str, quantity: Fraction | None, times: Fraction | None, amount: Fraction
    ) -> None:
        """Note a line, or add to the one that says the same."""
        if not quantity and not amount:
            return
        for place, line in enumerate(self.workings):
            if (line.what, line.times) == (what, times):
                whole = (
                    None if line.quantity is None or quantity is None else line.quantity + quantity
                )
                self.workings[place] = Working(what, whole, times, line.amount + amount)
                return
        self.workings.append(Working(what, quantity, times, amount))

    def balances(self) -> tuple[Balance, ...]:
        """Say where it stands; in the order of a statement."""
        return ()


class ShareWork(Work):
    """A share of a base: accrual under a cap, and payment now or later."""

    kind = "share"

    def __init__(self, starts: Iterable[str] = ()) -> None:
        """Take every day from which some version counts the cap."""
        super().__init__()
        self._counted = dict.fromkeys(starts, ZERO)
        self._above = ZERO
        self._owed = ZERO
        self._payable = accrual.Payable()
        self._cap: tuple[Fraction, str] | None = None
        self._defers = False

    def step(self, clause: Share, cut: Cut) -> None:
        """Accrue and pay for a stretch."""
        amount = cut.base(clause.base) if cut.holds(clause) else Amount()
        self.used.merge(amount)
        ratio = _ratio(clause, cut)
        asked = amount.value * ratio
        owed = self._accrue(clause, cut, asked)
        self.note(clause.base, amount.value, ratio, asked)
        self.note("above the cap", None, None, owed - asked)
        self._pay(clause, cut, owed)

    def step_ended(self, clause: Share, cut: Cut) -> None:
        """Pay on what is deferred of a share that an amendment has ended."""
        if self._payable.deferred:
            self._pay(clause, cut, ZERO)

    def _accrue(self, clause: Share, cut: Cut, asked: Fraction) -> Fraction:
        self._cap = None if clause.cap is None else (clause.cap.total, clause.cap.counts_from)
        begun = {s for s in self._counted if _begun(s, cut)}
        owed = asked
        if self._cap is not None and self._cap[1] in begun:
            total, start = self._cap
            before = accrual.Accrued(self._counted[start], self._above)
            after = accrual.accrue(before, asked, total)
            owed, self._above = after.counted - before.counted, after.above
        for start in begun:
            self._counted[start] += owed
        self._owed += owed
        return owed

    def _pay(self, clause: Share, cut: Cut, owed: Fraction) -> None:
        before, defer = self._payable, clause.defer
        self._defers = defer is not None
        released = defer is None or (
            defer.released is not None and cut.begins_ns >= instant_ns(defer.released, cut.zone)
        )
        if defer is None or released:
            after = accrual.pay_all(before, owed)
        elif defer.pay_ratio is not None:
            after = accrual.pay_part(before, owed, defer.pay_ratio)
        else:
            each, most = defer.each or "year", defer.pay_max or ZERO
            window = period_of(cut.begins_ns, each, cut.zone).label
            after = accrual.pay_up_to(before, owed, most, window)
        self._payable = after
        due = after.paid - before.paid
        out = max(ZERO, min(before.deferred, due))
        into = owed - (due - out)
        payer, payee, kept = party(clause.payer), party(clause.payee), f"deferred:{clause.id}"
        self.flow(payer, payee, "share", due - out)
        if self._defers or into or out:
            self.flow(payer, kept, "deferred", into)
            self.flow(kept, payee, "released", out)
        self.note("deferred", None, None, -into)
        self.note("paid of what was deferred", None, None, out)

    def balances(self) -> tuple[Balance, ...]:
        """Say what is owed in all, what the cap leaves, and what is deferred."""
        found: list[Balance] = [("owed in all", self._owed)]
        if self._cap is not None:
            total, start = self._cap
            left = accrual.headroom(accrual.Accrued(self._counted[start]), total)
            found += [("left under the cap", left)]
        if self._defers or self._payable.deferred:
            found.append(("deferred", self._payable.deferred))
        return tuple(found)


def _begun(start: str, cut: Cut) -> bool:
    return start == "inception" or cut.begins_ns >= instant_ns(start, cut.zone)


def _ratio(clause: Share, cut: Cut) -> Fraction:
    ratio = clause.ratio
    for later in clause.later:
        if cut.begins_ns >= instant_ns(later.effective, cut.zone):
            ratio = later.ratio
    return ratio


class RateWork(Work):
    """A price for what a meter counts."""

    kind = "rate"

    def __init__(self) -> None:
        """Count from nothing."""
        super().__init__()
        self._window = ""
        self._quantity = ZERO

    def step(self, clause: Rate, cut: Cut) -> None:
        """Charge for a stretch."""
        if clause.resets != "never":
            window = period_of(cut.begins_ns, clause.resets, cut.zone).label
            if window != self._window:
                self._window, self._quantity = window, ZERO
        amount = cut.meter(clause.meter) if cut.holds(clause) else Amount()
        self.used.merge(amount)
        before, after = self._quantity, self._quantity + amount.value
        self._quantity = after
        bands = (
            tariff.bands(clause.tiers, clause.mode, clause.per, before),
            tariff.bands(clause.tiers, clause.mode, clause.per, after),
        )
        due = sum((b.amount for b in bands[1]), ZERO) - sum((b.amount for b in bands[0]), ZERO)
        for band, sign in [(b, -1) for b in bands[0]] + [(b, 1) for b in bands[1]]:
            price = band.price / clause.per
            self.note(f"{clause.meter}, tier {band.tier + 1}", sign * band.quantity, price,
                      sign * band.amount)  # fmt: skip
        self.flow(party(clause.payer), party(clause.payee), "rate", due)

    def balances(self) -> tuple[Balance, ...]:
        """Say what was counted towards the tiers."""
        return (("counted towards the tiers", self._quantity),)


class CommitmentWork(Work):
    """A promised spend: what was drawn, and what is made up for at the end of a step."""

    kind = "commitment"

    def __init__(self) -> None:
        """Nothing is drawn yet."""
        super().__init__()
        self._spent: dict[int, Fraction] = {}
        self._drawn = ZERO
        self._paid = ZERO
        self._total = ZERO
        self._open: tuple[Balance, ...] = ()

    def step(self, clause: Commitment, cut: Cut) -> None:
        """Draw what was spent in a stretch, and true up what ends with it."""
        amount = cut.base(clause.eligible) if cut.holds(clause) else Amount()
        self.used.merge(amount)
        self._total = clause.total
        spans = _spans(clause, cut)
        for span in spans:
            begins, ends = span
            if begins <= cut.begins_ns and (ends is None or cut.begins_ns < ends):
                self._spent[begins] = self._spent.get(begins, ZERO) + amount.value
        self._drawn += amount.value
        self.note(f"drawn: {clause.eligible}", amount.value, None, ZERO)
        policy = burn.Policy(clause.shortfall, clause.at_end, clause.excess)
        amounts = [step.amount for step in clause.schedule] or [clause.total]
        spent = [self._spent.get(begins, ZERO) for begins, _ in spans]
        found = burn.outcomes(amounts, spent, policy)
        ended = [o for o, (_, ends) in zip(found, spans, strict=True) if _over(ends, cut)]
        due = sum((outcome.due for outcome in ended), ZERO) - self._paid
        self._paid += due
        self.note("true-up of what was not spent", None, None, due)
        self.flow(party(clause.buyer), party(clause.seller), "true_up", due)
        self._open = _standing(found, len(ended))

    def balances(self) -> tuple[Balance, ...]:
        """Say what was drawn, and what is left in all and in the step."""
        left = burn.remaining(self._total, self._drawn)
        return (("drawn in all", self._drawn), ("left to draw", left), *self._open)


def _over(ends_ns: int | None, cut: Cut) -> bool:
    return ends_ns is not None and ends_ns <= cut.ends_ns


def _spans(clause: Commitment, cut: Cut) -> list[tuple[int, int | None]]:
    if not clause.schedule:
        return [(0, cut.ends_at(clause))]
    zone = cut.zone
    return [(instant_ns(s.begins, zone), instant_ns(s.before, zone)) for s in clause.schedule]


def _standing(found: tuple[burn.Outcome, ...], ended: int) -> tuple[Balance, ...]:
    """Say how the step stands that has not ended yet."""
    if ended >= len(found):
        return ()
    step = found[ended]
    return (
        ("asked for in this step", step.required),
        ("credited to this step", step.credited),
        ("missing in this step", step.short),
    )
