"""Which measured facts a clause is about, and how much of each belongs to a base.

A fact says everything that there is to say about it: an attribute that it does not have
has no value, and only `{not: …}` and `given: false` hold for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from entente.agreement.conditions import (
    All,
    Among,
    AnyOf,
    Compared,
    Condition,
    Given,
    Node,
    Not,
    Test,
    nodes,
)
from entente.agreement.conditions import Fact as StateOf
from entente.agreement.decide.patterns import pattern_of
from entente.agreement.log import Attribute
from entente.agreement.money import Base, Bundle
from entente.agreement.values import parse

ONE: Final = Fraction(1)
ZERO: Final = Fraction(0)


def holds(
    condition: Condition, attributes: Mapping[str, Attribute], occurred_ns: Mapping[str, int]
) -> bool:
    """Say whether a condition holds for a fact's attributes."""
    return _holds(condition.node, attributes, occurred_ns)


def _holds(node: Node, attributes: Mapping[str, Attribute], occurred_ns: Mapping[str, int]) -> bool:
    match node:
        case Not(part):
            return not _holds(part, attributes, occurred_ns)
        case All(parts):
            return all(_holds(part, attributes, occurred_ns) for part in parts)
        case AnyOf(parts):
            return any(_holds(part, attributes, occurred_ns) for part in parts)
        case StateOf(_, reference):
            return reference in occurred_ns
        case _:
            return _tested(node, attributes)


def _tested(node: Test, attributes: Mapping[str, Attribute]) -> bool:
    value = attributes.get(node.attribute)
    match node:
        case Given(_, given):
            return (value is not None) == given
        case Compared():
            return _compared(node, value)
        case Among(_, values, patterns):
            return any(value == each and type(value) is type(each) for each in values) or any(
                isinstance(value, str) and pattern_of(each).fullmatch(value) for each in patterns
            )


def _compared(node: Compared, value: Attribute | None) -> bool:
    try:
        number = parse(value)
    except ValueError:
        return False
    match node.relation:
        case "at_most":
            return number <= node.bound
        case "at_least":
            return number >= node.bound
        case "less_than":
            return number < node.bound
        case _:
            return number > node.bound


def attributes_of(condition: Condition) -> frozenset[str]:
    """Name the attributes that a condition is about."""
    return frozenset(
        node.attribute
        for node in nodes(condition.node)
        if isinstance(node, Among | Compared | Given)
    )


def counted_share(bundle: Bundle) -> Fraction:
    """Give how much of a bundle's price belongs to the base.

    Raises ValueError where declared ratios do not sum to 1, prices are not above zero in all,
    or something counts that is no component.
    """
    whole = sum(bundle.components.values(), ZERO)
    if bundle.by == "declared" and whole != 1:
        message = f"the declared ratios of the bundle sum to {whole}, not to 1"
        raise ValueError(message)
    if whole <= 0 or any(price < 0 for price in bundle.components.values()):
        message = "the stand-alone prices of the bundle are not above zero"
        raise ValueError(message)
    unknown = [name for name in bundle.counts if name not in bundle.components]
    if unknown:
        message = f"{unknown[0]} counts, and is no component of the bundle"
        raise ValueError(message)
    return sum((bundle.components[name] for name in set(bundle.counts)), ZERO) / whole


def weight(
    base: Base, attributes: Mapping[str, Attribute], occurred_ns: Mapping[str, int]
) -> Fraction:
    """Give how much of a fact's amount belongs to a base: 1, 0, a bundle's part, or -1."""
    if base.less is not None and holds(base.less, attributes, occurred_ns):
        return -ONE
    if not holds(base.when, attributes, occurred_ns):
        return ZERO
    for bundle in base.bundles:
        if holds(bundle.when, attributes, occurred_ns):
            return counted_share(bundle)
    return ONE
