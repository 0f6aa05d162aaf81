"""Chat completion requests, read whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

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
    Message,
    Part,
    Reasoning,
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
from entente.wire.openai_chat import form
from entente.wire.parameters import MALFORMED

NO_EFFORT: Final = "none"

_decoder = msgspec.json.Decoder(form.ChatForm)
_tool_decoder = msgspec.json.Decoder(form.ToolDefinition)

_READ: Final = frozenset(form.ChatForm.__struct_fields__) | {
    "model",
    "stream",
    "stream_options",
    "n",
}
_EMPTY: Final = (b"null", b"false", b"{}", b"[]", b'""')
_NEUTRAL: Final[Mapping[str, tuple[bytes, ...]]] = {"modalities": (b'["text"]',)}
"""Values that ask for nothing beyond the default."""

_BOUNDS: Final = (
    ("temperature", 0, 2),
    ("top_p", 0, 1),
    ("frequency_penalty", -2, 2),
    ("presence_penalty", -2, 2),
    ("top_logprobs", 0, 20),
)
_ROLES: Final = {form.SystemForm: Role.SYSTEM, form.DeveloperForm: Role.DEVELOPER}


def read_request(call: Call) -> ChatRequest:
    """Read a call of this dialect. Raises InvalidParameter or MalformedJson."""
    if not is_text(call.body):
        raise MalformedJson(MALFORMED)
    try:
        asked = _decoder.decode(call.body)
    except msgspec.ValidationError as error:
        raise form.invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None
    _check_bounds(asked)
    return ChatRequest(
        model=call.model,
        messages=tuple(_messages(asked.messages)),
        tools=tuple(_tool(raw, at) for at, raw in enumerate(asked.tools or ())),
        tool_choice=_tool_choice(asked.tool_choice),
        parallel_tool_calls=asked.parallel_tool_calls,
        response_format=_format(asked.response_format),
        sampling=_sampling(asked, call),
        reasoning=_reasoning(asked.reasoning_effort),
        verbosity=asked.verbosity,
        user=asked.safety_identifier or asked.user,
        service_tier=asked.service_tier,
        stream=call.stream,
        others=_others(call, asked),
    )


def _check_bounds(asked: form.ChatForm) -> None:
    """Refuse numbers out of range, as OpenAI does."""
    for name, least, most in _BOUNDS:
        value = getattr(asked, name)
        if value is None or least <= value <= most:
            continue
        kind = "integer" if isinstance(value, int) else "decimal"
        side, sign, limit = ("below minimum", ">=", least)
        if value > most:
            side, sign, limit = ("above maximum", "<=", most)
        message = (
            f"Invalid '{name}': {kind} {side} value. "
            f"Expected a value {sign} {limit}, but got {value} instead."
        )
        code = f"{kind}_{'above_max' if value > most else 'below_min'}_value"
        raise InvalidParameter(message, param=name, code=code)


def _sampling(asked: form.ChatForm, call: Call) -> Sampling:
    """Gather how tokens are drawn."""
    stop = asked.stop
    return Sampling(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        seed=asked.seed,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
        stop=() if stop is None else (stop,) if isinstance(stop, str) else tuple(stop),
        output_tokens_max=call.output_tokens_max,
        choices=call.choices,
        logprobs=asked.logprobs is True,
        top_logprobs=asked.top_logprobs,
    )


def _others(call: Call, asked: form.ChatForm) -> tuple[str, ...]:
    """Name what the client asked for and the canonical form has no place for."""
    names = [
        name
        for name, raw in call.members.items()
        if name not in _READ and bytes(raw) not in (*_EMPTY, *_NEUTRAL.get(name, ()))
    ]
    for message in asked.messages:
        match message:
            case form.FunctionForm():
                names.append("function")
            case form.AssistantForm() if bytes(message.function_call) != b"null":
                names.append("function_call")
            case form.AssistantForm() if bytes(message.audio) != b"null":
                names.append("audio")
            case _:
                pass
    return tuple(dict.fromkeys(names))


# ---- messages ----


def _messages(messages: Iterable[form.MessageForm]) -> Iterable[Message]:
    """Read the conversation; tool messages in a row are one message."""
    results: list[ToolResult] = []
    for at, message in enumerate(messages):
        if isinstance(message, form.ToolForm):
            parts = tuple(_text(part) for part in _listed(message.content))
            results.append(ToolResult(call_id=message.tool_call_id, parts=parts))
            continue
        if results:
            yield Message(Role.TOOL, tuple(results))
            results = []
        match message:
            case form.SystemForm() | form.DeveloperForm():
                parts = tuple(_text(part) for part in _listed(message.content))
                yield Message(_ROLES[type(message)], parts, message.name)
            case form.UserForm():
                yield Message(Role.USER, tuple(_user_parts(message, at)), message.name)
            case form.AssistantForm():
                yield Message(Role.ASSISTANT, tuple(_assistant_parts(message)), message.name)
            case _:
                pass  # `_others` names it
    if results:
        yield Message(Role.TOOL, tuple(results))


def _listed(content: str | list[form.TextPart]) -> list[form.TextPart]:
    """Give content in its long form; an empty text is none."""
    if isinstance(content, str):
        return [form.TextPart(text=content)] if content else []
    return content


def _text(part: form.TextPart) -> Text:
    return Text(part.text, _cache(part))


def _cache(part: form.PartForm) -> CacheMark | None:
    """Read a part's mark of the cache."""
    if part.cache_control is not None:
        ttl = part.cache_control.ttl
        return CacheMark(ttl) if ttl in ("5m", "1h") else CacheMark.DEFAULT
    return None if bytes(part.prompt_cache_breakpoint) == b"null" else CacheMark.DEFAULT


def _user_parts(message: form.UserForm, at: int) -> Iterable[Part]:
    content = message.content
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for number, part in enumerate(content):
        match part:
            case form.TextPart():
                yield _text(part)
            case form.RefusalPart():
                yield Refusal(part.refusal)
            case form.AudioPart():
                yield Audio(part.input_audio.data, part.input_audio.format)
            case form.ImagePart():
                path = f"messages[{at}].content[{number}].image_url.url"
                source = openai_media.image(part.image_url.url, path)
                yield Image(source, part.image_url.detail, _cache(part))
            case form.FilePart():
                path = f"messages[{at}].content[{number}].file"
                source = _file_source(part.file, path)
                yield Document(source, part.file.filename, cache=_cache(part))


def _file_source(file: form.File, path: str) -> Source:
    """Tell an upload from a document in the request."""
    if file.file_id is not None:
        return StoredFile(file.file_id)
    if file.file_data is None:
        message = f"Missing required parameter: '{path}.file_id'."
        raise InvalidParameter(message, param=f"{path}.file_id", code="missing_required_parameter")
    return openai_media.document(file.file_data, f"{path}.file_data")


def _assistant_parts(message: form.AssistantForm) -> Iterable[Part]:
    """Read an earlier answer, in the order in which a model gives it."""
    if thought := message.reasoning_content or message.reasoning:
        yield Thinking(thought)
    content = message.content or ()
    for part in [form.TextPart(text=content)] if isinstance(content, str) else content:
        yield Refusal(part.refusal) if isinstance(part, form.RefusalPart) else _text(part)
    if message.refusal:
        yield Refusal(message.refusal)
    for call in message.tool_calls or ():
        if call.function is not None:
            yield ToolCall(call.id, call.function.name, call.function.arguments)
        elif call.custom is not None:
            arguments = msgspec.json.encode({"input": call.custom.input}).decode()
            yield ToolCall(call.id, call.custom.name, arguments)


# ---- parameters ----


def _tool(raw: Raw, at: int) -> Tool | VendorTool:
    """Read a tool; one that is no function stays as it is."""
    try:
        tool = _tool_decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise form.invalid(error, f"tools[{at}]") from None
    if tool.type != "function":
        return VendorTool(tool.type, bytes(raw))
    if tool.function is None:
        name = f"tools[{at}].function"
        message = f"Missing required parameter: '{name}'."
        raise InvalidParameter(message, param=name, code="missing_required_parameter")
    function = tool.function
    cache = None
    if tool.cache_control is not None:
        ttl = tool.cache_control.ttl
        cache = CacheMark(ttl) if ttl in ("5m", "1h") else CacheMark.DEFAULT
    return Tool(
        name=function.name,
        description=function.description,
        schema=_json(function.parameters),
        strict=function.strict,
        cache=cache,
    )


def _json(raw: Raw) -> bytes | None:
    """Keep JSON as it is written; None for null."""
    data = bytes(raw)
    return None if data == b"null" else data


def _tool_choice(choice: str | form.ChoiceForm | None) -> ToolChoice | None:
    if choice is None or isinstance(choice, str):
        return ToolChoice(ToolMode(choice)) if choice else None
    if choice.allowed_tools is not None:
        names = [tool.function.name for tool in choice.allowed_tools.tools if tool.function]
        return ToolChoice(ToolMode(choice.allowed_tools.mode), allowed=tuple(names))
    named = choice.function or choice.custom
    if named is None:
        message = f"Invalid value: '{choice.type}'. Supported values are: 'function'."
        raise InvalidParameter(message, param="tool_choice.type", code="invalid_value")
    return ToolChoice(ToolMode.NAMED, named.name)


def _format(asked: form.FormatForm | None) -> JsonObject | JsonSchema | None:
    """Read the form of the answer; text is None."""
    if asked is None or asked.type == "text":
        return None
    if asked.type == "json_object":
        return JsonObject()
    if asked.json_schema is None:
        name = "response_format.json_schema"
        message = f"Missing required parameter: '{name}'."
        raise InvalidParameter(message, param=name, code="missing_required_parameter")
    schema = asked.json_schema
    return JsonSchema(
        schema=_json(schema.schema) or b"{}",
        name=schema.name,
        description=schema.description,
        strict=schema.strict,
    )


def _reasoning(effort: str | None) -> Reasoning | None:
    if effort is None:
        return None
    if effort == NO_EFFORT:
        return Reasoning(enabled=False)
    return Reasoning(enabled=True, effort=effort)
