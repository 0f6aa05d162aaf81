"""Requests and tokens per minute, counted on holds. Pure.

A window is a key, the number of the minute, so nothing ever resets it: the next minute
has another key. A request takes its upper bound of tokens when it is admitted and gives
back at its settlement what it did not use, if its minute is still the current one.
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple

import msgspec

from entente.domain.errors import RateLimited, RequestTooLarge
from entente.domain.principal import Principal
from entente.domain.quota import Quota

WINDOW_MS: Final = 60_000
MS_PER_S: Final = 1_000


class Standing(msgspec.Struct, frozen=True):
    """Where a principal stands in one of its limits after a request was admitted."""

    unit: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_ms: int


class Admission(msgspec.Struct, frozen=True):
    """A place taken in the window `minute` for `tokens` tokens, in that of the quota as well."""

    minute: int
    tokens: int
    standings: tuple[Standing, ...]
    quota: str | None = None


class _Window(msgspec.Struct):
    """What one key has used in one minute."""

    minute: int = -1
    requests: int = 0
    tokens: int = 0

    def take(self, tokens: int) -> None:
        """Count a request."""
        self.requests += 1
        self.tokens += tokens


class _Asked(NamedTuple):
    """A request that wants a place."""

    model: str
    tokens: int
    minute: int
    elapsed_ms: int

    @property
    def wait_ms(self) -> int:
        """The time to the next window."""
        return WINDOW_MS - self.elapsed_ms


_FREE: Final = Admission(minute=-1, tokens=0, standings=())


class Limits:
    """The windows of all keys of one process. One small record per key with a limit."""

    def __init__(self) -> None:
        """Start with nothing used."""
        self._windows: dict[str, _Window] = {}

    def admit(
        self,
        principal: Principal,
        model: str,
        tokens: int,
        now_ms: int,
        quota: Quota | None = None,
    ) -> Admission:
        """Take a place for a request of at most `tokens` tokens, or refuse it.

        `quota` is what stands beside the key's own limits; a place is taken in both or in
        none. Raises RateLimited with the time to the next window, or RequestTooLarge for a
        request that no window can hold.
        """
        rpm, tpm = principal.requests_per_minute, principal.tokens_per_minute
        if rpm is None and tpm is None and quota is None:
            return _FREE
        asked = _Asked(model, tokens, *divmod(now_ms, WINDOW_MS))
        own = self._window(principal.key_id, asked.minute)
        _check(own, rpm, tpm, asked)
        if quota is not None:
            shared = self._window(_of_deployment(quota), asked.minute)
            _check(shared, quota.requests_per_minute, quota.tokens_per_minute, asked)
            shared.take(tokens)
        own.take(tokens)
        standings = _standings(own, rpm, tpm, asked)
        if quota is not None:
            bounds = (quota.requests_per_minute, quota.tokens_per_minute)
            standings = _tighter(standings, _standings(shared, *bounds, asked))
        return Admission(asked.minute, tokens, standings, _of_deployment(quota) if quota else None)

    def give_back(self, principal: Principal, admission: Admission, used_tokens: int) -> None:
        """Return the tokens that an admitted request did not use."""
        for window in self._taken(principal, admission):
            window.tokens -= admission.tokens - used_tokens

    def withdraw(self, principal: Principal, admission: Admission) -> None:
        """Return the whole place of a request that was refused later on."""
        for window in self._taken(principal, admission):
            window.requests -= 1
            window.tokens -= admission.tokens

    def _window(self, name: str, minute: int) -> _Window:
        """Give the window of a key or a quota, empty if another minute was the last."""
        window = self._windows.setdefault(name, _Window())
        if window.minute != minute:
            window.minute, window.requests, window.tokens = minute, 0, 0
        return window

    def _taken(self, principal: Principal, admission: Admission) -> list[_Window]:
        """Give the windows in which a place was taken, as far as their minute is still on."""
        names = (principal.key_id, admission.quota)
        windows = [self._windows.get(name) for name in names if name is not None]
        return [w for w in windows if w is not None and w.minute == admission.minute]

    def recall(self, key: str, minute: int, tokens: int) -> None:
        """Count a request of before a restart, read from the journal."""
        window = self._windows.setdefault(key, _Window())
        if window.minute < minute:
            window.minute, window.requests, window.tokens = minute, 0, 0
        if window.minute == minute:
            window.take(tokens)


def _of_deployment(quota: Quota) -> str:
    """Name the window of a deployment, unlike any key's id."""
    return f"deployment:{quota.deployment.lower()}"


def _check(window: _Window, rpm: int | None, tpm: int | None, asked: _Asked) -> None:
    """Refuse what does not fit into a window."""
    model, tokens, wait_ms = asked.model, asked.tokens, asked.wait_ms
    if rpm is not None and window.requests + 1 > rpm:
        raise RateLimited(
            f"Rate limit reached for {model} on requests per min (RPM): Limit {rpm}, "
            f"Used {window.requests}, Requested 1. Please try again in {_human(wait_ms)}.",
            unit="requests",
            retry_after_ms=wait_ms,
        )
    if tpm is not None and tokens > tpm:
        raise RequestTooLarge(
            f"Request too large for {model} on tokens per min (TPM): Limit {tpm}, "
            f"Requested {tokens}. The input or output tokens must be reduced in order to "
            "run successfully."
        )
    if tpm is not None and window.tokens + tokens > tpm:
        raise RateLimited(
            f"Rate limit reached for {model} on tokens per min (TPM): Limit {tpm}, "
            f"Used {window.tokens}, Requested {tokens}. "
            f"Please try again in {_human(wait_ms)}.",
            unit="tokens",
            retry_after_ms=wait_ms,
        )


def _standings(
    window: _Window, rpm: int | None, tpm: int | None, asked: _Asked
) -> tuple[Standing, ...]:
    """Say where a window stands."""
    standings = []
    if rpm is not None:
        standings.append(Standing("requests", rpm, rpm - window.requests, asked.wait_ms))
    if tpm is not None:
        standings.append(Standing("tokens", tpm, tpm - window.tokens, asked.wait_ms))
    return tuple(standings)


def _tighter(own: tuple[Standing, ...], shared: tuple[Standing, ...]) -> tuple[Standing, ...]:
    """Give for each unit the standing that leaves less."""
    by_unit = {standing.unit: standing for standing in shared}
    for standing in own:
        if standing.remaining <= by_unit[standing.unit].remaining:
            by_unit[standing.unit] = standing
    return tuple(by_unit.values())


def _human(wait_ms: int) -> str:
    """Write a wait for people: `174ms`, `8.64s`."""
    return f"{wait_ms}ms" if wait_ms < MS_PER_S else f"{math.ceil(wait_ms / 10) / 100:g}s"
