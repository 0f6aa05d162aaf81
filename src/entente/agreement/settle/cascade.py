"""A waterfall at work: the ladder as the terms make it, and the path that profit takes."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from entente.agreement.money import Contribution, Counted, Limit, Tier, Waterfall
from entente.agreement.settle import ladder as ladders
from entente.agreement.settle.cut import Amount, Cut
from entente.agreement.settle.edges import anniversaries
from entente.agreement.settle.ladder import Bound, Ladder, Path, Rung, Split
from entente.agreement.settle.works import Balance, Work, party

ZERO: Final = Fraction(0)


def ladder_of(clause: Waterfall, cut: Cut) -> Ladder:
    """Make the ladder as it is in a stretch. Raises ValueError for one that loses money."""
    return Ladder(rungs_of(clause, cut))


def rungs_of(clause: Waterfall, cut: Cut) -> tuple[Rung, ...]:
    """Give the tiers with their limits as numbers, as they are in a stretch."""
    return tuple(_rung(tier, cut) for tier in clause.tiers)


def _rung(tier: Tier, cut: Cut) -> Rung:
    bounds = tuple(
        Bound(name, amount_of(limit, cut), limit.measured_on, limit.counts_from)
        for name, limit in tier.until.items()
    )
    return Rung(tier.id, tuple(tier.split.items()), bounds, tier.on_cap)


def amount_of(limit: Limit, cut: Cut) -> Fraction:
    """Give a limit as a number: an amount or what follows from contributions, grown."""
    amount = limit.amount if limit.of is None else contributed(limit.of, cut)
    amount = ZERO if amount is None else amount
    if limit.growth is not None:
        passed = sum(1 for _ in anniversaries(limit.growth.starts, cut.begins_ns + 1, cut.zone))
        amount *= (1 + limit.growth.rate) ** passed
    return amount


def contributed(counted: Counted, cut: Cut) -> Fraction:
    """Sum contributions up, each by its multiple."""
    found = [each for each in cut.version.agreement.contributions if cut.holds(each)]
    return sum(
        (_one(each, counted, cut) for each in found if each.id in counted.contributions), ZERO
    )


def _one(clause: Contribution, counted: Counted, cut: Cut) -> Fraction:
    times = clause.cap_multiple if counted.times is None else counted.times
    if times is None:
        message = f"{clause.id} has no cap_multiple, and a limit asks for it"
        raise ValueError(message)
    if counted.counted == "committed":
        return times * clause.committed if clause.form in counted.forms else ZERO
    given = (cut.funded.get((clause.id, form), ZERO) for form in counted.forms)
    return times * sum(given, ZERO)


class WaterfallWork(Work):
    """Profit on its way down."""

    kind = "waterfall"

    def __init__(self) -> None:
        """Begin at the top."""
        super().__init__()
        self.path = ladders.START
        self._ladder: Ladder | None = None
        self._paid: dict[str, Fraction] = {}
        self._left: dict[str, Fraction] = {}
        """Up to each limit of the tier that the path has come to."""

    def step(self, clause: Waterfall, cut: Cut) -> None:
        """Run the profit of a stretch down the ladder."""
        ladder = self._ladder_in(clause, cut)
        amount = cut.base(clause.base) if cut.holds(clause) else Amount()
        self.used.merge(amount)
        before, after = self.path, ladders.advance(ladder, self.path, amount.value)
        self.path = after
        was, now = self._paid, ladders.paid(after)
        self._paid = now
        payer = party(clause.payer)
        for name in dict.fromkeys((*ladder.parties(), *now, *was)):
            due = now.get(name, ZERO) - was.get(name, ZERO)
            self.flow(payer, party(name), "payout", due)
        self._left = ladders.headroom(ladder, after)
        at_limit = ladders.capped(ladder, after)
        self.closed = frozenset((payer, party(name), "payout") for name in at_limit)
        self._explain(clause.base, before, after)

    def _ladder_in(self, clause: Waterfall, cut: Cut) -> Ladder:
        """Give the ladder; one that has not changed need not be checked again."""
        rungs = rungs_of(clause, cut)
        if self._ladder is None or self._ladder.rungs != rungs:
            self._ladder = Ladder(rungs)
        return self._ladder

    def _explain(self, base: str, before: Path, after: Path) -> None:
        for (tier, split), profit in _differences(before, after):
            for name, share in split:
                self.note(f"{base} in tier {tier}: {name}", profit, share, profit * share)
        self.note("loss, to be earned again", before.deficit - after.deficit, None, ZERO)

    def balances(self) -> tuple[Balance, ...]:
        """Say what each has received, what its limit leaves, and what loss is open."""
        found: list[Balance] = [(f"paid to {name}", own) for name, own in self._paid.items()]
        found += [(f"left to the limit of {name}", own) for name, own in self._left.items()]
        if self.path.deficit:
            found.append(("loss to be earned again", self.path.deficit))
        return tuple(found)


def _differences(before: Path, after: Path) -> Iterable[tuple[tuple[str, Split], Fraction]]:
    """Give the profit that ran through each tier by each split between two states."""
    sums: dict[tuple[str, Split], Fraction] = {}
    for path, sign in ((after, 1), (before, -1)):
        for stretch in path.stretches:
            name = (stretch.tier, stretch.split)
            sums[name] = sums.get(name, ZERO) + sign * stretch.profit
    return ((name, profit) for name, profit in sums.items() if profit)
