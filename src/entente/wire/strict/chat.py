"""Chat completions, checked as OpenAI and Azure do. Pure.

The order was measured: model, messages, unknown names, types and bounds and choices (`n` before
`stop` and `temperature`), and what messages lack at last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw

from entente.domain.errors import InvalidParameter, MalformedJson
from entente.wire.members import split
from entente.wire.openai import OUTPUT_TOKENS_MAX, check_head
from entente.wire.openai_chat import form
from entente.wire.openai_chat.shapes import SHAPES
from entente.wire.openai_responses import faults
from entente.wire.openai_responses.faults import SUPPORTED
from entente.wire.parameters import MALFORMED
from entente.wire.strict.table import Table, decoders

STOPS_MAX: Final = 4
FUNCTIONS_MAX: Final = 128
IDENTIFIER_CHARS_MAX: Final = 64
AZURES: Final = ("data_sources", "user_security_context")
"""What Azure's clients may say besides."""


class _Parameters(msgspec.Struct):
    """The parameters beside `model` and `messages`, in the order in which they are checked."""

    n: int
    stop: str | list[str]
    temperature: float
    top_p: float
    frequency_penalty: float
    presence_penalty: float
    max_tokens: int
    max_completion_tokens: int
    stream: bool
    stream_options: dict[str, bool]
    logprobs: bool
    top_logprobs: int
    logit_bias: dict[str, int]
    seed: int
    tools: list[form.ToolDefinition]
    tool_choice: Literal["none", "auto", "required"] | form.ChoiceForm
    parallel_tool_calls: bool
    response_format: form.FormatForm
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
    verbosity: Literal["low", "medium", "high"]
    modalities: list[Literal["text", "audio"]]
    audio: dict[str, Raw]
    prediction: dict[str, Raw]
    web_search_options: dict[str, Raw]
    metadata: dict[str, str]
    store: bool
    user: str
    safety_identifier: str
    service_tier: Literal["auto", "default", "fast", "flex", "priority"]
    prompt_cache_key: str
    prompt_cache_options: dict[str, Raw]
    prompt_cache_retention: Literal["in_memory", "24h"]
    moderation: dict[str, Raw]
    functions: list[dict[str, Raw]]
    function_call: str | dict[str, Raw]


_ROLES: Final = ("system", "assistant", "user", "function", "tool", "developer")
TABLE: Final = Table(
    decoders=decoders(_Parameters),
    also=frozenset({"model", "messages"}),
    bounds={
        "n": (1, 128),
        "temperature": (0, 2),
        "top_p": (0, 1),
        "frequency_penalty": (-2, 2),
        "presence_penalty": (-2, 2),
        "max_tokens": (1, OUTPUT_TOKENS_MAX),
        "max_completion_tokens": (1, OUTPUT_TOKENS_MAX),
        "top_logprobs": (0, 20),
    },
    lengths={
        "stop": STOPS_MAX,
        "functions": FUNCTIONS_MAX,
        "safety_identifier": IDENTIFIER_CHARS_MAX,
    },
    filled=frozenset({"tools", "functions"}),
    inner=SHAPES,
    choices={
        "messages[].role": _ROLES,
        "messages[].content[].type": (
            "text",
            "image_url",
            "input_audio",
            "refusal",
            "audio",
            "file",
        ),
        "tool_choice": SUPPORTED["tool_choice"],
        "response_format.type": ("json_object", "json_schema", "text"),
        "reasoning_effort": SUPPORTED["reasoning.effort"],
        "verbosity": SUPPORTED["text.verbosity"],
        "modalities[]": ("text", "audio"),
        "service_tier": SUPPORTED["service_tier"],
        "prompt_cache_retention": SUPPORTED["prompt_cache_retention"],
    },
    expected={
        "messages[]": "an object",
        "messages[].content": "one of a string or array of objects",
        "stop": "one of a string or array of strings",
        "tools": "an array of objects",
        "functions": "an array of objects",
        "tool_choice": "one of an object or 'none', 'auto', or 'required'",
        "service_tier": "one of 'auto', 'default', 'fast', 'flex', or 'priority'",
    },
)

_EMPTY: Final = (b"null", b'""', b"[]")


class _Schema(msgspec.Struct):
    """A message as far as its schema goes: what it lacks is looked for later."""

    role: Literal["system", "assistant", "user", "function", "tool", "developer"]
    content: str | list[form.PartForm] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[form.CallForm] | None = None
    function_call: Raw = Raw(b"null")
    audio: Raw = Raw(b"null")


_messages_decoder: Final = msgspec.json.Decoder(list[_Schema])


def check_chat(body: bytes, *, is_azures: bool = False) -> None:
    """Check a request for a chat completion; `is_azures` says that a client of Azure's sent it."""
    members = split(body)
    if members is None:
        raise MalformedJson(MALFORMED)
    check_head(members)
    TABLE.check_names(members, more=AZURES if is_azures else ())
    messages = _messages(members)
    TABLE.check(members)
    for at, message in enumerate(messages):
        _check_presence(message, at)


def _messages(members: Mapping[str, Raw]) -> Sequence[_Schema]:
    try:
        messages = _messages_decoder.decode(members["messages"])
    except msgspec.ValidationError as error:
        raise faults.invalid(error, "messages", TABLE.choices, TABLE.expected) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None
    faults.check_inside("messages", members["messages"], SHAPES["messages"])
    return messages


def _check_presence(message: _Schema, at: int) -> None:
    """Refuse a message that says nothing; a call, a refusal or sound says something."""
    if message.content is not None:
        return
    others: list[Any] = [message.tool_calls, message.refusal]
    spoken = (bytes(message.function_call), bytes(message.audio))
    if message.role == "assistant" and (any(others) or any(s not in _EMPTY for s in spoken)):
        return
    text = "Invalid value for 'content': expected a string, got null."
    raise InvalidParameter(text, param=f"messages.[{at}].content", code=None)
