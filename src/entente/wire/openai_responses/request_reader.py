"""Responses requests, read whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from entente.domain.chat import Call
from entente.domain.errors import InvalidParameter, MalformedJson
from entente.domain.inference import (
    Audio,
    CacheMark,
    ChatRequest,
    Document,
    Image,
    JsonObject,
    JsonSchema,
    Link,
    Message,
    Part,
    Reasoning,
    RedactedThinking,
    Refusal,
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
from entente.wire import openai_media
from entente.wire.members import is_text
from entente.wire.openai_responses import faults, form, thoughts
from entente.wire.openai_responses.decode import FUNCTION_TYPES, input_items, not_kept
from entente.wire.openai_responses.shapes import SHAPES
from entente.wire.parameters import MALFORMED

NO_EFFORT: Final = "none"
LOGPROBS: Final = "message.output_text.logprobs"

_T = TypeVar("_T")
_EMPTY: Final = (b"null", b"false", b"{}", b"[]", b'""')
_WITHOUT_A_PLACE: Final = (
    "context_management",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
)
_READ: Final = frozenset(form.NAMES) - frozenset(_WITHOUT_A_PLACE)
_ROLES: Final = {
    "user": Role.USER,
    "system": Role.SYSTEM,
    "developer": Role.DEVELOPER,
    "assistant": Role.ASSISTANT,
}
_SAID: Final = ("output_text", "refusal")
_SHOWN: Final = ("input_text", "input_image", "input_file", "scoped_content", "input_audio")
_REFERENCE: Final = "item_reference"
_GIVEN: Final = ("input_text", "input_image", "input_file")
_PARTS: Final = (
    "input_text",
    "input_image",
    "input_audio",
    "output_text",
    "refusal",
    "input_file",
    "computer_screenshot",
    "summary_text",
    "encrypted_content",
)

_kind_decoder = msgspec.json.Decoder(form.ItemKind)
_message_decoder = msgspec.json.Decoder(form.MessageItem)
_call_decoder = msgspec.json.Decoder(form.CallItem)
_custom_call_decoder = msgspec.json.Decoder(form.CustomCallItem)
_result_decoder = msgspec.json.Decoder(form.ResultItem)
_reasoning_decoder = msgspec.json.Decoder(form.ReasoningItem)
_tool_kind_decoder = msgspec.json.Decoder(form.ToolKind)
_function_decoder = msgspec.json.Decoder(form.FunctionTool)


def read_request(call: Call) -> ChatRequest:
    """Read a call of this dialect. Raises InvalidParameter or MalformedJson."""
    if not is_text(call.body):
        raise MalformedJson(MALFORMED)
    others: list[str] = []
    said = list(_messages(input_items(call), others))
    asked = form.read(call.members)
    _note_others(call, asked, others)
    if asked.instructions:
        said.insert(0, Message(Role.SYSTEM, (Text(asked.instructions),)))
    return ChatRequest(
        model=call.model,
        messages=tuple(said),
        tools=tuple(_tool(raw, f"tools[{at}]") for at, raw in enumerate(asked.tools or ())),
        tool_choice=_tool_choice(asked.tool_choice, others),
        parallel_tool_calls=asked.parallel_tool_calls,
        response_format=_format(asked.text),
        sampling=_sampling(asked),
        reasoning=_reasoning(asked.reasoning),
        verbosity=asked.text.verbosity if asked.text else None,
        user=asked.safety_identifier or asked.user,
        service_tier=asked.service_tier,
        stream=call.stream,
        others=tuple(dict.fromkeys(others)),
    )


def check_items(items: Iterable[Raw], *, with_store: bool) -> None:
    """Refuse items that are none. Those of types that only OpenAI has are not looked into.

    With a store of responses an item may stand by its id; whether it is there, the store says.
    """
    for at, raw in enumerate(items):
        if not (with_store and _is_reference(raw)):
            _item(raw, f"input[{at}]", [])
        faults.check_inside(f"input[{at}]", raw, SHAPES["input"])


def check_tools(tools: Raw) -> None:
    """Refuse what is unknown inside of tools that have all that they need."""
    faults.check_inside("tools", tools, SHAPES["tools"])


def _is_reference(raw: Raw) -> bool:
    try:
        kind = _kind_decoder.decode(raw)
    except msgspec.ValidationError:
        return False
    return kind.type == _REFERENCE or (kind.type is None and kind.role is None and bool(kind.id))


def _note_others(call: Call, asked: form.ResponsesForm, others: list[str]) -> None:
    """Name what the client asked for and the canonical form has no place for."""
    others += (
        name for name, raw in call.members.items() if name not in _READ and bytes(raw) not in _EMPTY
    )
    if asked.truncation == "auto":
        others.append("truncation")
    if asked.reasoning is not None:
        others += (
            f"reasoning.{name}"
            for name, neutral in (("mode", "standard"), ("context", "auto"))
            if getattr(asked.reasoning, name) not in (None, neutral)
        )


def _sampling(asked: form.ResponsesForm) -> Sampling:
    return Sampling(
        temperature=asked.temperature,
        top_p=asked.top_p,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
        output_tokens_max=asked.max_output_tokens,
        logprobs=LOGPROBS in (asked.include or ()) or bool(asked.top_logprobs),
        top_logprobs=asked.top_logprobs,
    )


def _read(decoder: msgspec.json.Decoder[_T], data: Raw, path: str) -> _T:
    """Decode what stands at a place of the request."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise faults.invalid(error, path) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None


# ---- items ----


def _messages(items: Iterable[Raw], others: list[str]) -> Iterator[Message]:
    """Read the conversation: items of the model in a row are one message, so are results."""
    read = (_item(raw, f"input[{at}]", others) for at, raw in enumerate(items))
    found = (item for item in read if item is not None)
    for role, group in groupby(found, lambda item: item.role):
        if role in (Role.ASSISTANT, Role.TOOL):
            yield Message(role, tuple(part for item in group for part in item.parts))
        else:
            yield from group


def _item(raw: Raw, path: str, others: list[str]) -> Message | None:
    """Read an item; None, and its type among the others, for one that only OpenAI has."""
    try:
        kind = _kind_decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _no_item(error, path) from None
    name = kind.type or ("item_reference" if kind.id and not kind.role else "message")
    match name:
        case "message":
            return _message(raw, kind.role, path)
        case "function_call":
            called = _read(_call_decoder, raw, path)
            return _by_model(ToolCall(called.call_id, called.name, called.arguments))
        case "function_call_output" | "custom_tool_call_output":
            result = _read(_result_decoder, raw, path)
            parts = tuple(_content(result.output, f"{path}.output", _GIVEN))
            given = tuple(part for part in parts if isinstance(part, Text | Image | Document))
            return Message(Role.TOOL, (ToolResult(result.call_id, given),))
        case "reasoning":
            thought = _thought(_read(_reasoning_decoder, raw, path))
            return None if thought is None else _by_model(thought)
        case "custom_tool_call":
            custom = _read(_custom_call_decoder, raw, path)
            arguments = msgspec.json.encode({"input": custom.input}).decode()
            return _by_model(ToolCall(custom.call_id, custom.name, arguments))
        case "item_reference":
            raise not_kept(kind.id)
        case _:
            others.append(name)
            return None


def _no_item(error: msgspec.ValidationError, path: str) -> InvalidParameter:
    """Say that what stands in the place of an item is none."""
    fault = faults.invalid(error, path)
    if fault.param == path:
        got = fault.message.rpartition("but got ")[2].removesuffix(" instead.")
        return faults.wrong_type(path, "an input item", got)
    return fault


def _by_model(part: Part) -> Message:
    return Message(Role.ASSISTANT, (part,))


def _message(raw: Raw, role: str | None, path: str) -> Message:
    if role not in _ROLES:
        raise faults.wrong_value(path, role or "", form.ROLES)
    content = _read(_message_decoder, raw, path).content
    wanted = _SAID if role == "assistant" else _SHOWN
    return Message(_ROLES[role], tuple(_content(content, f"{path}.content", wanted)))


def _thought(item: form.ReasoningItem) -> Thinking | RedactedThinking | None:
    shown = item.summary or item.content or ()
    text = thoughts.PART_SEPARATOR.join(part.text for part in shown if part.text)
    return thoughts.by_client(item.id or "", text, item.encrypted_content)


# ---- content ----


def _content(content: str | list[form.Part], path: str, wanted: tuple[str, ...]) -> Iterable[Part]:
    """Read content; an empty text is none."""
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for at, part in enumerate(content):
        yield _part(part, f"{path}[{at}]", wanted)


def _part(part: form.Part, path: str, wanted: tuple[str, ...]) -> Part:
    if part.type not in _PARTS:
        raise faults.wrong_value(f"{path}.type", part.type, _PARTS)
    if part.type not in wanted:
        raise faults.wrong_value(path, part.type, wanted)
    cache = None if bytes(part.prompt_cache_breakpoint) == form.NULL else CacheMark.DEFAULT
    match part.type:
        case "input_text" | "output_text":
            return Text(_there(part.text, f"{path}.text"), cache)
        case "refusal":
            return Refusal(_there(part.refusal, f"{path}.refusal"))
        case "input_image":
            detail = None if part.detail == "auto" else part.detail
            return Image(_image_source(part, path), detail, cache)
        case "input_file":
            return Document(_file_source(part, path), part.filename, cache=cache)
        case _:
            if part.input_audio is None:
                raise faults.missing(f"{path}.input_audio")
            return Audio(part.input_audio.data, part.input_audio.format)


def _there(value: str | None, path: str) -> str:
    """Give a member that has to be there."""
    if value is None:
        raise faults.missing(path)
    return value


def _image_source(part: form.Part, path: str) -> Source:
    """Tell an upload, an address and an image in a data URL apart."""
    if part.file_id is not None and part.image_url is None:
        return StoredFile(part.file_id)
    name = f"{path}.image_url"
    return openai_media.image(_there(part.image_url, name), name)


def _file_source(part: form.Part, path: str) -> Source:
    """Tell an upload, an address and a document in the request apart."""
    if part.file_id is not None:
        return StoredFile(part.file_id)
    if part.file_url is not None:
        return Link(part.file_url)
    name = f"{path}.file_data"
    return openai_media.document(_there(part.file_data, name), name)


# ---- parameters ----


def _tool(raw: Raw, path: str) -> Tool | VendorTool:
    """Read a tool; one that is no function stays as it is."""
    kind = _read(_tool_kind_decoder, raw, path)
    if kind.type != "function":
        return VendorTool(kind.type, bytes(raw))
    function = _read(_function_decoder, raw, path)
    schema = bytes(function.parameters)
    return Tool(
        name=function.name,
        description=function.description,
        schema=None if schema == form.NULL else schema,
        strict=function.strict,
    )


def _tool_choice(choice: str | form.ToolChoice | None, others: list[str]) -> ToolChoice | None:
    """Read which tools may be called. One that the vendor runs has no place in it."""
    if choice is None or isinstance(choice, str):
        return ToolChoice(ToolMode(choice)) if choice else None
    if choice.type == "allowed_tools":
        if choice.tools is None or choice.mode is None:
            raise faults.missing(f"tool_choice.{'mode' if choice.mode is None else 'tools'}")
        names = tuple(tool.name for tool in choice.tools if tool.name is not None)
        if len(names) < len(choice.tools):
            others.append("tool_choice")
        return ToolChoice(ToolMode(choice.mode), allowed=names)
    if choice.type in FUNCTION_TYPES:
        return ToolChoice(ToolMode.NAMED, _there(choice.name, "tool_choice.name"))
    others.append("tool_choice")
    return None


def _format(text: form.TextOptions | None) -> JsonObject | JsonSchema | None:
    """Read the form of the answer; text is None."""
    asked = text.format if text else None
    if asked is None or asked.type == "text":
        return None
    if asked.type == "json_object":
        return JsonObject()
    name = _there(asked.name, "text.format.name")
    schema = bytes(asked.schema)
    if schema == form.NULL:
        raise faults.missing("text.format.schema")
    return JsonSchema(schema, name, asked.description, asked.strict)


def _reasoning(asked: form.ReasoningOptions | None) -> Reasoning | None:
    if asked is None or (asked.effort is None and asked.summary is None):
        return None
    if asked.effort is None:
        return Reasoning(summary=asked.summary)
    if asked.effort == NO_EFFORT:
        return Reasoning(enabled=False, summary=asked.summary)
    return Reasoning(enabled=True, effort=asked.effort, summary=asked.summary)
