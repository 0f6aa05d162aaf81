"""Which members an object has that stands somewhere inside a request, and the first that is none.

Only names are looked at: types, bounds and choices are checked where values are read. What has
no shape here, such as a schema that the client writes, may have any members. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

Step: TypeAlias = "str | int | Kind"
Place: TypeAlias = tuple[Step, ...]
"""Where something stands: members, positions in arrays, and of what kind an object was."""


class Kind(NamedTuple):
    """What an object says that it is, as a step of the way to its members."""

    name: str


class Shape(NamedTuple):
    """An object of one kind, or the objects of an array of such."""

    members: Mapping[str, Shape | Kinds | None]
    """None for a member that is not looked into."""


class Kinds(NamedTuple):
    """An object of several kinds; one of a kind that is not listed is not looked into."""

    of: Mapping[str, Shape]
    by: str = "type"
    """The member that says the kind."""
    usual: str | None = None
    """The kind of an object that does not say its own."""


def shape(*names: str, **inner: Shape | Kinds) -> Shape:
    """Write a shape: members that are not looked into, and those that are."""
    return Shape({**dict.fromkeys(names), **inner})


def kinds(*, by: str = "type", usual: str | None = None, **of: Shape) -> Kinds:
    """Write the shapes of an object's kinds; the member that says which belongs to each."""
    named = {name: Shape({by: None, **found.members}) for name, found in of.items()}
    return Kinds(named, by, usual)


def unknown(value: Any, expected: Shape | Kinds | None, at: Place = ()) -> Place | None:
    """Give the place of the first member that an object does not have; None if all are known."""
    if expected is None:
        return None
    if isinstance(value, list):
        places = (unknown(each, expected, (*at, number)) for number, each in enumerate(value))
        return next((place for place in places if place is not None), None)
    if not isinstance(value, dict):
        return None
    if isinstance(expected, Kinds):
        said = value.get(expected.by, expected.usual)
        kind = said if isinstance(said, str) else ""
        if kind not in expected.of:
            return None
        return _unknown(value, expected.of[kind].members, (*at, Kind(kind)))
    return _unknown(value, expected.members, at)


def _unknown(
    value: Mapping[str, Any], members: Mapping[str, Shape | Kinds | None], at: Place
) -> Place | None:
    for name, inner in value.items():
        if name not in members:
            return (*at, name)
        place = unknown(inner, members[name], (*at, name))
        if place is not None:
            return place
    return None
