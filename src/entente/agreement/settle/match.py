"""Which measured facts a clause is about, and how much of each belongs to a base.

A fact says everything that there is to say about it: an attribute that it does not have
has no value, and only `{not: …}` and `given: false` hold for it. Its words mean what they mean
in deciding: a group stands for its choices, an asset for its parts, and an event that happens
to each product apart has happened to the facts of such a product.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from fractions import Fraction
from typing import Final

import msgspec

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
from entente.agreement.decide.words import Words
from entente.agreement.log import Attribute
from entente.agreement.money import Base, Bundle

ONE: Final = Fraction(1)
ZERO: Final = Fraction(0)
NOBODY: Final[frozenset[str]] = frozenset()


class Around(msgspec.Struct, frozen=True):
    """What conditions are read in: what is so by then, and what the document's words mean."""

    occurred: Container[str] = frozenset()
    """States of events, triggers that are met and windows that are open."""
    words: Words | None = None
    subjects: Mapping[str, tuple[str, frozenset[str]]] = {}
    """Of an event that happens to each value of an attribute apart, by its state: the attribute,
    and the values to which it has happened."""


NOWHERE: Final = Around()


def holds(
    condition: Condition, attributes: Mapping[str, Attribute], around: Around = NOWHERE
) -> bool:
    """Say whether a condition holds for a fact's attributes."""
    return _holds(condition.node, attributes, around)


def _holds(node: Node, attributes: Mapping[str, Attribute], around: Around) -> bool:
    match node:
        case Not(part):
            return not _holds(part, attributes, around)
        case All(parts):
            return all(_holds(part, attributes, around) for part in parts)
        case AnyOf(parts):
            return any(_holds(part, attributes, around) for part in parts)
        case StateOf(_, reference):
            per, subjects = around.subjects.get(reference, ("", NOBODY))
            return reference in around.occurred or attributes.get(per) in subjects
        case _:
            return _tested(node, attributes, around.words)


def _tested(node: Test, attributes: Mapping[str, Attribute], words: Words | None) -> bool:
    value = attributes.get(node.attribute)
    match node:
        case Given(_, given):
            return (value is not None) == given
        case Compared():
            return _compared(node, value)
        case Among(name, values, patterns):
            meant = (
                wide
                for each in values
                for wide in ((each,) if words is None else words.widened(name, each))
            )
            return any(value == each and type(value) is type(each) for each in meant) or any(
                isinstance(value, str) and pattern_of(each).fullmatch(value) for each in patterns
            )


def _compared(node: Compared, value: Attribute | None) -> bool:
    if value is None or isinstance(value, str):
        return False  # a text where a number is asked for says nothing, as in deciding
    number = int(value)
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


def weight(base: Base, attributes: Mapping[str, Attribute], around: Around = NOWHERE) -> Fraction:
    """Give how much of a fact's amount belongs to a base: 1, 0, or a bundle's part.

    What the base is less counts below zero; of a bundle, again, by the bundle's part.
    """
    if base.less is not None and holds(base.less, attributes, around):
        sign = -ONE
    elif holds(base.when, attributes, around):
        sign = ONE
    else:
        return ZERO
    for bundle in base.bundles:
        if holds(bundle.when, attributes, around):
            return sign * counted_share(bundle)
    return sign
