"""Why a hold is refused, in words for the client. Pure.

A refusal says whose limit it was, by names that the key and the request have themselves: so a
client knows whether it alone may ask less, or has to talk to others. Amounts of money are told
of what is the client's own; what others have left of a budget that they share is not for every
holder of a key to know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal

from entente.domain.errors import BudgetExceeded, LimitError, RateLimited, RequestTooLarge
from entente.domain.money import format_nano
from entente.domain.rules import DEPLOYMENT_RULE, Level, Unit
from entente.domain.windows import LIFETIME_KEY, end_ns
from entente.ledger.meters import Counter, Draw, Meter, read_meter
from entente.ledger.model import Hold

RETRY_AFTER_MS: Final = 1_000
"""Hint to a client that waited for its turn in vain, or may come back once others are done."""
MS_PER_S: Final = 1_000
NS_PER_MS: Final = 1_000_000
WITHIN: Final[Mapping[str, str]] = {
    Level.ORGANIZATION: "in this organization",
    Level.PROJECT: "in the project `{}`",
    Level.MODEL: "across all keys",
    Level.TAG: "under the tag `{}`",
    Level.USER: "for the user `{}`",
    Level.END_USER: "for the end user `{}`",
    Level.KEY: "with this key",
    DEPLOYMENT_RULE: "in the deployment `{}`",
}
"""Where a rate was reached, said in the place where OpenAI says in which organization."""

_OWN: Final = frozenset({Level.KEY, Level.USER, Level.END_USER})
_WINDOW_WORDS: Final = {16: ("min", "M"), 13: ("hour", "H"), 10: ("day", "D"), 7: ("month", "M")}
"""By the length of the key; the letter is the last one of OpenAI's `RPM`, `TPD`."""


def budget_refusal(
    hold: Hold, left: int, pending: int, *, retry_after_ms: int | None
) -> BudgetExceeded:
    """Say what is missing of the budget that a key was granted."""
    return BudgetExceeded(
        f"This key's budget has {format_nano(left)} {hold.asset} left"
        f"{_also_held(pending)}; this request can cost up to "
        f"{format_nano(hold.nano)} {hold.asset}. Lower max_completion_tokens, or ask an "
        "administrator to raise the budget (entente budgets grant).",
        retry_after_ms=retry_after_ms,
    )


def draw_refusal(
    draw: Draw,
    counter: Counter,
    *,
    model: str,
    asset: str,
    at_ns: int,
    retry_after_ms: int | None = None,
) -> LimitError:
    """Say what is missing on a meter, in the vendor's words where it has some."""
    meter, limit = read_meter(draw.meter), draw.limit or 0
    if meter.unit is Unit.SPEND:
        text = _over_budget(draw, counter, meter, asset)
        return BudgetExceeded(text, retry_after_ms=retry_after_ms)
    if meter.unit is Unit.CONCURRENCY:
        return RateLimited(
            f"{_whose(meter)} has {counter.pending} requests running, and may have {limit} at "
            f"once. Please try again in {_human(RETRY_AFTER_MS)}.",
            unit="requests",
            retry_after_ms=RETRY_AFTER_MS,
        )
    return _over_rate(draw, counter, meter, model=model, at_ns=at_ns)


def _over_rate(draw: Draw, counter: Counter, meter: Meter, *, model: str, at_ns: int) -> LimitError:
    """Say that requests or tokens are used up, as OpenAI does."""
    unit: Literal["requests", "tokens"] = "tokens" if meter.unit is Unit.TOKENS else "requests"
    limit, rate = draw.limit or 0, f"{_within(meter)} on {_rate(unit, meter.window)}"
    if draw.amount > limit and unit == "tokens":
        return RequestTooLarge(
            f"Request too large for {model} {rate}: Limit {limit}, Requested {draw.amount}. "
            "The input or output tokens must be reduced in order to run successfully."
        )
    said = (
        f"Rate limit reached for {model} {rate}: Limit {limit}, "
        f"Used {counter.used + counter.pending}, Requested {draw.amount}."
    )
    ends_ns = end_ns(meter.window)
    if ends_ns is None:
        return LimitError(f"{said} This limit does not renew.")
    wait_ms = max(-((at_ns - ends_ns) // NS_PER_MS), 1)
    return RateLimited(
        f"{said} Please try again in {_human(wait_ms)}.", unit=unit, retry_after_ms=wait_ms
    )


def _over_budget(draw: Draw, counter: Counter, meter: Meter, asset: str) -> str:
    """Say that a budget by a rule is used up."""
    text = f"{_whose(meter)} is at the end of its budget{_window(meter)}: this request can cost "
    text += f"up to {format_nano(draw.amount)} {asset}"
    if meter.subject.partition(":")[0] in _OWN:
        left = (draw.limit or 0) - counter.used - counter.pending
        text += f", and {format_nano(max(left, 0))} {asset} are left"
        text += _also_held(counter.pending)
    return f"{text}. Lower max_completion_tokens, or ask an administrator to raise the budget."


def _within(meter: Meter) -> str:
    """Say where a rate was reached."""
    level, _, name = meter.subject.partition(":")
    return WITHIN[level].format(name)


def _whose(meter: Meter) -> str:
    """Name what a rule is about."""
    level, _, name = meter.subject.partition(":")
    match level:
        case Level.ORGANIZATION:
            return "This organization"
        case Level.KEY:
            return "This key"
        case _:
            return f"The {level.replace('_', ' ')} `{name}`"


def _window(meter: Meter) -> str:
    """Say for which window a budget is."""
    return "" if meter.window == LIFETIME_KEY else f" for {meter.window}"


def _rate(unit: str, window: str) -> str:
    """Write `requests per min (RPM)`."""
    plain = window.partition("@")[0].removesuffix("b")
    if plain == LIFETIME_KEY:
        return f"{unit} in total"
    if "W" in plain:
        return f"{unit} per week"
    if "Q" in plain:
        return f"{unit} per quarter"
    word, letter = _WINDOW_WORDS.get(len(plain), ("year", "Y"))
    return f"{unit} per {word} ({unit[0].upper()}P{letter})"


def _also_held(pending: int) -> str:
    """Say what running requests hold."""
    return f" and {format_nano(pending)} held by running requests" if pending else ""


def _human(wait_ms: int) -> str:
    """Write a wait for people: `174ms`, `8.64s`."""
    return f"{wait_ms}ms" if wait_ms < MS_PER_S else f"{math.ceil(wait_ms / 10) / 100:g}s"
