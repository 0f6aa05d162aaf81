"""The waterfall: the published numbers as exact fractions, and what holds for every ladder."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.agreement.money import OnCap
from entente.agreement.settle.ladder import (
    START,
    Bound,
    Ladder,
    Rung,
    advance,
    bends,
    capped,
    headroom,
    paid,
    payouts,
)
from tests.agreement.money.ladders import F, example, on_profit, oracle
from tests.agreement.money.profile import THOROUGH

GOLDEN = [
    (10, (F(15, 2), F(5, 2), 0), (F(15, 2), F(5, 2), 0)),
    (F(52, 3), (13, F(13, 3), 0), (13, F(13, 3), 0)),
    (
        100,
        (F(4013, 75), F(1121, 25), F(124, 75)),
        (F(4013, 75), F(1121, 25), F(124, 75)),
    ),
    (200, (F(7688, 75), F(2346, 25), F(274, 75)), (92, F(2346, 25), F(354, 25))),
    (300, (105, F(3571, 25), F(1304, 25)), (92, F(3571, 25), F(1629, 25))),
    (400, (105, 150, 145), (92, 150, 158)),
]


@pytest.mark.parametrize(("profit", "after", "including"), GOLDEN)
def test_the_public_example_in_both_readings(
    profit: int | Fraction, after: tuple[Fraction, ...], including: tuple[Fraction, ...]
) -> None:
    """A cap of 92 behind what was recouped, and one that includes it."""
    assert tuple(payouts(example(after_recoup=True), F(profit)).values()) == after
    assert tuple(payouts(example(after_recoup=False), F(profit)).values()) == including


def test_the_decimals_of_the_public_table() -> None:
    """As printed, to six places."""
    shown = {
        profit: [
            round(float(part), 6)
            for part in payouts(example(after_recoup=True), F(profit)).values()
        ]
        for profit in (100, 200)
    }
    assert shown == {100: [53.506667, 44.84, 1.653333], 200: [102.506667, 93.84, 3.653333]}


def test_the_bends_of_the_public_example() -> None:
    """Where tier 1 ends, where Microsoft is at its cap, where everybody is."""
    first = [bend.profit for bend in bends(example(after_recoup=True))]
    assert first == [0, F(52, 3), F(30148, 147), F(15416, 49)]
    second = [bend.profit for bend in bends(example(after_recoup=False))]
    assert second == [0, F(52, 3), F(26248, 147), F(15416, 49)]
    assert bends(example(after_recoup=True))[2].split == (
        ("others", F(49, 100)),
        ("nonprofit", F(51, 100)),
    )


def test_the_published_worked_example() -> None:
    """13 at 75 % takes 17.3 of profit; 92 at 49 % takes 188 (187.755…) more."""
    one, two, three = (bend.profit for bend in bends(example(after_recoup=True))[:3])
    assert (two - one, three - two) == (F(13) / F(3, 4), F(92) / F(49, 100))
    assert (round(two, 1), round(three - two)) == (F("17.3"), 188)


def test_the_third_reading() -> None:
    """Thresholds on what the company has earned, not on what was paid."""
    ladder = on_profit()
    assert [bend.profit for bend in bends(ladder)] == [0, 92, 150]
    assert tuple(payouts(ladder, F(92)).values()) == (F(69), F(23), F(0))
    assert tuple(payouts(ladder, F(150)).values()) == (F(4871, 50), F(2571, 50), F(29, 25))
    assert tuple(payouts(ladder, F(200)).values()) == (F(4871, 50), F(2571, 50), F(1279, 25))


def test_what_becomes_of_a_capped_share() -> None:
    """It reverts, is spread pro rata, or ends the tier; each has to be said."""
    split = (("a", F(1, 2)), ("b", F(3, 10)), ("c", F(1, 5)))

    def ladder(on_cap: OnCap) -> Ladder:
        bounds = (
            Bound("a", F(5), "payouts", "inception"),
            Bound("b", F(9), "payouts", "inception"),
        )
        return Ladder((Rung("one", split, bounds, on_cap), Rung("two", (("c", F(1)),))))

    assert payouts(ladder(OnCap(revert_to="c")), F(20)) == {"a": 5, "b": 6, "c": 9}
    assert payouts(ladder(OnCap(revert_to="d")), F(20)) == {"a": 5, "b": 6, "c": 4, "d": 5}
    assert payouts(ladder(OnCap(redistribute="pro_rata")), F(20)) == {"a": 5, "b": 9, "c": 6}
    assert payouts(ladder(OnCap(next_tier=True)), F(20)) == {"a": 5, "b": 3, "c": 12}


@pytest.mark.parametrize(
    ("rungs", "message"),
    [
        ((Rung("one", (("a", F(98, 100)),)),), "do not sum to 1"),
        ((Rung("one", (("a", F(1)),), (Bound("a", F(1), "payouts", "inception"),)),), "last tier"),
        ((), "last tier"),
        (
            (
                Rung("one", (("a", F(1)),), (Bound("b", F(1), "payouts", "inception"),)),
                Rung("two", (("a", F(1)),)),
            ),
            "limits b, which has no share",
        ),
        (
            (
                Rung("one", (("a", F(1)),), (Bound("a", F(1), "payouts", "two"),)),
                Rung("two", (("a", F(1)),)),
            ),
            "comes after it",
        ),
    ],
)
def test_a_ladder_that_loses_money_is_refused(rungs: tuple[Rung, ...], message: str) -> None:
    """Before anything is run down it."""
    with pytest.raises(ValueError, match=message):
        Ladder(rungs)


def test_a_loss_takes_back_what_was_given_last() -> None:
    """And beyond that, has to be earned again before anything is paid."""
    ladder = example(after_recoup=True)
    path = advance(ladder, START, F(30))
    back = advance(ladder, path, F(-20))
    assert paid(back) == paid(advance(ladder, START, F(10)))
    deep = advance(ladder, back, F(-15))
    assert paid(deep) == {}
    assert deep.deficit == 5
    assert paid(advance(ladder, deep, F(15))) == paid(advance(ladder, START, F(10)))


def test_a_ladder_that_changes_keeps_what_was_paid() -> None:
    """A larger contribution reopens the first tier; what was paid meanwhile stays paid."""
    before, after = example(after_recoup=True), example(after_recoup=True)
    rungs = list(after.rungs)
    rungs[0] = Rung("first", rungs[0].split, (Bound("msft", F(26), "payouts", "inception"),))
    after = Ladder(tuple(rungs))
    path = advance(before, START, F(52, 3) + 10)
    assert paid(path)["msft"] == 13 + F(49, 10)
    more = advance(after, path, F(4))
    assert paid(more)["msft"] - paid(path)["msft"] == 3
    assert [stretch.tier for stretch in more.stretches] == ["first", "second", "first"]


def test_headroom_and_who_is_capped() -> None:
    """As a statement carries them forward."""
    ladder = example(after_recoup=True)
    assert headroom(ladder, advance(ladder, START, F(10))) == {"msft": F(11, 2)}
    path = advance(ladder, START, F(300))
    assert capped(ladder, path) == {"msft"}
    assert headroom(ladder, path) == {"msft": 0, "others": 150 - F(3571, 25)}


PARTIES = ("a", "b", "c", "d")


class Case:
    """A ladder and amounts, read off some bytes: cheap to draw, and they still shrink."""

    def __init__(self, data: bytes) -> None:
        """Read the ladder first."""
        self._bytes = iter(data)
        self.ladder = self._ladder()

    def number(self, end: int) -> int:
        """Take a number from 0 to below `end`, which is at most 256."""
        return next(self._bytes, 0) % end

    def amount(self) -> Fraction:
        """Take an amount from 0 to 2,048."""
        return F(self.number(256) * 8 + self.number(8), (1, 2, 3, 7)[self.number(4)])

    def moves(self) -> list[Fraction]:
        """Take up to five profits and losses."""
        return [self.amount() - self.amount() / 3 for _ in range(self.number(6))]

    def _ladder(self) -> Ladder:
        rungs: list[Rung] = []
        for number in range(self.number(4)):
            weights = [1 + self.number(9) for _ in range(2 + self.number(3))]
            split = tuple((PARTIES[i], F(w, sum(weights))) for i, w in enumerate(weights))
            starts = ["inception", *(rung.id for rung in rungs), f"t{number}"]
            limited = 1 + self.number(len(weights) - 1)
            bounds = tuple(self._bound(PARTIES[index], starts) for index in range(limited))
            rungs.append(Rung(f"t{number}", split, bounds, self._on_cap(PARTIES[limited])))
        return Ladder((*rungs, Rung("rest", (("e", F(1)),))))

    def _bound(self, party: str, starts: list[str]) -> Bound:
        return Bound(
            party,
            self.amount() / 4,
            ("payouts", "payouts", "company_profit")[self.number(3)],
            starts[self.number(len(starts))],
        )

    def _on_cap(self, unlimited: str) -> OnCap:
        return (
            OnCap(revert_to="e"),
            OnCap(revert_to=unlimited),
            OnCap(redistribute="pro_rata"),
            OnCap(next_tier=True),
        )[self.number(4)]


CASES = st.binary(min_size=40, max_size=64).map(Case)


@THOROUGH
@given(CASES)
def test_what_comes_in_goes_out(case: Case) -> None:
    """Payouts sum to the profit, exactly, and nobody pays in."""
    profit = case.amount()
    shares = payouts(case.ladder, profit)
    assert sum(shares.values()) == profit
    assert all(share >= 0 for share in shares.values())


@THOROUGH
@given(CASES)
def test_cutting_a_period_changes_nothing(case: Case) -> None:
    """Profits and losses one by one end where their sum ends."""
    ladder, moves = case.ladder, case.moves()
    path = START
    for move in moves:
        path = advance(ladder, path, move)
    total = sum(moves, F(0))
    assert paid(path) == paid(advance(ladder, START, total))
    assert path.deficit == max(F(0), -total)


@THOROUGH
@given(CASES)
def test_more_profit_takes_from_nobody(case: Case) -> None:
    """Payouts are monotone."""
    ladder, one, more = case.ladder, case.amount(), case.amount()
    before, after = payouts(ladder, one), payouts(ladder, one + more)
    assert all(before[party] <= after[party] for party in before)


@THOROUGH
@given(CASES)
def test_nobody_goes_above_a_cap(case: Case) -> None:
    """While a tier runs, who is limited by payouts receives no more than the limit."""
    ladder = case.ladder
    profit = case.amount()
    path = advance(ladder, START, profit)
    ids = [rung.id for rung in ladder.rungs]
    for rung in ladder.rungs:
        for bound in rung.bounds:
            if bound.measured_on == "company_profit":
                continue
            since = 0 if bound.counts_from == "inception" else ids.index(bound.counts_from)
            received, in_tier = F(0), F(0)
            for stretch in path.stretches:
                share = dict(stretch.split).get(bound.party, F(0)) * stretch.profit
                received += share if since <= ids.index(stretch.tier) <= ids.index(rung.id) else 0
                in_tier += share if stretch.tier == rung.id else 0
            assert not in_tier or received <= bound.amount


@THOROUGH
@given(st.integers(0, 2_000), st.sampled_from([1, 2, 3, 7]), st.booleans())
def test_against_an_independent_formula(above: int, below: int, after_recoup: bool) -> None:
    """Minima alone give the same payouts."""
    profit = F(above, below)
    shares = payouts(example(after_recoup=after_recoup), profit)
    assert tuple(shares.values()) == oracle(profit, after_recoup=after_recoup)


@given(CASES)
def test_bends_are_the_ladder(case: Case) -> None:
    """Between two bends payouts follow the split that the first one names."""
    ladder = case.ladder
    pieces = bends(ladder)
    for here, there in pairwise(pieces):
        assert here.profit < there.profit
        middle = (here.profit + there.profit) / 2
        gained = payouts(ladder, middle)
        before = payouts(ladder, here.profit)
        slope = {p: (gained[p] - before[p]) / (middle - here.profit) for p in gained}
        assert {p: s for p, s in slope.items() if s} == {p: s for p, s in here.split if s}
