"""Exports by request: held against each other by the provider's id."""

from __future__ import annotations

import json

from entente.domain.usage import Usage
from entente.settlement.reconciling.model import Kind, Verdict
from entente.settlement.reconciling.theirs import Question
from tests.settlement.reconciling.exports import DAY_S, NS, START_S, compared, settled

ONE = Usage(input=100_000, cache_read=50_000, output=20_000)
"""Costs 1.125."""


def request(
    number: int, amount: str = "1.125", *, at_s: int = START_S + 3600, into: int = 150_000
) -> str:
    """Make a line of an export."""
    line = {
        "request_id": f"up_{number}",
        "time": at_s,
        "model": "big-1",
        "input_tokens": into,
        "cached_tokens": 50_000,
        "output_tokens": 20_000,
        "cost": amount,
        "currency": "USD",
    }
    return json.dumps(line) + "\n"


def test_requests_that_agree() -> None:
    """Wherever a day's edge is."""
    text = request(1) + request(2, at_s=START_S + DAY_S)
    report = compared(text, [settled(1, ONE), settled(2, ONE, at_s=START_S + DAY_S - 1)])
    assert (report.verdict, report.compared, report.found) == (Verdict.AGREES, 2, 0)


def test_each_difference_names_its_request() -> None:
    """Tokens of one, a missing one on either side, and one that stands twice there."""
    text = request(1, "1.625", into=250_000) + request(2) + request(2) + request(4, "3")
    requests = [settled(n, ONE, at_s=START_S + 3600) for n in (1, 2, 3)]
    report = compared(text, requests)
    found = {
        each.request: [(part.kind, part.nano) for part in each.parts] for each in report.findings
    }
    assert found == {
        "up_1": [(Kind.TOKENS, -500_000_000)],
        "up_3": [(Kind.MISSING_THERE, 1_125_000_000)],
        "up_4": [(Kind.MISSING_HERE, -3_000_000_000)],
        "": [(Kind.DUPLICATE, -1_125_000_000)],
    }
    assert report.nano == sum(report.parts.values()) == 3_375_000_000 - 6_875_000_000


def test_another_line_under_the_same_id_is_a_duplicate() -> None:
    """Even where it says something else: a request is charged once."""
    report = compared(request(1) + request(1, "2"), [settled(1, ONE)])
    assert report.parts == {Kind.DUPLICATE: -2_000_000_000}


def test_a_request_on_the_other_side_of_an_edge() -> None:
    """Counted in this time by one side only, it is of another time, and nothing to adjust."""
    until_ns = (START_S + DAY_S) * NS
    question = Question(provider="main", since_ns=START_S * NS, until_ns=until_ns)
    text = request(1) + request(2, at_s=START_S + DAY_S) + request(3, at_s=START_S + DAY_S - 1)
    requests = [
        settled(1, ONE),
        settled(2, ONE, at_s=START_S + DAY_S - 1),
        settled(3, ONE, at_s=START_S + DAY_S + 5),
    ]
    report = compared(text, requests, question)
    assert [(part.kind, part.nano) for each in report.findings for part in each.parts] == [
        (Kind.TIMING, 1_125_000_000),
        (Kind.TIMING, -1_125_000_000),
    ]
    assert (report.ours.requests, report.theirs.requests) == (2, 2)
    report = compared(text, requests[:2], question)
    assert (report.parts[Kind.TIMING], report.open_nano) == (1_125_000_000, -1_125_000_000)
    assert report.parts[Kind.MISSING_HERE] == -1_125_000_000


def test_times_that_nobody_named_are_not_cut() -> None:
    """A request that they have is compared, whenever we settled it; of ours alone, only between."""
    text = request(1) + request(2, at_s=START_S + 7200)
    ours = [settled(n, ONE, at_s=START_S + n * 60) for n in (1, 3)]
    report = compared(text, [*ours, settled(2, ONE, at_s=START_S + 5 * DAY_S)])
    assert (report.verdict, report.compared) == (Verdict.AGREES, 2)
    question = Question(provider="main", since_ns=(START_S + DAY_S) * NS)
    assert compared(text, ours, question).compared == 0
