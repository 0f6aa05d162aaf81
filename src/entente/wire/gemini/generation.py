"""How Gemini draws tokens, and how much it thinks: the member `generationConfig`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw

from entente.domain.features import Feature, Losses
from entente.domain.inference import ChatRequest, JsonObject, JsonSchema, Reasoning

STOPS_MAX: Final = 5
SEED_MAX: Final = 2**31 - 1

_GENERATION: Final = re.compile(r"gemini-(?:(\d{1,2})|[a-z])")
_PRO: Final = re.compile(r"gemini-2\.5-pro")
_LEVELS_SINCE: Final = 3
_PRO_BUDGET_MIN: Final = 128
_LEVELS: Final = ("minimal", "low", "medium", "high")
_BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
}
"""Tokens of thought for an effort, for models before 3; as Google maps them for its own
OpenAI-compatible surface."""


def has_levels(model: str) -> bool:
    """Say whether the model thinks by levels, signs its calls and sees the images of tools.

    These came with Gemini 3. A name without a number, `gemini-flash-latest`, counts as new.
    """
    found = _GENERATION.search(model)
    return found is not None and (found[1] is None or int(found[1]) >= _LEVELS_SINCE)


def config(
    request: ChatRequest, model: str, output_tokens_max: int | None, losses: Losses
) -> dict[str, Any]:
    """Write the member; what nobody asked for is not in it."""
    asked = request.sampling
    members: dict[str, Any] = {
        "temperature": asked.temperature,
        "topP": asked.top_p,
        "topK": asked.top_k,
        "seed": asked.seed,
        "frequencyPenalty": asked.frequency_penalty,
        "presencePenalty": asked.presence_penalty,
        "maxOutputTokens": asked.output_tokens_max or output_tokens_max,
        "candidateCount": asked.choices if asked.choices > 1 else None,
        "responseLogprobs": True if asked.logprobs else None,
        "logprobs": asked.top_logprobs if asked.logprobs and asked.top_logprobs else None,
        "stopSequences": _stops(asked.stop, losses),
        "thinkingConfig": _thinking(request.reasoning, model, losses),
    }
    if asked.seed is not None and not -SEED_MAX <= asked.seed <= SEED_MAX:
        losses.note(Feature.SEED)
        del members["seed"]
    match request.response_format:
        case JsonSchema() as form:
            members["responseMimeType"] = "application/json"
            members["responseJsonSchema"] = Raw(form.schema)
        case JsonObject():
            members["responseMimeType"] = "application/json"
        case None:
            pass
    return {name: value for name, value in members.items() if value is not None}


def _stops(stops: tuple[str, ...], losses: Losses) -> list[str] | None:
    """Give the sequences that end the answer, as many as Gemini takes."""
    kept = [stop for stop in stops if stop]
    if len(kept) > STOPS_MAX:
        losses.note(Feature.STOP)
    return kept[:STOPS_MAX] or None


def _thinking(asked: Reasoning | None, model: str, losses: Losses) -> dict[str, Any] | None:
    """Write how much to think: a level since Gemini 3, tokens before."""
    if asked is None:
        return None
    if asked.enabled is False:
        return _least(model, losses)
    written: dict[str, Any] = {}
    if asked.enabled or asked.summary is not None:
        written["includeThoughts"] = True
    if asked.budget_tokens is not None:
        written["thinkingBudget"] = asked.budget_tokens
        if asked.effort is not None:
            losses.note(Feature.REASONING_EFFORT)
    elif asked.effort is not None:
        effort = asked.effort
        if effort not in _LEVELS:
            losses.note(Feature.REASONING_EFFORT)
            effort = "high"
        if has_levels(model):
            written["thinkingLevel"] = effort.upper()
        else:
            written["thinkingBudget"] = _BUDGETS[effort]
    return written or None


def _least(model: str, losses: Losses) -> dict[str, Any]:
    """Write not to think; some models cannot, and think as little as they may."""
    if has_levels(model):
        losses.note(Feature.REASONING_EFFORT)
        return {"thinkingLevel": "MINIMAL"}
    if _PRO.search(model):
        losses.note(Feature.REASONING_EFFORT)
        return {"thinkingBudget": _PRO_BUDGET_MIN}
    return {"thinkingBudget": 0}
