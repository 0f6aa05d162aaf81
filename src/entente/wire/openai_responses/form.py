"""The form of a Responses request, for msgspec, read member by member in OpenAI's order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, get_args, get_type_hints

import msgspec
from msgspec import Raw

from entente.domain.errors import InvalidParameter, MalformedJson
from entente.wire.openai_responses import faults
from entente.wire.openai_responses.shapes import SHAPES
from entente.wire.parameters import MALFORMED

NULL: Final = b"null"
METADATA_ENTRIES_MAX: Final = 16
METADATA_KEY_CHARS_MAX: Final = 64
METADATA_VALUE_CHARS_MAX: Final = 512
IDENTIFIER_CHARS_MAX: Final = 64
ROLES: Final = ("assistant", "system", "developer", "user")
OUTPUT_TOKENS_MIN: Final = 16
"""The API takes no smaller bound on output tokens."""
OUTPUT_TOKENS_MAX: Final = 2**31 - 1

_NULL: Final = Raw(NULL)

# ---- items ----


class InputAudio(msgspec.Struct):
    """Sound, base64."""

    data: str
    format: str


class Part(msgspec.Struct):
    """A part of a message's content, of any type."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    filename: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    input_audio: InputAudio | None = None
    prompt_cache_breakpoint: Raw = _NULL


class ItemKind(msgspec.Struct):
    """What an item is. A message may leave out its type, a reference has nothing but an id."""

    type: str | None = None
    role: str | None = None
    id: str | None = None


class MessageItem(msgspec.Struct):
    """Somebody speaks."""

    content: str | list[Part]


class CallItem(msgspec.Struct):
    """The model called a function."""

    call_id: str
    name: str
    arguments: str


class CustomCallItem(msgspec.Struct):
    """The model called a custom tool: plain text in place of JSON."""

    call_id: str
    name: str
    input: str


class ResultItem(msgspec.Struct):
    """What a function or a custom tool gave."""

    call_id: str
    output: str | list[Part]


class ReasoningItem(msgspec.Struct):
    """What the model thought: a summary or the thought itself, and the thought encrypted."""

    summary: list[Part] = []
    content: list[Part] | None = None
    encrypted_content: str | None = None
    id: str | None = None


class _TextPart(msgspec.Struct, forbid_unknown_fields=True):
    """A part of content that is text, whoever says it."""

    type: str
    text: str | None = None
    refusal: str | None = None
    annotations: Raw = _NULL
    logprobs: Raw = _NULL
    prompt_cache_breakpoint: Raw = _NULL


class TextItem(msgspec.Struct, forbid_unknown_fields=True):
    """An item that has no more than texts in it: a message, a call, a result, a thought."""

    type: str | None = None
    role: str | None = None
    content: str | list[_TextPart] | None = None
    id: str | None = None
    status: str | None = None
    phase: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[_TextPart] | None = None
    summary: list[_TextPart] | None = None
    encrypted_content: str | None = None


texts_decoder: Final = msgspec.json.Decoder(list[TextItem])
"""Reads an input of nothing but texts, and no other."""

# ---- parameters ----


class ToolKind(msgspec.Struct):
    """What a tool is."""

    type: str


class FunctionTool(msgspec.Struct):
    """A function that the client runs."""

    name: str
    description: str | None = None
    parameters: Raw = _NULL
    strict: bool | None = None


class AllowedTool(msgspec.Struct):
    """A tool that may be called; hosted tools have no name."""

    name: str | None = None


class ToolChoice(msgspec.Struct):
    """Which tools the model may or must call."""

    type: str
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[AllowedTool] | None = None


class Format(msgspec.Struct):
    """The form that the answer has to have."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: Raw = _NULL
    strict: bool | None = None


class TextOptions(msgspec.Struct):
    """How the answer's text has to be."""

    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(msgspec.Struct):
    """How much the model thinks."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    mode: str | None = None
    context: str | None = None


class ConversationId(msgspec.Struct):
    """A conversation by its id, in the longer form."""

    id: str


class Prompt(msgspec.Struct):
    """A template that the vendor keeps."""

    id: str


Include = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]

INCLUDES: Final[tuple[str, ...]] = get_args(Include)


class ResponsesForm(msgspec.Struct):
    """The parameters beside `model` and `input`, in the order in which OpenAI checks them."""

    moderation: dict[str, Raw] | None = None
    prompt: Prompt | None = None
    include: list[Include] | None = None
    tools: list[Raw] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    metadata: dict[str, str] | None = None
    text: TextOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: dict[str, Raw] | None = None
    background: bool | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    reasoning: ReasoningOptions | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_options: dict[str, Raw] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    instructions: str | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default", "fast", "flex", "priority"] | None = None
    top_logprobs: int | None = None
    context_management: list[dict[str, Raw]] | None = None
    conversation: str | ConversationId | None = None
    previous_response_id: str | None = None


NAMES: Final = ("model", "input", *ResponsesForm.__struct_fields__)
"""Every parameter that the API knows."""
_BOUNDS: Final[Mapping[str, tuple[float, float | None]]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "max_output_tokens": (OUTPUT_TOKENS_MIN, OUTPUT_TOKENS_MAX),
    "max_tool_calls": (1, None),
    "top_logprobs": (0, 20),
}
_decoders: Final = {
    name: msgspec.json.Decoder(hint) for name, hint in get_type_hints(ResponsesForm).items()
}
_PLACES: Final = {name: place for place, name in enumerate(_decoders)}
"""Of each parameter in OpenAI's order."""


def read(
    members: Mapping[str, Raw], names: Iterable[str] | None = None, *, strict: bool = False
) -> ResponsesForm:
    """Read the parameters, or only those with these names, in OpenAI's order or in that of these.

    `strict` refuses unknown members inside of them, too; those of tools are left to who reads
    these, because what a tool lacks is told first. Raises InvalidParameter or
    MalformedJson.
    """
    values: dict[str, Any] = {}
    if names is None:
        names = sorted(_PLACES.keys() & members.keys(), key=_PLACES.__getitem__)
    for name in names:
        raw = members.get(name)
        if raw is None or bytes(raw) == NULL:
            continue
        values[name] = decoded = _decode(_decoders[name], raw, name)
        if strict and name in SHAPES and name != "tools":
            faults.check_inside(name, raw, SHAPES[name])
        _check(name, decoded)
    return ResponsesForm(**values)


def _decode(decoder: msgspec.json.Decoder[Any], raw: Raw, name: str) -> Any:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise faults.invalid(error, name) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None


def _check(name: str, value: Any) -> None:
    """Refuse a value out of its bounds."""
    if name in _BOUNDS:
        least, most = _BOUNDS[name]
        if value < least or (most is not None and value > most):
            raise faults.out_of_bounds(name, value, least, most)
    elif name == "metadata":
        check_metadata(value)
    elif name == "safety_identifier" and len(value) > IDENTIFIER_CHARS_MAX:
        raise faults.too_long(name, len(value), IDENTIFIER_CHARS_MAX)


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Refuse metadata beyond its bounds."""
    if len(metadata) > METADATA_ENTRIES_MAX:
        message = (
            f"Invalid 'metadata': too many properties. Expected an object with at most "
            f"{METADATA_ENTRIES_MAX} properties, but got an object with {len(metadata)} "
            "properties instead."
        )
        raise InvalidParameter(message, param="metadata", code="object_above_max_properties")
    for key, value in metadata.items():
        if len(key) > METADATA_KEY_CHARS_MAX:
            message = (
                "Invalid 'metadata': property name too long. Expected a property name with "
                f"maximum length {METADATA_KEY_CHARS_MAX}, but got one with length {len(key)} "
                "instead."
            )
            code = "property_name_above_max_length"
            raise InvalidParameter(message, param="metadata", code=code)
        if len(value) > METADATA_VALUE_CHARS_MAX:
            raise faults.too_long(f"metadata.{key}", len(value), METADATA_VALUE_CHARS_MAX)
