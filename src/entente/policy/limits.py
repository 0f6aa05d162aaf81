"""Requests and tokens per minute, counted on holds. Pure.

A window is a key, the number of the minute, so nothing ever resets it: the next minute
has another key. A request takes its upper bound of tokens when it is admitted and gives
back at its settlement what it did not use, if its minute is still the current one.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from entente.domain.errors import RateLimited, RequestTooLarge
from entente.domain.principal import Principal

WINDOW_MS: Final = 60_000
MS_PER_S: Final = 1_000


class Standing(msgspec.Struct, frozen=True):
    """Where a principal stands in one of its limits after a request was admitted."""

    unit: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_ms: int


class Admission(msgspec.Struct, frozen=True):
    """A place taken in the window `minute` for `tokens` tokens."""

    minute: int
    tokens: int
    standings: tuple[Standing, ...]


class _Window(msgspec.Struct):
    """What one key has used in one minute."""

    minute: int = -1
    requests: int = 0
    tokens: int = 0


_FREE: Final = Admission(minute=-1, tokens=0, standings=())


class Limits:
    """The windows of all keys of one process. One small record per key with a limit."""

    def __init__(self) -> None:
        """Start with nothing used."""
        self._windows: dict[str, _Window] = {}

    def admit(self, principal: Principal, model: str, tokens: int, now_ms: int) -> Admission:
        """Take a place for a request of at most `tokens` tokens, or refuse it.

        Raises RateLimited with the time to the next window, or RequestTooLarge for a
        request that no window can hold.
        """
        rpm, tpm = principal.requests_per_minute, principal.tokens_per_minute
        if rpm is None and tpm is None:
            return _FREE
        minute, elapsed_ms = divmod(now_ms, WINDOW_MS)
        wait_ms = WINDOW_MS - elapsed_ms
        window = self._windows.setdefault(principal.key_id, _Window())
        if window.minute != minute:
            window.minute, window.requests, window.tokens = minute, 0, 0
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
        window.requests += 1
        window.tokens += tokens
        standings = []
        if rpm is not None:
            standings.append(Standing("requests", rpm, rpm - window.requests, wait_ms))
        if tpm is not None:
            standings.append(Standing("tokens", tpm, tpm - window.tokens, wait_ms))
        return Admission(minute, tokens, tuple(standings))

    def give_back(self, principal: Principal, admission: Admission, used_tokens: int) -> None:
        """Return the tokens that an admitted request did not use."""
        window = self._windows.get(principal.key_id)
        if window is not None and window.minute == admission.minute:
            window.tokens -= admission.tokens - used_tokens

    def withdraw(self, principal: Principal, admission: Admission) -> None:
        """Return the whole place of a request that was refused later on."""
        window = self._windows.get(principal.key_id)
        if window is not None and window.minute == admission.minute:
            window.requests -= 1
            window.tokens -= admission.tokens

    def recall(self, key: str, minute: int, tokens: int) -> None:
        """Count a request of before a restart, read from the journal."""
        window = self._windows.setdefault(key, _Window())
        if window.minute < minute:
            window.minute, window.requests, window.tokens = minute, 0, 0
        if window.minute == minute:
            window.requests += 1
            window.tokens += tokens


def _human(wait_ms: int) -> str:
    """Write a wait for people: `174ms`, `8.64s`."""
    return f"{wait_ms}ms" if wait_ms < MS_PER_S else f"{math.ceil(wait_ms / 10) / 100:g}s"
