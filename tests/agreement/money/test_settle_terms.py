"""Settling: terms that end, grow and change inside a period, and what facts say."""

from __future__ import annotations

from typing import Any

import pytest

from entente.agreement.log import AnyFact, Attested
from tests.agreement.money.documents import NANO, agreement, book, ns, sold
from tests.agreement.money.ladders import F
from tests.agreement.money.stating import (
    COMMITTED,
    REVENUE,
    SHARE,
    YEARLY,
    balances,
    moved,
    stated,
)


def test_a_cap_that_grows() -> None:
    """By a fifth on a day and on each of its anniversaries."""
    limit = {
        "amount": "10",
        "measured_on": "payouts",
        "counts_from": "inception",
        "growth": {"rate": "20%", "starts": "2027-06-01"},
    }
    waterfall = {
        "id": "W",
        "payer": "lab",
        "base": "R",
        "tiers": [
            {"id": "one", "split": {"cloud": 1}, "until": {"cloud": limit}},
            {"id": "two", "split": {"others": 1}},
        ],
    }
    made = book(agreement(bases=[REVENUE], waterfalls=[waterfall], statements=[YEARLY]))
    facts: list[AnyFact] = [
        sold("a", "2026-05-01", 50),
        sold("b", "2027-05-31", 50),
        sold("c", "2027-06-01", 50),
        sold("d", "2028-06-01", 50),
    ]
    found = [
        balances(stated(made, facts, year), "W")["paid to cloud"]
        for year in ("2026", "2027", "2028")
    ]
    assert found == [10, 12, F("14.4")]


def test_a_trigger_on_a_total() -> None:
    """It is looked at when a period ends: what it ends, ends with the period that met it."""
    trigger = {"id": "enough", "total": "R", "at_least": "100", "curable": False}
    share = SHARE | {"until": {"event": "enough"}}
    made = book(agreement(bases=[REVENUE], shares=[share], triggers=[trigger]))
    facts: list[AnyFact] = [sold(f"f{month}", f"2026-{month:02d}-15", 60) for month in (1, 4, 5, 7)]
    paid = [
        sum((each[3] for each in moved(stated(made, facts, f"2026-Q{quarter}"))), F(0))
        for quarter in (1, 2, 3)
    ]
    assert paid == [12, 24, 0]
    assert [each.state for each in stated(made, facts, "2026-Q3").events] == [
        "enough",
        "enough.met",
    ]


def test_words_that_count_for_nothing() -> None:
    """An attestation by somebody without a say is named, and changes nothing."""
    event = {"id": "end", "declared_by": "lab"}
    made = book(
        agreement(
            parties=[{"id": "lab", "kind": "lab"}],
            events=[event],
            bases=[REVENUE],
            shares=[SHARE | {"until": {"event": "end.declared"}}],
        )
    )
    at = ns("2026-01-02")
    said = Attested(id="e", at_ns=at, known_ns=at, event="end", verdict="declared", by="cloud")
    statement = stated(made, [said, sold("a", "2026-01-05", 10)], "2026-Q1")
    assert moved(statement)[0][3] == 2
    assert statement.problems == (
        "what cloud attests of end counts for nothing: cloud has no say in this",
    )


def test_a_commitment_that_an_event_ends() -> None:
    """What was drawn before counts; what is missing is due in the period of the end."""
    event = {"id": "exit", "declared_by": "lab"}
    commitment = {
        "id": "C",
        "buyer": "lab",
        "seller": "cloud",
        "total": "100",
        "eligible": "R",
        "shortfall": "true_up",
        "until": {"event": "exit.declared"},
    }
    made = book(
        agreement(
            parties=[{"id": "lab", "kind": "lab"}],
            events=[event],
            bases=[REVENUE],
            commitments=[commitment],
        )
    )
    at = ns("2026-05-05")
    said = Attested(id="e", at_ns=at, known_ns=at, event="exit", verdict="declared", by="lab")
    facts: list[AnyFact] = [
        said,
        sold("a", "2026-02-01", 30),
        sold("b", "2026-05-01", 25),
        sold("c", "2026-06-01", 9),
    ]
    assert moved(stated(made, facts, "2026-Q1")) == []
    assert [each[3] for each in moved(stated(made, facts, "2026-Q2"))] == [45]
    assert moved(stated(made, facts, "2026-Q3")) == []


def test_terms_that_change_inside_a_period() -> None:
    """An end, a day from which a cap counts, a step of a commitment, a window of a deferral."""
    ending = SHARE | {"id": "E", "until": {"date": "2026-02-15", "inclusive": True}}
    capped = SHARE | {"cap": {"total": "3", "counts_from": "2026-02-01"}}
    waiting = SHARE | {"id": "D", "defer": {"pay_max": "1", "each": "month"}}
    steps = [
        {"begins": "2026-01-01", "before": "2026-02-10", "amount": "50"},
        {"begins": "2026-02-10", "before": "2026-03-31", "amount": "5"},
    ]
    promised = COMMITTED | {"schedule": steps, "shortfall": "true_up", "excess": "lapses"}
    made = book(
        agreement(bases=[REVENUE], shares=[ending, capped, waiting], commitments=[promised])
    )
    facts: list[AnyFact] = [
        sold("a", "2026-01-15", 20),
        sold("b", "2026-02-15T23:59:59Z", 20),
        sold("c", "2026-02-16", 20),
    ]
    statement = stated(made, facts, "2026-Q1")
    paid: dict[tuple[str, str], Any] = {}
    for each in statement.postings:
        name = (each.clause, each.why)
        paid[name] = paid.get(name, F(0)) + F(each.nano, NANO)
    assert paid == {
        ("E", "share"): 8,
        ("S", "share"): 4 + 3,
        ("D", "share"): 1,
        ("D", "deferred"): 11,
        ("D", "released"): 2,
        ("C", "true_up"): 30,
    }


def test_what_is_deferred_is_released_to_the_unit() -> None:
    """Rounding never releases what was not deferred, and leaves nothing behind."""
    share = SHARE | {"ratio": "1/7", "defer": {"pay_ratio": "2/3", "released": "2026-10-01"}}
    made = book(agreement(agreement={"scale": 0}, bases=[REVENUE], shares=[share]))
    facts: list[AnyFact] = [sold(f"f{m}", f"2026-{m:02d}-10", 10 * m) for m in (1, 2, 4, 5, 8, 11)]
    kept, everything = F(0), F(0)
    for quarter in range(1, 5):
        for source, destination, _, amount in moved(stated(made, facts, f"2026-Q{quarter}")):
            kept += amount * ((destination == "deferred:S") - (source == "deferred:S"))
            everything += amount * ((destination == "party:cloud") - (source == "party:cloud"))
        assert kept >= 0
    assert kept == 0
    assert everything == 310 // 7


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({"model": {"like": "*-one"}}, {"big-one", "x-one"}),
        ({"model": ["big-one", "big-one-more"]}, {"big-one", "big-one-more"}),
        ({"model": {"not": {"like": "big-*"}}}, {"x-one"}),
        ({"seats": {"at_least": 3}}, {"x-one"}),
        ({"any": [{"seats": {"less_than": 3}}, {"model": "x-one"}]}, {"big-one", "x-one"}),
        ({"seats": {"given": False}}, {"big-one-more"}),
        ({"all": [{"seats": {"at_most": 2}}, {"not": {"model": "x-one"}}]}, {"big-one"}),
        ({}, {"big-one", "big-one-more", "x-one"}),
    ],
)
def test_which_facts_a_clause_is_about(when: dict[str, Any], fits: set[str]) -> None:
    """The vocabulary of conditions, on what facts say."""
    made = book(agreement(bases=[REVENUE | {"when": when}], shares=[SHARE]))
    facts: list[AnyFact] = [
        sold("a", "2026-01-15", 1, model="big-one", seats=2),
        sold("b", "2026-01-15", 2, model="big-one-more"),
        sold("c", "2026-01-15", 4, model="x-one", seats=3),
    ]
    worth = {"big-one": 1, "big-one-more": 2, "x-one": 4}
    (measured,) = stated(made, facts, "2026-Q1").measured
    assert measured.amount == sum(worth[name] for name in fits)
