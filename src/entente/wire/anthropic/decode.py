"""Messages requests, read as far as governing them needs, and passed on as they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw

from entente.domain.chat import Call, Surface
from entente.domain.errors import MalformedJson
from entente.wire.anthropic.form import NULL, invalid, misfit, missing
from entente.wire.members import hidden_names, misspelt, rewrite, split

MODEL_CHARS_MAX: Final = 256
OUTPUT_TOKENS_MAX: Final = 2**31 - 1
MALFORMED: Final = "The request body is not valid JSON."

_T = TypeVar("_T")
_GOVERNING: Final = ("model", "messages", "max_tokens", "stream")
_ATTACHMENT: Final = re.compile(rb'"type"\s*:\s*"(?:image|document|container_upload)"')

_string: Final = msgspec.json.Decoder(str)
_integer: Final = msgspec.json.Decoder(int)
_boolean: Final[msgspec.json.Decoder[bool | None]] = msgspec.json.Decoder(bool | None)


class _Block(msgspec.Struct, forbid_unknown_fields=True):
    """A block of any type that has neither a source nor a file: texts, calls, thoughts."""

    type: str
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw(NULL)
    tool_use_id: str | None = None
    content: str | list[_Text] | None = None
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    cache_control: dict[str, str] | None = None
    citations: Raw = Raw(NULL)


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    """A text that a tool gave."""

    type: str
    text: str
    cache_control: dict[str, str] | None = None


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    """A message of such blocks."""

    role: str
    content: str | list[_Block]


_SAYING: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {
    "messages": msgspec.json.Decoder(list[_Said]),
    "system": msgspec.json.Decoder(str | list[_Block]),
}
_NAMING_NOTHING: Final = frozenset(
    {
        "cache_control",
        "max_tokens",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "stop_sequences",
        "stream",
        "temperature",
        "thinking",
        "tool_choice",
        "top_k",
        "top_p",
    }
)
"""Members that the API defines as numbers, words, switches and options."""


def decode_messages(body: bytes) -> Call:
    """Read a messages request as far as governing it needs.

    Raises MalformedJson or InvalidParameter, worded as Anthropic does, in Anthropic's
    order. An image or a document counts as an attachment also where it is in the body:
    it can stand for more tokens than its bytes.
    """
    return _decode(body, counting=False)


def decode_count_tokens(body: bytes) -> Call:
    """Read a request to count tokens: a messages request that needs no `max_tokens`."""
    return _decode(body, counting=True)


def encode_messages(call: Call, *, model: str) -> bytes:
    """Write the call for a provider that knows the model as `model`."""
    return rewrite(call, {} if model == call.model else {"model": msgspec.json.encode(model)})


def _decode(body: bytes, *, counting: bool) -> Call:
    members = split(body)
    if members is None:
        raise MalformedJson(MALFORMED)
    model = _model(members)
    _check_messages(members)
    limit = None if counting else _limit(members)
    stream = "stream" in members and _value(members, "stream", _boolean) is True
    name = misspelt(members, _GOVERNING)
    if name is not None:
        raise invalid(name, "Extra inputs are not permitted")
    return Call(
        surface=Surface.MESSAGES,
        model=model,
        body=body,
        members=members,
        stream=stream and not counting,
        wants_usage=True,
        output_tokens_max=limit,
        attachments=_attachments(members),
    )


def _value(members: Mapping[str, Raw], name: str, decoder: msgspec.json.Decoder[_T]) -> _T:
    """Decode a member that has to be there."""
    raw = members.get(name)
    if raw is None:
        raise missing(name)
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise misfit(error, name) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None


def _model(members: Mapping[str, Raw]) -> str:
    model = _value(members, "model", _string)
    if not model:
        raise invalid("model", "String should have at least 1 character")
    if len(model) > MODEL_CHARS_MAX:
        raise invalid("model", f"String should have at most {MODEL_CHARS_MAX} characters")
    return model


def _check_messages(members: Mapping[str, Raw]) -> None:
    """Refuse a request whose messages are missing, not a list, or none."""
    raw = members.get("messages")
    if raw is None:
        raise missing("messages")
    text = memoryview(raw)
    if text[0] != ord("["):
        raise invalid("messages", "Input should be a valid array")
    if bytes(text[1:-1]).isspace() or len(text) == len("[]"):
        raise invalid("messages", "at least one message is required")


def _limit(members: Mapping[str, Raw]) -> int:
    """Read `max_tokens`; zero only fills the cache."""
    limit = _value(members, "max_tokens", _integer)
    if limit < 0:
        raise invalid("max_tokens", "Input should be greater than or equal to 0")
    if limit > OUTPUT_TOKENS_MAX:
        raise invalid("max_tokens", f"Input should be less than or equal to {OUTPUT_TOKENS_MAX}")
    return limit


def _attachments(members: Mapping[str, Raw]) -> int:
    """Count images and documents, and, to be safe, what may hide the word.

    Messages of nothing but texts, calls and thoughts have none. To see that they are such takes
    a fraction of the time that a search of them does.
    """
    count = 0
    for name, raw in members.items():
        if name in _NAMING_NOTHING or (name in _SAYING and _are_texts(raw, _SAYING[name])):
            continue
        text = bytes(raw)
        count += hidden_names(text)
        if b'"image"' in text or b'"document"' in text or b'"container_upload"' in text:
            count += len(_ATTACHMENT.findall(text))
    return count


def _are_texts(raw: Raw, decoder: msgspec.json.Decoder[Any]) -> bool:
    try:
        decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
