"""Conditions: their attributes are words of the document, and their values choices of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

import msgspec

from entente.agreement.check.finding import Finding
from entente.agreement.conditions import Among, Compared, Condition, Given, nodes
from entente.agreement.document import Agreement
from entente.agreement.rights import Attribute, AttributeKind

USUAL: Final = frozenset(
    {
        "asset",
        "channel",
        "currency",
        "customer",
        "developed_with",
        "host",
        "key",
        "kind",
        "model",
        "organisation",
        "party",
        "product",
        "project",
        "provider",
        "region",
        "residency",
        "segment",
        "seller",
        "service_tier",
        "status",
        "surface",
        "target",
        "use",
        "user",
    }
)
"""Attributes that need no declaration."""
FREE: Final = ("asset", "product", "tag")
"""What stands before the dot of an attribute that needs no declaration."""

Path = tuple[str | int, ...]


def conditions(agreement: Agreement) -> Iterator[tuple[str, Path, Condition]]:
    """Give every condition with its clause and its path in it."""
    for _, _, clause in agreement.clauses():
        for path, condition in _inside(clause, ()):
            yield clause.id, path, condition


def _inside(value: object, path: Path) -> Iterator[tuple[Path, Condition]]:
    if isinstance(value, Condition):
        yield path, value
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            yield from _inside(getattr(value, field), (*path, field))
    elif isinstance(value, tuple):
        for position, item in enumerate(value):
            yield from _inside(item, (*path, position))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _inside(item, (*path, str(key)))


def check(agreement: Agreement) -> Iterator[Finding]:
    """Find attributes that nobody declares, and values that an attribute does not have."""
    declared = {each.id: each for each in agreement.attributes}
    for attribute in agreement.attributes:
        yield from _groups(attribute)
    for clause, path, condition in conditions(agreement):
        for node in nodes(condition.node):
            if isinstance(node, Among | Compared | Given):
                for text in _test(node, declared):
                    yield Finding(clause, path, text)
    for clause, path, name in _named(agreement):
        if not _is_known(name, declared):
            yield Finding(clause, path, _unknown(name, declared))


def unheard(name: str, value: object, attributes: Iterable[Attribute]) -> str:
    """Say why no clause could mean this word of a request; nothing where one could."""
    declared = {each.id: each for each in attributes}
    if not _is_known(name, declared):
        return _unknown(name, declared)
    choices = declared[name].choices if name in declared else ()
    if not choices or value in choices:
        return ""
    near = get_close_matches(str(value), choices, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(choices))}"
    return f"`{name}` has no choice `{value}`: {hint}"


def _named(agreement: Agreement) -> Iterator[tuple[str, Path, str]]:
    """Give the attributes that stand outside of conditions."""
    for prohibition in agreement.prohibitions:
        if prohibition.limit is not None:
            yield prohibition.id, ("limit", "of"), prohibition.limit.of
    for precedence in agreement.precedences:
        yield precedence.id, ("per",), precedence.per
    for event in agreement.events:
        if event.per is not None:
            yield event.id, ("per",), event.per


def _is_known(name: str, declared: dict[str, Attribute]) -> bool:
    family, dot, _ = name.partition(".")
    return name in USUAL or name in declared or (bool(dot) and family in FREE)


def _unknown(name: str, declared: dict[str, Attribute]) -> str:
    near = get_close_matches(name, [*USUAL, *declared], n=1)
    hint = f"did you mean `{near[0]}`?" if near else "correct it"
    return f"`{name}` is no usual attribute: {hint} Or declare it under `attributes`"


def _test(node: Among | Compared | Given, declared: dict[str, Attribute]) -> Iterator[str]:
    name = node.attribute
    if not _is_known(name, declared):
        yield _unknown(name, declared)
    attribute = declared.get(name)
    if attribute is None:
        return
    if isinstance(node, Compared) and attribute.kind is not AttributeKind.NUMBER:
        yield f"`{name}` is a {attribute.kind.value}, and cannot be compared by size"
    if isinstance(node, Among) and attribute.choices:
        choices = {*attribute.choices, *attribute.groups}
        for value in node.values:
            if value not in choices:
                near = get_close_matches(str(value), choices, n=1)
                hint = f": did you mean `{near[0]}`?" if near else f": {', '.join(sorted(choices))}"
                yield f"`{name}` has no choice `{value}`{hint}"


def _groups(attribute: Attribute) -> Iterator[Finding]:
    for group, values in attribute.groups.items():
        for value in values:
            if attribute.choices and value not in attribute.choices:
                text = f"`{value}` is not among the choices: add it there, or correct it"
                yield Finding(attribute.id, ("groups", group), text)
