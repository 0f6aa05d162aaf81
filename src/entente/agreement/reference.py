"""The reference page of the language, from its types: every list, every field, an example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from entente.agreement.clauses import Clause
from entente.agreement.document import Amendment, Document, Head, Parameter, Scenario
from entente.agreement.example import EXAMPLE
from entente.agreement.schema import field_notes

_HEAD: Final = """\
# The language of agreements: reference

Written by `entente agreement schema --form reference` from the types that read a document; do
not edit it. [language.md](language.md) explains the whole, [deciding.md](deciding.md) what
the clauses on rights mean, [settling.md](settling.md) what those on money do.
[schema.json](schema.json) is the same for editors.

Every clause has the fields of [all clauses](#all-clauses). Exact numbers are text (`"1/5"`,
`"0.2"`, `"20%"`, `"92e9"`, `250_000_000`) or whole numbers, never floating ones. The examples
are parts of one document, which a test loads.
"""
_LISTS: Final[dict[str, str]] = {
    "attributes": "words for requests",
    "parties": "primitive 1",
    "entity_graph": "primitive 2",
    "assets": "primitive 3",
    "products": "primitive 4",
    "channels": "primitive 5",
    "grants": "primitive 6",
    "exclusivities": "primitive 7",
    "prohibitions": "primitive 8",
    "exceptions": "primitive 9",
    "windows": "primitive 10",
    "events": "primitive 11",
    "triggers": "primitive 12",
    "precedences": "primitive 13",
    "contributions": "primitive 14",
    "meters": "primitive 15",
    "rates": "primitive 16",
    "bases": "primitive 17",
    "shares": "primitive 18",
    "waterfalls": "primitive 19",
    "commitments": "primitive 20",
    "stakes": "primitive 21",
    "statements": "primitive 22",
}
"""The lists of clauses in the order of the page."""
_TOP_LEVEL: Final = re.compile(r"[a-z_]+:")


def reference_text() -> str:
    """Write the page."""
    return "\n".join(_lines()).rstrip() + "\n"


def _lines() -> Iterator[str]:
    kinds = _kinds()
    yield _HEAD
    yield "## `agreement`\n"
    yield from _struct(Head)
    yield from _example("agreement")
    yield "## All clauses\n"
    yield from _struct(Clause)
    for section, title in _LISTS.items():
        yield f"## `{section}`: {title}\n"
        for kind in kinds[section]:
            yield from _struct(kind, leaving=Clause)
        yield from _example(section)
    for section, beside in (
        ("parameters", Parameter),
        ("amendments", Amendment),
        ("scenarios", Scenario),
    ):
        yield f"## `{section}`\n"
        yield from _struct(beside)
        yield from _example(section)
    yield "## `include`\n"
    yield f"{field_notes(Document)['include']}\n"


def _kinds() -> dict[str, list[type]]:
    """Give the structs of each list."""
    found: dict[str, list[type]] = {}
    for field in _fields(Document):
        inner = getattr(field.type, "item_type", None)
        members = inner.types if isinstance(inner, msgspec.inspect.UnionType) else (inner,)
        found[field.name] = [
            member.cls for member in members if isinstance(member, msgspec.inspect.StructType)
        ]
    return found


def _fields(kind: type) -> tuple[msgspec.inspect.Field, ...]:
    described = msgspec.inspect.type_info(kind)
    return described.fields if isinstance(described, msgspec.inspect.StructType) else ()


def _struct(
    kind: type, *, leaving: type | None = None, seen: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Describe a struct and the ones inside it."""
    left = {field.name for field in _fields(leaving)} if leaving else set()
    notes = field_notes(kind)
    yield f"{_sentence(kind)}\n"
    inside: list[type] = []
    rows: list[str] = []
    described = msgspec.inspect.type_info(kind)
    if isinstance(described, msgspec.inspect.StructType) and described.tag_field:
        rows.append(f"| `{described.tag_field}` | `{described.tag}` | required | |")
    for field in _fields(kind):
        if field.name in left:
            continue
        inside.extend(_structs(field.type))
        cells = (
            f"`{field.name}`",
            _words(field.type),
            _default(field),
            notes.get(field.name, ""),
        )
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    if rows:
        yield "| field | value | without it | meaning |\n|---|---|---|---|"
        yield from rows
        yield ""
    for part in dict.fromkeys(inside):
        if part.__name__ not in seen and part is not kind:
            yield f"**{part.__name__}.** "
            yield from _struct(part, seen=seen | {kind.__name__, part.__name__})


def _sentence(kind: type) -> str:
    """Give a struct's docstring, its first lines of prose joined."""
    text = (kind.__doc__ or "").strip()
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n") if "{" not in part]
    return "\n\n".join(paragraphs)


def _structs(kind: Any) -> Iterator[type]:
    """Give the structs inside a type, but for the ends of clauses, which have their own part."""
    if isinstance(kind, msgspec.inspect.StructType):
        yield kind.cls
    for inner in ("item_type", "value_type"):
        part = getattr(kind, inner, None)
        if part is not None:
            yield from _structs(part)
    if isinstance(kind, msgspec.inspect.UnionType):
        for part in kind.types:
            yield from _structs(part)


def _words(kind: Any) -> str:  # noqa: C901, PLR0911  (one return for each kind of type)
    """Write a type in words."""
    inspect = msgspec.inspect
    match kind:
        case inspect.Metadata():
            return _words(kind.type)
        case inspect.UnionType():
            parts = [_words(part) for part in kind.types if not _is_nothing(part)]
            return " or ".join(dict.fromkeys(parts))
        case inspect.VarTupleType():
            return f"list of {_words(kind.item_type)}"
        case inspect.DictType():
            return f"mapping of {_words(kind.key_type)} to {_words(kind.value_type)}"
        case inspect.StructType():
            return kind.cls.__name__
        case inspect.EnumType():
            return ", ".join(f"`{member.value}`" for member in kind.cls)
        case inspect.LiteralType():
            return ", ".join(f"`{value}`" for value in kind.values)
        case inspect.CustomType():
            return {"Fraction": "exact number", "Condition": "condition"}[kind.cls.__name__]
        case inspect.BoolType():
            return "`true`, `false`"
        case inspect.IntType():
            return "whole number"
        case inspect.StrType():
            return _text_words(kind)
    return "any value"


def _text_words(kind: msgspec.inspect.StrType) -> str:
    """Tell the texts apart by their patterns."""
    pattern = kind.pattern or ""
    if pattern.startswith(r"^\d{4}"):
        return "day or instant" if "T" in pattern else "day"
    if pattern.startswith("^[A-Za-z]"):
        return "id"
    if pattern.startswith("^[a-z]"):
        return "attribute"
    return "duration" if "dh" in pattern else "text"


def _is_nothing(kind: Any) -> bool:
    return isinstance(kind, msgspec.inspect.NoneType) or getattr(kind, "cls", None) is type(
        msgspec.UNSET
    )


def _default(field: msgspec.inspect.Field) -> str:
    """Say what counts where a field is not there."""
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT or value in ((), {}, None, "", msgspec.UNSET):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def _example(section: str) -> Iterator[str]:
    """Give a list's part of the example as it is written."""
    lines = EXAMPLE.splitlines()
    begin = lines.index(f"{section}:")
    end = next(
        (number for number in range(begin + 1, len(lines)) if _TOP_LEVEL.match(lines[number])),
        len(lines),
    )
    yield "```yaml"
    yield "\n".join(lines[begin:end]).rstrip()
    yield "```\n"
