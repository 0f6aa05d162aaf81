"""Chat completion requests, written for a provider. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Raw

from entente.domain.features import Feature, Losses, OnLoss
from entente.domain.inference import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Inline,
    JsonSchema,
    Link,
    Message,
    Part,
    PlainText,
    Reasoning,
    RedactedThinking,
    Refusal,
    Role,
    Sampling,
    StoredFile,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
    VendorTool,
)
from entente.wire.dialect import Written

TARGET: Final = "Chat Completions"
STOPS_MAX: Final = 4
SCHEMA_NAME: Final = "response"
"""Stands in for the name of a schema that has none, which OpenAI wants."""
DEFAULT_EFFORT: Final = "medium"
_EFFORTS: Final = ((2_048, "low"), (12_288, "medium"))
"""The largest budgets of thought, in tokens, that are still such an effort."""

_Json = dict[str, Any]


def write_request(
    request: ChatRequest, *, model: str, output_tokens_max: int | None, on_loss: OnLoss
) -> Written:
    """Write a request, as `wire.dialect.Outbound` says."""
    losses = Losses(TARGET, on_loss)
    for name in request.others:
        losses.note(name)
    body: _Json = {"model": model, "messages": list(_messages(request.messages, losses))}
    _put_tools(body, request, losses)
    _put_sampling(body, request.sampling, output_tokens_max, losses)
    if request.response_format is not None:
        body["response_format"] = _format(request)
    if request.reasoning is not None:
        if request.reasoning.summary is not None:
            losses.note(Feature.REASONING_SUMMARY)
        effort = nearest_effort(request.reasoning, losses)
        if effort is not None:
            body["reasoning_effort"] = effort
    for name in ("verbosity", "user", "service_tier"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.cache is not None:
        losses.note(Feature.CACHE_CONTROL)
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return Written(msgspec.json.encode(body), losses.names)


def _put_tools(body: _Json, request: ChatRequest, losses: Losses) -> None:
    tools = []
    for at, tool in enumerate(request.tools):
        if isinstance(tool, VendorTool):
            losses.note(Feature.VENDOR_TOOLS, f"tools[{at}]")
        else:
            tools.append(_tool(tool, losses))
    if tools:
        body["tools"] = tools
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls


def _tool(tool: Tool, losses: Losses) -> _Json:
    function: _Json = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parameters"] = Raw(tool.schema)
    if tool.strict is not None:
        function["strict"] = tool.strict
    if tool.cache is not None:
        losses.note(Feature.CACHE_CONTROL)
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> str | _Json:
    if choice.mode is ToolMode.NAMED:
        return {"type": "function", "function": {"name": choice.name}}
    if choice.allowed is None:
        return choice.mode.value
    tools = [{"type": "function", "function": {"name": name}} for name in choice.allowed]
    return {
        "type": "allowed_tools",
        "allowed_tools": {"mode": choice.mode.value, "tools": tools},
    }


def _put_sampling(
    body: _Json, sampling: Sampling, output_tokens_max: int | None, losses: Losses
) -> None:
    for name in ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty"):
        value = getattr(sampling, name)
        if value is not None:
            body[name] = value
    if sampling.top_k is not None:
        losses.note(Feature.TOP_K)
    if sampling.stop:
        if len(sampling.stop) > STOPS_MAX:
            losses.note(Feature.STOP)
        body["stop"] = sampling.stop[:STOPS_MAX]
    limit = sampling.output_tokens_max
    limit = output_tokens_max if limit is None else limit
    if limit is not None:
        body["max_completion_tokens"] = limit
    if sampling.choices != 1:
        body["n"] = sampling.choices
    if sampling.logprobs:
        body["logprobs"] = True
    if sampling.top_logprobs is not None:
        body["top_logprobs"] = sampling.top_logprobs


def _format(request: ChatRequest) -> _Json:
    asked = request.response_format
    if not isinstance(asked, JsonSchema):
        return {"type": "json_object"}
    schema: _Json = {"name": asked.name or SCHEMA_NAME, "schema": Raw(asked.schema)}
    if asked.description is not None:
        schema["description"] = asked.description
    if asked.strict is not None:
        schema["strict"] = asked.strict
    return {"type": "json_schema", "json_schema": schema}


def nearest_effort(reasoning: Reasoning, losses: Losses) -> str | None:
    """Give the effort that is nearest to what was asked for; OpenAI's APIs take no budget."""
    if reasoning.enabled is False:
        return "none"
    if reasoning.budget_tokens is not None:
        losses.note(Feature.REASONING_BUDGET)
        if reasoning.effort is None:
            budget = reasoning.budget_tokens
            return next((effort for most, effort in _EFFORTS if budget <= most), "high")
    return reasoning.effort or (DEFAULT_EFFORT if reasoning.enabled else None)


# ---- messages ----


def _messages(messages: Iterable[Message], losses: Losses) -> Iterable[_Json]:
    """Write the conversation; each result of a tool is a message of its own."""
    for at, message in enumerate(messages):
        path = f"messages[{at}]"
        match message.role:
            case Role.TOOL:
                yield from _results(message.parts, path, losses)
            case Role.ASSISTANT:
                yield _assistant(message, path, losses)
            case _:
                parts = list(_content(message.parts, path, losses))
                yield _named({"role": message.role.value, "content": _short(parts)}, message)


def _named(written: _Json, message: Message) -> _Json:
    if message.name is not None:
        written["name"] = message.name
    return written


def _short(parts: list[_Json]) -> str | list[_Json]:
    """Write content of one text, or of none, in its short form."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts


def _content(parts: Iterable[Part], path: str, losses: Losses) -> Iterable[_Json]:
    """Write what a user, or the operator, says and shows."""
    for part in parts:
        match part:
            case Text():
                if part.cache is not None:
                    losses.note(Feature.CACHE_CONTROL)
                yield {"type": "text", "text": part.text}
            case Image():
                yield from _image(part, path, losses)
            case Document():
                yield from _document(part, path, losses)
            case Audio():
                sound = {"data": part.data, "format": part.format}
                yield {"type": "input_audio", "input_audio": sound}
            case Refusal():
                yield {"type": "refusal", "refusal": part.text}
            case _:
                losses.note(Feature.EARLIER_THINKING, path)


def _image(image: Image, path: str, losses: Losses) -> Iterable[_Json]:
    if image.cache is not None:
        losses.note(Feature.CACHE_CONTROL)
    match image.source:
        case Inline(media_type=media_type, data=data):
            url = f"data:{media_type};base64,{data}"
        case Link(url=url):
            pass
        case _:
            losses.note(Feature.FILE_IDS, path)
            return
    written = {"url": url}
    if image.detail is not None:
        written["detail"] = image.detail
    yield {"type": "image_url", "image_url": written}


def _document(document: Document, path: str, losses: Losses) -> Iterable[_Json]:
    if document.cache is not None:
        losses.note(Feature.CACHE_CONTROL)
    if document.context is not None:
        losses.note(Feature.DOCUMENT_CONTEXT, path)
    if document.citations:
        losses.note(Feature.CITATIONS, path)
    match document.source:
        case StoredFile(id=name):
            file = {"file_id": name}
        case Inline(media_type=media_type, data=data):
            file = {"file_data": f"data:{media_type};base64,{data}"}
        case PlainText(text=text):
            data = base64.b64encode(text.encode()).decode()
            file = {"file_data": f"data:text/plain;base64,{data}"}
        case Link():
            losses.note(Feature.DOCUMENT_URLS, path)
            return
    if document.name is not None:
        file["filename"] = document.name
    yield {"type": "file", "file": file}


def _assistant(message: Message, path: str, losses: Losses) -> _Json:
    """Write an earlier answer. Its text and its calls are apart, whatever their order was."""
    texts: list[_Json] = []
    calls: list[_Json] = []
    for part in message.parts:
        match part:
            case ToolCall():
                if part.cache is not None:
                    losses.note(Feature.CACHE_CONTROL)
                function = {"name": part.name, "arguments": part.arguments}
                calls.append({"id": part.id, "type": "function", "function": function})
            case Thinking() | RedactedThinking():
                losses.note(Feature.EARLIER_THINKING, path)
            case Image() | Document() | Audio():
                losses.note(Feature.IMAGES, path)
            case _:
                texts.extend(_content((part,), path, losses))
    written: _Json = {"role": "assistant"}
    if texts or not calls:
        written["content"] = _short(texts)
    if calls:
        written["tool_calls"] = calls
    return _named(written, message)


def _results(parts: Iterable[Part], path: str, losses: Losses) -> Iterable[_Json]:
    """Write what tools gave. What is no text follows in a message of the user's."""
    media: list[_Json] = []
    for result in parts:
        if not isinstance(result, ToolResult):
            continue
        if result.cache is not None:
            losses.note(Feature.CACHE_CONTROL)
        if result.failed:
            losses.note(Feature.TOOL_ERRORS)
        texts = [part for part in result.parts if isinstance(part, Text)]
        others = [part for part in result.parts if not isinstance(part, Text)]
        yield {
            "role": "tool",
            "tool_call_id": result.call_id,
            "content": _short(list(_content(texts, path, losses))),
        }
        if others:
            losses.note(Feature.TOOL_RESULT_MEDIA, path)
            media.extend(_content(others, path, losses))
    if media:
        yield {"role": "user", "content": media}
