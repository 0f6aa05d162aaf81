"""Parameters of requests in OpenAI's dialect: read one by one, refused in OpenAI's words. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from entente.domain.errors import InvalidParameter, MalformedJson
from entente.wire.members import misspelt

MODEL_CHARS_MAX: Final = 256
SHOWN_CHARS_MAX: Final = 64
"""Of a wrong value, in the sentence about it."""

_T = TypeVar("_T")
_STRING: Final[msgspec.json.Decoder[str | None]] = msgspec.json.Decoder(str | None)
_BOOLEAN: Final[msgspec.json.Decoder[bool | None]] = msgspec.json.Decoder(bool | None)
_INTEGER: Final[msgspec.json.Decoder[int | None]] = msgspec.json.Decoder(int | None)

MALFORMED: Final = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't "
    "using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was "
    "sent was not valid JSON.)"
)


def text(members: Mapping[str, Raw], name: str) -> str | None:
    """Read an optional text."""
    return decoded(members, name, _STRING, "a string")


def model_name(members: Mapping[str, Raw]) -> str:
    """Read the model's name."""
    value = text(members, "model")
    if not value:
        message = "you must provide a model parameter"
        raise InvalidParameter(message, param=None, code=None)
    if len(value) > MODEL_CHARS_MAX:
        message = (
            f"Invalid 'model': string too long. Expected at most {MODEL_CHARS_MAX} characters."
        )
        raise InvalidParameter(message, param="model", code="string_above_max_length")
    return value


def boolean(members: Mapping[str, Raw], name: str) -> bool:
    """Read an optional boolean."""
    return decoded(members, name, _BOOLEAN, "a boolean") is True


def integer(members: Mapping[str, Raw], name: str, least: int, most: int) -> int | None:
    """Read an optional integer within bounds."""
    value = decoded(members, name, _INTEGER, "an integer")
    if value is None:
        return None
    if value < least:
        message = (
            f"Invalid '{name}': integer below minimum value. "
            f"Expected a value >= {least}, but got {value} instead."
        )
        raise InvalidParameter(message, param=name, code="integer_below_min_value")
    if value > most:
        message = (
            f"Invalid '{name}': integer above maximum value. "
            f"Expected a value <= {most}, but got {value} instead."
        )
        raise InvalidParameter(message, param=name, code="integer_above_max_value")
    return value


def decoded(
    members: Mapping[str, Raw], name: str, decoder: msgspec.json.Decoder[_T], expected: str
) -> _T | None:
    """Decode an optional member, None when absent or null."""
    raw = members.get(name)
    if raw is None:
        return None
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        raise wrong_type(name, expected, raw) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedJson(MALFORMED) from None


def wrong_type(name: str, expected: str, raw: Raw) -> InvalidParameter:
    """Say which type was expected and which was found."""
    message = f"Invalid type for '{name}': expected {expected}, but got {_kind(raw)} instead."
    return InvalidParameter(message, param=name, code="invalid_type")


_KINDS: Final[Mapping[int, str]] = {
    ord("n"): "null",
    ord("t"): "a boolean",
    ord("f"): "a boolean",
    ord('"'): "a string",
    ord("["): "an array",
    ord("{"): "an object",
}


def _kind(raw: Raw) -> str:
    """Name the JSON type of a value as OpenAI does."""
    text = memoryview(raw)
    kind = _KINDS.get(text[0])
    if kind is None:
        kind = "a decimal" if any(byte in b".eE" for byte in text) else "an integer"
    return kind


def missing(name: str) -> InvalidParameter:
    """Say that a parameter is not there."""
    message = f"Missing required parameter: '{name}'."
    return InvalidParameter(message, param=name, code="missing_required_parameter")


def empty(name: str) -> InvalidParameter:
    """Say that a list has nothing in it."""
    message = (
        f"Invalid '{name}': empty array. Expected an array with minimum length 1, "
        "but got an empty array instead."
    )
    return InvalidParameter(message, param=name, code="empty_array")


def bad_choice(name: str, value: str, choices: Collection[str]) -> InvalidParameter:
    """Say that a word is none of those that there are."""
    *others, last = [f"'{choice}'" for choice in choices]
    known = f"{', '.join(others)}, and {last}" if len(others) > 1 else f"{others[0]} and {last}"
    message = f"Invalid value: '{value[:SHOWN_CHARS_MAX]}'. Supported values are: {known}."
    return InvalidParameter(message, param=name, code="invalid_value")


def check_spelling(members: Mapping[str, Raw], governing: Collection[str]) -> None:
    """Refuse a second spelling of a governing member, as OpenAI refuses unknown ones.

    Servers whose JSON library ignores case (Go's does) would act on `"Model"`, which
    nobody has checked.
    """
    name = misspelt(members, governing)
    if name is not None:
        message = f"Unknown parameter: '{name}'. Did you mean '{name.casefold()}'?"
        raise InvalidParameter(message, param=name, code="unknown_parameter")
