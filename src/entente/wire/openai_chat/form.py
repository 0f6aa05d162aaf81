"""The form of a chat completion request, for msgspec, and its errors in OpenAI's words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Raw

from entente.domain.errors import InvalidParameter

_NULL: Final = Raw(b"null")

# ---- content ----


class CacheControl(msgspec.Struct):
    """Anthropic's mark, which gateways take in this dialect too."""

    ttl: str | None = None


class _Part(msgspec.Struct, kw_only=True, tag_field="type"):
    prompt_cache_breakpoint: Raw = _NULL
    cache_control: CacheControl | None = None


class TextPart(_Part, kw_only=True, tag="text"):
    """Text."""

    text: str


class RefusalPart(_Part, kw_only=True, tag="refusal"):
    """Words of refusing."""

    refusal: str


class ImageUrl(msgspec.Struct):
    """Where an image is: an address, or itself in a data URL."""

    url: str
    detail: str | None = None


class ImagePart(_Part, kw_only=True, tag="image_url"):
    """An image."""

    image_url: ImageUrl


class InputAudio(msgspec.Struct):
    """Sound, base64."""

    data: str
    format: str


class AudioPart(_Part, kw_only=True, tag="input_audio"):
    """Sound."""

    input_audio: InputAudio


class File(msgspec.Struct):
    """A document: its data, or the id of an upload."""

    filename: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class FilePart(_Part, kw_only=True, tag="file"):
    """A document."""

    file: File


PartForm: TypeAlias = TextPart | RefusalPart | ImagePart | AudioPart | FilePart

# ---- messages ----


class Function(msgspec.Struct):
    """The call of a function."""

    name: str
    arguments: str = ""


class CustomCall(msgspec.Struct):
    """The call of a custom tool: plain text in place of JSON."""

    name: str
    input: str = ""


class CallForm(msgspec.Struct):
    """A call in an earlier answer."""

    id: str
    function: Function | None = None
    custom: CustomCall | None = None


class _Message(msgspec.Struct, kw_only=True, tag_field="role"):
    name: str | None = None


class SystemForm(_Message, kw_only=True, tag="system"):
    """The operator speaks."""

    content: str | list[TextPart]


class DeveloperForm(_Message, kw_only=True, tag="developer"):
    """The operator speaks, in the newer word."""

    content: str | list[TextPart]


class UserForm(_Message, kw_only=True, tag="user"):
    """The user speaks."""

    content: str | list[PartForm]


class AssistantForm(_Message, kw_only=True, tag="assistant"):
    """The model spoke."""

    content: str | list[TextPart | RefusalPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallForm] | None = None
    function_call: Raw = _NULL
    audio: Raw = _NULL


class ToolForm(_Message, kw_only=True, tag="tool"):
    """A tool answers."""

    content: str | list[TextPart]
    tool_call_id: str


class FunctionForm(_Message, kw_only=True, tag="function"):
    """A function answers, in the form from before there were tools."""

    content: str | None = None


MessageForm: TypeAlias = (
    SystemForm | DeveloperForm | UserForm | AssistantForm | ToolForm | FunctionForm
)

# ---- parameters ----


class FunctionTool(msgspec.Struct):
    """What a function is."""

    name: str
    description: str | None = None
    parameters: Raw = _NULL
    strict: bool | None = None


class ToolDefinition(msgspec.Struct):
    """A tool of any type; only functions are read further."""

    type: str
    function: FunctionTool | None = None
    cache_control: CacheControl | None = None


class Named(msgspec.Struct):
    """Something by its name."""

    name: str


class AllowedTool(msgspec.Struct):
    """A tool that may be called."""

    function: Named | None = None


class AllowedTools(msgspec.Struct):
    """The tools that may be called."""

    mode: Literal["auto", "required"]
    tools: list[AllowedTool]


class ChoiceForm(msgspec.Struct):
    """Which tools the model may or must call."""

    type: str
    function: Named | None = None
    custom: Named | None = None
    allowed_tools: AllowedTools | None = None


class SchemaForm(msgspec.Struct):
    """A JSON schema with its name."""

    name: str
    description: str | None = None
    schema: Raw = _NULL
    strict: bool | None = None


class FormatForm(msgspec.Struct):
    """The form that the answer has to have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaForm | None = None


class ChatForm(msgspec.Struct):
    """The parameters that have a canonical place. `Call` has read the rest."""

    messages: list[MessageForm]
    tools: list[Raw] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChoiceForm | None = None
    parallel_tool_calls: bool | None = None
    response_format: FormatForm | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None


# ---- errors ----

_AT: Final = re.compile(
    r"^(?P<what>.*?)(?: - at `(?P<key>key in )?\$?\.?(?P<path>.*)`)?$", re.DOTALL
)
_EXPECTED: Final = re.compile(r"^Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`$")
_MISSING: Final = re.compile(r"^Object missing required field `(?P<name>[^`]+)`$")
_VALUE: Final = re.compile(r"^Invalid (?:enum )?value '?(?P<value>.*?)'?$", re.DOTALL)
_KINDS: Final[Mapping[str, str]] = {
    "str": "a string",
    "int": "an integer",
    "float": "a decimal",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_SUPPORTED: Final[Mapping[str, str]] = {
    "role": "'system', 'assistant', 'user', 'function', 'tool', and 'developer'",
    "type": "'text', 'image_url', 'input_audio', 'refusal', 'audio', and 'file'",
    "tool_choice": "'none', 'auto', and 'required'",
}
_VALUE_CHARS_MAX: Final = 100


def invalid(error: msgspec.ValidationError, under: str = "") -> InvalidParameter:
    """Say in OpenAI's words what msgspec found wrong, below the parameter `under`."""
    found = _AT.match(str(error))
    what, path = (found["what"], found["path"] or "") if found else (str(error), "")
    path = under + (f".{path}" if under and path and not path.startswith("[") else path)
    if missing := _MISSING.match(what):
        path = f"{path}.{missing['name']}" if path else missing["name"]
        message, code = f"Missing required parameter: '{path}'.", "missing_required_parameter"
    elif expected := _EXPECTED.match(what):
        wanted = [_KINDS.get(kind, kind) for kind in expected["expected"].split(" | ")]
        wanted = [kind for kind in wanted if kind != "null"] or wanted
        either = "one of " if len(wanted) > 1 else ""
        got = _KINDS.get(expected["got"], expected["got"])
        message = (
            f"Invalid type for '{path}': expected {either}{' or '.join(wanted)}, "
            f"but got {got} instead."
        )
        code = "invalid_type"
    elif value := _VALUE.match(what):
        message = f"Invalid value: '{value['value'][:_VALUE_CHARS_MAX]}'."
        supported = _SUPPORTED.get(path.rpartition(".")[2])
        message += f" Supported values are: {supported}." if supported else ""
        code = "invalid_value"
    else:
        message, code = f"Invalid '{path}': {what}.", "invalid_value"
    return InvalidParameter(message, param=path or None, code=code)
