"""Messages requests, written for a provider. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Raw

from entente.domain.features import Feature, Losses, OnLoss
from entente.domain.inference import (
    Audio,
    CacheMark,
    ChatRequest,
    Document,
    Image,
    Inline,
    JsonObject,
    Link,
    Part,
    PlainText,
    Reasoning,
    RedactedThinking,
    Refusal,
    Sampling,
    Source,
    StoredFile,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolMode,
    ToolResult,
    VendorTool,
)
from entente.wire import turns
from entente.wire.dialect import Written

TARGET: Final = "Messages"
DEFAULT_OUTPUT_TOKENS: Final = 8_192
"""Stands in where neither the client nor the model's configuration bounds the output."""
TEMPERATURE_MAX: Final = 1.0
DEFAULT_EFFORT: Final = "low"
"""The least there is a word for."""
_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_NO_ARGUMENTS: Final = Raw(b'{"type":"object","properties":{}}')
_MODES: Final = {
    ToolMode.AUTO: "auto",
    ToolMode.REQUIRED: "any",
    ToolMode.NAMED: "tool",
    ToolMode.NONE: "none",
}
_TIERS: Final = {"auto": "auto", "default": "standard_only"}
_MARK: Final = ":"
"""Stands behind the name of the vendor in signatures that are not Anthropic's."""
_NOT_IN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")

_Json = dict[str, Any]


def write_request(
    request: ChatRequest, *, model: str, output_tokens_max: int | None, on_loss: OnLoss
) -> Written:
    """Write a request, as `wire.dialect.Outbound` says."""
    losses = Losses(TARGET, on_loss)
    for name in request.others:
        losses.note(name)
    limit = request.sampling.output_tokens_max
    if limit is None:
        limit = DEFAULT_OUTPUT_TOKENS if output_tokens_max is None else output_tokens_max
    body: _Json = {"model": model, "max_tokens": limit}
    _put_messages(body, request, losses)
    _put_tools(body, request, losses)
    _put_sampling(body, request.sampling, losses)
    _put_output(body, request, losses)
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    if request.service_tier is not None:
        if request.service_tier in _TIERS:
            body["service_tier"] = _TIERS[request.service_tier]
        else:
            losses.note(Feature.SERVICE_TIER)
    if request.cache is not None:
        body["cache_control"] = _cache(request.cache)
    if request.stream:
        body["stream"] = True
    return Written(msgspec.json.encode(body), losses.names)


def _cache(mark: CacheMark) -> _Json:
    written = {"type": "ephemeral"}
    if mark is not CacheMark.DEFAULT:
        written["ttl"] = mark.value
    return written


def _marked(written: _Json, mark: CacheMark | None) -> _Json:
    if mark is not None:
        written["cache_control"] = _cache(mark)
    return written


# ---- messages ----


def _put_messages(body: _Json, request: ChatRequest, losses: Losses) -> None:
    """Write the conversation. A request of the operator's words alone is the user's turn."""
    system, said = turns.split(request.messages, losses)
    texts = [_marked({"type": "text", "text": text.text}, text.cache) for text in system]
    if texts and not said:
        losses.note(Feature.SYSTEM_POSITION, "messages")
        body["messages"] = [{"role": "user", "content": _short(texts)}]
        return
    messages = []
    for turn in said:
        content = list(_blocks(turn.parts, losses))
        if content:
            role = "assistant" if turn.by_model else "user"
            messages.append({"role": role, "content": _short(content)})
    body["messages"] = messages
    if texts:
        body["system"] = _short(texts)


def _short(blocks: list[_Json]) -> str | list[_Json]:
    """Write content of one plain text in its short form."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks


def _blocks(parts: Iterable[Part], losses: Losses) -> Iterable[_Json]:
    for part in parts:
        match part:
            case Text() | Refusal():
                if part.text:
                    mark = part.cache if isinstance(part, Text) else None
                    yield _marked({"type": "text", "text": part.text}, mark)
            case Image() | Document():
                yield from _media(part, losses)
            case ToolCall():
                yield _call(part, losses)
            case ToolResult():
                yield _result(part, losses)
            case Thinking() | RedactedThinking():
                yield from _thought(part, losses)
            case Audio():
                losses.note(Feature.AUDIO, "messages[].content[].input_audio")


def _thought(part: Thinking | RedactedThinking, losses: Losses) -> Iterable[_Json]:
    """Write an earlier thought. One without a signature, or with a mark, is another vendor's."""
    proof = part.signature if isinstance(part, Thinking) else part.data
    if not proof or _MARK in proof:
        losses.note(Feature.EARLIER_THINKING)
    elif isinstance(part, RedactedThinking):
        yield {"type": "redacted_thinking", "data": proof}
    else:
        yield {"type": "thinking", "thinking": part.text, "signature": proof}


def _media(part: Image | Document, losses: Losses) -> Iterable[_Json]:
    if isinstance(part, Image):
        if part.detail not in (None, "auto"):
            losses.note(Feature.IMAGE_DETAIL)
        yield _marked({"type": "image", "source": _source(part.source)}, part.cache)
        return
    if isinstance(part.source, Inline) and part.source.media_type != "application/pdf":
        losses.note(Feature.DOCUMENTS, "messages[].content[].file")
        return
    written: _Json = {"type": "document", "source": _source(part.source)}
    if part.name is not None:
        written["title"] = part.name
    if part.context is not None:
        written["context"] = part.context
    if part.citations:
        written["citations"] = {"enabled": True}
    yield _marked(written, part.cache)


def _source(source: Source) -> _Json:
    match source:
        case Inline():
            return {"type": "base64", "media_type": source.media_type, "data": source.data}
        case Link():
            return {"type": "url", "url": source.url}
        case StoredFile():
            return {"type": "file", "file_id": source.id}
        case PlainText():
            return {"type": "text", "media_type": "text/plain", "data": source.text}


def _id(name: str) -> str:
    """Write the id of a call in the letters that Anthropic takes."""
    return _NOT_IN_ID.sub("_", name)


def _call(call: ToolCall, losses: Losses) -> _Json:
    written = {
        "type": "tool_use",
        "id": _id(call.id),
        "name": call.name,
        "input": turns.arguments(call, losses),
    }
    return _marked(written, call.cache)


def _result(result: ToolResult, losses: Losses) -> _Json:
    written: _Json = {"type": "tool_result", "tool_use_id": _id(result.call_id)}
    content = list(_blocks(result.parts, losses))
    if content:
        written["content"] = _short(content)
    if result.failed:
        written["is_error"] = True
    return _marked(written, result.cache)


# ---- parameters ----


def _put_tools(body: _Json, request: ChatRequest, losses: Losses) -> None:
    tools = []
    for at, tool in enumerate(request.tools):
        if isinstance(tool, VendorTool):
            losses.note(Feature.VENDOR_TOOLS, f"tools[{at}]")
        else:
            tools.append(_tool(tool))
    if not tools:
        return
    body["tools"] = tools
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    if choice is None and parallel is None:
        return
    mode = ToolMode.AUTO if choice is None else choice.mode
    written: _Json = {"type": _MODES[mode]}
    if choice is not None and choice.name is not None:
        written["name"] = choice.name
    if choice is not None and choice.allowed is not None:
        losses.note(Feature.ALLOWED_TOOLS, "tool_choice.allowed_tools")
    if parallel is not None and mode is not ToolMode.NONE:
        written["disable_parallel_tool_use"] = not parallel
    body["tool_choice"] = written


def _tool(tool: Tool) -> _Json:
    written: _Json = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    written["input_schema"] = _NO_ARGUMENTS if tool.schema is None else Raw(tool.schema)
    if tool.strict is not None:
        written["strict"] = tool.strict
    return _marked(written, tool.cache)


def _put_sampling(body: _Json, sampling: Sampling, losses: Losses) -> None:
    if sampling.temperature is not None:
        if sampling.temperature > TEMPERATURE_MAX:
            losses.note(Feature.TEMPERATURE)
        body["temperature"] = min(sampling.temperature, TEMPERATURE_MAX)
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.top_k is not None:
        body["top_k"] = sampling.top_k
    if sampling.stop:
        body["stop_sequences"] = sampling.stop
    lost = {
        Feature.SEED: sampling.seed is not None,
        Feature.FREQUENCY_PENALTY: bool(sampling.frequency_penalty),
        Feature.PRESENCE_PENALTY: bool(sampling.presence_penalty),
        Feature.N: sampling.choices != 1,
        Feature.LOGPROBS: sampling.logprobs or bool(sampling.top_logprobs),
    }
    for feature, asked in lost.items():
        if asked:
            losses.note(feature)


def _put_output(body: _Json, request: ChatRequest, losses: Losses) -> None:
    """Write the form of the answer, and the thought that goes into it."""
    config: _Json = {}
    if isinstance(request.response_format, JsonObject):
        losses.note(Feature.JSON_OBJECT, "response_format")
    elif request.response_format is not None:
        schema = Raw(request.response_format.schema)
        config["format"] = {"type": "json_schema", "schema": schema}
    if request.verbosity is not None:
        losses.note(Feature.VERBOSITY)
    if request.reasoning is not None:
        _put_thinking(body, config, request.reasoning, losses)
    if config:
        body["output_config"] = config


def _put_thinking(body: _Json, config: _Json, reasoning: Reasoning, losses: Losses) -> None:
    if reasoning.summary is not None:
        losses.note(Feature.REASONING_SUMMARY)
    if reasoning.effort is not None:
        known = reasoning.effort in _EFFORTS
        if not known:
            losses.note(Feature.REASONING_EFFORT)
        config["effort"] = reasoning.effort if known else DEFAULT_EFFORT
    if reasoning.enabled is False:
        body["thinking"] = {"type": "disabled"}
    elif reasoning.budget_tokens is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": reasoning.budget_tokens}
    elif reasoning.enabled:
        body["thinking"] = {"type": "adaptive"}
