"""How much a model behind Converse thinks, in the words of its family. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from entente.domain.features import Feature, Losses
from entente.domain.inference import Reasoning, Thinking, ToolResult
from entente.wire.bedrock.families import Family, family_of, thinks_adaptively
from entente.wire.turns import Turn

BUDGET_TOKENS_MIN: Final = 1024
"""The least that a Claude model with a budget thinks."""

_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_PLAIN_EFFORTS: Final = ("low", "medium", "high")
_NEAREST: Final[Mapping[str, str]] = {"minimal": "low", "xhigh": "high", "max": "high"}
_BUDGETS: Final[Mapping[str, int]] = {
    "minimal": BUDGET_TOKENS_MIN,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 32_768,
}
"""Tokens of thought for an effort, and an effort for tokens."""


class Thought(msgspec.Struct, frozen=True):
    """What of a request says how to think."""

    enabled: bool = False
    """The model draws tokens, and chooses tools, as a model that thinks."""
    additional: Mapping[str, Any] = {}
    effort: str | None = None


def thought(
    asked: Reasoning | None, model: str, bound: int | None, turns: list[Turn], losses: Losses
) -> Thought:
    """Write how much to think, within a `bound` on the output, if there is one."""
    if asked is None or asked.enabled is False:
        return Thought()
    if asked.summary is not None:
        losses.note(Feature.REASONING_SUMMARY)
    family = family_of(model)
    if asked.enabled is None and asked.effort is None and asked.budget_tokens is None:
        return Thought()
    if family is Family.CLAUDE:
        adaptive = thinks_adaptively(model)
        return _adaptive(asked, losses) if adaptive else _budgeted(asked, bound, turns, losses)
    if family is Family.OTHER:
        losses.note(Feature.REASONING)
        return Thought()
    effort = _effort(asked, _PLAIN_EFFORTS, losses)
    if family is Family.GPT_OSS:
        return Thought(additional={"reasoning_effort": effort})
    config = {"type": "enabled", "maxReasoningEffort": effort}
    return Thought(additional={"reasoningConfig": config})


def _adaptive(asked: Reasoning, losses: Losses) -> Thought:
    """Let a Claude model think as it sees fit; an effort alone is not a wish to see it think."""
    effort = None
    if asked.effort is not None or asked.budget_tokens is not None:
        effort = _effort(asked, _EFFORTS, losses)
    if asked.enabled is None and asked.budget_tokens is None:
        return Thought(effort=effort)
    return Thought(enabled=True, additional={"thinking": {"type": "adaptive"}}, effort=effort)


def _budgeted(asked: Reasoning, bound: int | None, turns: list[Turn], losses: Losses) -> Thought:
    """Let a Claude model think within a budget, which has to leave room for the answer."""
    wants = asked.enabled or asked.budget_tokens is not None
    if asked.effort is not None and (not wants or asked.budget_tokens is not None):
        losses.note(Feature.REASONING_EFFORT)
    if not wants:
        return Thought()
    wanted = asked.budget_tokens or _BUDGETS.get(asked.effort or "medium", _BUDGETS["high"])
    budget = max(wanted, BUDGET_TOKENS_MIN)
    if bound is not None:
        budget = min(budget, bound - 1)
    if budget < BUDGET_TOKENS_MIN or _calls_without_thought(turns):
        losses.note(Feature.REASONING)
        return Thought()
    if asked.budget_tokens is not None and asked.budget_tokens != budget:
        losses.note(Feature.REASONING_BUDGET)
    thinking = {"type": "enabled", "budget_tokens": budget}
    return Thought(enabled=True, additional={"thinking": thinking})


def _effort(asked: Reasoning, words: tuple[str, ...], losses: Losses) -> str:
    """Give the nearest effort that there is a word for."""
    if asked.budget_tokens is not None:
        losses.note(Feature.REASONING_BUDGET)
    if asked.effort in words:
        return asked.effort
    if asked.effort is not None:
        losses.note(Feature.REASONING_EFFORT)
        return _NEAREST.get(asked.effort, "high")
    budget = asked.budget_tokens or _BUDGETS["medium"]
    return next((word for word in words if budget <= _BUDGETS[word]), words[-1])


def _calls_without_thought(turns: list[Turn]) -> bool:
    """Say whether the model is in the middle of a turn whose thought the client has not kept.

    A model with a budget of thought refuses to go on from there while it is to think.
    """
    if not turns or not any(isinstance(part, ToolResult) for part in turns[-1].parts):
        return False
    before = turns[-2].parts if turns[:-1] else ()
    return not any(isinstance(part, Thinking) and part.signature for part in before)
