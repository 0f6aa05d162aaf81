"""Responses as OpenAI's own API takes and writes them, for the stand-in of OpenAI."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from entente.domain.inference import Stop
from tests.support.standins.scenes import Asked, Called, Scene, given
from tests.support.standins.standin import Refused, sse

SURFACE: Final = "responses"
ID: Final = "resp_9standin"
CREATED_S: Final = 1_700_000_000
_REASONS: Final = {Stop.LENGTH: "max_output_tokens", Stop.FILTERED: "content_filter"}
_Json: TypeAlias = dict[str, Any]


class _Form(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class _Part(_Form):
    type: Literal["input_text", "output_text", "input_image", "input_file"]
    text: str | None = None
    annotations: list[_Json] | None = None
    logprobs: list[_Json] | None = None
    image_url: str | None = None
    detail: str | None = None
    filename: str | None = None
    file_data: str | None = None


class _Item(_Form):
    type: Literal["message", "function_call", "function_call_output"] = "message"
    role: str | None = None
    content: str | list[_Part] | None = None
    id: str | None = None
    status: str | None = None
    phase: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | None = None


class _Hosted(_Form, tag_field="type", tag="web_search"):
    pass


class _Tool(_Form, tag_field="type", tag="function"):
    name: str
    parameters: _Json
    strict: bool
    description: str | None = None


class _Format(_Form):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: _Json | None = None
    strict: bool | None = None
    description: str | None = None


class _Text(_Form):
    format: _Format | None = None


class _Effort(_Form):
    effort: str | None = None


class _Choice(_Form):
    type: Literal["function"]
    name: str


class Body(_Form):
    """The body of a request, as far as these tests go."""

    model: str
    input: str | list[_Item]
    store: Literal[False]
    previous_response_id: None = None
    conversation: None = None
    background: Literal[False] = False
    include: list[Literal["reasoning.encrypted_content"]] = []
    stream: bool = False
    instructions: str | None = None
    tools: list[_Tool | _Hosted] = []
    tool_choice: Literal["auto", "none", "required"] | _Choice | UnsetType = UNSET
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Effort | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    max_output_tokens: int | None = None


def understood(body: Body) -> Asked:
    """Read a body as a canonical request."""
    items = [_Item(role="user", content=body.input)] if isinstance(body.input, str) else body.input
    form = body.text.format if body.text else None
    choice = body.tool_choice
    return Asked(
        surface=SURFACE,
        model=body.model,
        stream=body.stream,
        system=body.instructions or "",
        said=tuple(part for item in items for part in _said(item)),
        tools=tuple(
            (tool.name, tool.parameters) if isinstance(tool, _Tool) else ("", "web_search")
            for tool in body.tools
        ),
        choice=choice.name if isinstance(choice, _Choice) else _WORDS.get(choice or ""),
        form=form.schema or "object" if form else None,
        settings=given(
            max_completion_tokens=body.max_output_tokens,
            reasoning_effort=body.reasoning.effort if body.reasoning else None,
            **{
                name: getattr(body, name)
                for name in (
                    "parallel_tool_calls",
                    "temperature",
                    "top_p",
                    "frequency_penalty",
                    "presence_penalty",
                )
            },
        ),
    )


_WORDS: Final = {"required": "any", "auto": "auto", "none": "none"}


def _said(item: _Item) -> list[tuple[Any, ...]]:
    match item.type:
        case "function_call":
            decoded = msgspec.json.decode(item.arguments or "")
            return [("model", "call", item.call_id, item.name, decoded)]
        case "function_call_output":
            return [("user", "result", item.call_id, item.output)]
    who = "model" if item.role == "assistant" else "user"
    if isinstance(item.content, str):
        return [(who, "text", item.content)]
    return [(who, *_part(part)) for part in item.content or ()]


def _part(part: _Part) -> tuple[Any, ...]:
    if part.type == "input_file":
        return ("document", *_data(part.file_data or ""))
    if part.type == "input_image":
        url = part.image_url or ""
        return ("image", *_data(url)) if url.startswith("data:") else ("link", url)
    return ("text", part.text)


def _data(url: str) -> tuple[str, str]:
    head, _, data = url.partition(",")
    media_type, _, coding = head.removeprefix("data:").partition(";")
    if coding != "base64":
        raise Refused(400, "a data URL has to be in base64")
    return media_type, data


# ---- what it says ----


def _response(asked: Asked, status: str, **more: Any) -> _Json:
    return {
        "id": ID,
        "object": "response",
        "created_at": CREATED_S,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.system or None,
        "max_output_tokens": asked.settings.get("max_completion_tokens"),
        "metadata": {},
        "model": f"{asked.model}-2026-08-01",
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        **more,
    }


def _message(scene: Scene, status: str = "completed") -> _Json:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": scene.text}
    content = [part] if status == "completed" else []
    return {
        "id": "msg_9x",
        "type": "message",
        "status": status,
        "role": "assistant",
        "phase": "final_answer",
        "content": content,
    }


def _call(at: int, call: Called, arguments: str, status: str = "completed") -> _Json:
    return {
        "id": f"fc_{at}x",
        "type": "function_call",
        "status": status,
        "call_id": f"call_{at}x",
        "name": call.name,
        "arguments": arguments,
    }


def _output(scene: Scene) -> list[_Json]:
    said = [_message(scene)] if scene.texts else []
    calls = [_call(at, c, "".join(c.pieces) or "{}") for at, c in enumerate(scene.calls)]
    return [*said, *calls]


def _ended(scene: Scene, asked: Asked) -> _Json:
    reason = _REASONS.get(scene.stop)
    details = {"reason": reason} if reason else None
    return _response(
        asked,
        "incomplete" if reason else "completed",
        output=_output(scene),
        incomplete_details=details,
        usage=_usage(scene),
    )


def _usage(scene: Scene) -> _Json:
    used = scene.usage
    return {
        "input_tokens": used.input_total,
        "input_tokens_details": {
            "cached_tokens": used.cache_read,
            "cache_write_tokens": used.cache_write,
        },
        "output_tokens": used.output_total,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.total,
    }


def whole(scene: Scene, asked: Asked) -> bytes:
    """Write a response."""
    return msgspec.json.encode(_ended(scene, asked))


def events(scene: Scene, asked: Asked) -> tuple[list[bytes], list[bytes]]:
    """Write the events of a response."""
    begun = _response(asked, "in_progress", service_tier="auto")
    said: list[tuple[str, _Json]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
    ]
    if scene.texts:
        said += _said_text(scene)
    for at, call in enumerate(scene.calls):
        said += _said_call(at + bool(scene.texts), at, call)
    ended = _ended(scene, asked)
    said.append((f"response.{ended['status']}", {"response": ended}))
    numbers = itertools.count()
    written = [
        sse({"type": kind, "sequence_number": next(numbers), **data}, kind) for kind, data in said
    ]
    return written[:-1], written[-1:]


def _said_text(scene: Scene) -> Iterator[tuple[str, _Json]]:
    place = {"item_id": "msg_9x", "output_index": 0, "content_index": 0}
    whole_item = _message(scene)
    (part,) = whole_item["content"]
    yield "response.output_item.added", {"output_index": 0, "item": _message(scene, "in_progress")}
    yield "response.content_part.added", {**place, "part": {**part, "text": ""}}
    for text in scene.texts:
        yield (
            "response.output_text.delta",
            {**place, "delta": text, "logprobs": [], "obfuscation": "x"},
        )
    yield "response.output_text.done", {**place, "text": scene.text, "logprobs": []}
    yield "response.content_part.done", {**place, "part": part}
    yield "response.output_item.done", {"output_index": 0, "item": whole_item}


def _said_call(index: int, at: int, call: Called) -> Iterator[tuple[str, _Json]]:
    place = {"item_id": f"fc_{at}x", "output_index": index}
    pieces = call.pieces or ("{}",)
    arguments = "".join(pieces)
    begun = _call(at, call, "", "in_progress")
    yield "response.output_item.added", {"output_index": index, "item": begun}
    for piece in pieces:
        yield "response.function_call_arguments.delta", {**place, "delta": piece}
    done = {**place, "name": call.name, "arguments": arguments}
    yield "response.function_call_arguments.done", done
    yield (
        "response.output_item.done",
        {
            "output_index": index,
            "item": _call(at, call, arguments),
        },
    )


def failure(message: str, sent: int) -> bytes:
    """Write the event of a failure behind so many others."""
    error = {"code": "server_error", "message": message, "param": None, "sequence_number": sent}
    return sse({"type": "error", **error}, "error")
