"""What keeps a document from having a form: all of it, each with its place. Pure.

A decoder stops at the first fault. Whoever mends a long file wants to know the others, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import msgspec


def faults(value: object, form: Any, place: str = "") -> Iterator[str]:
    """Say what keeps a decoded value from being a `form`: a struct, made of lists and mappings.

    It is found as it is asked for: who takes some of it waits for no more.
    """
    try:
        msgspec.convert(value, form)
    except msgspec.ValidationError as error:
        inside = _inside(value, _given(form), place)
        yield next(inside, _said(place, str(error)))
        yield from inside


def _inside(value: object, form: Any, place: str) -> Iterator[str]:
    """Look for faults in what a value is made of; there is none where it is itself the fault."""
    kind, inner = get_origin(form), get_args(form)
    if isinstance(form, type) and issubclass(form, msgspec.Struct) and isinstance(value, Mapping):
        yield from _members(value, form, place)
    elif kind is dict and isinstance(value, Mapping):
        for name, each in value.items():
            yield from faults(each, inner[-1], _joined(place, name))
    elif kind is list and isinstance(value, list):
        for number, each in enumerate(value):
            yield from faults(each, inner[-1], f"{place}[{number}]")


def _members(value: Mapping[str, object], form: type[msgspec.Struct], place: str) -> Iterator[str]:
    """Say which members are missing, unknown or wrong."""
    known = {field.encode_name: field for field in msgspec.structs.fields(form)}
    for name, field in known.items():
        if name in value:
            yield from faults(value[name], field.type, _joined(place, name))
        elif field.required:
            yield _said(place, f"missing required field `{name}`")
    for name in value:
        if name not in known:
            yield _said(place, f"unknown field `{name}`")


def _given(form: Any) -> Any:
    """Leave None out of what a value may be."""
    if get_origin(form) is UnionType:
        return next(each for each in get_args(form) if each is not NoneType)
    return form


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _said(place: str, text: str) -> str:
    return f"`{place}`: {text}" if place else text
