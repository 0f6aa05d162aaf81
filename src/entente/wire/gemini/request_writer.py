"""Requests of generateContent and streamGenerateContent, whose bodies are alike. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from entente.domain.features import Feature, Losses, OnLoss
from entente.domain.inference import ChatRequest, Tool, ToolCall, ToolChoice, ToolMode
from entente.wire.dialect import Written
from entente.wire.gemini.content import ContentWriter
from entente.wire.gemini.generation import config, has_levels
from entente.wire.turns import Turn, opened

TITLE: Final = "Gemini"

_TIERS: Final = {"default": "standard", "flex": "flex", "priority": "priority"}
_MODES: Final = {
    ToolMode.AUTO: "AUTO",
    ToolMode.NONE: "NONE",
    ToolMode.REQUIRED: "ANY",
    ToolMode.NAMED: "ANY",
}


def write_request(
    request: ChatRequest,
    /,
    *,
    model: str,
    output_tokens_max: int | None,
    on_loss: OnLoss,
) -> Written:
    """Write a request; see `wire.dialect.Outbound`."""
    losses = Losses(TITLE, on_loss)
    for name in request.others:
        losses.note(name)
    system, turns = opened(request.messages, losses)
    modern = has_levels(model)
    content = ContentWriter(_names(turns), losses, signed=modern, sees_results=modern)
    tools = _tools(request, losses)
    members = {
        "contents": _contents(turns, content),
        "systemInstruction": content.system(system),
        "tools": [{"functionDeclarations": tools}] if tools else None,
        "toolConfig": _choice(request.tool_choice) if tools else None,
        "generationConfig": config(request, model, output_tokens_max, losses),
        "serviceTier": _tier(request.service_tier, losses),
    }
    _leave_out(request, losses)
    body = {name: value for name, value in members.items() if value}
    return Written(msgspec.json.encode(body), losses.names)


def _contents(turns: list[Turn], writer: ContentWriter) -> list[dict[str, Any]]:
    """Write the turns. Where nothing of one is left, those around it are one."""
    contents: list[dict[str, Any]] = []
    for turn in turns:
        parts = writer.turn(turn)
        role = "model" if turn.by_model else "user"
        if parts and contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        elif parts:
            contents.append({"role": role, "parts": parts})
    return contents


def _names(turns: list[Turn]) -> dict[str, str]:
    """Give the names of the tools by the ids of their calls; a result needs both."""
    parts = (part for turn in turns for part in turn.parts)
    return {part.id: part.name for part in parts if isinstance(part, ToolCall)}


def _tools(request: ChatRequest, losses: Losses) -> list[dict[str, Any]]:
    """Write the tools that may be called."""
    choice = request.tool_choice
    allowed = choice.allowed if choice is not None else None
    written = []
    for tool in request.tools:
        if not isinstance(tool, Tool):
            losses.note(Feature.VENDOR_TOOLS, "tools")
            continue
        if allowed is not None and tool.name not in allowed:
            continue
        if tool.strict:
            losses.note(Feature.STRICT_TOOLS)
        if tool.cache is not None:
            losses.note(Feature.CACHE_CONTROL)
        function: dict[str, Any] = {"name": tool.name}
        if tool.description:
            function["description"] = tool.description
        if tool.schema:
            function["parametersJsonSchema"] = Raw(tool.schema)
        written.append(function)
    return written


def _choice(choice: ToolChoice | None) -> dict[str, Any] | None:
    """Write the choice among the tools."""
    if choice is None:
        return None
    calling: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode is ToolMode.NAMED:
        calling["allowedFunctionNames"] = [choice.name]
    return {"functionCallingConfig": calling}


def _tier(tier: str | None, losses: Losses) -> str | None:
    if tier not in {None, "auto", *_TIERS}:
        losses.note(Feature.SERVICE_TIER)
    return _TIERS.get(tier or "")


def _leave_out(request: ChatRequest, losses: Losses) -> None:
    """Note what Gemini has no member for."""
    lost = {
        Feature.PARALLEL_TOOL_CALLS: request.parallel_tool_calls is False and bool(request.tools),
        Feature.VERBOSITY: request.verbosity not in {None, "medium"},
        Feature.USER: request.user is not None,
        Feature.CACHE_CONTROL: request.cache is not None,
    }
    for feature, is_lost in lost.items():
        if is_lost:
            losses.note(feature)
