"""Conditions: the one vocabulary in which clauses say what they are about.

A condition is a mapping of which every line has to hold:

    surface: api_stateless              the request's attribute has this value
    segment: [enterprise, public]       … one of these values
    asset.open_weight: true             … this truth value
    region: {not: [us, uk]}             … is said, and is none of these
    model: {like: "gpt-*"}              … is said, and has this form; `*` stands for any text
    monthly_users: {at_most: "7e8"}     … is a number within bounds
    contract: {given: false}            … is said, or not
    event: agi.verified                 an event is in this state
    trigger: recouped                   a trigger is met
    window: launch                      a window is open
    all: […]    any: […]    not: {…}    conditions in conditions

`{}` always holds. This module reads and writes that form; what a condition means for a
request that does not say an attribute depends on the clause that it stands in, and is
decided in `entente.agreement.decide.formulas`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final, TypeAlias

import msgspec

from entente.agreement.values import parse as parse_exact
from entente.agreement.values import text_of

DEPTH_MAX: Final = 16
PARTS_MAX: Final = 1_000
VALUES_MAX: Final = 1_000
TEXT_CHARS_MAX: Final = 256
STARS_MAX: Final = 4
"""Of a form; matching takes time in this power of a name's length."""

ATTRIBUTE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}(?:\.[a-z][a-z0-9_]{0,63})?")
"""An attribute's name; the part after the dot is a trait of an asset, product, …"""

RELATIONS: Final = ("at_most", "at_least", "less_than", "more_than")
FACTS: Final = ("event", "trigger", "window")
JOINS: Final = ("all", "any", "not")

Scalar: TypeAlias = str | bool | int | Fraction


class Among(msgspec.Struct, frozen=True):
    """The attribute has one of `values`, or matches one of `patterns`."""

    attribute: str
    values: tuple[Scalar, ...] = ()
    patterns: tuple[str, ...] = ()


class Compared(msgspec.Struct, frozen=True):
    """The attribute is a number that stands in `relation` to `bound`."""

    attribute: str
    relation: str
    bound: Fraction


class Given(msgspec.Struct, frozen=True):
    """The request says the attribute, or (not `given`) does not say it."""

    attribute: str
    given: bool


class Fact(msgspec.Struct, frozen=True):
    """An event is in a state, a trigger is met, a window is open: `kind` says which."""

    kind: str
    reference: str


class Not(msgspec.Struct, frozen=True):
    """The part does not hold."""

    part: Node


class All(msgspec.Struct, frozen=True):
    """Every part holds; without parts, always."""

    parts: tuple[Node, ...]


class AnyOf(msgspec.Struct, frozen=True):
    """One part holds at least; without parts, never."""

    parts: tuple[Node, ...]


Test: TypeAlias = Among | Compared | Given
Node: TypeAlias = Test | Fact | Not | All | AnyOf


class Condition:
    """A condition as a clause has it: `node` is its meaning, `written` its form.

    A plain class, so that a document is decoded and encoded by the functions here.
    """

    __slots__ = ("node", "written")

    def __init__(self, node: Node, written: Mapping[str, object]) -> None:
        """Keep both; `parse` makes them."""
        self.node = node
        self.written = written

    def __eq__(self, other: object) -> bool:
        """Conditions are equal where their forms are, in whatever order their lines stand."""
        return isinstance(other, Condition) and self.written == other.written

    def __hash__(self) -> int:
        """Hash the form."""
        return hash(msgspec.json.encode(self.written, order="sorted"))

    def __repr__(self) -> str:
        """Show the form."""
        return f"Condition({self.written!r})"


def always() -> Condition:
    """Give the condition that always holds."""
    return Condition(All(()), {})


ALWAYS: Final[Condition] = msgspec.field(default_factory=always)
"""For fields of clauses: always, where the document says nothing."""


def parse(raw: object) -> Condition:
    """Read a condition from its form. Raises ValueError with what is wrong and the remedy."""
    return Condition(_Parser().condition(raw, 1), _plain(raw))


def _plain(value: object) -> dict[str, object]:
    """Copy a form, numbers in their one written form, so that equal documents hash equally."""

    def copy(part: object) -> object:
        if isinstance(part, Mapping):
            return {
                str(key): text_of(parse_exact(item)) if key in RELATIONS else copy(item)
                for key, item in part.items()
            }
        return [copy(item) for item in part] if isinstance(part, list | tuple) else part

    copied = copy(value)
    return copied if isinstance(copied, dict) else {}


class _Parser:
    """Reads one condition, and counts its parts."""

    def __init__(self) -> None:
        self._parts = 0

    def condition(self, raw: object, depth: int) -> Node:
        """Read a mapping of which every line has to hold."""
        if not isinstance(raw, Mapping):
            message = (
                f"a condition is a mapping such as {{surface: api_stateless}}, not {_shown(raw)}"
            )
            raise ValueError(message)  # noqa: TRY004  (msgspec maps ValueError)
        if depth > DEPTH_MAX:
            message = f"conditions may be nested {DEPTH_MAX} deep at most: simplify this one"
            raise ValueError(message)
        parts = tuple(self._line(str(key), value, depth) for key, value in raw.items())
        return parts[0] if len(parts) == 1 else All(parts)

    def _line(self, key: str, value: object, depth: int) -> Node:
        self._parts += 1
        if self._parts > PARTS_MAX:
            message = f"a condition may have {PARTS_MAX} parts at most: split the clause"
            raise ValueError(message)
        if key == "not":
            return Not(self.condition(value, depth + 1))
        if key in JOINS:
            if not isinstance(value, list | tuple) or not value:
                message = f"`{key}` takes a list of conditions, not {_shown(value)}"
                raise ValueError(message)
            parts = tuple(self.condition(part, depth + 1) for part in value)
            return All(parts) if key == "all" else AnyOf(parts)
        if key in FACTS:
            if not isinstance(value, str) or not value:
                message = f"`{key}` takes a name, not {_shown(value)}"
                raise ValueError(message)
            return Fact(key, value)
        if not ATTRIBUTE.fullmatch(key):
            message = f"`{key}` is no name of an attribute: use small letters, such as `surface`"
            raise ValueError(message)
        return _test(key, value)


def _test(attribute: str, value: object) -> Node:
    """Read what one attribute has to be."""
    if not isinstance(value, Mapping):
        return _among(attribute, value)
    if len(value) == 1 and "not" in value:
        return Not(_test(attribute, value["not"]))
    parts = tuple(_operator(attribute, str(key), item) for key, item in value.items())
    if not parts:
        message = f"`{attribute}` is tested for nothing: give a value, or leave it out"
        raise ValueError(message)
    return parts[0] if len(parts) == 1 else All(parts)


def _operator(attribute: str, key: str, item: object) -> Node:
    if key in RELATIONS:
        return Compared(attribute, key, parse_exact(item))
    if key == "given" and isinstance(item, bool):
        return Given(attribute, item)
    if key == "like":
        patterns = tuple(item) if isinstance(item, list | tuple) else (item,)
        return Among(attribute, (), tuple(_form(attribute, pattern) for pattern in patterns))
    message = (
        f"`{attribute}: {{{key}: …}}` is not a test: use a value, a list of values, "
        f"`not`, `like`, `given: true|false`, or {', '.join(RELATIONS)}"
    )
    raise ValueError(message)


def _among(attribute: str, value: object) -> Among:
    items = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not 0 < len(items) <= VALUES_MAX:
        message = f"`{attribute}` takes 1 to {VALUES_MAX} values, not {len(items)}"
        raise ValueError(message)
    return Among(attribute, tuple(_scalar(attribute, item) for item in items))


def _scalar(attribute: str, item: object) -> Scalar:
    if isinstance(item, bool | int):
        return item
    return _text(attribute, item)


def _form(attribute: str, item: object) -> str:
    form = _text(attribute, item)
    if form.count("*") > STARS_MAX:
        message = f"`{attribute}` has a form with more than {STARS_MAX} stars: list several forms"
        raise ValueError(message)
    return form


def _text(attribute: str, item: object) -> str:
    if isinstance(item, str) and 0 < len(item) <= TEXT_CHARS_MAX and item.isprintable():
        return item
    message = (
        f"`{attribute}` is compared with text of 1 to {TEXT_CHARS_MAX} characters, a whole "
        f"number, or true|false, not with {_shown(item)}"
    )
    raise ValueError(message)


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else repr(value)[:80]


def schema() -> dict[str, Any]:
    """Describe conditions in JSON Schema; `parse` says more, and better."""
    scalar = [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}]
    values = [*scalar, {"type": "array", "items": {"anyOf": scalar}, "minItems": 1}]
    return {
        "type": "object",
        "description": "A condition; every line has to hold, and `{}` always does.",
        "properties": {
            "all": {"type": "array", "minItems": 1, "items": {"type": "object"}},
            "any": {"type": "array", "minItems": 1, "items": {"type": "object"}},
            "not": {"type": "object"},
            **{fact: {"type": "string"} for fact in FACTS},
        },
        "additionalProperties": {"anyOf": [*values, {"type": "object"}]},
        "examples": [{"surface": "api_stateless", "segment": {"not": "us_national_security"}}],
    }


def nodes(node: Node) -> Iterator[Node]:
    """Give a node and everything in it, outermost first."""
    yield node
    match node:
        case Not(part):
            yield from nodes(part)
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from nodes(part)
