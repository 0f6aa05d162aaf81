"""The forms of Anthropic's requests and content, and its errors in Anthropic's words. Pure.

A block of content is one struct whatever its type, because types that are new to us have
to be seen, not refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import Raw

from entente.domain.errors import InvalidParameter
from entente.domain.inference import CacheMark

NULL: Final = b"null"
NAME_CHARS_MAX: Final = 100
"""What is cited of a word that nobody knows."""
_NULL: Final = Raw(NULL)

# ---- content ----


class CacheControl(msgspec.Struct):
    """A mark: cache the prompt up to here."""

    ttl: Literal["5m", "1h"] | None = None

    @property
    def mark(self) -> CacheMark:
        """The canonical value."""
        return CacheMark.DEFAULT if self.ttl is None else CacheMark(self.ttl)


class Source(msgspec.Struct):
    """Where an image or a document is."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


class Block(msgspec.Struct):
    """A block of content of any type, with the members of all types that are read."""

    type: str
    text: str | None = None
    source: Raw = _NULL
    title: str | None = None
    context: str | None = None
    citations: Raw = _NULL
    id: str | None = None
    name: str | None = None
    input: Raw = _NULL
    tool_use_id: str | None = None
    content: Raw = _NULL
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    cache_control: CacheControl | None = None


def arguments(block: Block) -> str:
    """Give the arguments of a call as JSON text; none are an empty object."""
    data = bytes(block.input)
    return "{}" if data == NULL else data.decode(errors="replace")


class Citations(msgspec.Struct):
    """Whether a document is to be cited."""

    enabled: bool | None = None


class Message(msgspec.Struct):
    """One turn, or what the operator says between turns."""

    role: str
    content: str | list[Block]


# ---- parameters ----


class Tool(msgspec.Struct):
    """A tool of any type; only those that the client runs are read further."""

    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: Raw = _NULL
    strict: bool | None = None
    cache_control: CacheControl | None = None
    defer_loading: bool | None = None
    allowed_callers: Raw = _NULL
    input_examples: Raw = _NULL


class ToolChoice(msgspec.Struct):
    """Whether tools are called, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct):
    """Whether and how much the model thinks."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None
    display: str | None = None


class Format(msgspec.Struct):
    """The form that the answer has to have."""

    type: Literal["json_schema"]
    schema: Raw


class Metadata(msgspec.Struct):
    """Who asks."""

    user_id: str | None = None


class MessagesForm(msgspec.Struct):
    """The parameters that have a canonical place. `Call` has read the rest."""

    messages: list[Message]
    system: str | list[Block] | None = None
    tools: list[Raw] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: dict[str, Raw] | None = None
    output_format: Format | None = None
    cache_control: CacheControl | None = None
    metadata: Metadata | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    service_tier: Literal["auto", "standard_only"] | None = None


# ---- errors ----

_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$?\.?(?P<path>.*)`)?$", re.DOTALL)
_EXPECTED: Final = re.compile(r"^Expected `(?P<expected>[^`]+)`, got `[^`]+`$")
_MISSING: Final = re.compile(r"^Object missing required field `(?P<name>[^`]+)`$")
_VALUE: Final = re.compile(r"^Invalid enum value '?(?P<value>.*?)'?$", re.DOTALL)
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "cache_control.ttl": ("5m", "1h"),
    "service_tier": ("auto", "standard_only"),
    "thinking.type": ("adaptive", "disabled", "enabled"),
    "tool_choice.type": ("any", "auto", "none", "tool"),
}
"""The words that a parameter takes, by its place."""
_INDEX: Final = re.compile(r"\[(\d+|\.\.\.)\]")
_KINDS: Final[Mapping[str, str]] = {
    "str": "a valid string",
    "int": "a valid integer",
    "float": "a valid number",
    "bool": "a valid boolean",
    "array": "a valid array",
    "object": "an object",
}


def invalid(path: str, what: str) -> InvalidParameter:
    """Make an error of what is wrong at a place, such as `messages.0.role`."""
    return InvalidParameter(f"{path}: {what}" if path else what, param=path or None, code=None)


def missing(path: str) -> InvalidParameter:
    """Make the error for what has to be there."""
    return invalid(path, "Field required")


def no_role(role: str) -> InvalidParameter:
    """Make the error for a role that nobody has."""
    what = f'Unexpected role "{role[:NAME_CHARS_MAX]}". Allowed roles are "user" or "assistant"'
    return invalid("messages", what)


def misfit(error: msgspec.ValidationError, under: str = "") -> InvalidParameter:
    """Say in Anthropic's words what msgspec found wrong, below the parameter `under`."""
    found = _AT.match(str(error))
    what, path = (found["what"], found["path"] or "") if found else (str(error), "")
    path = _INDEX.sub(r".\1", path).strip(".")
    path = f"{under}.{path}" if under and path else under or path
    if absent := _MISSING.match(what):
        return missing(f"{path}.{absent['name']}" if path else absent["name"])
    if expected := _EXPECTED.match(what):
        kinds = [_KINDS[kind] for kind in expected["expected"].split(" | ") if kind in _KINDS]
        return invalid(path, f"Input should be {' or '.join(kinds)}")
    if (value := _VALUE.match(what)) and (choices := _CHOICES.get(path)):
        outer, _, inner = path.rpartition(".")
        if inner != "type":
            *first, last = (f"'{choice}'" for choice in choices)
            return invalid(path, f"Input should be {', '.join(first)} or {last}")
        tags = ", ".join(f"'{choice}'" for choice in choices)
        cited = f"Input tag '{value['value'][:NAME_CHARS_MAX]}' found using 'type'"
        return invalid(outer, f"{cited} does not match any of the expected tags: {tags}")
    return invalid(path, what)
