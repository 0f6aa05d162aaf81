"""A stand-in for Anthropic's messages."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from entente.domain.inference import Stop
from tests.support.standins.scenes import Asked, Called, Scene, Told, given
from tests.support.standins.standin import KEY, Refused, Request, StandIn, sse

MODEL: Final = "claude-sonnet-4-6"
REASONS: Final = {
    Stop.END: "end_turn",
    Stop.STOP_SEQUENCE: "stop_sequence",
    Stop.LENGTH: "max_tokens",
    Stop.TOOL_CALLS: "tool_use",
    Stop.FILTERED: "refusal",
}
_KINDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_CALL_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
VERSIONS: Final = ("2023-06-01", "2026-10-21")
"""Ours, and the one that the vendor's own client sends, which goes on."""
_Json: TypeAlias = dict[str, Any]

# ---- what it takes ----


class _Form(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class _CacheControl(_Form):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | UnsetType = UNSET


class _Block(_Form, kw_only=True, tag_field="type"):
    cache_control: _CacheControl | UnsetType = UNSET


class _Text(_Block, kw_only=True, tag="text"):
    text: str


class _Base64(_Form, tag_field="type", tag="base64"):
    media_type: Literal[
        "image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain"
    ]
    data: str


class _Url(_Form, tag_field="type", tag="url"):
    url: str


class _Image(_Block, kw_only=True, tag="image"):
    source: _Base64 | _Url


class _Document(_Block, kw_only=True, tag="document"):
    source: _Base64 | _Url
    title: str | UnsetType = UNSET


class _Call(_Block, kw_only=True, tag="tool_use"):
    id: str
    name: str
    input: _Json


class _Result(_Block, kw_only=True, tag="tool_result"):
    tool_use_id: str
    content: str | list[_Text | _Image] = ""
    is_error: bool = False


class _Thinking(_Block, kw_only=True, tag="thinking"):
    thinking: str
    signature: str


class _Message(_Form):
    role: Literal["user", "assistant"]
    content: str | list[_Text | _Image | _Document | _Call | _Result | _Thinking]


class _Tool(_Form):
    name: str
    input_schema: _Json
    description: str | UnsetType = UNSET
    strict: bool | UnsetType = UNSET
    cache_control: _CacheControl | UnsetType = UNSET


class _OwnTool(_Form, tag_field="type", tag="web_search_20250305"):
    name: Literal["web_search"]


class _Choice(_Form):
    type: Literal["auto", "any", "tool", "none"]
    name: str | UnsetType = UNSET
    disable_parallel_tool_use: bool | UnsetType = UNSET


class _Format(_Form):
    type: Literal["json_schema"]
    schema: _Json


class _Output(_Form):
    format: _Format | UnsetType = UNSET
    effort: Literal["low", "medium", "high", "xhigh", "max"] | UnsetType = UNSET


class _Thought(_Form):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | UnsetType = UNSET


class _Metadata(_Form):
    user_id: str


class Body(_Form):
    """The body of a request, as far as these tests go."""

    model: str
    max_tokens: int
    messages: list[_Message]
    system: str | list[_Text] = ""
    stream: bool = False
    tools: list[_Json] | UnsetType = UNSET
    tool_choice: _Choice | UnsetType = UNSET
    output_config: _Output | UnsetType = UNSET
    thinking: _Thought | UnsetType = UNSET
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    metadata: _Metadata | UnsetType = UNSET
    cache_control: _CacheControl | UnsetType = UNSET


def _understood(body: Body) -> Asked:
    choice, output, thought = body.tool_choice, body.output_config, body.thinking
    form = output.format if output else UNSET
    system = body.system if isinstance(body.system, str) else "".join(t.text for t in body.system)
    alone = choice.disable_parallel_tool_use if choice else UNSET
    return Asked(
        model=body.model,
        stream=body.stream,
        system=system,
        said=tuple(part for message in body.messages for part in _said(message)),
        tools=tuple(_tool(tool) for tool in body.tools or ()),
        choice=(choice.name or choice.type) if choice else None,
        form=form.schema if form else None,
        settings=given(
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            stop=body.stop_sequences,
            max_completion_tokens=body.max_tokens,
            parallel_tool_calls=None if alone is UNSET else not alone,
            reasoning_effort=(output.effort or None) if output else None,
            thinking_budget=(thought.budget_tokens or None) if thought else None,
            user=body.metadata.user_id if body.metadata else None,
        ),
    )


def _tool(tool: _Json) -> tuple[str, Any]:
    """Read a tool of the client's, or one of Anthropic's own by its type."""
    try:
        if "type" in tool:
            own = msgspec.convert(tool, _OwnTool)
            return own.name, tool["type"]
        read = msgspec.convert(tool, _Tool)
    except msgspec.ValidationError as error:
        raise Refused(400, f"tools: {error}") from None
    return read.name, read.input_schema


def _said(message: _Message) -> list[tuple[Any, ...]]:
    who = "model" if message.role == "assistant" else "user"
    if isinstance(message.content, str):
        return [(who, "text", message.content)]
    return [(who, *_part(block)) for block in message.content]


def _part(block: _Text | _Image | _Document | _Call | _Result | _Thinking) -> tuple[Any, ...]:
    match block:
        case _Text():
            part: tuple[Any, ...] = ("text", block.text)
        case _Image(source=_Url(url=url)):
            part = ("link", url)
        case _Image(source=_Base64() as source):
            part = ("image", source.media_type, source.data)
        case _Document(source=_Base64() as source):
            part = ("document", source.media_type, source.data)
        case _Call() if _CALL_ID.fullmatch(block.id):
            part = ("call", block.id, block.name, block.input)
        case _Result():
            part = ("result", block.tool_use_id, _plain(block.content))
        case _Thinking():
            part = ("thought", block.thinking, block.signature)
        case _:
            raise Refused(400, f"a {type(block).__name__} that these tests do not use")
    return part


def _plain(content: str | list[_Text | _Image]) -> str:
    """Give the text of a result."""
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, _Text))


# ---- what it says ----


class Anthropic(StandIn):
    """`POST /v1/messages`."""

    def read(self, request: Request) -> Asked:
        """Read a request."""
        if request.headers.get("x-api-key") != KEY or "authorization" in request.headers:
            raise Refused(401, "invalid x-api-key")
        if request.headers.get("anthropic-version") not in VERSIONS:
            raise Refused(400, "anthropic-version: header is required")
        if request.target != "/v1/messages":
            raise Refused(404, "Not Found")
        body = request.read(Body)
        if body.model != MODEL:
            raise Refused(404, f"model: {body.model}")
        if not body.messages or body.messages[0].role != "user":
            raise Refused(400, "messages: first message must use the user role")
        return _understood(body)

    def tells(self, scene: Scene, *, stream: bool) -> Told:  # noqa: ARG002
        """Everything is told; a filter is a refusal."""
        return Told(
            thought="".join(scene.thoughts),
            stop=Stop.REFUSAL if scene.stop is Stop.FILTERED else scene.stop,
            stop_sequence=scene.stop_sequence,
            usage=scene.usage,
        )

    def also(self, headers: bytes = b"") -> bytes:
        """Name the request."""
        return headers + b"request-id: req_standin\r\n"

    def whole(self, scene: Scene, asked: Asked) -> bytes:
        """Write a message."""
        content: list[_Json] = []
        if scene.thoughts:
            thought = "".join(scene.thoughts)
            content.append({"type": "thinking", "thinking": thought, "signature": "c2lnbmVk"})
        if scene.texts:
            content.append({"type": "text", "text": scene.text})
        content += [{**_call(at, call), "input": call.arguments} for at, call in _called(scene)]
        message = {**_message(asked), "content": content, "usage": _usage(scene)}
        message["stop_reason"] = REASONS[scene.stop]
        message["stop_sequence"] = scene.stop_sequence
        return msgspec.json.encode(message)

    def events(self, scene: Scene, asked: Asked) -> tuple[list[bytes], list[bytes]]:
        """Write the events of a message."""
        begun = {**_usage(scene), "output_tokens": 1}
        begun.pop("output_tokens_details")
        first = [_event("message_start", message={**_message(asked), "usage": begun})]
        blocks: list[tuple[_Json, list[_Json]]] = []
        if scene.thoughts:
            deltas = [{"type": "thinking_delta", "thinking": text} for text in scene.thoughts]
            deltas.append({"type": "signature_delta", "signature": "c2lnbmVk"})
            blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
        if scene.texts:
            deltas = [{"type": "text_delta", "text": text} for text in scene.texts]
            blocks.append(({"type": "text", "text": ""}, deltas))
        for at, call in _called(scene):
            pieces = ("", *call.pieces)
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            blocks.append(({**_call(at, call), "input": {}}, deltas))
        for index, (block, deltas) in enumerate(blocks):
            first.append(_event("content_block_start", index=index, content_block=block))
            first += [_event("ping")] if index == 0 else []
            first += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
            first.append(_event("content_block_stop", index=index))
        delta = {"stop_reason": REASONS[scene.stop], "stop_sequence": scene.stop_sequence}
        return first, [
            _event("message_delta", delta=delta, usage=_usage(scene)),
            _event("message_stop"),
        ]

    def failure(self, message: str, asked: Asked, sent: int) -> bytes:  # noqa: ARG002
        """Write the event of a failure."""
        return _event("error", error={"type": "overloaded_error", "message": message})

    def error(self, status: int, message: str) -> bytes:
        """Write the body of an error."""
        error = {"type": _KINDS.get(status, "api_error"), "message": message}
        body = {"type": "error", "error": error, "request_id": "req_standin"}
        return msgspec.json.encode(body)


def _event(kind: str, **members: Any) -> bytes:
    return sse({"type": kind, **members}, kind)


def _message(asked: Asked) -> _Json:
    return {
        "id": "msg_01standin",
        "type": "message",
        "role": "assistant",
        "model": f"{asked.model}-20260217",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _called(scene: Scene) -> list[tuple[int, Called]]:
    return list(enumerate(scene.calls))


def _call(at: int, call: Called) -> _Json:
    return {"type": "tool_use", "id": f"toolu_{at}x", "name": call.name}


def _usage(scene: Scene) -> _Json:
    used = scene.usage
    return {
        "input_tokens": used.input,
        "cache_creation_input_tokens": used.cache_write,
        "cache_read_input_tokens": used.cache_read,
        "output_tokens": used.output_total,
        "output_tokens_details": {"thinking_tokens": used.reasoning},
    }
