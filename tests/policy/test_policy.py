"""Access and limits: deny by default, and never more than the limit in a minute."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import RateLimited, RequestTooLarge
from entente.domain.principal import Principal, Role
from entente.policy.access import may_use
from entente.policy.limits import WINDOW_MS, Admission, Limits
from tests.kit.run import PROPERTY


def _who(rpm: int | None = None, tpm: int | None = None, key: str = "key") -> Principal:
    return Principal(
        key_id=key,
        name="n",
        role=Role.MEMBER,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
    )


@pytest.mark.parametrize(
    ("models", "allowed"), [(None, True), (("m",), True), (("other",), False), ((), False)]
)
def test_access(models: tuple[str, ...] | None, allowed: bool) -> None:
    """None is all; an empty list is none."""
    who = Principal(key_id="k", name="n", role=Role.MEMBER, models=models)
    assert may_use(who, "m") is allowed


def test_requests_per_minute() -> None:
    """The words are OpenAI's, the wait is to the next window, and the next window is free."""
    limits, who = Limits(), _who(rpm=2)
    first = limits.admit(who, "m", 10, 59_000)
    second = limits.admit(who, "m", 10, 59_100)
    assert [s.remaining for a in (first, second) for s in a.standings] == [1, 0]
    assert second.standings[0].reset_ms == 900
    with pytest.raises(RateLimited) as caught:
        limits.admit(who, "m", 10, 59_826)
    assert caught.value.message == (
        "Rate limit reached for m on requests per min (RPM): Limit 2, Used 2, Requested 1. "
        "Please try again in 174ms."
    )
    assert (caught.value.unit, caught.value.retry_after_ms) == ("requests", 174)
    limits.admit(who, "m", 10, WINDOW_MS)


def test_tokens_per_minute() -> None:
    """A hold takes its bound; what was not used comes back."""
    limits, who = Limits(), _who(tpm=100)
    first = limits.admit(who, "m", 60, 0)
    with pytest.raises(RateLimited, match=r"tokens per min \(TPM\): Limit 100, Used 60") as caught:
        limits.admit(who, "m", 41, 1_360)
    assert caught.value.message.endswith("Please try again in 58.64s.")
    assert caught.value.unit == "tokens"
    limits.give_back(who, first, 10)
    assert limits.admit(who, "m", 90, 2).standings[0].remaining == 0


def test_one_request_above_the_whole_limit() -> None:
    """Waiting would not help, so it is told apart from being early."""
    with pytest.raises(RequestTooLarge, match="Requested 101") as caught:
        Limits().admit(_who(tpm=100), "m", 101, 0)
    assert caught.value.retry_after_ms is None


def test_a_refused_request_takes_no_place() -> None:
    """Neither of requests when tokens stood against it, nor after it was withdrawn."""
    limits, who = Limits(), _who(rpm=2, tpm=100)
    first = limits.admit(who, "m", 60, 0)
    with pytest.raises(RateLimited):
        limits.admit(who, "m", 60, 0)
    limits.withdraw(who, first)
    both = limits.admit(who, "m", 100, 0)
    assert [(s.unit, s.remaining) for s in both.standings] == [("requests", 1), ("tokens", 0)]


@pytest.mark.parametrize("back", ["give_back", "withdraw"])
def test_another_minute_owes_nothing(back: str) -> None:
    """A request that ends in a later minute must not make that one larger."""
    limits, who = Limits(), _who(rpm=1 if back == "withdraw" else None, tpm=10)
    old = limits.admit(who, "m", 10, 0)
    limits.admit(who, "m", 10, WINDOW_MS)
    if back == "withdraw":
        limits.withdraw(who, old)
    else:
        limits.give_back(who, old, 0)
    with pytest.raises(RateLimited):
        limits.admit(who, "m", 1, WINDOW_MS)


def test_without_limits_nothing_is_kept() -> None:
    """Keys without limits cost no memory, and giving back for them does nothing."""
    limits, who = Limits(), _who()
    admission = limits.admit(who, "m", 10**9, 0)
    limits.give_back(who, admission, 5)
    limits.withdraw(who, admission)
    assert admission.standings == ()
    assert limits._windows == {}


def test_a_restart_does_not_reset_the_window() -> None:
    """What the journal shows of this minute is counted; of an earlier one it is not."""
    limits, who = Limits(), _who(rpm=3, tpm=100)
    limits.recall("key", 7, 40)
    limits.recall("key", 6, 999)
    limits.recall("key", 7, 40)
    with pytest.raises(RateLimited, match="Used 80, Requested 21"):
        limits.admit(who, "m", 21, 7 * WINDOW_MS)
    limits.admit(who, "m", 20, 7 * WINDOW_MS)
    with pytest.raises(RateLimited, match="Used 3, Requested 1"):
        limits.admit(who, "m", 0, 7 * WINDOW_MS)


def test_the_hint_for_people_never_lies_short() -> None:
    """Rounded up: who comes back after it is not refused for a millisecond."""
    limits, who = Limits(), _who(rpm=1)
    limits.admit(who, "m", 1, 0)
    for now_ms in range(0, WINDOW_MS, 777):
        with pytest.raises(RateLimited) as caught:
            limits.admit(who, "m", 1, now_ms)
        found = re.search(r"in ([\d.]+)(ms|s)\.$", caught.value.message)
        assert found is not None
        wait_ms = float(found[1]) * (1 if found[2] == "ms" else 1000)
        assert wait_ms + 1e-6 >= WINDOW_MS - now_ms


@PROPERTY
@given(
    st.integers(1, 5),
    st.integers(1, 50),
    st.lists(
        st.tuples(
            st.sampled_from(["admit", "give_back", "withdraw"]),
            st.integers(0, 30),
            st.integers(0, 40_000),
        ),
        max_size=40,
    ),
)
def test_never_more_than_the_limit(rpm: int, tpm: int, steps: list[tuple[str, int, int]]) -> None:
    """In any window: places taken and not withdrawn, tokens admitted less those given back."""
    limits, who, now_ms = Limits(), _who(rpm, tpm), 0
    requests: Counter[int] = Counter()
    tokens: Counter[int] = Counter()
    running: list[Admission] = []
    for what, amount, pause_ms in steps:
        now_ms += pause_ms
        if what == "admit":
            minute = now_ms // WINDOW_MS
            try:
                admission = limits.admit(who, "m", amount, now_ms)
            except (RateLimited, RequestTooLarge):
                assert requests[minute] == rpm or tokens[minute] + amount > tpm
                continue
            running.append(admission)
            requests[minute] += 1
            tokens[minute] += amount
            assert requests[minute] <= rpm
            assert tokens[minute] <= tpm
        elif running:
            admission = running.pop(amount % len(running))
            used = min(amount, admission.tokens)
            if what == "withdraw":
                limits.withdraw(who, admission)
                requests[admission.minute] -= 1
                used = 0
            else:
                limits.give_back(who, admission, used)
            tokens[admission.minute] -= admission.tokens - used


def test_keys_have_windows_of_their_own() -> None:
    """One key's traffic is no other key's limit."""
    limits = Limits()
    for key in ("a", "b"):
        limits.admit(_who(rpm=1, key=key), "m", 1, 0)
        with pytest.raises(RateLimited):
            limits.admit(_who(rpm=1, key=key), "m", 1, 0)
