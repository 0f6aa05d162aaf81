"""Settling: each kind of clause from a log to postings, exactly."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from entente.agreement.log import AnyFact, Attested, Contributed, Issued, Measured, Quoted
from entente.domain.errors import InvalidParameter
from tests.agreement.money.documents import NANO, QUARTERLY, agreement, book, ns, sold
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

GROWING = [
    sold(f"y{year}", f"{year}-06-01", revenue)
    for year, revenue in zip(range(2026, 2031), (30, 62, 113, 190, 280), strict=True)
]


def test_a_capped_share_over_five_years() -> None:
    """The published path: 6, 12.4 and 19.6, then the cap of 38 is exhausted."""
    capped = SHARE | {"cap": {"total": "38", "counts_from": "inception"}}
    made = book(agreement(bases=[REVENUE], shares=[capped], statements=[YEARLY]))
    paid, left = [], []
    for year in range(2026, 2031):
        statement = stated(made, [*GROWING], str(year))
        paid.append(sum((each[3] for each in moved(statement)), F(0)))
        left.append(balances(statement, "S")["left under the cap"])
    assert paid == [6, F("12.4"), F("19.6"), 0, 0]
    assert left == [32, F("19.6"), 0, 0, 0]


def test_the_same_share_without_its_cap() -> None:
    """135 in all, so that the cap saves 97."""
    made = book(agreement(bases=[REVENUE], shares=[SHARE], statements=[YEARLY]))
    paid = [moved(stated(made, [*GROWING], str(year)))[0][3] for year in range(2026, 2031)]
    assert paid == [6, F("12.4"), F("22.6"), 38, 56]
    assert sum(paid) - 38 == 97


def test_a_cap_that_counts_from_a_day() -> None:
    """What was owed before that day leaves its room alone."""
    capped = SHARE | {"cap": {"total": "38", "counts_from": "2027-01-01"}}
    made = book(agreement(bases=[REVENUE], shares=[capped], statements=[YEARLY]))
    paid = [
        sum((each[3] for each in moved(stated(made, [*GROWING], str(year)))), F(0))
        for year in range(2026, 2031)
    ]
    assert paid == [6, F("12.4"), F("22.6"), 3, 0]


def test_deferral() -> None:
    """Accrued 6, cash 4, deferred 2; the next year pays what was deferred first."""
    deferred = SHARE | {"defer": {"pay_max": "4", "each": "year", "released": "2028-01-01"}}
    made = book(agreement(bases=[REVENUE], shares=[deferred], statements=[YEARLY]))
    first = stated(made, [*GROWING], "2026")
    assert moved(first) == [
        ("party:lab", "party:cloud", "share", 4),
        ("party:lab", "deferred:S", "deferred", 2),
    ]
    assert balances(first, "S") == {"owed in all": 6, "deferred": 2}
    assert [each.nano for each in first.payments] == [4 * NANO]
    second = stated(made, [*GROWING], "2027")
    assert moved(second) == [
        ("party:lab", "party:cloud", "share", 2),
        ("party:lab", "deferred:S", "deferred", F("10.4")),
        ("deferred:S", "party:cloud", "released", 2),
    ]
    third = stated(made, [*GROWING], "2028")
    assert balances(third, "S")["deferred"] == 0
    assert [each.nano for each in third.payments] == [33 * NANO]


def test_a_deferred_ratio() -> None:
    """Two thirds are paid at once."""
    deferred = SHARE | {"defer": {"pay_ratio": "2/3"}}
    made = book(agreement(bases=[REVENUE], shares=[deferred], statements=[YEARLY]))
    assert [each[3] for each in moved(stated(made, [*GROWING], "2026"))] == [4, 2]


def test_a_share_until_an_event_is_verified() -> None:
    """It ends at the very instant, and what was deferred is still paid."""
    panel = {"id": "experts", "kind": "panel", "members": ["a", "b", "c"]}
    parties = [
        {"id": "lab", "kind": "lab"},
        {"id": "cloud", "kind": "cloud"},
        panel,
    ]
    event = {
        "id": "agi",
        "declared_by": "lab",
        "verified_by": {"panel": "experts", "quorum": "2/3"},
    }
    share = SHARE | {"until": {"event": "agi.verified"}, "defer": {"pay_max": "1", "each": "year"}}
    made = book(
        agreement(
            parties=parties, events=[event], bases=[REVENUE], shares=[share], statements=[YEARLY]
        )
    )

    def attested(id: str, at: str, verdict: str, by: str) -> Attested:
        return Attested(id=id, at_ns=ns(at), known_ns=ns(at), event="agi", verdict=verdict, by=by)

    facts: list[AnyFact] = [
        attested("e1", "2026-05-01", "declared", "lab"),
        attested("e2", "2026-06-01", "verified", "a"),
        attested("e3", "2026-07-01T12:00:00Z", "verified", "b"),
        sold("before", "2026-07-01T11:59:59Z", 10),
        sold("at", "2026-07-01T12:00:00Z", 10),
        sold("after", "2027-01-01", 100),
    ]
    first, second = stated(made, facts, "2026"), stated(made, facts, "2027")
    assert balances(first, "S") == {"owed in all": 2, "deferred": 1}
    assert [each.state for each in first.events] == ["agi.verified"]
    assert moved(second) == [("deferred:S", "party:cloud", "released", 1)]


def _waterfall(counts_from: str) -> dict[str, Any]:
    return {
        "id": "W",
        "payer": "lab",
        "base": "P",
        "tiers": [
            {
                "id": "first",
                "split": {"msft": "3/4", "others": "1/4"},
                "until": {
                    "msft": {
                        "of": {
                            "contributions": ["K1", "K2", "K3"],
                            "counted": "committed",
                            "forms": ["cash", "credit"],
                            "times": 1,
                        },
                        "measured_on": "payouts",
                        "counts_from": "inception",
                    }
                },
            },
            {
                "id": "second",
                "split": {"msft": "49/100", "others": "49/100", "nonprofit": "2/100"},
                "until": {
                    "msft": {
                        "of": {
                            "contributions": ["K1", "K2", "K3"],
                            "counted": "committed",
                            "forms": ["cash", "credit"],
                            "times": None,
                        },
                        "measured_on": "payouts",
                        "counts_from": counts_from,
                    },
                    "others": {
                        "amount": "150",
                        "measured_on": "payouts",
                        "counts_from": "inception",
                    },
                },
                "on_cap": {"revert_to": "nonprofit"},
            },
            {"id": "third", "split": {"nonprofit": 1}},
        ],
    }


CONTRIBUTIONS: list[dict[str, Any]] = [
    {"id": id, "party": "msft", "to": "lab", "committed": amount, "form": form, "cap_multiple": of}
    for id, amount, form, of in (
        ("K1", "1", "credit", "20"),
        ("K2", "2", "cash", "6"),
        ("K3", "10", "cash", "6"),
    )
]
PROFIT: dict[str, Any] = {
    "id": "P",
    "owner": "lab",
    "when": {"flow": "revenue"},
    "measure": "net",
    "less": {"flow": "cost"},
}


@pytest.mark.parametrize(
    ("counts_from", "totals"),
    [("second", {"msft": 105, "others": F("142.84")}), ("inception", {"msft": 92})],
)
def test_a_waterfall_whose_cap_is_composed(counts_from: str, totals: dict[str, Any]) -> None:
    """20 x 1 + 6 x 2 + 6 x 10 is the 92; both readings, over three years."""
    made = book(
        agreement(
            contributions=CONTRIBUTIONS,
            bases=[PROFIT],
            waterfalls=[_waterfall(counts_from)],
            statements=[YEARLY],
        )
    )
    facts: list[AnyFact] = []
    for year in (2026, 2027, 2028):
        facts += [
            sold(f"r{year}", f"{year}-03-01", 150),
            sold(f"c{year}", f"{year}-03-02", 50, flow="cost"),
        ]
    sums: dict[str, Fraction] = {}
    for year in (2026, 2027, 2028):
        statement = stated(made, facts, str(year))
        assert sum(each[3] for each in moved(statement)) == 100
        for _, destination, _, amount in moved(statement):
            sums[destination] = sums.get(destination, F(0)) + amount
    assert {name: sums[f"party:{name}"] for name in totals} == totals
    left = balances(stated(made, facts, "2028"), "W")
    assert left["left to the limit of msft"] == 0


def test_recouping_what_was_funded_so_far() -> None:
    """What counts is what was given by then, in the forms that count."""
    waterfall = _waterfall("inception")
    first = waterfall["tiers"][0]["until"]["msft"]["of"]
    first |= {"counted": "funded", "forms": ["cash"]}
    made = book(
        agreement(
            contributions=CONTRIBUTIONS, bases=[PROFIT], waterfalls=[waterfall], statements=[YEARLY]
        )
    )
    given: list[AnyFact] = [
        Contributed(
            id="g1",
            at_ns=ns("2026-01-02"),
            known_ns=ns("2026-01-02"),
            contribution="K2",
            amount=F(2),
            form="cash",
        ),
        Contributed(
            id="g2",
            at_ns=ns("2026-01-03"),
            known_ns=ns("2026-01-03"),
            contribution="K1",
            amount=F(1),
            form="credit",
        ),
        Contributed(
            id="g3",
            at_ns=ns("2026-08-01"),
            known_ns=ns("2026-08-01"),
            contribution="K3",
            amount=F(1),
            form="cash",
        ),
    ]
    statement = stated(
        made, [*given, sold("r1", "2026-07-01", 4), sold("r2", "2026-09-01", 4)], "2026"
    )
    received = balances(statement, "W")["paid to msft"]
    # 8/3 recoups 2; 4/3 at 49 %; then what is missing up to 3 at 75 %; the rest at 49 %
    after_first = F(2) + F(49, 100) * F(4, 3)
    in_first = (3 - after_first) / F(3, 4)
    assert received == 3 + (4 - in_first) * F(49, 100)


def test_rates_in_tiers_that_reset() -> None:
    """Graduated within a month; each month begins anew."""
    meter = {"id": "T", "when": {"model": {"like": "big-*"}}, "counts": "output"}
    rate = {
        "id": "RA",
        "meter": "T",
        "payer": "cloud",
        "payee": "lab",
        "per": "1_000_000",
        "mode": "graduated",
        "resets": "month",
        "tiers": [{"up_to": "2_000_000", "price": "10"}, {"price": "5"}],
    }
    made = book(agreement(meters=[meter], rates=[rate]))
    facts: list[AnyFact] = [
        sold("a", "2026-01-05", 0, numbers={"output": 1_500_000}, model="big-one"),
        sold("b", "2026-01-06", 0, numbers={"output": 1_500_000}, model="big-two"),
        sold("c", "2026-02-01", 0, numbers={"output": 1_000_000}, model="big-one"),
        sold("d", "2026-02-01", 0, numbers={"output": 9_000_000}, model="small"),
    ]
    statement = stated(made, facts, "2026-Q1")
    assert moved(statement) == [("party:cloud", "party:lab", "rate", 35)]
    assert statement.measured[0].amount == 4_000_000
    by_volume = rate | {"mode": "volume"}
    statement = stated(book(agreement(meters=[meter], rates=[by_volume])), facts, "2026-Q1")
    assert moved(statement) == [("party:cloud", "party:lab", "rate", 25)]


@pytest.mark.parametrize(
    ("policy", "spent", "paid"),
    [
        ({"shortfall": "true_up"}, (70, 160), (30, 0)),
        ({"shortfall": "true_up"}, (130, 100), (0, 20)),
        ({"shortfall": "true_up", "excess": "lapses"}, (130, 100), (0, 50)),
        ({"shortfall": "rollover", "at_end": "true_up"}, (70, 160), (0, 20)),
        ({"shortfall": "rollover", "at_end": "none"}, (70, 160), (0, 0)),
        ({"shortfall": "none"}, (0, 0), (0, 0)),
    ],
)
def test_commitments(policy: dict[str, str], spent: tuple[int, int], paid: tuple[int, int]) -> None:
    """A shortfall is paid at the end of its step, added to the next one, or forgiven."""
    made = book(agreement(bases=[REVENUE], commitments=[COMMITTED | policy], statements=[YEARLY]))
    facts: list[AnyFact] = [sold("a", "2026-05-01", spent[0]), sold("b", "2027-05-01", spent[1])]
    found = [
        sum((each[3] for each in moved(stated(made, facts, year))), F(0))
        for year in ("2026", "2027")
    ]
    assert found == [*paid]
    assert balances(stated(made, facts, "2026"), "C")["left to draw"] == 250 - spent[0]


def test_a_bundle_leaks_nothing() -> None:
    """A price for several things belongs to the base by their prices, or as declared."""
    bundle = {
        "when": {"product": "suite"},
        "components": {"api": "10", "office": "20"},
        "by": "stand_alone_price",
        "counts": ["api"],
    }
    facts: list[AnyFact] = [
        sold("a", "2026-01-05", 30, flow="revenue", product="suite"),
        sold("b", "2026-01-05", 5, flow="revenue", product="api"),
    ]
    made = book(agreement(bases=[REVENUE | {"bundles": [bundle]}], shares=[SHARE]))
    assert moved(stated(made, facts, "2026-Q1"))[0][3] == 3
    bundle |= {"components": {"api": "1/2", "office": "1/2"}, "by": "declared"}
    made = book(agreement(bases=[REVENUE | {"bundles": [bundle]}], shares=[SHARE]))
    assert moved(stated(made, facts, "2026-Q1"))[0][3] == 4


def test_what_is_taken_off_of_a_bundle_counts_by_its_part() -> None:
    """A bundle that is sold and taken back comes to nothing, not below it."""
    net = {
        "id": "R",
        "owner": "lab",
        "when": {"flow": "revenue"},
        "measure": "net",
        "less": {"flow": "refund"},
        "bundles": [
            {
                "when": {"product": "suite"},
                "components": {"api": "10", "office": "20"},
                "by": "stand_alone_price",
                "counts": ["api"],
            }
        ],
    }
    facts: list[AnyFact] = [
        sold("a", "2026-01-05", 60, flow="revenue", product="suite"),
        sold("b", "2026-01-06", 30, flow="refund", product="suite"),
        sold("c", "2026-01-07", 5, flow="refund", product="api"),
    ]
    made = book(agreement(bases=[net], shares=[SHARE]))
    assert moved(stated(made, facts, "2026-Q1"))[0][3] == F(20 - 10 - 5, 5)


def test_words_mean_what_they_mean_in_deciding() -> None:
    """A group is its choices, an asset its parts; an event per product, facts of the product."""
    bases = [
        {"id": "R", "owner": "lab", "when": {"surface": "api"}, "measure": "gross"},
        {"id": "P", "owner": "lab", "when": {"asset": "technology"}, "measure": "gross"},
        {"id": "E", "owner": "lab", "when": {"event": "shipped.declared"}, "measure": "gross"},
        {"id": "N", "owner": "lab", "when": {"seats": {"at_least": 5}}, "measure": "gross"},
    ]
    deal = agreement(
        attributes=[{"id": "surface", "groups": {"api": ["stateless", "stateful"]}}],
        assets=[
            {"id": "technology", "kind": "product_ip", "owner": "lab"},
            {"id": "weights", "kind": "weights", "owner": "lab", "part_of": "technology"},
        ],
        events=[{"id": "shipped", "declared_by": "lab", "per": "product"}],
        bases=bases,
        shares=[SHARE | {"id": f"S{each['id']}", "base": each["id"]} for each in bases],
    )
    facts: list[AnyFact] = [
        sold("a", "2026-01-05", 100, surface="stateful"),
        sold("b", "2026-01-05", 200, surface="app"),
        sold("c", "2026-01-05", 300, product="suite"),
        sold("d", "2026-01-15", 400, product="suite"),
        sold("e", "2026-01-15", 500, product="phone"),
        sold("f", "2026-01-15", 600, seats="7"),
        sold("g", "2026-01-15", 700, seats=7),
        Measured(
            id="h", at_ns=ns("2026-01-15"), known_ns=ns("2026-01-15"), nano=800 * NANO,
            asset="USD", attributes=(("asset", "weights"),),
        ),
        Attested(
            id="i", at_ns=ns("2026-01-10"), known_ns=ns("2026-01-10"), event="shipped",
            verdict="declared", by="lab", subject="suite",
        ),
    ]  # fmt: skip
    statement = stated(book(deal), facts, "2026-Q1")
    found = {each.clause: each.amount for each in statement.measured}
    assert found == {"R": 100, "P": 800, "E": 400, "N": 700}


def test_currencies() -> None:
    """Each fact by the last rate at its instant, or at the end of its period; never by a guess."""

    def quote(id: str, at: str, rate: str) -> Quoted:
        return Quoted(
            id=id, at_ns=ns(at), known_ns=ns(at), asset="EUR", currency="USD", rate=F(rate)
        )

    facts: list[AnyFact] = [
        sold("a", "2026-01-01", 100, asset="EUR"),
        quote("q1", "2026-01-10", "1.1"),
        sold("b", "2026-01-20", 100, asset="EUR"),
        quote("q2", "2026-02-10", "1.2"),
        sold("c", "2026-02-20", 100, asset="EUR"),
        sold("d", "2026-02-20", 100),
    ]
    exchange = {"source": "central bank", "rate_of": "fact"}
    made = book(
        agreement(bases=[REVENUE], shares=[SHARE], statements=[QUARTERLY | {"exchange": exchange}])
    )
    statement = stated(made, facts, "2026-Q1")
    assert moved(statement)[0][3] == (110 + 120 + 100) / F(5)
    assert statement.problems == ("R: 100 EUR have no exchange rate in 2026-Q1; not in any total",)
    exchange["rate_of"] = "period_end"
    made = book(
        agreement(bases=[REVENUE], shares=[SHARE], statements=[QUARTERLY | {"exchange": exchange}])
    )
    statement = stated(made, facts, "2026-Q1")
    assert moved(statement)[0][3] == (360 + 100) / F(5)
    assert statement.problems == ()


def test_netting() -> None:
    """Both ways in one set are paid as one; the postings still say both."""
    back = SHARE | {"id": "B", "payer": "cloud", "payee": "lab", "ratio": "5%", "netting": "both"}
    there = SHARE | {"netting": "both"}
    terms = QUARTERLY | {"netting": ["both"]}
    made = book(agreement(bases=[REVENUE], shares=[there, back], statements=[terms]))
    statement = stated(made, [sold("a", "2026-01-05", 100)], "2026-Q1")
    assert [each[3] for each in moved(statement)] == [20, 5]
    assert [(p.payer, p.payee, p.nano, p.of) for p in statement.payments] == [
        ("lab", "cloud", 15 * NANO, "both")
    ]


def test_rounding_at_one_scale() -> None:
    """15 by 80/8/12 is 13/1/1: rounded down, the rest to the first."""
    split = {"a": "80%", "b": "8%", "c": "12%"}
    waterfall = {"id": "W", "payer": "lab", "base": "R", "tiers": [{"id": "only", "split": split}]}
    made = book(agreement(agreement={"scale": 0}, bases=[REVENUE], waterfalls=[waterfall]))
    statement = stated(made, [sold("a", "2026-01-05", 15)], "2026-Q1")
    assert [each[3] for each in moved(statement)] == [13, 1, 1]


def test_dated_ratios_and_versions_inside_a_period() -> None:
    """A later ratio counts from its day; an amendment makes a line of its own."""
    later = SHARE | {"later": [{"effective": "2026-02-01", "ratio": "10%"}]}
    made = book(agreement(bases=[REVENUE], shares=[later]))
    facts: list[AnyFact] = [
        sold("a", "2026-01-31T23:59:59Z", 100),
        sold("b", "2026-02-01", 100),
        sold("c", "2026-03-15", 100),
    ]
    assert [each[3] for each in moved(stated(made, facts, "2026-Q1"))] == [40]
    lower = agreement(bases=[REVENUE], shares=[SHARE | {"ratio": "1%"}])
    amended = book(agreement(bases=[REVENUE], shares=[later]), ("2026-03-01", "2026-02-15", lower))
    statement = stated(amended, facts, "2026-Q1")
    assert [each[3] for each in moved(statement)] == [30, 1]
    assert len({each.version for each in statement.postings}) == 2
    assert statement.versions == tuple(each.version for each in statement.postings)


def test_unknown_is_not_zero() -> None:
    """A fact without an amount is in no total, and the statement says so."""
    unknown = sold("a", "2026-01-05", 0)
    facts: list[AnyFact] = [
        type(unknown)(
            id="a",
            at_ns=unknown.at_ns,
            known_ns=unknown.known_ns,
            attributes=unknown.attributes,
            nano=None,
            asset="USD",
        ),
        sold("b", "2026-01-06", 10),
    ]
    statement = stated(book(agreement(bases=[REVENUE], shares=[SHARE])), facts, "2026-Q1")
    assert moved(statement)[0][3] == 2
    assert statement.problems == ("R: 1 fact has no amount in 2026-Q1; not in any total",)


def test_stakes_on_a_statement() -> None:
    """A cap table at the end of the period, with what the log adds."""
    stake = {
        "id": "CT",
        "company": "group",
        "basis": "as_converted",
        "securities": {"common": {"converts": 1, "counts_in": ["outstanding", "as_converted"]}},
        "holdings": [
            {"holder": "msft", "security": "common", "units": "325"},
            {"holder": "others", "security": "common", "units": "675"},
        ],
        "valuation": "500",
    }
    made = book(agreement(stakes=[stake]))
    new = F(1000) * (F(65, 54) - 1)
    facts: list[AnyFact] = [
        Issued(
            id="i",
            at_ns=ns("2026-02-01"),
            known_ns=ns("2026-02-01"),
            company="group",
            holder="new",
            security="common",
            units=new,
        ),
    ]
    holders = {each.holder: each for each in stated(made, facts, "2026-Q1").stakes}
    assert holders["msft"].share == F(27, 100)
    assert holders["msft"].value == 135


@pytest.mark.parametrize(
    ("time", "stands"),
    [
        ({"effective": "2026-04-01"}, False),
        ({"effective": "2026-03-31"}, True),
        ({"until": {"date": "2026-03-31", "inclusive": False}}, False),
        ({"until": {"date": "2026-03-31", "inclusive": True}}, True),
        ({"until": {"event": "sold.declared"}}, False),
    ],
)
def test_a_stake_stands_on_a_statement_while_it_holds(time: dict[str, Any], stands: bool) -> None:
    """At the end of the period."""
    stake = {
        "id": "CT",
        "company": "group",
        "basis": "outstanding",
        "securities": {"common": {"converts": 1, "counts_in": ["outstanding"]}},
        "holdings": [{"holder": "msft", "security": "common", "units": "1"}],
    }
    event = {"id": "sold", "declared_by": "lab"}
    made = book(agreement(stakes=[stake | time], events=[event]))
    at_ns = ns("2026-02-01")
    facts: list[AnyFact] = [
        Attested(id="e", at_ns=at_ns, known_ns=at_ns, event="sold", verdict="declared", by="lab")
    ]
    assert bool(stated(made, facts, "2026-Q1").stakes) == stands


@pytest.mark.parametrize(
    ("period", "statement", "message"),
    [
        ("2026-05", "", "is stated by the quarter"),
        ("2025-Q4", "", "lies before"),
        ("Q1", "", "is no period"),
        ("2026-Q1", "XX", "the agreement has ST"),
    ],
)
def test_what_cannot_be_settled(period: str, statement: str, message: str) -> None:
    """Is refused with a sentence."""
    with pytest.raises(InvalidParameter, match=message):
        stated(book(agreement(bases=[REVENUE])), [], period, statement=statement)


def test_an_agreement_without_statements_has_nothing_to_settle() -> None:
    """And says so, instead of asking which one."""
    with pytest.raises(InvalidParameter, match="has no statement, so there is nothing to settle"):
        stated(book(agreement(bases=[REVENUE], statements=[])), [], "2026-Q1", statement="")


def test_a_ladder_that_cannot_be_is_refused() -> None:
    """The document loader says so first; settling does not lose money either way."""
    waterfall = {
        "id": "W",
        "payer": "lab",
        "base": "R",
        "tiers": [{"id": "t", "split": {"a": "98%"}}],
    }
    with pytest.raises(InvalidParameter, match="do not sum to 1"):
        stated(book(agreement(bases=[REVENUE], waterfalls=[waterfall])), [], "2026-Q1")


def test_no_unit_that_rounding_leaves_goes_above_a_limit_of_an_earlier_tier() -> None:
    """The cloud has had its 100; the cent that two others cannot halve is one of theirs."""
    limit = {"amount": "100", "measured_on": "payouts", "counts_from": "inception"}
    ladder = {
        "id": "W",
        "payer": "lab",
        "base": "R",
        "tiers": [
            {"id": "first", "split": {"cloud": "1"}, "until": {"cloud": limit}},
            {"id": "then", "split": {"fund": "1/2", "staff": "1/2"}},
        ],
    }
    made = book(agreement(bases=[REVENUE], waterfalls=[ladder]))
    facts: list[AnyFact] = [sold("a", "2026-01-05", 100), sold("b", "2026-05-05", "0.01")]
    moves = moved(stated(made, facts, "2026-Q2"))
    assert moves == [("party:lab", "party:fund", "payout", F(1, 100))]
