"""A seeded simulator: a log that arrives badly, and statements that have to replay all the same.

Facts are told twice, out of order, dropped and told again, corrected, and learnt after the
close; the process that settles dies between claiming a period and writing its statement; an
amendment is dated back and a price changes in the middle of a month; months end where clocks
are moved. Against all of it stands a short account in fractions that sees only the end.
"""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest

from entente.agreement.log import AnyFact, Corrected, Log, Measured, attributes
from entente.agreement.settle.calendar import named
from entente.agreement.settle.settling import settle
from entente.agreement.settle.statement import Statement, canonical
from tests.agreement.money.documents import NANO, QUARTERLY, agreement, book, ns
from tests.agreement.money.ladders import F

ZONE = "Europe/Berlin"
MONTHS = tuple(f"2026-{month:02d}" for month in range(1, 13))
EDGES = ("2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-10-25T00:30:00Z",
         "2026-10-25T01:30:00Z", "2026-02-28T22:59:59Z", "2026-02-28T23:00:00Z",
         "2026-12-31T22:59:59Z")  # fmt: skip
DAY_NS = 86_400 * NANO


def terms(ratio: str, price: str) -> Any:
    """Make a document with a share, a price, a waterfall and a commitment."""
    return agreement(
        agreement={"zone": ZONE, "scale": 2},
        bases=[
            {"id": "R", "owner": "lab", "when": {"flow": "revenue"}, "measure": "gross"},
            {"id": "P", "owner": "lab", "when": {"flow": "revenue"}, "measure": "net",
             "less": {"flow": "cost"}},
        ],
        meters=[{"id": "T", "when": {"flow": "cost"}, "counts": "output"}],
        rates=[{"id": "RA", "meter": "T", "payer": "lab", "payee": "cloud", "per": "1000",
                "mode": "graduated", "resets": "month",
                "tiers": [{"up_to": "5000", "price": price}, {"price": "0.1"}]}],
        shares=[{"id": "S", "payer": "lab", "payee": "cloud", "ratio": ratio, "base": "R",
                 "cap": {"total": "2_000", "counts_from": "inception"}}],
        waterfalls=[{"id": "W", "payer": "lab", "base": "P", "tiers": [
            {"id": "one", "split": {"cloud": "2/3", "lab2": "1/3"}, "until": {
                "cloud": {"amount": "1_500", "measured_on": "payouts",
                          "counts_from": "inception"}}},
            {"id": "two", "split": {"lab2": 1}}]}],
        commitments=[{"id": "C", "buyer": "lab", "seller": "cloud", "total": "9_000",
                      "eligible": "R", "shortfall": "true_up", "excess": "carries",
                      "schedule": [
                          {"begins": "2026-01-01", "before": "2026-07-01", "amount": "5_000"},
                          {"begins": "2026-07-01", "before": "2027-01-01", "amount": "4_000"}]}],
        statements=[QUARTERLY | {"period": "month", "close_lag_days": 5}],
    )  # fmt: skip


BASE, AMENDED = terms("1/7", "0.3"), terms("1/9", "0.2")
CHANGE = ("2026-05-17T10:00:00Z", "2026-08-20")
"""The amendment counts from the middle of May, and was learnt in August."""
BOOK = book(BASE, (*CHANGE, AMENDED))


class World:
    """What really happened, and how a settling process came to hear of it."""

    def __init__(self, seed: int) -> None:
        """Make a year from a seed."""
        self.source = random.Random(seed)  # noqa: S311
        self.facts: list[AnyFact] = [self._fact(number) for number in range(60)]
        self.facts += [self._edge(number, at) for number, at in enumerate(EDGES)]
        self.facts += [self._correction(number) for number in range(6)]
        self.stored: dict[str, bytes] = {}
        self.crashes = 0

    def _fact(self, number: int) -> Measured:
        at_ns = ns("2026-01-01", ZONE) + self.source.randrange(364 * DAY_NS)
        late_ns = self.source.choice([0, 1, DAY_NS, 20 * DAY_NS, 70 * DAY_NS])
        return self._measured(f"f{number:03d}", at_ns, at_ns + late_ns)

    def _edge(self, number: int, at: str) -> Measured:
        return self._measured(f"edge{number}", ns(at), ns(at))

    def _measured(self, id: str, at_ns: int, known_ns: int) -> Measured:
        flow = self.source.choice(["revenue", "revenue", "cost"])
        nano = self.source.choice([1, -1, 3, 7]) * self.source.randrange(100 * NANO)
        return Measured(
            id=id,
            at_ns=at_ns,
            known_ns=known_ns,
            attributes=attributes(flow=flow, model=self.source.choice("ab")),
            nano=nano,
            asset="USD",
            numbers={"output": self.source.randrange(3_000)},
        )

    def _correction(self, number: int) -> Corrected:
        wrong = self.source.choice(self.facts[:60])
        known_ns = wrong.known_ns + self.source.choice([1, 30 * DAY_NS, 90 * DAY_NS])
        return Corrected(
            id=f"c{number}",
            at_ns=wrong.at_ns,
            known_ns=known_ns,
            of=wrong.id,
            nano=self.source.randrange(50 * NANO),
            numbers={"output": self.source.randrange(2_000)},
        )

    def heard(self, known_ns: int) -> list[AnyFact]:
        """Deliver what is known by then: in any order, some of it twice or three times.

        A delivery that was dropped was made again; it is heard once at least.
        """
        delivered: list[AnyFact] = []
        for fact in self.facts:
            if fact.known_ns <= known_ns:
                delivered += [fact] * self.source.choice([1, 1, 1, 2, 3])
        self.source.shuffle(delivered)
        return delivered

    def close(self, month: str) -> None:
        """Settle a month when its books close; now and then die before it is written."""
        _, period = named(month, BOOK.zone)
        known_ns = period.closes_ns(5, BOOK.zone)
        while True:
            made = settle(BOOK, Log.of(self.heard(known_ns)), period=month, known_ns=known_ns)
            if self.source.random() < 0.3:
                self.crashes += 1
                continue
            assert self.stored.setdefault(month, canonical(made.statement)) == canonical(
                made.statement
            )
            if self.source.random() < 0.7:
                return

    def replayed(self, month: str) -> Statement:
        """Settle a month again, much later, from everything."""
        known_ns = ns("2028-01-01")
        return settle(BOOK, Log.of(self.heard(known_ns)), period=month, known_ns=known_ns).statement


def flows(statements: list[Statement]) -> dict[tuple[str, str], int]:
    """Sum postings by clause and payee, in nano-units."""
    sums: dict[tuple[str, str], int] = {}
    for statement in statements:
        for each in statement.postings:
            back = each.source != "party:lab"
            payee = each.source if back else each.destination
            name = (each.clause, payee)
            sums[name] = sums.get(name, 0) + (-each.nano if back else each.nano)
    return sums


def account(facts: list[AnyFact], known_ns: int) -> dict[str, Fraction]:
    """The whole year in one go, from what is known: shares, price, waterfall, true-ups."""
    numbers: dict[str, tuple[Measured, Fraction, int]] = {}
    corrections = sorted(
        (f for f in facts if isinstance(f, Corrected) and f.known_ns <= known_ns),
        key=lambda each: (each.known_ns, each.id),
    )
    for fact in facts:
        if isinstance(fact, Measured) and fact.known_ns <= known_ns:
            amount, output = F(fact.nano or 0, NANO), fact.numbers["output"]
            for each in corrections:
                if each.of == fact.id:
                    amount, output = F(each.nano or 0, NANO), each.numbers["output"]
            numbers[fact.id] = (fact, amount, output)
    amended = known_ns >= ns(CHANGE[1], ZONE)
    ordered = sorted(numbers.values(), key=lambda each: each[0].at_ns)
    share, room, above, profit, price = F(0), F(2_000), F(0), F(0), F(0)
    halves, counted = [F(0), F(0)], dict.fromkeys(MONTHS, 0)
    for fact, amount, output in ordered:
        new = amended and fact.at_ns >= ns(CHANGE[0])
        revenue = ("flow", "revenue") in fact.attributes
        profit += amount if revenue else -amount
        if revenue:
            halves[fact.at_ns >= ns("2026-07-01", ZONE)] += amount
            asked = amount * (F(1, 9) if new else F(1, 7))
            if asked < 0:
                off = min(above, -asked)
                above, asked = above - off, asked + off
            else:
                owed = min(asked, max(F(0), room - share))
                above, asked = above + asked - owed, owed
            share += asked
        else:
            month = next(m for m in MONTHS if named(m, BOOK.zone)[1].ends_ns > fact.at_ns)
            before, counted[month] = counted[month], counted[month] + output
            low = F(2, 10) if new else F(3, 10)
            cheap = min(5_000, counted[month]) - min(5_000, before)
            price += F(cheap, 1000) * low + F(output - cheap, 10_000)
    top = max(F(0), min(profit, F(1_500) * 3 / 2))
    carried = max(F(0), halves[0] - 5_000)
    missing = max(F(0), 5_000 - halves[0]) + max(F(0), 4_000 - halves[1] - carried)
    return {
        "S": share,
        "RA": price,
        "W cloud": top * 2 / 3,
        "W lab2": top / 3 + max(F(0), profit - F(1_500) * 3 / 2),
        "C": missing,
    }


@pytest.mark.parametrize("seed", range(12))
def test_statements_replay_byte_for_byte(seed: int) -> None:
    """Closed in the course of things, or settled again from everything two years on."""
    world = World(seed)
    for month in MONTHS:
        world.close(month)
    for month in MONTHS:
        assert canonical(world.replayed(month)) == world.stored[month]


@pytest.mark.parametrize("seed", range(12))
def test_statements_sum_to_the_account(seed: int) -> None:
    """All months, with their adjustments, against the year in one go; within a unit a payee."""
    world = World(seed)
    _, last = named(MONTHS[-1], BOOK.zone)
    closes_ns = last.closes_ns(5, BOOK.zone)
    sums = flows([world.replayed(month) for month in MONTHS])
    expected = account(world.facts, closes_ns)
    found = {
        "S": sums.get(("S", "party:cloud"), 0),
        "RA": sums.get(("RA", "party:cloud"), 0),
        "W cloud": sums.get(("W", "party:cloud"), 0),
        "W lab2": sums.get(("W", "party:lab2"), 0),
        "C": sums.get(("C", "party:cloud"), 0),
    }
    cent = NANO // 100
    for name, amount in expected.items():
        assert abs(found[name] - amount * NANO) <= cent, name


def test_the_simulator_reaches_what_it_is_for() -> None:
    """Over the seeds: crashes, adjustments by late facts and by the amendment, flows back."""
    reasons: set[str] = set()
    crashes = 0
    for seed in range(12):
        world = World(seed)
        world.close("2026-01")
        crashes += world.crashes
        for month in ("2026-07", "2026-08", "2026-09"):
            reasons |= {each.reason for each in world.replayed(month).adjustments}
    assert crashes
    assert any("became known after the close" in reason for reason in reasons)
    assert "the agreement was amended for a time that had been settled" in reasons
