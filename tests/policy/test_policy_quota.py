"""A quota beside a key's own limits: both hold, and a place is taken in both or in none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import LimitError, RateLimited, RequestTooLarge
from entente.domain.principal import Principal, Role
from entente.domain.quota import Quota
from entente.policy.limits import Limits, Standing

MINUTE_MS = 60_000
ASKED = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 60)), max_size=40)


def holder(number: int = 0, *, rpm: int | None = None, tpm: int | None = None) -> Principal:
    """Make the holder of a key."""
    return Principal(
        key_id=f"key_{number}",
        name="k",
        role=Role.MEMBER,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
    )


@given(ASKED)
def test_neither_bound_is_ever_passed(asked: list[tuple[int, int]]) -> None:
    """Whoever asks, and in whatever order; a refusal takes nothing."""
    limits, quota = Limits(), Quota("D", 7, 200)
    spent = dict.fromkeys(range(4), 0)
    admitted = 0
    for number, tokens in asked:
        who = holder(number, tpm=100)
        fits = (
            admitted < 7 and sum(spent.values()) + tokens <= 200 and spent[number] + tokens <= 100
        )
        try:
            limits.admit(who, "m", tokens, 1, quota)
        except LimitError:
            assert not fits
        else:
            assert fits
            spent[number] += tokens
            admitted += 1


def test_what_comes_back_comes_back_to_both() -> None:
    """At the settlement, and when a request is refused later on."""
    limits, quota, who = Limits(), Quota("D", 2, 100), holder(tpm=100)
    first = limits.admit(who, "m", 100, 1, quota)
    with pytest.raises(RateLimited):
        limits.admit(holder(1), "m", 1, 1, quota)
    limits.give_back(who, first, 40)
    second = limits.admit(who, "m", 60, 1, quota)
    limits.withdraw(who, second)
    limits.admit(holder(1), "m", 60, 1, quota)
    with pytest.raises(RateLimited):
        limits.admit(holder(2), "m", 1, 1, quota)
    limits.admit(holder(2), "m", 1, MINUTE_MS, quota)


def test_the_tighter_standing_is_told() -> None:
    """For each unit; a unit that only the quota bounds is told as well."""
    limits, quota = Limits(), Quota("D", 10, 50)
    admission = limits.admit(holder(rpm=3), "m", 20, 1, quota)
    told = {standing.unit: standing for standing in admission.standings}
    assert told["requests"] == Standing("requests", 3, 2, MINUTE_MS - 1)
    assert told["tokens"] == Standing("tokens", 50, 30, MINUTE_MS - 1)
    with pytest.raises(RequestTooLarge):
        limits.admit(holder(), "m", 51, 1, quota)
