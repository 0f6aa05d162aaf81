"""Reads bodies and queries into typed values; what is not known is refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import msgspec
import msgspec.inspect

from entente.domain.errors import InvalidParameter, MalformedJson
from entente.domain.origin import plain
from entente.wire.nesting import check_depth

T = TypeVar("T")

_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$(.*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*?)`(?: - at `\$(.*)`)?", re.DOTALL)
_PLACED: Final = re.compile(r"(.*) - at `\$\.?(.*?)`", re.DOTALL)
_NO_WORD: Final = "Invalid enum value"
_NAME_CHARS_MAX: Final = 64


def read_body(body: bytes, kind: type[T]) -> T:
    """Read a JSON object. Raises MalformedJson, and InvalidParameter with the member's name."""
    check_depth(body)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = "The body is not a JSON object."
        raise MalformedJson(message) from None


def read_query(fields: Mapping[str, Sequence[str]], kind: type[T]) -> T:
    """Read the query of a URL. Raises InvalidParameter with the parameter's name."""
    for name, values in fields.items():
        if len(values) > 1:
            message = f"`{name[:_NAME_CHARS_MAX]}` is there {len(values)} times: say it once."
            raise InvalidParameter(message, param=name[:_NAME_CHARS_MAX], code="invalid_value")
    try:
        flat = {name: plain(values[0]) for name, values in fields.items()}
        return msgspec.convert(flat, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), kind) from None


def _refusal(said: str, kind: type) -> InvalidParameter:
    """Say what is wrong, and with which member."""
    for form, code, text in (
        (_UNKNOWN, "unknown_parameter", "Unknown parameter: `{}`."),
        (_MISSING, "missing_required_parameter", "Missing required parameter: `{}`."),
    ):
        found = form.fullmatch(said)
        if found is not None:
            name = f"{found[2] or ''}.{found[1]}".lstrip(".")[:_NAME_CHARS_MAX]
            return InvalidParameter(text.format(name), param=name, code=code)
    placed = _PLACED.fullmatch(said)
    what = placed[1] if placed else said
    place = placed[2][:_NAME_CHARS_MAX] if placed else None
    code = "invalid_type" if ", got `" in what else "invalid_value"
    where = f"Invalid `{place}`" if place else "Invalid body"
    words = _words(kind, place) if place and what.startswith(_NO_WORD) else ()
    there = f" There are {', '.join(words)}." if words else ""
    text = f"{where}: {what[:1].lower()}{what[1:]}.{there}"
    return InvalidParameter(text, param=place, code=code)


def _words(kind: type, place: str) -> tuple[str, ...]:
    """Give the words of which a member, or each item of it, is one."""
    name = place.partition("[")[0]
    for field in msgspec.structs.fields(kind):
        if field.encode_name == name:
            about = msgspec.inspect.type_info(field.type)
            some = about.types if isinstance(about, msgspec.inspect.UnionType) else (about,)
            for one in some:
                item = getattr(one, "item_type", one)
                if isinstance(item, msgspec.inspect.EnumType):
                    return tuple(str(word.value) for word in item.cls)
    return ()
