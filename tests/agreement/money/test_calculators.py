"""The small calculators against the published numbers, and the values under them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from entente.agreement.clauses import Until
from entente.agreement.document import dec_hook
from entente.agreement.log import Issued
from entente.agreement.money import Bundle, RateTier, Stake, Tier
from entente.agreement.settle import accrual, burn, captable, tariff
from entente.agreement.settle.calendar import named, period_of, through
from entente.agreement.settle.match import counted_share
from entente.agreement.values import (
    floor_then_first,
    instant_ns,
    parse,
    shown,
    split,
    text_of,
)
from entente.domain.errors import InvalidParameter
from tests.agreement.money.ladders import F

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1/5", F(1, 5)),
        ("20%", F(1, 5)),
        ("0.2", F(1, 5)),
        ("92e9", F(92 * 10**9)),
        ("250_000_000_000", F(250 * 10**9)),
        ("1.5e3", F(1500)),
        ("-3", F(-3)),
        (7, F(7)),
    ],
)
def test_numbers_are_exact(text: object, number: Fraction) -> None:
    """In each of their forms; written back, they are the same."""
    assert parse(text) == number
    assert parse(text_of(number)) == number


@pytest.mark.parametrize(
    "text", [0.2, True, None, "1/0", "nan", "1e99", "", ".5", "1,5", "0x10", "٣"]
)
def test_what_is_no_number(text: object) -> None:
    """A float has lost digits before it is read."""
    with pytest.raises(ValueError, match=r"number|zero|exponent"):
        parse(text)


def test_numbers_for_people() -> None:
    """A short decimal, or as much of it as is shown."""
    assert [shown(n) for n in (F(52, 3), F(1_234_567), F(-1, 2), F(1, 10**9))] == [
        "17.333333…",
        "1,234,567",
        "-0.5",
        "0…",
    ]


def test_the_published_rounding() -> None:
    """15 by 80/8/12 is 13, 1, 1; shares that do not sum to 1 need a rest."""
    assert split(15, [F(80, 100), F(8, 100), F(12, 100)]) == (13, 1, 1)
    assert split(15, [F(1, 3), None]) == (5, 10)
    with pytest.raises(ValueError, match="sum to 49/50"):
        split(15, [F(80, 100), F(18, 100)])


def test_rounding_gives_nothing_to_who_is_capped() -> None:
    """Units that are left pass by a payee at a cap, as long as there is another one."""
    parts = [F(3, 2), F(1, 4), F(1, 4)]
    assert floor_then_first(parts) == (2, 0, 0)
    assert floor_then_first(parts, frozenset({0})) == (1, 1, 0)
    assert floor_then_first(parts, frozenset({0, 1, 2})) == (2, 0, 0)
    assert floor_then_first([]) == ()


def test_ends() -> None:
    """A day says whether it counts; the earliest and the latest of several."""
    reads = {"date": "2030-12-31", "inclusive": True}
    day = msgspec.convert(reads, Until)
    assert day.ends_ns(BERLIN, {}) == instant_ns("2031-01-01", BERLIN)
    exclusive = msgspec.convert(reads | {"inclusive": False}, Until)
    assert exclusive.ends_ns(BERLIN, {}) == instant_ns("2030-12-31", BERLIN)
    either = Until(earliest_of=(Until(event="agi.verified"), day))
    both = Until(latest_of=(Until(event="agi.verified"), day))
    assert either.ends_ns(BERLIN, {"agi.verified": 5}) == 5
    assert either.ends_ns(BERLIN, {}) == instant_ns("2031-01-01", BERLIN)
    assert both.ends_ns(BERLIN, {}) is None
    assert both.events() == {"agi.verified"}
    for bad in (
        {"date": "2030-12-31"},
        {"event": "a.b", "inclusive": True},
        {},
        reads | {"event": "a"},
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(bad, Until)


def test_what_is_ambiguous_has_no_default() -> None:
    """Several limits without a word about the capped share; a limit without its reading."""
    limit = {"amount": 1, "measured_on": "payouts", "counts_from": "inception"}
    tier = {"id": "t", "split": {"a": "1/2", "b": "1/2"}, "until": {"a": limit, "b": limit}}
    with pytest.raises(msgspec.ValidationError, match="on_cap"):
        msgspec.convert(tier, Tier, dec_hook=dec_hook)
    for missing in ("measured_on", "counts_from"):
        half = {name: value for name, value in limit.items() if name != missing}
        with pytest.raises(msgspec.ValidationError, match=missing):
            msgspec.convert(tier | {"until": {"a": half}}, Tier, dec_hook=dec_hook)


def test_cap_composition() -> None:
    """20 x 1 + 6 x 2 + 6 x 10 = 92."""
    assert sum(F(times) * amount for times, amount in ((20, 1), (6, 2), (6, 10))) == 92


def _stake(**changes: Any) -> Stake:
    plain = {
        "id": "CT",
        "company": "group",
        "basis": "as_converted",
        "securities": {
            "common": {"converts": 1, "counts_in": ["outstanding", "as_converted"]},
            "preferred": {"converts": "3/2", "counts_in": ["as_converted"]},
            "warrant": {"converts": 1, "counts_in": ["as_converted_diluted"]},
        },
        "holdings": [
            {"holder": "foundation", "security": "common", "units": 26},
            {"holder": "msft", "security": "common", "units": 27},
            {"holder": "others", "security": "common", "units": 47},
        ],
    }
    return msgspec.convert(plain | changes, Stake, dec_hook=dec_hook)


def _table(**holdings: int | str) -> list[dict[str, Any]]:
    """Write holdings of common shares."""
    return [{"holder": h, "security": "common", "units": units} for h, units in holdings.items()]


def _issue(units: Fraction, *, security: str = "common", company: str = "group") -> Issued:
    """Issue papers to a newcomer."""
    return Issued(
        id="1", at_ns=0, known_ns=0, company=company, holder="new", security=security, units=units
    )


def test_the_published_stakes() -> None:
    """26 + 27 + 47 are the whole company; 27 % of it are 135, so that it is worth 500."""
    table = captable.shares(_stake(whole=100))
    assert table == {"foundation": F(26, 100), "msft": F(27, 100), "others": F(47, 100)}
    assert captable.problems(_stake(whole=100)) == ()
    assert F(135) / table["msft"] == 500


@pytest.mark.parametrize(
    ("before", "newcomers", "after"),
    [
        ("32.5", F(11, 65), F(27, 100)),  # 32.5 to 27 %: 16.9231 % are newcomers'
        ("27", F(122, 852), F(1971, 8520)),  # 122 of 852: 27 to 23.1338 %
    ],
)
def test_what_is_newly_issued_dilutes(before: str, newcomers: Fraction, after: Fraction) -> None:
    """The published rounds, as events behind a table of a hundred shares."""
    stake = _stake(holdings=_table(msft=before, others=str(100 - F(before))))
    table = captable.shares(stake, [_issue(100 * newcomers / (1 - newcomers))])
    assert table["new"] == newcomers
    assert table["msft"] == after


def test_a_table_that_sums_to_98() -> None:
    """28 + 27 + 25 + 13 + 4 + 1 is not the whole company."""
    table = _table(a=28, b=27, c=25, d=13, e=4, f=1)
    (problem,) = captable.problems(_stake(holdings=table, whole=100))
    assert "sum to 98, not to 100; 2 are missing" in problem


def test_a_cap_table_is_its_events_on_a_basis() -> None:
    """What counts depends on the basis; later issues dilute."""
    issued = [
        _issue(F(100), security="preferred"),
        _issue(F(50), security="warrant"),
        _issue(F(9), company="other"),
    ]
    assert captable.shares(_stake(), issued)["msft"] == F(27, 250)
    assert captable.shares(_stake(basis="outstanding"), issued)["msft"] == F(27, 100)
    assert captable.counted(_stake(basis="as_converted_diluted"), issued) == {
        "foundation": 0,
        "msft": 0,
        "others": 0,
        "new": 50,
    }


def test_a_bundle_that_does_not_add_up() -> None:
    """Declared ratios sum to 1, prices are above zero, and what counts is in the bundle."""

    def bundle(**changes: Any) -> Bundle:
        plain = {
            "when": {},
            "components": {"api": 1, "office": 3},
            "by": "stand_alone_price",
            "counts": ["api"],
        }
        return msgspec.convert(plain | changes, Bundle, dec_hook=dec_hook)

    assert counted_share(bundle()) == F(1, 4)
    for changes, message in (
        ({"by": "declared"}, "sum to 4"),
        ({"components": {"api": 0, "office": 0}}, "above zero"),
        ({"counts": ["chat"]}, "is no component"),
    ):
        with pytest.raises(ValueError, match=message):
            counted_share(bundle(**changes))


def test_the_deferral_of_the_facts() -> None:
    """Accrued 6, cash 4, deferred 2."""
    state = accrual.pay_up_to(accrual.Payable(), F(6), F(4), "2026")
    assert [state.paid, state.deferred] == [4, 2]
    state = accrual.pay_up_to(state, F(1), F(4), "2027")
    assert [state.paid, state.deferred] == [7, 0]


def test_a_cap_that_changes_on_the_way() -> None:
    """A lower one takes nothing back; a higher one brings back nothing."""
    state = accrual.accrue(accrual.Accrued(), F(50), F(40))
    assert state == accrual.Accrued(F(40), F(10))
    assert accrual.accrue(state, F(5), F(30)).counted == 40
    assert accrual.accrue(state, F(5), F(60)) == accrual.Accrued(F(45), F(10))


@pytest.mark.parametrize(
    ("tiers", "message"),
    [
        ([], "the last tier"),
        ([RateTier(up_to=F(1), price=F(1))], "the last tier"),
        ([RateTier(price=F(1)), RateTier(price=F(1))], "the last tier"),
        ([RateTier(up_to=F(2), price=F(1)), RateTier(up_to=F(1), price=F(1)), RateTier(price=F(1))],
         "rise"),
    ],
)  # fmt: skip
def test_rates_that_price_nothing(tiers: list[RateTier], message: str) -> None:
    """Are found before something is charged by them."""
    with pytest.raises(ValueError, match=message):
        tariff.check(tiers, F(1))


def test_a_volume_rate_at_its_edges() -> None:
    """A quantity at the end of a tier is in it; a negative one is a credit at the first price."""
    tiers = [RateTier(up_to=F(10), price=F(3)), RateTier(price=F(2))]
    costs = [tariff.charge(tiers, "volume", F(1), F(n)) for n in (10, 11, -2)]
    assert costs == [30, 22, -6]


def test_what_is_carried_is_carried_on() -> None:
    """Spending far above the first step still counts towards the third."""
    amounts, spent = [F(10), F(10), F(10)], [F(40), F(0), F(0)]
    found = burn.outcomes(amounts, spent, burn.Policy("true_up", None, "carries"))
    assert [each.due for each in found] == [0, 0, 0]
    assert [each.credited for each in found] == [40, 30, 20]


def test_what_is_left_of_a_commitment() -> None:
    """Never less than nothing."""
    assert [burn.remaining(F(250), F(spent)) for spent in (0, 100, 300)] == [250, 150, 0]


def test_periods_where_clocks_are_moved() -> None:
    """March has an hour less in Berlin, October one more; labels name what they say."""
    _, march = named("2026-03", BERLIN)
    _, october = named("2026-10", BERLIN)
    assert march.ends_ns - march.begins_ns == (31 * 24 - 1) * HOUR_NS
    assert october.ends_ns - october.begins_ns == (31 * 24 + 1) * HOUR_NS
    assert period_of(march.ends_ns - 1, "month", BERLIN) == march
    assert period_of(march.ends_ns, "quarter", BERLIN).label == "2026-Q2"
    labels = [each.label for each in through(march.begins_ns, october, "month", BERLIN)]
    assert labels == [f"2026-{month:02d}" for month in range(3, 11)]
    assert through(october.begins_ns, march, "month", BERLIN) == ()
    assert march.closes_ns(5, BERLIN) == instant_ns("2026-04-06", BERLIN)


@pytest.mark.parametrize("label", ["2026-13", "2026-Q5", "26", "2026-1", "0000", ""])
def test_what_is_no_period(label: str) -> None:
    """Says how one is written."""
    with pytest.raises(InvalidParameter, match="write 2026, 2026-Q2 or 2026-05"):
        named(label, BERLIN)
