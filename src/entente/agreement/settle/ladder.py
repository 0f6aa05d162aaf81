"""The waterfall: a profit runs down a ladder of tiers. Exact, and the same however it is cut.

What has been paid is a path: stretches of profit, each with the tier that it ran through and
the split that held there. More profit lengthens the path by the ladder as it is now; less
profit shortens it from its end, so that what is taken back is what was given last. With one
ladder the path is a function of the profit since inception, and the payouts of a period are
the difference of two of its values: cutting a period in two changes nothing.

A ladder may change on the way (an amendment, a further contribution, a cap that grows). The
path that was run stays as it is and counts towards the limits of the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Final, Literal, TypeAlias

import msgspec

from entente.agreement.money import OnCap

ZERO: Final = Fraction(0)
ONE: Final = Fraction(1)

Split: TypeAlias = tuple[tuple[str, Fraction], ...]


class Bound(msgspec.Struct, frozen=True):
    """A limit of one party in one tier, as a number."""

    party: str
    amount: Fraction
    measured_on: Literal["payouts", "company_profit"]
    counts_from: str
    """`inception`, or the id of a tier."""


class Rung(msgspec.Struct, frozen=True):
    """A tier with its limits as numbers."""

    id: str
    split: Split
    bounds: tuple[Bound, ...] = ()
    on_cap: OnCap | None = None


class Ladder(msgspec.Struct, frozen=True):
    """Tiers in order. Raises ValueError for one that could lose or make up money."""

    rungs: tuple[Rung, ...]

    def __post_init__(self) -> None:
        """Check that whatever comes in goes out."""
        if not self.rungs or self.rungs[-1].bounds:
            message = "the last tier has no limits: say who receives what comes after them"
            raise ValueError(message)
        ids = [rung.id for rung in self.rungs]
        for rung in self.rungs:
            _check(rung, ids)

    def parties(self) -> tuple[str, ...]:
        """Name who may be paid, in the order in which they are first named."""
        named: dict[str, None] = {}
        for rung in self.rungs:
            named.update((party, None) for party, _ in rung.split)
            if rung.on_cap and rung.on_cap.revert_to:
                named[rung.on_cap.revert_to] = None
        return tuple(named)


class Stretch(msgspec.Struct, frozen=True):
    """Profit that ran through one tier by one split."""

    tier: str
    profit: Fraction
    split: Split


class Path(msgspec.Struct, frozen=True):
    """What was paid since inception."""

    stretches: tuple[Stretch, ...] = ()
    deficit: Fraction = ZERO
    """Losses since inception beyond the profits; to be earned before anything is paid."""


class Bend(msgspec.Struct, frozen=True):
    """A piece of the ladder from zero: from this profit on it is split like this."""

    profit: Fraction
    tier: str
    split: Split


START: Final = Path()


def _check(rung: Rung, ids: list[str]) -> None:
    if sum(share for _, share in rung.split) != 1 or any(share < 0 for _, share in rung.split):
        message = f"the shares of tier {rung.id} do not sum to 1"
        raise ValueError(message)
    shares = dict(rung.split)
    for bound in rung.bounds:
        if not shares.get(bound.party):
            message = f"tier {rung.id} limits {bound.party}, which has no share in it"
            raise ValueError(message)
        later = ids[ids.index(rung.id) + 1 :]
        if bound.counts_from != "inception" and bound.counts_from not in ids:
            message = f"tier {rung.id} counts from {bound.counts_from}, which is no tier"
            raise ValueError(message)
        if bound.counts_from in later:
            message = f"tier {rung.id} counts from {bound.counts_from}, which comes after it"
            raise ValueError(message)
    bounded = {bound.party for bound in rung.bounds}
    on_cap = rung.on_cap
    if len(bounded) > 1 and on_cap is None:
        message = f"tier {rung.id} has several limits and no `on_cap`"
        raise ValueError(message)
    if on_cap and on_cap.revert_to in bounded:
        message = f"tier {rung.id} reverts to {on_cap.revert_to}, which is limited in it"
        raise ValueError(message)


def advance(ladder: Ladder, path: Path, amount: Fraction) -> Path:
    """Run an amount of profit, or of loss, down (or back up) the ladder."""
    if not amount:
        return path
    if amount < 0:
        return _retreat(path, -amount)
    made_up = min(amount, path.deficit)
    left = amount - made_up
    state = _State(ladder, path.stretches)
    while left > 0:
        rung, split, room = state.here()
        taken = left if room is None else min(left, room)
        state.run(rung.id, split, taken)
        left -= taken
    return Path(tuple(state.stretches), path.deficit - made_up)


def _retreat(path: Path, amount: Fraction) -> Path:
    stretches = list(path.stretches)
    while stretches and amount > 0:
        last = stretches.pop()
        taken = min(last.profit, amount)
        amount -= taken
        if taken < last.profit:
            stretches.append(Stretch(last.tier, last.profit - taken, last.split))
    return Path(tuple(stretches), path.deficit + amount)


def paid(path: Path) -> dict[str, Fraction]:
    """Sum up what each party has received on a path."""
    sums: dict[str, Fraction] = {}
    for stretch in path.stretches:
        for party, share in stretch.split:
            sums[party] = sums.get(party, ZERO) + share * stretch.profit
    return sums


def payouts(ladder: Ladder, profit: Fraction) -> dict[str, Fraction]:
    """Give what each party has received once the company has earned `profit` since inception."""
    sums = paid(advance(ladder, START, profit))
    return {party: sums.get(party, ZERO) for party in ladder.parties()}


def capped(ladder: Ladder, path: Path) -> frozenset[str]:
    """Name the parties that stand at a limit.

    It is one of the tier that the path has come to, or, without a share in it, of one before.
    """
    state = _State(ladder, path.stretches)
    rung, split, _ = state.here()
    paid_now = {party for party, share in split if share}
    found = {bound.party for bound in rung.bounds if state.left(bound) <= 0}
    for earlier in ladder.rungs[: ladder.rungs.index(rung)]:
        found |= {
            bound.party
            for bound in earlier.bounds
            if bound.measured_on == "payouts"
            and bound.party not in paid_now
            and state.left(bound) <= 0
        }
    return frozenset(found)


def headroom(ladder: Ladder, path: Path) -> dict[str, Fraction]:
    """Give what is left up to each limit of the tier that the path has come to."""
    state = _State(ladder, path.stretches)
    rung, _, _ = state.here()
    return {bound.party: max(ZERO, state.left(bound)) for bound in rung.bounds}


def bends(ladder: Ladder) -> tuple[Bend, ...]:
    """Give the pieces of the ladder from zero, each with the profit at which it begins."""
    return tuple(_bends(ladder))


def _bends(ladder: Ladder) -> Iterator[Bend]:
    state, profit = _State(ladder, ()), ZERO
    while True:
        rung, split, room = state.here()
        yield Bend(profit, rung.id, split)
        if room is None:
            return
        state.run(rung.id, split, room)
        profit += room


class _State:
    """Sums along a path, while it is being run."""

    def __init__(self, ladder: Ladder, stretches: tuple[Stretch, ...]) -> None:
        self.stretches = list(stretches)
        self._rungs = ladder.rungs
        ids = [rung.id for rung in ladder.rungs]
        starts = {b.counts_from for rung in ladder.rungs for b in rung.bounds}
        self._tiers: dict[str, frozenset[str] | None] = {
            start: None if start == "inception" else frozenset(ids[ids.index(start) :])
            for start in starts
        }
        self._received: dict[tuple[str, str], Fraction] = {}
        self._earned: dict[str, Fraction] = {}
        for stretch in stretches:
            self._count(stretch.tier, stretch.split, stretch.profit)

    def _count(self, tier: str, split: Split, profit: Fraction) -> None:
        for start, tiers in self._tiers.items():
            if tiers is not None and tier not in tiers:
                continue
            self._earned[start] = self._earned.get(start, ZERO) + profit
            for party, share in split:
                name = (start, party)
                self._received[name] = self._received.get(name, ZERO) + share * profit

    def left(self, bound: Bound) -> Fraction:
        """Give what is left up to a limit, in what it is measured on."""
        if bound.measured_on == "payouts":
            return bound.amount - self._received.get((bound.counts_from, bound.party), ZERO)
        return bound.amount - self._earned.get(bound.counts_from, ZERO)

    def here(self) -> tuple[Rung, Split, Fraction | None]:
        """Give the tier that is being run, its split, and the profit up to the next bend."""
        for rung in self._rungs:
            rooms = [(bound, self.left(bound)) for bound in rung.bounds]
            reached = {bound.party for bound, room in rooms if room <= 0}
            open_bounds = [(b, room) for b, room in rooms if b.party not in reached]
            at_once = rung.on_cap is not None and bool(rung.on_cap.next_tier)
            if rung.bounds and (not open_bounds or (reached and at_once)):
                continue
            split = _effective(rung, reached)
            return rung, split, _room(open_bounds, dict(split))
        message = "the ladder has no last tier"  # refused when a ladder is made
        raise AssertionError(message)

    def run(self, tier: str, split: Split, profit: Fraction) -> None:
        """Add a stretch, or lengthen the last one."""
        self._count(tier, split, profit)
        last = self.stretches[-1] if self.stretches else None
        if last is not None and (last.tier, last.split) == (tier, split):
            self.stretches[-1] = Stretch(tier, last.profit + profit, split)
        else:
            self.stretches.append(Stretch(tier, profit, split))


def _effective(rung: Rung, reached: set[str]) -> Split:
    """Give the split of a tier in which some parties have reached their limits."""
    if not reached or rung.on_cap is None:
        return rung.split
    open_shares = {party: share for party, share in rung.split if party not in reached}
    freed = ONE - sum(open_shares.values())
    if rung.on_cap.revert_to is not None:
        to = rung.on_cap.revert_to
        open_shares[to] = open_shares.get(to, ZERO) + freed
        return tuple(open_shares.items())
    return tuple((party, share / (ONE - freed)) for party, share in open_shares.items())


def _room(
    left: Iterable[tuple[Bound, Fraction]], shares: Mapping[str, Fraction]
) -> Fraction | None:
    """Give the profit after which the first of the open limits is reached."""
    rooms = [
        room / shares[bound.party] if bound.measured_on == "payouts" else room
        for bound, room in left
    ]
    return min(rooms, default=None)
