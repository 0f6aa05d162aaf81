"""Messages requests, read whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from entente.domain.chat import Call
from entente.domain.errors import MalformedJson
from entente.domain.inference import (
    CacheMark,
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
    Role,
    Sampling,
    Source,
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
from entente.wire.anthropic import form
from entente.wire.anthropic.decode import MALFORMED
from entente.wire.members import is_text

_T = TypeVar("_T")
_READ: Final = frozenset(form.MessagesForm.__struct_fields__) | {"model", "max_tokens", "stream"}
_EMPTY: Final = (b"null", b"false", b"{}", b"[]", b'""')
_MODES: Final = {
    "auto": ToolMode.AUTO,
    "any": ToolMode.REQUIRED,
    "tool": ToolMode.NAMED,
    "none": ToolMode.NONE,
}
_TIERS: Final = {"auto": "auto", "standard_only": "default"}
_ROLES: Final = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}

_decoder = msgspec.json.Decoder(form.MessagesForm)
_tool_decoder = msgspec.json.Decoder(form.Tool)
_source_decoder = msgspec.json.Decoder(form.Source)
_citations_decoder = msgspec.json.Decoder(form.Citations)
_format_decoder = msgspec.json.Decoder(form.Format)
_effort_decoder = msgspec.json.Decoder(str | None)
_content_decoder: Final[msgspec.json.Decoder[str | list[form.Block] | None]] = msgspec.json.Decoder(
    str | list[form.Block] | None
)


def read_request(call: Call) -> ChatRequest:
    """Read a call of this dialect. Raises InvalidParameter or MalformedJson."""
    if not is_text(call.body):
        raise MalformedJson(MALFORMED)
    asked = _read(_decoder, call.body, "")
    others = [
        name for name, raw in call.members.items() if name not in _READ and bytes(raw) not in _EMPTY
    ]
    messages = tuple(_messages(asked, others))
    choice = asked.tool_choice
    disabled = choice.disable_parallel_tool_use if choice else None
    return ChatRequest(
        model=call.model,
        messages=messages,
        tools=tuple(_tool(raw, f"tools.{at}", others) for at, raw in enumerate(asked.tools or ())),
        tool_choice=None if choice is None else _tool_choice(choice),
        parallel_tool_calls=None if disabled is None else not disabled,
        response_format=_format(asked),
        sampling=_sampling(asked, call),
        reasoning=_reasoning(asked, others),
        user=asked.metadata.user_id if asked.metadata else None,
        service_tier=_TIERS.get(asked.service_tier) if asked.service_tier else None,
        cache=_cache(asked),
        stream=call.stream,
        others=tuple(dict.fromkeys(others)),
    )


def _read(decoder: msgspec.json.Decoder[_T], data: bytes | Raw, path: str) -> _T:
    """Decode what stands at a place of the request."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise form.misfit(error, path) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None


def _sampling(asked: form.MessagesForm, call: Call) -> Sampling:
    for name in ("temperature", "top_p"):
        value = getattr(asked, name)
        if value is not None and not 0 <= value <= 1:
            raise form.invalid(name, "range: 0..1")
    return Sampling(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=tuple(asked.stop_sequences or ()),
        output_tokens_max=call.output_tokens_max,
    )


def _cache(marked: form.Block | form.Tool | form.MessagesForm) -> CacheMark | None:
    return None if marked.cache_control is None else marked.cache_control.mark


# ---- messages ----


def _messages(asked: form.MessagesForm, others: list[str]) -> Iterable[Message]:
    """Read the conversation; what tools gave is a message apart from what the user says."""
    if asked.system:
        yield Message(Role.SYSTEM, tuple(_parts(asked.system, "system", others)))
    for at, message in enumerate(asked.messages):
        role = _ROLES.get(message.role)
        if role is None:
            raise form.no_role(message.role)
        parts = tuple(_parts(message.content, f"messages.{at}.content", others))
        if role is Role.USER and any(isinstance(part, ToolResult) for part in parts):
            yield from _apart(parts)
        else:
            yield Message(role, parts)


def _apart(parts: tuple[Part, ...]) -> Iterable[Message]:
    """Cut what a user says where results of tools begin and end."""
    run: list[Part] = []
    results = False
    for part in parts:
        if run and isinstance(part, ToolResult) is not results:
            yield Message(Role.TOOL if results else Role.USER, tuple(run))
            run = []
        results = isinstance(part, ToolResult)
        run.append(part)
    yield Message(Role.TOOL if results else Role.USER, tuple(run))


def _parts(content: str | list[form.Block], path: str, others: list[str]) -> Iterable[Part]:
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for at, block in enumerate(content):
        part = _part(block, f"{path}.{at}", others)
        if part is not None:
            yield part


def _part(block: form.Block, path: str, others: list[str]) -> Part | None:
    """Read a block; None, and its name among the others, for a type that only Anthropic has."""
    path = f"{path}.{block.type}"
    part: Part | None = None
    match block.type:
        case "text":
            part = Text(_there(block.text, f"{path}.text"), _cache(block))
        case "image":
            part = Image(_source(block.source, path), cache=_cache(block))
        case "document":
            part = _document(block, path)
        case "tool_use":
            name = _there(block.name, f"{path}.name")
            call_id = _there(block.id, f"{path}.id")
            part = ToolCall(call_id, name, form.arguments(block), _cache(block))
        case "tool_result":
            part = _result(block, path, others)
        case "thinking":
            thought = _there(block.thinking, f"{path}.thinking")
            part = Thinking(thought, block.signature or None)
        case "redacted_thinking":
            part = RedactedThinking(_there(block.data, f"{path}.data"))
        case _:
            others.append(block.type)
    return part


def _there(value: str | None, path: str) -> str:
    """Give a member that has to be there."""
    if value is None:
        raise form.missing(path)
    return value


def _source(raw: Raw, path: str) -> Source:
    """Read where an image or a document is."""
    path = f"{path}.source"
    if bytes(raw) == form.NULL:
        raise form.missing(path)
    source = _read(_source_decoder, raw, path)
    path = f"{path}.{source.type}"
    match source.type:
        case "base64":
            data = _there(source.data, f"{path}.data")
            return Inline(_there(source.media_type, f"{path}.media_type"), data)
        case "url":
            return Link(_there(source.url, f"{path}.url"))
        case "file":
            return StoredFile(_there(source.file_id, f"{path}.file_id"))
        case "text":
            return PlainText(_there(source.data, f"{path}.data"))
        case _:
            what = "Input tag should be 'base64', 'url', 'file' or 'text'"
            raise form.invalid(path.rpartition(".")[0], what)


def _document(block: form.Block, path: str) -> Document:
    cited = bytes(block.citations) != form.NULL and (
        _read(_citations_decoder, block.citations, f"{path}.citations").enabled is True
    )
    return Document(
        source=_source(block.source, path),
        name=block.title,
        context=block.context,
        citations=cited,
        cache=_cache(block),
    )


def _result(block: form.Block, path: str, others: list[str]) -> ToolResult:
    content = _read(_content_decoder, block.content, f"{path}.content") or ""
    parts = [
        part
        for part in _parts(content, f"{path}.content", others)
        if isinstance(part, Text | Image | Document)
    ]
    return ToolResult(
        call_id=_there(block.tool_use_id, f"{path}.tool_use_id"),
        parts=tuple(parts),
        failed=block.is_error is True,
        cache=_cache(block),
    )


# ---- parameters ----


def _tool(raw: Raw, path: str, others: list[str]) -> Tool | VendorTool:
    """Read a tool; one that the client does not run stays as it is."""
    tool = _read(_tool_decoder, raw, path)
    if tool.type not in (None, "custom"):
        return VendorTool(tool.type or "", bytes(raw))
    if tool.defer_loading:
        others.append("tools.defer_loading")
    others.extend(
        f"tools.{name}"
        for name in ("allowed_callers", "input_examples")
        if bytes(getattr(tool, name)) not in (*_EMPTY, b'["direct"]')
    )
    schema = bytes(tool.input_schema)
    if schema == form.NULL:
        raise form.missing(f"{path}.custom.input_schema")
    return Tool(
        name=_there(tool.name, f"{path}.custom.name"),
        description=tool.description,
        schema=schema,
        strict=tool.strict,
        cache=_cache(tool),
    )


def _tool_choice(choice: form.ToolChoice) -> ToolChoice:
    if choice.type == "tool":
        return ToolChoice(ToolMode.NAMED, _there(choice.name, "tool_choice.tool.name"))
    return ToolChoice(_MODES[choice.type])


def _format(asked: form.MessagesForm) -> JsonSchema | None:
    """Read the form of the answer. The vendor always keeps to it strictly."""
    raw = (asked.output_config or {}).get("format")
    found = asked.output_format
    if raw is not None and bytes(raw) != form.NULL:
        found = _read(_format_decoder, raw, "output_config.format")
    return None if found is None else JsonSchema(bytes(found.schema), strict=True)


def _reasoning(asked: form.MessagesForm, others: list[str]) -> Reasoning | None:
    config = asked.output_config or {}
    others.extend(f"output_config.{name}" for name in config if name not in ("effort", "format"))
    raw = config.get("effort")
    effort = None if raw is None else _read(_effort_decoder, raw, "output_config.effort")
    thinking = asked.thinking
    if thinking is None:
        return None if effort is None else Reasoning(effort=effort)
    if thinking.type == "enabled" and thinking.budget_tokens is None:
        raise form.missing("thinking.enabled.budget_tokens")
    if thinking.display == "omitted":
        others.append("thinking.display")
    return Reasoning(
        enabled=thinking.type != "disabled",
        effort=effort,
        budget_tokens=thinking.budget_tokens if thinking.type == "enabled" else None,
    )
