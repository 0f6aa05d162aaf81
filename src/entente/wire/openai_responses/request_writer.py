"""Responses requests, written for a provider. Pure.

The provider is asked to keep nothing: what a client of another dialect sends was never
meant to be fetched from there. Thoughts come back encrypted instead, where any are asked for.
"""

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
from entente.wire.openai_chat.request_writer import nearest_effort
from entente.wire.openai_responses import faults, thoughts
from entente.wire.openai_responses.form import OUTPUT_TOKENS_MIN

TARGET: Final = "Responses"
SCHEMA_NAME: Final = "response"
"""Stands in for the name of a schema that has none, which OpenAI wants."""
_NO_ARGUMENTS: Final = Raw(b'{"type":"object","properties":{},"additionalProperties":false}')
_EXTENSIONS: Final = {"application/pdf": "pdf", "text/plain": "txt"}

_Json = dict[str, Any]


def write_request(
    request: ChatRequest, *, model: str, output_tokens_max: int | None, on_loss: OnLoss
) -> Written:
    """Write a request, as `wire.dialect.Outbound` says."""
    losses = Losses(TARGET, on_loss)
    for name in request.others:
        losses.note(name)
    body: _Json = {"model": model, "input": list(_items(request.messages, losses))}
    include: list[str] = []
    _put_tools(body, request, losses)
    _put_sampling(body, request.sampling, include, losses)
    _put_bound(body, request.sampling.output_tokens_max, output_tokens_max)
    _put_text(body, request)
    if request.reasoning is not None:
        _put_reasoning(body, request.reasoning, include, losses)
    for name in ("user", "service_tier"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.cache is not None:
        losses.note(Feature.CACHE_CONTROL)
    if include:
        body["include"] = include
    body["store"] = False
    if request.stream:
        body["stream"] = True
    return Written(msgspec.json.encode(body), losses.names)


# ---- parameters ----


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
    """Write a function. What no client asked to be strict must not be: here it is the default."""
    if tool.cache is not None:
        losses.note(Feature.CACHE_CONTROL)
    written: _Json = {"type": "function", "name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    written["parameters"] = _NO_ARGUMENTS if tool.schema is None else Raw(tool.schema)
    written["strict"] = tool.strict is True
    return written


def _tool_choice(choice: ToolChoice) -> str | _Json:
    if choice.mode is ToolMode.NAMED:
        return {"type": "function", "name": choice.name}
    if choice.allowed is None:
        return choice.mode.value
    tools = [{"type": "function", "name": name} for name in choice.allowed]
    return {"type": "allowed_tools", "mode": choice.mode.value, "tools": tools}


def _put_sampling(body: _Json, sampling: Sampling, include: list[str], losses: Losses) -> None:
    for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty", "top_logprobs"):
        value = getattr(sampling, name)
        if value is not None:
            body[name] = value
    if sampling.logprobs:
        include.append("message.output_text.logprobs")
    lost = {
        Feature.TOP_K: sampling.top_k is not None,
        Feature.SEED: sampling.seed is not None,
        Feature.STOP: bool(sampling.stop),
        Feature.N: sampling.choices != 1,
    }
    for feature, asked in lost.items():
        if asked:
            losses.note(feature)


def _put_bound(body: _Json, asked: int | None, output_tokens_max: int | None) -> None:
    """Write the bound on the output. A larger one than was asked for could cost more."""
    limit = output_tokens_max if asked is None else asked
    if limit is None:
        return
    if limit < OUTPUT_TOKENS_MIN:
        raise faults.out_of_bounds("max_output_tokens", limit, OUTPUT_TOKENS_MIN, None)
    body["max_output_tokens"] = limit


def _put_text(body: _Json, request: ChatRequest) -> None:
    text: _Json = {}
    asked = request.response_format
    if isinstance(asked, JsonSchema):
        schema: _Json = {
            "type": "json_schema",
            "name": asked.name or SCHEMA_NAME,
            "schema": Raw(asked.schema),
        }
        if asked.description is not None:
            schema["description"] = asked.description
        if asked.strict is not None:
            schema["strict"] = asked.strict
        text["format"] = schema
    elif asked is not None:
        text["format"] = {"type": "json_object"}
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    if text:
        body["text"] = text


def _put_reasoning(body: _Json, reasoning: Reasoning, include: list[str], losses: Losses) -> None:
    """Write how much the model thinks, with the effort that is nearest to a budget."""
    effort = nearest_effort(reasoning, losses)
    written = {"effort": effort, "summary": reasoning.summary}
    body["reasoning"] = {name: word for name, word in written.items() if word is not None}
    if effort != "none":
        include.append("reasoning.encrypted_content")


# ---- items ----


def _items(messages: Iterable[Message], losses: Losses) -> Iterable[_Json]:
    """Write the conversation as items."""
    for at, message in enumerate(messages):
        path = f"messages[{at}]"
        if message.name is not None:
            losses.note(Feature.NAMES, f"{path}.name")
        match message.role:
            case Role.TOOL:
                yield from _results(message.parts, path, losses)
            case Role.ASSISTANT:
                yield from _by_model(message.parts, at, losses)
            case _:
                content = list(_content(message.parts, path, losses))
                yield {"role": message.role.value, "content": _short(content)}


def _short(content: list[_Json]) -> str | list[_Json]:
    """Write content of one text, or of none, in its short form."""
    if not content:
        return ""
    if len(content) == 1 and content[0]["type"] == "input_text":
        return str(content[0]["text"])
    return content


def _by_model(parts: tuple[Part, ...], at: int, losses: Losses) -> Iterable[_Json]:
    """Write an earlier answer. What it said in a row is one message."""
    said: list[Text | Refusal] = []
    count = 0
    for part in parts:
        if isinstance(part, Text | Refusal):
            said.append(part)
            continue
        if said:
            yield _said(said, f"msg_{at}_{count}", losses)
            said, count = [], count + 1
        match part:
            case ToolCall():
                if part.cache is not None:
                    losses.note(Feature.CACHE_CONTROL)
                yield {
                    "type": "function_call",
                    "call_id": part.id,
                    "name": part.name,
                    "arguments": part.arguments,
                }
            case Thinking() | RedactedThinking():
                yield from _thought(part, losses)
            case _:
                losses.note(Feature.IMAGES, f"messages[{at}]")
    if said or not parts:
        yield _said(said, f"msg_{at}_{count}", losses)


def _said(said: list[Text | Refusal], item_id: str, losses: Losses) -> _Json:
    """Write what the model said; in the long form an item needs an id, and any will do."""
    if any(isinstance(part, Text) and part.cache is not None for part in said):
        losses.note(Feature.CACHE_CONTROL)
    if not said:
        return {"role": "assistant", "content": ""}
    if len(said) == 1 and isinstance(said[0], Text):
        return {"role": "assistant", "content": said[0].text}
    content = [
        {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}
        if isinstance(part, Text)
        else {"type": "refusal", "refusal": part.text}
        for part in said
    ]
    return {
        "id": item_id,
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }


def _thought(part: Thinking | RedactedThinking, losses: Losses) -> Iterable[_Json]:
    """Write an earlier thought, if it is the provider's own and can be proved to be."""
    signature = part.data if isinstance(part, RedactedThinking) else part.signature
    own = thoughts.unseal(signature) if signature else None
    if own is None:
        losses.note(Feature.EARLIER_THINKING)
        return
    text = part.text if isinstance(part, Thinking) else ""
    yield thoughts.item(own[0], text, own[1])


def _results(parts: Iterable[Part], path: str, losses: Losses) -> Iterable[_Json]:
    for result in parts:
        if not isinstance(result, ToolResult):
            continue
        if result.cache is not None:
            losses.note(Feature.CACHE_CONTROL)
        if result.failed:
            losses.note(Feature.TOOL_ERRORS)
        content = list(_content(result.parts, path, losses))
        yield {
            "type": "function_call_output",
            "call_id": result.call_id,
            "output": _short(content),
        }


# ---- content ----


def _content(parts: Iterable[Part], path: str, losses: Losses) -> Iterable[_Json]:
    """Write what a user or the operator says and shows, or what a tool gave."""
    for part in parts:
        match part:
            case Text():
                if part.cache is not None:
                    losses.note(Feature.CACHE_CONTROL)
                yield {"type": "input_text", "text": part.text}
            case Image():
                yield from _image(part, losses)
            case Document():
                yield _document(part, path, losses)
            case Refusal():
                yield {"type": "input_text", "text": part.text}
            case Audio():
                losses.note(Feature.AUDIO, path)
            case _:
                losses.note(Feature.EARLIER_THINKING, path)


def _image(image: Image, losses: Losses) -> Iterable[_Json]:
    if image.cache is not None:
        losses.note(Feature.CACHE_CONTROL)
    written = {"type": "input_image", "detail": image.detail or "auto"}
    match image.source:
        case Inline(media_type=media_type, data=data):
            written["image_url"] = f"data:{media_type};base64,{data}"
        case Link(url=url):
            written["image_url"] = url
        case StoredFile(id=name):
            written["file_id"] = name
        case PlainText():
            return
    yield written


def _document(document: Document, path: str, losses: Losses) -> _Json:
    """Write a document. One in the request needs a file name."""
    if document.cache is not None:
        losses.note(Feature.CACHE_CONTROL)
    if document.context is not None:
        losses.note(Feature.DOCUMENT_CONTEXT, path)
    if document.citations:
        losses.note(Feature.CITATIONS, path)
    written: _Json = {"type": "input_file"}
    match document.source:
        case StoredFile(id=name):
            written["file_id"] = name
            return written
        case Link(url=url):
            written["file_url"] = url
            return written
        case Inline(media_type=media_type, data=data):
            pass
        case PlainText(text=text):
            media_type, data = "text/plain", base64.b64encode(text.encode()).decode()
    written["filename"] = document.name or f"document.{_EXTENSIONS.get(media_type, 'bin')}"
    written["file_data"] = f"data:{media_type};base64,{data}"
    return written
