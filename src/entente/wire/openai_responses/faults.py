"""What is wrong with a Responses request, in OpenAI's words; and its errors. Pure.

The words, and which parameter an error names, are those of the live API where it was
measured; see `tests/wire/test_wire_responses_decode.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from entente.domain.errors import EntenteError, InvalidParameter, ModelNotFound
from entente.wire import openai_errors, shapes
from entente.wire.openai_errors import ErrorReply
from entente.wire.shapes import Kinds, Shape

SUGGESTION_DISTANCE_MAX: Final = 2
SHOWN_WHOLE_MAX: Final = 1e15
"""Above it a whole number is shown as it is kept."""
NAME_CHARS_MAX: Final = 100
"""What is cited of a name or value that nobody knows."""
DOCUMENTATION: Final = "https://platform.openai.com/docs/api-reference/responses/create"

_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$?\.?(?P<path>.*)`)?$", re.DOTALL)
_EXPECTED: Final = re.compile(r"^Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`$")
_MISSING: Final = re.compile(r"^Object missing required field `(?P<name>[^`]+)`$")
_VALUE: Final = re.compile(r"^Invalid (?:enum )?value '?(?P<value>.*?)'?$", re.DOTALL)
_INDEX: Final = re.compile(r"\[[^\]]*\]")
_KINDS: Final[Mapping[str, str]] = {
    "str": "a string",
    "int": "an integer",
    "float": "a decimal",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_FIRST_BYTES: Final[Mapping[int, str]] = {
    ord("n"): "an object",  # in this API's words, null is one
    ord("t"): "a boolean",
    ord("f"): "a boolean",
    ord('"'): "a string",
    ord("["): "an array",
    ord("{"): "an object",
}


def listed(values: Iterable[str], conjunction: str = "and") -> str:
    """Write values as OpenAI lists them: `'a' and 'b'`, `'a', 'b', and 'c'`."""
    quoted = [f"'{value}'" for value in values]
    if len(quoted) <= 2:  # noqa: PLR2004  (a pair has no comma)
        return f" {conjunction} ".join(quoted)
    return f"{', '.join(quoted[:-1])}, {conjunction} {quoted[-1]}"


SUPPORTED: Final[Mapping[str, tuple[str, ...]]] = {
    "include[]": (
        "file_search_call.results",
        "web_search_call.results",
        "web_search_call.action.sources",
        "message.input_image.image_url",
        "computer_call_output.output.image_url",
        "code_interpreter_call.outputs",
        "reasoning.encrypted_content",
        "message.output_text.logprobs",
    ),
    "text.format.type": ("json_object", "text", "json_schema"),
    "text.verbosity": ("low", "medium", "high"),
    "tool_choice": ("none", "auto", "required"),
    "reasoning.effort": ("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "reasoning.summary": ("concise", "detailed", "auto"),
    "prompt_cache_retention": ("in_memory", "24h"),
    "truncation": ("auto", "disabled"),
    "service_tier": ("auto", "default", "fast", "flex", "priority"),
}
"""The values that a parameter takes, by its place, in OpenAI's order."""

_EXPECTED_AT: Final[Mapping[str, str]] = {
    "input": "one of a string or array of input items",
    "include": (
        "an array of one of 'fil...lts', 'web...lts', 'web...ces', 'mes...url', 'com...url', "
        "'cod...uts', 'rea...ent', or 'mes...obs'"
    ),
    "tools": "an array of tools",
    "metadata": "a metadata object",
    "context_management": "an array of objects",
    "tool_choice": "one of an object or 'none', 'auto', or 'required'",
    "truncation": "one of 'auto' or 'disabled'",
    "service_tier": "one of 'auto', 'default', 'fast', 'flex', or 'priority'",
    "prompt_cache_retention": "one of 'in_memory' or '24h'",
}


def missing(path: str) -> InvalidParameter:
    """Say that a parameter is missing."""
    message = f"Missing required parameter: '{path}'."
    return InvalidParameter(message, param=path, code="missing_required_parameter")


def wrong_type(path: str, expected: str, got: str) -> InvalidParameter:
    """Say which type was expected and which was found, both with their article."""
    message = f"Invalid type for '{path}': expected {expected}, but got {got} instead."
    return InvalidParameter(message, param=path, code="invalid_type")


def wrong_value(path: str, value: str, supported: Collection[str]) -> InvalidParameter:
    """Say which values a parameter takes."""
    message = f"Invalid value: '{value[:NAME_CHARS_MAX]}'."
    if supported:
        message += f" Supported values are: {listed(supported)}."
    return InvalidParameter(message, param=path, code="invalid_value")


def out_of_bounds(path: str, value: float, least: float, most: float | None) -> InvalidParameter:
    """Say on which side of its bounds a number is; the bounds count as allowed."""
    kind = "integer" if isinstance(value, int) else "decimal"
    shown = int(value) if value == value // 1 and abs(value) < SHOWN_WHOLE_MAX else value
    side, sign, limit, word = "below minimum", ">=", least, "below_min"
    if most is not None and value > most:
        side, sign, limit, word = "above maximum", "<=", most, "above_max"
    message = (
        f"Invalid '{path}': {kind} {side} value. "
        f"Expected a value {sign} {limit}, but got {shown} instead."
    )
    return InvalidParameter(message, param=path, code=f"{kind}_{word}_value")


def empty_array(path: str) -> InvalidParameter:
    """Say that an array has to have something in it."""
    message = (
        f"Invalid '{path}': empty array. Expected an array with minimum length 1, "
        "but got an empty array instead."
    )
    return InvalidParameter(message, param=path, code="empty_array")


def array_too_long(path: str, items: int, items_max: int) -> InvalidParameter:
    """Say that an array has too many items."""
    message = (
        f"Invalid '{path}': array too long. Expected an array with maximum length {items_max}, "
        f"but got an array with length {items} instead."
    )
    return InvalidParameter(message, param=path, code="array_above_max_length")


def too_long(path: str, chars: int, chars_max: int) -> InvalidParameter:
    """Say that a string is too long."""
    message = (
        f"Invalid '{path}': string too long. Expected a string with maximum length {chars_max}, "
        f"but got a string with length {chars} instead."
    )
    return InvalidParameter(message, param=path, code="string_above_max_length")


def moved(name: str, place: str) -> InvalidParameter:
    """Say where a parameter of chat completions stands in this API."""
    message = (
        f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved to "
        f"'{place}'. Try again with the new parameter. See the API documentation for more "
        f"information: {DOCUMENTATION}."
    )
    return InvalidParameter(message, param=None, code="unsupported_parameter")


def unknown(path: str, known: Iterable[str] = (), given: Collection[str] = ()) -> InvalidParameter:
    """Say that nobody knows a parameter, and which of the `known` ones may be meant.

    One that is `given` already is not meant.
    """
    cited = path[:NAME_CHARS_MAX]
    message = f"Unknown parameter: '{cited}'."
    near = sorted(
        (distance, at, name)
        for at, name in enumerate(known)
        if name not in given and (distance := _distance(cited, name)) <= SUGGESTION_DISTANCE_MAX
    )
    if near:
        message += f" Did you mean {' or '.join(repr(name) for _, _, name in near)}?"
    return InvalidParameter(message, param=cited, code="unknown_parameter")


def check_inside(name: str, raw: msgspec.Raw, expected: Shape | Kinds) -> None:
    """Refuse the first member inside of a parameter that nobody knows."""
    try:
        place = shapes.unknown(msgspec.json.decode(raw), expected, (name,))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # what is wrong with it is told when it is read
    if place is not None:
        raise unknown(_path(place))


def _path(place: shapes.Place) -> str:
    """Write where something stands: `messages[0].content[1].text`."""
    steps = (step for step in place if not isinstance(step, shapes.Kind))
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)[1:]


def _distance(one: str, other: str) -> int:
    """Count the letters to insert, delete or replace to get from one name to the other."""
    if abs(len(one) - len(other)) > SUGGESTION_DISTANCE_MAX:
        return SUGGESTION_DISTANCE_MAX + 1
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        before, row[0] = row[0], at
        for to, target in enumerate(other, 1):
            before, row[to] = (
                row[to],
                min(row[to] + 1, row[to - 1] + 1, before + (letter != target)),
            )
    return row[-1]


def kind(raw: msgspec.Raw) -> str:
    """Name the JSON type of a top-level value as this API does."""
    text = memoryview(raw)
    found = _FIRST_BYTES.get(text[0])
    if found is None:
        found = "a decimal" if any(byte in b".eE" for byte in text) else "an integer"
    return found


def invalid(
    error: msgspec.ValidationError,
    under: str,
    supported: Mapping[str, tuple[str, ...]] = SUPPORTED,
    expectations: Mapping[str, str] = _EXPECTED_AT,
) -> InvalidParameter:
    """Say in OpenAI's words what msgspec found wrong below the parameter `under`.

    `supported` are the values that parameters take, `expectations` what they should be, by place.
    """
    found = _AT.match(str(error))
    what, path = (found["what"], found["path"] or "") if found else (str(error), "")
    path = under + ("." if path and not path.startswith("[") else "") + path
    if lacking := _MISSING.match(what):
        return missing(f"{path}.{lacking['name']}")
    place = _INDEX.sub("[]", path)
    if value := _VALUE.match(what):
        return wrong_value(path, value["value"], supported.get(place, ()))
    if expected := _EXPECTED.match(what):
        got = _KINDS.get(expected["got"], expected["got"])
        wanted = [word for word in expected["expected"].split(" | ") if word != "null"] or ["null"]
        words = [_KINDS.get(word, word) for word in wanted]
        either = "one of " if len(words) > 1 else ""
        phrase = expectations.get(place, either + " or ".join(words))
        return wrong_type(path, phrase, got)
    return InvalidParameter(f"Invalid '{path}': {what}.", param=path, code="invalid_value")


# ---- errors of the server ----


def render(error: EntenteError) -> ErrorReply:
    """Write an error as this API would: as OpenAI does, but for a model that is not there."""
    if isinstance(error, ModelNotFound):
        error = no_model(error.model)
    return openai_errors.render(error)


def no_model(model: str) -> InvalidParameter:
    """Say that there is no such model."""
    message = f"The requested model '{model}' does not exist."
    return InvalidParameter(message, param="model", code="model_not_found")


def stream_error(error: EntenteError, sequence_number: int = 0) -> bytes:
    """Write the event that ends a stream in failure; nothing follows it."""
    if isinstance(error, InvalidParameter):
        return error_event(error.code, error.message, error.param, sequence_number)
    row = next(
        openai_errors.TABLE[base] for base in type(error).__mro__ if base in openai_errors.TABLE
    )
    return error_event(row.code or row.type, error.message, None, sequence_number)


def error_event(code: str | None, message: str, param: str | None, sequence_number: int) -> bytes:
    """Write an `error` event."""
    body = {
        "type": "error",
        "code": code,
        "message": message,
        "param": param,
        "sequence_number": sequence_number,
    }
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(body)
