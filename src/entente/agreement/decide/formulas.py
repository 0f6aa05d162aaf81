"""Formulas: conditions made ready to be asked often, and what a request's silence means.

`formula` turns a condition into And, Or and Literal with every `not` moved down to a
literal, every fact (event, trigger, window) answered, and every value widened to what it
stands for (`surface: api` to the surfaces of that group).

A request need not say every attribute. What a test of an unsaid attribute gives depends on
the side that the clause is on, so that nobody gains by silence:

- in a clause that bars, `{not: x}` holds on silence, and a plain test does not, unless the
  document declares the attribute as required: then it holds too;
- in a clause that permits, no test of an unsaid attribute holds;
- `given` asks about silence itself and is exact on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from fractions import Fraction
from re import Pattern
from typing import Final, Protocol, TypeAlias

import msgspec

from entente.agreement.conditions import (
    All,
    Among,
    AnyOf,
    Compared,
    Condition,
    Fact,
    Given,
    Node,
    Not,
    Scalar,
    Test,
)
from entente.agreement.decide.patterns import pattern_of

Request: TypeAlias = Mapping[str, Scalar]
"""What is asked, attribute by attribute; an attribute that is not in it is not said."""


class Side(Enum):
    """What a condition does where it holds."""

    BARS = "bars"
    PERMITS = "permits"

    @property
    def other(self) -> Side:
        """The side of an exception to this one."""
        return Side.PERMITS if self is Side.BARS else Side.BARS


class Literal(msgspec.Struct, frozen=True):
    """One test of one attribute; it holds where the test's answer is `wanted`."""

    test: Test
    wanted: bool
    when_silent: bool
    values: frozenset[Scalar] = frozenset()
    patterns: tuple[Pattern[str], ...] = ()


class And(msgspec.Struct, frozen=True):
    """Every part holds; without parts, always."""

    parts: tuple[Formula, ...]


class Or(msgspec.Struct, frozen=True):
    """One part holds at least; without parts, never."""

    parts: tuple[Formula, ...]


Formula: TypeAlias = Literal | And | Or

YES: Final = And(())
NO: Final = Or(())


class Surroundings(Protocol):
    """What a formula is made in: the facts of an instant, and the document's words."""

    def fact(self, fact: Fact) -> bool | Among:
        """Say whether a fact holds, or of which subjects it does."""

    def widened(self, attribute: str, value: Scalar) -> Collection[Scalar]:
        """Give the values that a value of an attribute stands for, itself included."""

    def required(self, attribute: str) -> bool:
        """Say whether requests have to say an attribute."""


def formula(condition: Condition, side: Side, around: Surroundings) -> Formula:
    """Make a condition ready for requests at one instant."""
    return _formula(condition.node, side, around, wanted=True)


def _formula(node: Node, side: Side, around: Surroundings, *, wanted: bool) -> Formula:
    match node:
        case Not(part):
            return _formula(part, side, around, wanted=not wanted)
        case All(parts):
            made = (_formula(part, side, around, wanted=wanted) for part in parts)
            return both(*made) if wanted else either(*made)
        case AnyOf(parts):
            made = (_formula(part, side, around, wanted=wanted) for part in parts)
            return either(*made) if wanted else both(*made)
        case Fact():
            answer = around.fact(node)
            if isinstance(answer, bool):
                return YES if answer is wanted else NO
            return _literal(answer, side, around, wanted=wanted)
        case _:
            return _literal(node, side, around, wanted=wanted)


def _literal(test: Test, side: Side, around: Surroundings, *, wanted: bool) -> Formula:
    match test:
        case Given(_, given):
            return Literal(test, wanted, when_silent=given is not wanted)
        case Among(attribute, values, patterns):
            if not values and not patterns:
                return NO if wanted else YES  # a fact that is true of nobody yet
            return Literal(
                test,
                wanted,
                when_silent=_when_silent(test, side, around, wanted=wanted),
                values=frozenset(
                    wide for value in values for wide in around.widened(attribute, value)
                ),
                patterns=tuple(pattern_of(pattern) for pattern in patterns),
            )
    return Literal(test, wanted, when_silent=_when_silent(test, side, around, wanted=wanted))


def one_of(attribute: str, values: Collection[Scalar], *, when_silent: bool) -> Formula:
    """Make the test of an attribute for just these values, which stand for no others."""
    if not values:
        return NO
    return Literal(
        Among(attribute, tuple(values)),
        wanted=True,
        when_silent=when_silent,
        values=frozenset(values),
    )


def _when_silent(test: Test, side: Side, around: Surroundings, *, wanted: bool) -> bool:
    return side is Side.BARS and (not wanted or around.required(test.attribute))


def both(*parts: Formula) -> Formula:
    """Join by and, leaving out what is certain."""
    kept: list[Formula] = []
    for part in parts:
        if part == NO:
            return NO
        kept.extend(part.parts if isinstance(part, And) else (part,))
    return kept[0] if len(kept) == 1 else And(tuple(kept))


def either(*parts: Formula) -> Formula:
    """Join by or, leaving out what is certain."""
    kept: list[Formula] = []
    for part in parts:
        if part == YES:
            return YES
        kept.extend(part.parts if isinstance(part, Or) else (part,))
    return kept[0] if len(kept) == 1 else Or(tuple(kept))


Asking: TypeAlias = Callable[[Request], bool]


def asking(made: Formula) -> Asking:
    """Make the function that says whether a formula holds for a request."""
    if isinstance(made, Literal):
        return _asking_among(made) if isinstance(made.test, Among) else _asking_other(made)
    parts = tuple(map(asking, made.parts))
    if len(parts) == 1:
        return parts[0]
    certain = isinstance(made, And)

    def join(request: Request) -> bool:
        for part in parts:
            if part(request) is not certain:
                return not certain
        return certain

    return join


def _asking_among(made: Literal) -> Asking:
    name, wanted, silent = made.test.attribute, made.wanted, made.when_silent
    values, patterns = made.values, made.patterns

    def among(request: Request) -> bool:
        value = request.get(name)
        if value is None:
            return silent
        return (value in values or _matches(value, patterns)) is wanted

    def exactly(request: Request) -> bool:
        value = request.get(name)
        return silent if value is None else (value in values) is wanted

    return among if patterns else exactly


def _matches(value: Scalar, patterns: tuple[Pattern[str], ...]) -> bool:
    return isinstance(value, str) and any(each.fullmatch(value) for each in patterns)


def _asking_other(made: Literal) -> Asking:
    name, wanted, silent = made.test.attribute, made.wanted, made.when_silent
    if isinstance(made.test, Compared):
        compare, bound = _COMPARE[made.test.relation], made.test.bound

        def compared(request: Request) -> bool:
            value = request.get(name)
            # A text where a number is asked for tells as little as silence.
            if value is None or isinstance(value, str):
                return silent
            return compare(value, bound) is wanted

        return compared
    return lambda request: (request.get(name) is not None) is not silent


_COMPARE: Final[Mapping[str, Callable[[bool | int | Fraction, Fraction], bool]]] = {
    "at_most": lambda value, bound: value <= bound,
    "at_least": lambda value, bound: value >= bound,
    "less_than": lambda value, bound: value < bound,
    "more_than": lambda value, bound: value > bound,
}


def attributes(made: Formula) -> Iterator[str]:
    """Give the attributes that a formula asks for, repeated as they stand."""
    if isinstance(made, Literal):
        yield made.test.attribute
    else:
        for part in made.parts:
            yield from attributes(part)
