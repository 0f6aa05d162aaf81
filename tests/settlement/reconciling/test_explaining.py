"""What explains a difference: each class by itself, and that the parts always add up."""

from __future__ import annotations

import json
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import InvalidParameter
from entente.domain.usage import Usage
from entente.ledger.model import AnyEntry, adjustment
from entente.settlement.reconciling.model import Kind, Line, Report, Verdict
from entente.settlement.reconciling.theirs import Question
from tests.kit.run import PROPERTY
from tests.settlement.reconciling.exports import (
    DAY_S,
    NEW,
    NS,
    OLD,
    START_S,
    M,
    bucket,
    compared,
    cost,
    pages,
    settled,
    used,
)

ONE = Usage(input=100_000, cache_read=50_000, output=10_000, reasoning=10_000)
"""Costs 1.125 at the old prices, 0.9 at the new ones."""
SAME = used(1, 150_000, 50_000, 20_000)


def parts(report: Report) -> dict[str, str]:
    """Give what explains a difference, in whole units."""
    assert sum(report.parts.values()) == report.nano
    return {str(kind): str(Fraction(nano, 10**9)) for kind, nano in report.parts.items()}


def test_what_agrees() -> None:
    """Reasoning is output for who bills it, and days without requests say nothing."""
    text = pages(bucket(SAME, cost(1.125)), bucket(day=1))
    report = compared(text, [settled(1, ONE)])
    assert parts(report) == {}
    assert report.findings == []
    assert report.verdict is Verdict.AGREES
    assert report.ours.tokens == {"input": 100_000, "cache_read": 50_000, "output": 20_000}


def test_the_same_tokens_at_several_prices_agree_without_costs() -> None:
    """Only what is counted otherwise is worth something then, at the commonest price here."""
    requests = [settled(1, ONE), settled(2, ONE), settled(3, ONE, version="new")]
    report = compared(pages(bucket(used(3, 450_000, 150_000, 60_000))), requests)
    assert parts(report) == {}
    assert report.verdict is Verdict.AGREES
    report = compared(pages(bucket(used(3, 451_000, 150_000, 60_000))), requests)
    assert parts(report) == {"tokens": "-1/200"}


def test_pictures_are_not_held_against_tokens() -> None:
    """Where one side counts these, and the other those, the costs are what can be compared."""
    requests = [settled(1, Usage(input=100_000, output=1_000, images=2))]
    result = "organization.usage.images.result"
    said = {"object": result, "num_model_requests": 1, "images": 2, "model": "big-1"}
    for charged, found in (([cost(0.53)], {}), ([cost(0.54)], {"unexplained": "-1/100"}), ([], {})):
        report = compared(pages(bucket(said, *charged)), requests)
        assert parts(report) == found


@pytest.mark.parametrize("amount", [None, "0.5"])
def test_what_only_we_measure_is_not_held_against_an_export(amount: str | None) -> None:
    """A list of requests has tokens alone: none for speech, and no picture beside them."""
    usages = (Usage(characters=11), Usage(input=100_000, images=1))
    requests = [settled(number, usage) for number, usage in enumerate(usages)]
    for usage, request in zip(usages, requests, strict=True):
        said = {"id": request[1].upstream_id, "time": "2026-07-26T01:00:00Z", "model": "big-1"}
        counts = {"input_tokens": usage.input, "output_tokens": 0}
        owed = {} if amount is None else {"cost": amount}
        closed = msgspec.structs.replace(request[1], cost_nano=500_000_000)
        report = compared(json.dumps(said | counts | owed), [(request[0], closed)])
        assert report.ours.nano == closed.cost_nano
        assert parts(report) == {}
        assert report.verdict is Verdict.AGREES


def test_tokens() -> None:
    """The same requests with another count."""
    text = pages(bucket(used(1, 160_000, 50_000, 19_000), cost(1.145)))
    report = compared(text, [settled(1, ONE)])
    assert parts(report) == {"tokens": "-1/50"}
    assert report.findings[0].tokens == {"input": -10_000, "output": 1_000}


@pytest.mark.parametrize(
    ("there", "amount", "difference"),
    [
        (used(1, 150_000, 70_000, 20_000), 1.035, "9/100"),
        (used(1, 150_000, 30_000, 20_000), 1.215, "-9/100"),
        (used(1, 100_000, 50_000, 20_000), 0.875, "1/4"),
        (used(1, 150_000, 50_000, 20_000, written=20_000), 1.15, "-1/40"),
    ],
    ids=["more read there", "less read there", "counted twice here", "written there"],
)
def test_cache(there: dict[str, object], amount: float, difference: str) -> None:
    """Cached tokens that are counted otherwise, or twice."""
    report = compared(pages(bucket(there, cost(amount))), [settled(1, ONE)])
    assert parts(report) == {"cache": difference}


def test_cached_tokens_that_are_not_counted_at_all() -> None:
    """The ledger does not know them; what they cost is missing."""
    seen = Usage(input=100_000, output=20_000)
    report = compared(pages(bucket(SAME, cost(1.125))), [settled(1, seen)])
    assert parts(report) == {"cache": "-1/40"}
    assert "50000 tokens (cache read) are not counted here" in report.findings[0].parts[0].words


def test_price_version() -> None:
    """The tokens agree, the invoice is by another version of the book."""
    report = compared(pages(bucket(SAME, cost(0.9))), [settled(1, ONE)])
    assert parts(report) == {"price version": "9/40"}
    assert "billed as at version new, here old" in report.findings[0].parts[0].words


def test_a_price_that_no_book_has() -> None:
    """Class by class the unit prices say it."""
    text = pages(
        bucket(
            SAME,
            cost(0.5, item="big-1, input"),
            cost(0.035, item="big-1, cached input"),
            cost(0.6, item="big-1, output"),
        )
    )
    report = compared(text, [settled(1, ONE)])
    assert parts(report) == {"price version": "-1/100"}
    assert report.findings[0].parts[0].words == "cache_read 0.7 per 1M there, 0.5 per 1M here"


def test_half_of_the_price() -> None:
    """What went as a batch there."""
    report = compared(pages(bucket(SAME, cost(0.5625))), [settled(1, ONE)])
    assert "billed at 1/2 of the price" in report.findings[0].parts[0].words
    assert parts(report) == {"price version": "9/16"}


def test_unpriced_here() -> None:
    """An unknown price is not zero: the whole charge is its difference, and says so."""
    report = compared(pages(bucket(SAME, cost(1.125))), [settled(1, ONE, version="none")])
    assert parts(report) == {"price version": "-9/8"}
    assert "no price here" in report.findings[0].parts[0].words
    assert any("have no price" in note for note in report.notes)


def test_missing_on_either_side() -> None:
    """Of two requests one is not there; of two models one is not here."""
    text = pages(
        bucket(SAME, used(3, 300, 0, 30, model="other"), cost(1.125), cost(7, item="other"))
    )
    report = compared(text, [settled(1, ONE), settled(2, ONE)])
    assert parts(report) == {"missing there": "9/8", "missing here": "-7"}
    words = {part.kind: part.words for each in report.findings for part in each.parts}
    assert words[Kind.MISSING_THERE] == "1 requests are not there"
    assert words[Kind.MISSING_HERE] == "3 requests, none of them in the ledger"


def test_a_day_that_the_export_does_not_have() -> None:
    """Between two days that it has, what the ledger has is missing there."""
    requests = [settled(n, ONE, at_s=START_S + n * DAY_S) for n in range(3)]
    text = pages(bucket(SAME, cost(1.125)), bucket(SAME, cost(1.125), day=2))
    assert parts(compared(text, requests)) == {"missing there": "9/8"}


def test_duplicates() -> None:
    """A line that stands twice in the export, and a request that is settled twice here."""
    text = pages(bucket(SAME, cost(1.125))) * 2
    assert parts(compared(text, [settled(1, ONE)])) == {"duplicate": "-9/8"}
    twice = [settled(1, ONE), settled(2, ONE, upstream_id="up_1")]
    report = compared(pages(bucket(SAME, cost(1.125))), twice)
    assert parts(report) == {"duplicate": "9/8"}
    assert report.ours.requests == 2


def test_an_edge_between_two_days() -> None:
    """A request just before midnight that they count just behind it cancels out."""
    requests = [
        settled(1, ONE),
        settled(2, ONE, at_s=START_S + DAY_S - 1),
        settled(3, ONE, at_s=START_S + DAY_S + 7200),
    ]
    text = pages(
        bucket(SAME, cost(1.125)), bucket(used(2, 300_000, 100_000, 40_000), cost(2.25), day=1)
    )
    report = compared(text, requests)
    assert parts(report) == {}
    assert {part.kind for each in report.findings for part in each.parts} == {Kind.TIMING}
    assert [each.nano for each in report.findings] == [1_125_000_000, -1_125_000_000]
    assert report.verdict is Verdict.AGREES


def test_days_in_another_zone() -> None:
    """Each day differs, all of them together agree: only the edges lie elsewhere."""
    requests = [settled(n, ONE, at_s=START_S + n * DAY_S // 2) for n in range(6)]
    days = [1, 2, 2, 1]
    text = "".join(
        pages(bucket(used(n, 150_000 * n, 50_000 * n, 20_000 * n), cost(str(n * 1.125)), day=day))
        for day, n in enumerate(days)
    )
    report = compared(text, requests)
    assert {part.kind for each in report.findings for part in each.parts} == {Kind.TIMING}
    assert report.nano == 0


def test_costs_alone() -> None:
    """Without tokens, costs are held against ours; a day's edge shows as money that cancels out."""
    requests = [settled(n, ONE, at_s=START_S + n * DAY_S) for n in range(2)]
    text = pages(bucket(cost(1.125)), bucket(cost(1.125), day=1))
    assert compared(text, requests).verdict is Verdict.AGREES
    text = pages(bucket(cost(1.0)), bucket(cost(1.25), day=1))
    report = compared(text, requests)
    assert report.verdict is Verdict.AGREES
    assert {part.kind for each in report.findings for part in each.parts} == {Kind.TIMING}
    text = pages(bucket(cost(1.0)), bucket(cost(1.125), day=1))
    report = compared(text, requests)
    assert report.verdict is Verdict.UNEXPLAINED
    assert parts(report) == {"unexplained": "1/8"}


def test_usage_alone() -> None:
    """Without costs, differences of tokens are worth what they cost here."""
    report = compared(pages(bucket(used(1, 250_000, 50_000, 20_000))), [settled(1, ONE)])
    assert report.theirs.nano is None
    assert parts(report) == {"tokens": "-1/2"}


def test_rounding() -> None:
    """Below the last digit that they show; one unit more is not rounding."""
    assert parts(compared(pages(bucket(SAME, cost("1.1250004"))), [settled(1, ONE)])) == {
        "unexplained": "-1/2500000"
    }
    odd = Usage(input=100_000, cache_read=50_001, output=20_000)
    text = pages(bucket(used(1, 150_001, 50_001, 20_000), cost("1.125000")))
    report = compared(text, [settled(1, odd)])
    assert report.parts == {Kind.ROUNDING: 500}
    assert report.verdict is Verdict.AGREES


def test_hours_join_to_the_days_of_the_costs() -> None:
    """Usage by the hour and costs by the day are compared by the day."""
    hours = [
        {**bucket(SAME), "start_time": START_S + h * 3600, "end_time": START_S + (h + 1) * 3600}
        for h in (1, 5)
    ]
    text = pages(*hours) + pages(bucket(cost(2.25)))
    requests = [settled(1, ONE), settled(2, ONE, at_s=START_S + 5 * 3600 + 1)]
    # Both hours say the same words, but of another time: they are no duplicates.
    report = compared(text, requests)
    assert (report.compared, report.verdict) == (1, Verdict.AGREES)
    assert report.theirs.requests == 2


def test_costs_that_are_not_by_model() -> None:
    """All models are one sum then, and a note says how to see more."""
    text = pages(
        bucket(SAME, used(1, 150_000, 50_000, 20_000, model="big-2"), cost(2.25, item=None))
    )
    report = compared(text, [settled(1, ONE), settled(2, ONE, target="main/big-2")])
    assert report.verdict is Verdict.AGREES
    assert report.compared == 1
    assert "one sum" in report.notes[0]


def test_what_is_compared() -> None:
    """One provider, one currency, the time that is asked for, and what a provider answered."""
    requests = [
        settled(1, ONE),
        settled(2, ONE, target="west/big-1"),
        settled(3, ONE, target=""),
        settled(4, ONE, at_s=START_S + 40 * DAY_S),
        settled(5, ONE, asset="EUR"),
    ]
    report = compared(pages(bucket(SAME, cost(1.125))), requests)
    assert report.ours.requests == 1
    assert report.verdict is Verdict.AGREES
    assert any("1 settlements name no provider" in note for note in report.notes)
    assert any("priced in EUR" in note for note in report.notes)


def test_projects_of_the_provider() -> None:
    """What others have used in the provider's account can be left out."""
    mine, others = {**SAME, "project_id": "proj_1"}, {**SAME, "project_id": "proj_2"}
    question = Question(provider="main", only={"project": frozenset(["proj_1"])})
    report = compared(pages(bucket(mine, others)), [settled(1, ONE)], question)
    assert report.verdict is Verdict.AGREES
    question = Question(provider="main", only={"project": frozenset(["proj_3"])})
    with pytest.raises(InvalidParameter, match="No line of the export is about what is asked"):
        compared(pages(bucket(mine, others)), [settled(1, ONE)], question)


def test_what_was_adjusted_before() -> None:
    """It counts for what is open; one about other times, too, is told of."""
    entry = adjustment(
        id="a",
        at_ns=0,
        provider="main",
        asset="USD",
        nano=5,
        since_ns=START_S * NS,
        until_ns=(START_S + DAY_S) * NS,
        parts={"cache": 5},
        reference="",
        actor="me",
    )
    text = pages(bucket(SAME, cost(1.125)))
    requests: list[tuple[AnyEntry, ...]] = [settled(1, ONE), (entry,)]
    report = compared(text, requests)
    assert (report.open_nano, report.adjusted, report.astride) == (5, ("a",), False)
    half = Question(provider="main", since_ns=START_S * NS, until_ns=(START_S + DAY_S) * NS - 1)
    with pytest.raises(InvalidParameter):
        compared(text, requests, half)


_counts = st.integers(0, 3 * M)
_usages = st.builds(Usage, input=_counts, cache_read=_counts, cache_write=_counts, output=_counts)


@PROPERTY
@given(
    st.lists(st.tuples(_usages, st.sampled_from(["old", "new"]), st.integers(0, 2)), max_size=5),
    st.lists(
        st.tuples(_usages, st.integers(0, 3), st.decimals(0, 99, places=7), st.integers(0, 2)),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
def test_the_parts_are_the_difference_to_the_nano(
    ours: list[tuple[Usage, str, int]],
    theirs: list[tuple[Usage, int, object, int]],
    with_costs: bool,
) -> None:
    """Whatever either side says."""
    requests = [
        settled(n, usage, version=version, at_s=START_S + day * DAY_S + n)
        for n, (usage, version, day) in enumerate(ours)
    ]
    buckets = []
    for usage, count, amount, day in theirs:
        said = used(
            count, usage.input_total, usage.cache_read, usage.output, written=usage.cache_write
        )
        buckets.append(bucket(said, *([cost(str(amount))] if with_costs else []), day=day))
    report = compared(pages(*buckets), requests)
    assert sum(report.parts.values()) == report.nano
    for finding in report.findings:
        assert sum(part.nano for part in finding.parts) == finding.nano
    if with_costs:
        assert report.theirs.nano is not None
        assert report.nano == (report.ours.nano or 0) - report.theirs.nano


@PROPERTY
@given(_usages, st.sampled_from([OLD, NEW]), st.integers(0, M))
def test_a_shift_into_the_cache_is_always_found(usage: Usage, price: object, moved: int) -> None:
    """Tokens that only one side took for cached are worth the difference of the two rates."""
    moved = min(moved, usage.input)
    there = Usage(input=usage.input - moved, cache_read=usage.cache_read + moved, output=1)
    here = Usage(input=usage.input, cache_read=usage.cache_read, output=1)
    amount = Fraction(OLD.cost(there) or 0, 10**9)
    line = Line(
        place="x",
        since_ns=START_S * NS,
        until_ns=(START_S + DAY_S) * NS,
        model="big-1",
        requests=1,
        tokens={"input": there.input, "cache_read": there.cache_read, "output": 1},
    )
    charge = Line(
        place="y",
        since_ns=line.since_ns,
        until_ns=line.until_ns,
        model="big-1",
        cost=amount * 10**9,
        asset="USD",
        mark=b"y",
    )
    report = compared([line, charge], [settled(1, here)])
    assert report.nano == 4500 * moved
    assert report.parts == ({Kind.CACHE: 4500 * moved} if moved else {})
