"""What holds for every log: money is kept, cuts change nothing, telling again changes nothing."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from entente.agreement.log import AnyFact, Corrected, Log, Measured, attributes
from entente.agreement.money import RateTier
from entente.agreement.settle import accrual, burn, tariff
from entente.agreement.settle.settling import settle
from entente.agreement.settle.statement import Statement, canonical
from entente.agreement.values import floor_then_first, split
from tests.agreement.money.documents import NANO, QUARTERLY, agreement, book, ns
from tests.agreement.money.ladders import F
from tests.agreement.money.profile import HALF, THOROUGH

SECTIONS: dict[str, Any] = {
    "bases": [{"id": "R", "owner": "lab", "when": {"flow": "revenue"}, "measure": "gross"}],
    "shares": [
        {"id": "S", "payer": "lab", "payee": "cloud", "ratio": "1/3", "base": "R",
         "cap": {"total": "60", "counts_from": "inception"}},
    ],
    "waterfalls": [
        {"id": "W", "payer": "lab", "base": "R", "tiers": [
            {"id": "one", "split": {"cloud": "2/7", "others": "5/7"}, "until": {
                "cloud": {"amount": "20", "measured_on": "payouts", "counts_from": "inception"},
                "others": {"amount": "80", "measured_on": "payouts", "counts_from": "inception"},
            }, "on_cap": {"revert_to": "rest"}},
            {"id": "two", "split": {"rest": 1}}]},
    ],
}  # fmt: skip
MONTHS = book(agreement(**SECTIONS, statements=[QUARTERLY | {"period": "month"}]))
QUARTERS = book(agreement(**SECTIONS))
SHARED = book(agreement(bases=SECTIONS["bases"], shares=SECTIONS["shares"]))
BEGIN_NS, DAY_NS = ns("2026-01-01"), 86_400 * NANO
AFTER_NS = ns("2027-01-01")
CENT = NANO // 100


def facts_of(data: bytes) -> list[AnyFact]:
    """Read facts of January and February off some bytes, six for each; a few correct others."""
    found: list[AnyFact] = []
    for number in range(0, len(data) - 5, 6):
        day, late, high, low, kind, name = data[number : number + 6]
        at_ns = BEGIN_NS + day % 59 * DAY_NS
        known_ns = at_ns + late % 64 * DAY_NS
        nano = (high * 256 + low - 8_000) * 1_234_567
        if kind % 8 == 0 and found:
            of = found[name % len(found)]
            if isinstance(of, Measured):
                corrected = Corrected(
                    id=f"c{number}", at_ns=of.at_ns, known_ns=known_ns, of=of.id, nano=nano
                )
                found.append(corrected)
            continue
        found.append(
            Measured(
                id=f"f{number}",
                at_ns=at_ns,
                known_ns=known_ns,
                attributes=attributes(flow="revenue" if kind % 8 < 7 else "other"),
                nano=nano,
                asset="USD",
            )
        )
    return found


FEW, MANY = st.binary(min_size=6, max_size=17), st.binary(min_size=18, max_size=30)
"""One or two facts, and three to five."""
DATA = st.binary(min_size=6, max_size=30)


def sums(*statements: Statement) -> dict[tuple[str, str], int]:
    """Sum what each account receives by each clause, less what it gives."""
    found: dict[tuple[str, str], int] = {}
    for statement in statements:
        for each in statement.postings:
            for account, sign in ((each.source, -1), (each.destination, 1)):
                name = (each.clause, account)
                found[name] = found.get(name, 0) + sign * each.nano
    return found


@THOROUGH
@given(DATA)
def test_money_is_kept(data: bytes) -> None:
    """Postings sum to zero, a waterfall pays out what came in, nobody goes above a cap."""
    facts = facts_of(data)
    statement = settle(QUARTERS, Log.of(facts), period="2026-Q1", known_ns=AFTER_NS).statement
    found = sums(statement)
    assert sum(found.values()) == 0
    assert all(each.nano > 0 and each.asset == "USD" for each in statement.postings)
    revenue = sum((each.amount for each in statement.measured), F(0))
    assert -found.get(("W", "party:lab"), 0) // CENT == max(F(0), revenue) * 100 // 1
    assert found.get(("W", "party:cloud"), 0) <= 20 * NANO
    assert found.get(("W", "party:others"), 0) <= 80 * NANO
    assert found.get(("S", "party:cloud"), 0) <= 60 * NANO


@HALF
@given(FEW)
def test_cutting_a_period_of_few_facts_changes_a_unit_at_most(data: bytes) -> None:
    """Where most months are empty."""
    check_cutting(data)


@HALF
@given(MANY)
def test_cutting_a_period_of_many_facts_changes_a_unit_at_most(data: bytes) -> None:
    """Where caps are reached, and losses earned again."""
    check_cutting(data)


def check_cutting(data: bytes) -> None:
    """A quarter against its months: per party one unit of rounding, and not one before it."""
    facts = [each for each in facts_of(data) if isinstance(each, Measured)]
    now = [Measured(id=f.id, at_ns=f.at_ns, known_ns=f.at_ns, attributes=f.attributes, nano=f.nano,
                    asset=f.asset) for f in facts]  # fmt: skip
    whole = settle(QUARTERS, Log.of(now), period="2026-Q1", known_ns=AFTER_NS).statement
    parts = [
        settle(MONTHS, Log.of(now), period=label, known_ns=AFTER_NS).statement
        for label in ("2026-01", "2026-02")
    ]
    one, many = sums(whole), sums(*parts)
    for name in {*one, *many}:
        assert abs(one.get(name, 0) - many.get(name, 0)) <= CENT * len(parts)
    lines = sum((line.amount for s in parts for each in s.applied for line in each.lines), F(0))
    assert lines == sum((line.amount for each in whole.applied for line in each.lines), F(0))


DAYS, TURNS = st.integers(0, 120), st.integers(0, 5)


@HALF
@given(FEW, DAYS, TURNS)
def test_replay_of_few_facts_is_incremental_in_any_order(data: bytes, day: int, turn: int) -> None:
    """Where what is late often is all that there is."""
    check_replay(data, day, turn)


@HALF
@given(MANY, DAYS, TURNS)
def test_replay_of_many_facts_is_incremental_in_any_order(data: bytes, day: int, turn: int) -> None:
    """Where corrections come before and after what they correct."""
    check_replay(data, day, turn)


def check_replay(data: bytes, day: int, turn: int) -> None:
    """What was settled from what was known then, is settled so from everything, in any order."""
    facts, known_ns = facts_of(data), BEGIN_NS + day * DAY_NS
    then = [each for each in facts if each.known_ns <= known_ns]
    told = [*reversed(facts[turn:]), *facts[:turn]]
    stream = [each for each in told if isinstance(each, Measured)]
    terms = [each for each in told if not isinstance(each, Measured)]
    log = Log(terms, lambda: iter(stream))
    first = settle(MONTHS, Log.of(then), period="2026-02", known_ns=known_ns).statement
    again = settle(MONTHS, log, period="2026-02", known_ns=known_ns).statement
    assert canonical(first) == canonical(again)


@THOROUGH
@given(DATA, st.integers(0, 5))
def test_what_is_told_twice_counts_once(data: bytes, turn: int) -> None:
    """And what is settled twice is settled once: the statement has the same bytes."""
    facts = facts_of(data)
    told = [*facts[turn:], *reversed(facts), *facts]
    once = settle(SHARED, Log.of(facts), period="2026-Q1", known_ns=AFTER_NS).statement
    twice = settle(SHARED, Log.of(told), period="2026-Q1", known_ns=AFTER_NS).statement
    assert canonical(once) == canonical(twice)


AMOUNTS = st.binary(max_size=6).map(lambda data: [F(3 * byte - 250, 7) for byte in data])


@THOROUGH
@given(AMOUNTS, st.integers(0, 300))
def test_shares_accrue_the_same_however_they_are_cut(amounts: list[Fraction], cap: int) -> None:
    """Under a cap, and never above it."""
    state = accrual.Accrued()
    for amount in amounts:
        state = accrual.accrue(state, amount, F(cap))
        assert state.counted <= cap
    assert state == accrual.accrue(accrual.Accrued(), sum(amounts, F(0)), F(cap))


@THOROUGH
@given(AMOUNTS, st.integers(0, 300))
def test_what_is_deferred_is_the_same_however_it_is_cut(amounts: list[Fraction], most: int) -> None:
    """For amounts that only grow; and what accrued is either paid or deferred."""
    state = accrual.Payable()
    grown = [abs(amount) for amount in amounts]
    for amount in grown:
        state = accrual.pay_up_to(state, amount, F(most), "2026")
        assert state.paid_in_window <= most
    assert state.paid + state.deferred == sum(grown)
    assert state.paid == accrual.pay_up_to(accrual.Payable(), sum(grown, F(0)), F(most), "x").paid


TIERS = (RateTier(up_to=F(10), price=F(3)), RateTier(up_to=F(50), price=F(2)), RateTier(price=F(1)))


@THOROUGH
@given(st.integers(0, 90), st.integers(0, 90), st.sampled_from(["graduated", "volume"]))
def test_rates_cost_what_a_loop_says(one: int, more: int, mode: Any) -> None:
    """Unit by unit for graduated tiers; monotone there; the bands sum to the quantity."""
    tariff.check(TIERS, F(1))
    total = tariff.charge(TIERS, mode, F(1), F(one + more))
    bands = tariff.bands(TIERS, mode, F(1), F(one + more))
    assert sum((band.quantity for band in bands), F(0)) == one + more
    if mode == "graduated":
        assert total == sum(3 if n < 10 else 2 if n < 50 else 1 for n in range(one + more))
        assert total >= tariff.charge(TIERS, mode, F(1), F(one))
    else:
        reached = one + more
        assert total == reached * (3 if reached <= 10 else 2 if reached <= 50 else 1)


@THOROUGH
@given(st.binary(min_size=2, max_size=8))
def test_commitments_ask_for_what_was_promised(data: bytes) -> None:
    """With rollover and carrying, what is due at the end is what is missing in all."""
    half = len(data) // 2
    amounts, spent = ([F(byte) for byte in part] for part in (data[:half], data[half : 2 * half]))
    found = burn.outcomes(amounts, spent, burn.Policy("rollover", "true_up", "carries"))
    assert sum(each.due for each in found) == max(F(0), sum(amounts, F(0)) - sum(spent, F(0)))
    assert all(each.due == 0 for each in found[:-1])
    trued = burn.outcomes(amounts, spent, burn.Policy("true_up", None, "lapses"))
    assert [each.due for each in trued] == [
        max(F(0), a - s) for a, s in zip(amounts, spent, strict=True)
    ]


@THOROUGH
@given(st.binary(min_size=1, max_size=5), st.integers(0, 10**15))
def test_a_split_loses_nothing(weights: bytes, total: int) -> None:
    """Units sum to the total; each part is its share or one unit more, the first ones first."""
    whole = sum(weights) or 1
    shares: list[Fraction | None] = [F(weight, whole) for weight in weights]
    if not sum(weights):
        shares[0] = None
    units = split(total, shares)
    assert sum(units) == total
    exact = [total * (F(1) if share is None else share) for share in shares]
    extra = [unit - part.__floor__() for unit, part in zip(units, exact, strict=True)]
    assert extra == sorted(extra, reverse=True)
    assert set(extra) <= {0, 1}
    assert floor_then_first([-part for part in exact]) == tuple(-unit for unit in units)
