"""What comes late: adjustments in the open period, never edits."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from entente.agreement.log import AnyFact, Attested, Corrected, Log
from entente.agreement.settle.settling import settle
from entente.agreement.settle.statement import Statement, canonical
from tests.agreement.money.documents import NANO, QUARTERLY, agreement, book, ns, sold
from tests.agreement.money.ladders import F

REVENUE: dict[str, Any] = {
    "id": "R",
    "owner": "lab",
    "when": {"flow": "revenue"},
    "measure": "gross",
}
SHARE: dict[str, Any] = {"id": "S", "payer": "lab", "payee": "cloud", "ratio": "10%", "base": "R"}
MONTHLY = QUARTERLY | {"period": "month"}
DEAL = agreement(bases=[REVENUE], shares=[SHARE], statements=[MONTHLY])
FACTS: list[AnyFact] = [
    sold("jan", "2026-01-15", 100),
    sold("feb", "2026-02-15", 200),
    sold("late", "2026-01-20", 50, known="2026-02-20"),
]


def stated(facts: list[AnyFact], period: str, known: str, made: Any = None) -> Statement:
    """Settle as known at an instant."""
    settled = settle(made or book(DEAL), Log.of(facts), period=period, known_ns=ns(known))
    return settled.statement


def amounts(statement: Statement) -> list[tuple[str, str, str, Any]]:
    """Give source, destination, what is adjusted, and whole units."""
    return [(p.source, p.destination, p.adjusts, F(p.nano, NANO)) for p in statement.postings]


def test_a_late_fact_adjusts_the_period_that_is_open() -> None:
    """January was closed without it; February's statement brings it."""
    january, february = (
        stated(FACTS, "2026-01", "2026-06-01"),
        stated(FACTS, "2026-02", "2026-06-01"),
    )
    assert amounts(january) == [("party:lab", "party:cloud", "", 10)]
    assert amounts(february) == [
        ("party:lab", "party:cloud", "", 20),
        ("party:lab", "party:cloud", "2026-01", 5),
    ]
    (adjusted,) = february.adjustments
    assert (adjusted.stated_nano, adjusted.now_nano) == (10 * NANO, 15 * NANO)
    assert adjusted.reason == "1 fact became known after the close"
    assert adjusted.facts.ids == ("late",)


def test_within_the_close_lag_nothing_is_late() -> None:
    """The books of January close ten days into February."""
    in_time = sold("in time", "2026-01-20", 50, known="2026-02-10T23:59:59Z")
    assert amounts(stated([*FACTS, in_time], "2026-01", "2026-06-01"))[0][3] == 15
    too_late = sold("too late", "2026-01-20", 50, known="2026-02-11T00:00:01Z")
    assert amounts(stated([*FACTS, too_late], "2026-01", "2026-06-01"))[0][3] == 10


def test_a_closed_statement_never_changes() -> None:
    """Whatever is learnt later: the same bytes."""
    closed = canonical(stated(FACTS[:1], "2026-01", "2026-02-11"))
    assert b'"final":true' in closed
    assert canonical(stated(FACTS, "2026-01", "2030-01-01")) == closed
    still_open = canonical(stated(FACTS[:1], "2026-01", "2026-02-10"))
    assert b'"final":false' in still_open


def test_corrections_before_and_after_the_close() -> None:
    """The last one known by then counts; a correction to zero takes a fact back."""

    def corrected(id: str, known: str, nano: int) -> Corrected:
        return Corrected(id=id, at_ns=ns(known), known_ns=ns(known), of="jan", nano=nano)

    facts = [
        *FACTS[:2],
        corrected("c1", "2026-02-01", 80 * NANO),
        corrected("c2", "2026-03-01", 0),
        corrected("c3", "2026-04-05", 60 * NANO),
    ]
    assert [amounts(stated(facts, month, "2026-09-01")) for month in ("2026-01", "2026-02")] == [
        [("party:lab", "party:cloud", "", 8)],
        [("party:lab", "party:cloud", "", 20), ("party:cloud", "party:lab", "2026-01", 8)],
    ]
    march = stated(facts, "2026-03", "2026-09-01")
    assert amounts(march) == [("party:lab", "party:cloud", "2026-01", 6)]
    assert march.adjustments[0].facts.ids == ("jan",)


def test_a_refund_flows_back() -> None:
    """A negative amount is a posting the other way."""
    facts: list[AnyFact] = [*FACTS[:1], sold("refund", "2026-02-03", -30)]
    assert amounts(stated(facts, "2026-02", "2026-06-01")) == [("party:cloud", "party:lab", "", 3)]


def test_an_amendment_that_is_dated_back() -> None:
    """January was settled at 10 %; in March all learn that it was 15 % from mid January on."""
    higher = agreement(bases=[REVENUE], shares=[SHARE | {"ratio": "15%"}], statements=[MONTHLY])
    made = book(DEAL, ("2026-01-10", "2026-03-05", higher))
    known = "2026-09-01"
    assert amounts(stated(FACTS[:2], "2026-01", known, made)) == [
        ("party:lab", "party:cloud", "", 10)
    ]
    february = stated(FACTS[:2], "2026-02", known, made)
    assert amounts(february) == [
        ("party:lab", "party:cloud", "", 30),
        ("party:cloud", "party:lab", "2026-01", 10),
        ("party:lab", "party:cloud", "2026-01", 15),
    ]
    assert {each.reason for each in february.adjustments} == {
        "the agreement was amended for a time that had been settled"
    }


def test_what_is_deferred_is_paid_on_when_an_amendment_ends_the_share() -> None:
    """A rest of 20, paid by 10 a month, by the version that the share stood in last."""
    monthly = {"pay_max": "10", "each": "month"}
    deferred = SHARE | {"ratio": "30%", "defer": monthly, "source": "4.1"}
    made = book(
        agreement(bases=[REVENUE], shares=[deferred], statements=[MONTHLY]),
        ("2026-02-01", "2026-01-20", agreement(bases=[REVENUE], statements=[MONTHLY])),
    )
    facts: list[AnyFact] = [sold("a", "2026-01-05", 100), sold("b", "2026-02-05", 100)]
    known = "2026-09-01"
    for month in ("2026-02", "2026-03"):
        statement = stated(facts, month, known, made)
        assert amounts(statement) == [("deferred:S", "party:cloud", "", 10)]
        assert [(p.payer, p.payee, p.nano) for p in statement.payments] == [
            ("lab", "cloud", 10 * NANO)
        ]
        assert [(each.clause, each.source) for each in statement.applied] == [("S", "4.1")]
    assert amounts(stated(facts, "2026-04", known, made)) == []


def test_a_share_with_a_rest_that_an_amendment_ends_in_a_time_that_was_settled() -> None:
    """February is taken back; what January had left is paid in its place."""
    deferred = SHARE | {"ratio": "20%", "defer": {"pay_max": "10", "each": "month"}}
    made = book(
        agreement(bases=[REVENUE], shares=[deferred], statements=[MONTHLY]),
        ("2026-02-01", "2026-03-20", agreement(bases=[REVENUE], statements=[MONTHLY])),
    )
    facts: list[AnyFact] = [sold("a", "2026-01-05", 100), sold("b", "2026-02-05", 100)]
    march = stated(facts, "2026-03", "2026-09-01", made)
    assert amounts(march) == [("deferred:S", "party:lab", "2026-02", 20)]
    (adjusted,) = march.adjustments
    assert adjusted.reason == "the agreement was amended for a time that had been settled"
    assert adjusted.facts.ids == ("b",)


def test_a_finding_that_comes_late() -> None:
    """An event that was attested later than it counts takes back what was shared since."""
    event = {"id": "agi", "declared_by": "lab"}
    share = SHARE | {"until": {"event": "agi.declared"}}
    made = book(
        agreement(
            parties=[{"id": "lab", "kind": "lab"}, {"id": "cloud", "kind": "cloud"}],
            events=[event],
            bases=[REVENUE],
            shares=[share],
            statements=[MONTHLY],
        )
    )
    found = Attested(
        id="e",
        at_ns=ns("2026-01-10"),
        known_ns=ns("2026-02-25"),
        event="agi",
        verdict="declared",
        by="lab",
    )
    known = "2026-09-01"
    assert amounts(stated([*FACTS[:2], found], "2026-01", known, made))[0][3] == 10
    assert amounts(stated([*FACTS[:2], found], "2026-02", known, made)) == [
        ("party:cloud", "party:lab", "2026-01", 10)
    ]


def test_facts_told_twice_count_once() -> None:
    """In any order; what contradicts itself is a problem, and the first that was known counts."""
    again = msgspec.structs.replace(FACTS[0], known_ns=ns("2026-01-16"))
    other = sold("jan", "2026-01-15", 999, known="2026-01-17")
    facts = [*FACTS, again, FACTS[1]]
    expected = canonical(stated(FACTS, "2026-02", "2026-06-01"))
    for seed in range(5):
        random.Random(seed).shuffle(facts)  # noqa: S311
        assert canonical(stated(facts, "2026-02", "2026-06-01")) == expected
    statement = stated([other, *FACTS], "2026-01", "2026-06-01")
    assert amounts(statement)[0][3] == 10
    assert statement.problems == ("jan stands in the log with different contents",)


def test_a_correction_of_nothing_is_a_problem() -> None:
    """It names what is not in the log."""
    stray = Corrected(id="c", at_ns=ns("2026-01-20"), known_ns=ns("2026-01-20"), of="none", nano=0)
    assert stated([*FACTS, stray], "2026-01", "2026-06-01").problems == (
        "none is corrected, and is not in the log",
    )


def test_at_one_instant_the_terms_come_first() -> None:
    """What is measured at the instant of an event is measured under what the event changed."""
    event = {"id": "end", "declared_by": "lab"}
    share = SHARE | {"until": {"event": "end.declared"}}
    made = book(
        agreement(
            parties=[{"id": "lab", "kind": "lab"}],
            events=[event],
            bases=[REVENUE],
            shares=[share],
            statements=[MONTHLY],
        )
    )
    at = ns("2026-01-15")
    said = Attested(id="zz", at_ns=at, known_ns=at, event="end", verdict="declared", by="lab")
    assert amounts(stated([*FACTS, said], "2026-01", "2026-06-01", made)) == []


def test_a_day_that_lasts_23_hours() -> None:
    """The zone of the document says when a month begins, also where clocks were moved."""
    berlin = {"zone": "Europe/Berlin"}
    deal = agreement(agreement=berlin, bases=[REVENUE], shares=[SHARE], statements=[MONTHLY])
    facts: list[AnyFact] = [
        sold("march", "2026-03-31T21:59:59Z", 10),
        sold("april", "2026-03-31T22:00:00Z", 20),
    ]
    made = book(deal)
    march, april = (stated(facts, month, "2026-09-01", made) for month in ("2026-03", "2026-04"))
    assert (amounts(march)[0][3], amounts(april)[0][3]) == (1, 2)
    assert (march.begins, march.ends) == ("2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00")


@pytest.mark.parametrize("cut", ["month", "quarter", "year"])
def test_periods_of_any_length_sum_to_the_same(cut: str) -> None:
    """With one known instant, statements by month, quarter and year come to one amount."""
    deal = agreement(
        bases=[REVENUE], shares=[SHARE | {"ratio": "1/3"}], statements=[MONTHLY | {"period": cut}]
    )
    labels = {
        "month": [f"2026-{month:02d}" for month in range(1, 13)],
        "quarter": [f"2026-Q{quarter}" for quarter in range(1, 5)],
        "year": ["2026"],
    }[cut]
    facts: list[AnyFact] = [sold(f"f{i}", f"2026-{i:02d}-11", i * i) for i in range(1, 13)]
    found = sum(
        amount
        for label in labels
        for *_, amount in amounts(stated(facts, label, "2027-06-01", book(deal)))
    )
    assert found == F(int(F(650, 3) * 100), 100)


def test_a_close_that_is_past_stays() -> None:
    """An amendment that is learnt later, and counts from the start, moves no close of before."""
    slower = MONTHLY | {"close_lag_days": 60}
    amended = agreement(bases=[REVENUE], shares=[SHARE], statements=[slower])
    made = book(DEAL, ("2026-01-02", "2026-04-20", amended))
    closes = [stated(FACTS, month, "2026-12-01", made).closes for month in ("2026-01", "2026-04")]
    assert closes == ["2026-02-11T00:00:00+00:00", "2026-06-30T00:00:00+00:00"]


def test_a_shorter_lag_closes_no_books_before_those_of_the_period_before() -> None:
    """January still closes on 1 April: February waits for it, and nothing is owed twice."""
    slow = agreement(bases=[REVENUE], shares=[SHARE], statements=[MONTHLY | {"close_lag_days": 59}])
    quick = agreement(bases=[REVENUE], shares=[SHARE], statements=[MONTHLY | {"close_lag_days": 0}])
    made = book(slow, ("2026-02-15", "2026-02-15", quick))
    facts: list[AnyFact] = [
        sold("jan", "2026-01-15", 100),
        sold("late", "2026-01-20", 50, known="2026-03-15"),
        sold("feb", "2026-02-15", 10),
    ]
    months = [stated(facts, f"2026-0{month}", "2026-12-01", made) for month in (1, 2, 3)]
    assert [month.closes[:10] for month in months] == ["2026-04-01"] * 3
    assert [amount for month in months for *_, amount in amounts(month)] == [15, 1]
