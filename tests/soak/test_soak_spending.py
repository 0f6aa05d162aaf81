"""The comparison that the drill over several hosts ends with sees what it is there to see."""

from __future__ import annotations

import pytest

from entente.domain.chat import Status
from entente.domain.origin import Origin
from entente.domain.usage import Usage
from entente.ledger.model import AnyEntry, Hold, Settlement
from soak.spending import SHOWN_MAX, Budgeted, Stood, compare
from tests.support.budgets import Asked

COST = 10
TWO = Budgeted(limit_nano=2 * COST, cost_nano=COST)
"""A budget for two requests."""


def held(user: str, id: str = "") -> Hold:
    """Write a hold of the request of an end user."""
    return Hold(
        id=id or f"r-{user}",
        at_ns=1,
        key="k",
        asset="USD",
        model="m",
        nano=COST,
        origin=Origin(end_user=user),
    )


def settled(user: str, *, cost: int = COST, recovered: bool = False) -> Settlement:
    """Write how it ended: whole, or by a guess after a crash."""
    return Settlement(
        id=f"r-{user}",
        at_ns=2,
        key="k",
        asset="USD",
        model="m",
        status=Status.TRUNCATED if recovered else Status.COMPLETE,
        usage=Usage(output=5),
        cost_nano=cost,
        attempts=0 if recovered else 1,
        recovered=recovered,
        origin=Origin(end_user=user),
    )


def asked(user: str, status: int = 200, at_us: int = 100) -> Asked:
    """Write what a client got, and when."""
    return Asked(user, status, whole=True, ended_ns=at_us * 1_000)


def stood(*entries: AnyEntry, at_us: int = 1) -> list[Stood]:
    """Have entries committed one after the other, a microsecond apart."""
    return [Stood(at_us + n, entry) for n, entry in enumerate(entries)]


FINE = stood(held("a"), held("b"), settled("a"), settled("b"))
"""Two requests; the second is settled at the fourth microsecond."""


def problems(
    entries: list[Stood] = FINE,
    calls: str = "ab",
    replies: tuple[Asked, ...] = (),
    summed: int = 2 * COST,
    budget: Budgeted = TWO,
) -> list[str]:
    """Compare."""
    return compare(budget, entries, list(calls), replies, summed).problems


def test_all_agree() -> None:
    """Two were served; a third was refused when everything was spent."""
    replies = (asked("a"), asked("b"), asked("c", 429, at_us=5))
    assert problems(replies=replies) == []
    found = compare(TWO, FINE, ["a", "b"], replies, 2 * COST)
    assert (found.spent_nano, found.unsent) == (2 * COST, 0)


@pytest.mark.parametrize("calls", ["a", "ab"])
def test_what_a_crash_cut_off_may_have_been_sent_or_not(calls: str) -> None:
    """Both are accounted for at the bound; what never reached the upstream is counted."""
    entries = stood(held("a"), held("b"), settled("a"), settled("b", recovered=True))
    found = compare(TWO, entries, list(calls), [asked("a")], 2 * COST)
    assert (found.problems, found.unsent) == ([], 2 - len(calls))


@pytest.mark.parametrize(
    ("entries", "calls", "told"),
    [
        (FINE, "abc", "c was called without a hold"),
        (FINE, "aab", "a was called 2 times, 1 settled"),
        (FINE, "b", "a was called 0 times, 1 settled"),
        ([*FINE, *stood(held("b"), at_us=9)], "ab", "b was held twice"),
        ([*FINE, *stood(held("b", id="other"), at_us=9)], "ab", "b was held twice"),
        ([*FINE, *stood(settled("b"), at_us=9)], "ab", "r-b was settled without an open hold"),
        (FINE[:3], "ab", "b is still held"),
    ],
)
def test_entries_and_calls_are_the_same_requests(
    entries: list[Stood], calls: str, told: str
) -> None:
    """Nothing is written twice or missing, whatever was delivered twice."""
    assert told in problems(entries, calls)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (settled("b", recovered=True), "b was answered, and not settled as complete"),
        (settled("b", cost=COST - 1), f"b was settled at {COST - 1}"),
    ],
)
def test_who_was_answered_was_settled_so(entry: Settlement, told: str) -> None:
    """A whole answer comes after its durable settlement."""
    assert told in problems([*FINE[:3], Stood(9, entry)], "ab", (asked("b"),))


def test_a_budget_that_is_passed_for_an_instant() -> None:
    """The sums in the end are right, and it is seen all the same."""
    budget = Budgeted(COST, COST)
    one_by_one = stood(held("a"), settled("a", cost=0), held("b"), settled("b"))
    at_once = stood(held("a"), held("b"), settled("a", cost=0), settled("b"))
    assert not [each for each in problems(one_by_one, budget=budget) if "us " in each]
    assert f"at 2 us 0 were spent and {2 * COST} held, of {COST}" in problems(
        at_once, budget=budget
    )


def test_a_transaction_is_one_instant() -> None:
    """What is settled and held in one commit was never both."""
    budget = Budgeted(COST, COST)
    entries = [
        Stood(1, held("a")),
        Stood(2, settled("a", cost=0)),
        Stood(2, held("b")),
        Stood(3, settled("b")),
    ]
    assert not [each for each in problems(entries, budget=budget) if "us " in each]


def test_a_refusal_while_something_was_held() -> None:
    """It may have fitted yet: the hold in its way could have come back."""
    early = problems(replies=(asked("c", 429, at_us=3),))
    assert early == ["c was refused 1 us before the budget was spent"]
    never = problems(FINE[:3], replies=(asked("c", 429),))
    assert "c was refused, and the budget was never spent" in never
    assert "a was refused, and called all the same" in problems(replies=(asked("a", 429),))


def test_sums_that_differ() -> None:
    """Entries, calls and reports are held against one another, to the nano-unit."""
    assert problems(summed=2 * COST - 1) == [
        f"entries add up to {2 * COST}, reports of usage to {2 * COST - 1}"
    ]
    cheap = [*FINE[:3], Stood(9, settled("b", cost=COST - 1))]
    told = f"entries add up to {2 * COST - 1}, calls to {2 * COST}"
    assert told in problems(cheap, summed=2 * COST - 1)


def test_only_the_first_of_many_are_shown() -> None:
    """A broken run has thousands."""
    found = problems(calls="ab" + "cdefghijk")
    assert len([each for each in found if "without a hold" in each]) == SHOWN_MAX
    assert f"and {9 - SHOWN_MAX} more" in found
