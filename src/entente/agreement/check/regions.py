"""Regions of requests: can any request meet a formula at all?

A formula becomes alternatives of literals joined by and; one of these is possible unless two
of its literals rule each other out. What cannot be told is called possible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import product
from typing import Final, NamedTuple

from entente.agreement.conditions import Among, Compared, Given, Scalar
from entente.agreement.decide.formulas import And, Formula, Literal

ALTERNATIVES_MAX: Final = 4_096


class TooMany(Exception):
    """A formula has more alternatives than are looked at."""


def conjunctions(made: Formula) -> tuple[tuple[Literal, ...], ...]:
    """Give the alternatives of a formula. Raises TooMany."""
    if isinstance(made, Literal):
        return ((made,),)
    parts = [conjunctions(part) for part in made.parts]
    if isinstance(made, And):
        count = 1
        for part in parts:
            count *= len(part)
        if count > ALTERNATIVES_MAX:
            raise TooMany
        return tuple(tuple(each for some in row for each in some) for row in product(*parts))
    if sum(map(len, parts)) > ALTERNATIVES_MAX:
        raise TooMany
    return tuple(each for part in parts for each in part)


class _Bound(NamedTuple):
    """An end of a range of numbers."""

    value: Fraction
    included: bool


class Regions:
    """What is possible in one document."""

    def __init__(
        self,
        choices: Mapping[str, frozenset[Scalar]],
        traits: Mapping[str, Mapping[str, Scalar]],
    ) -> None:
        """Take the choices of attributes, and the traits of assets."""
        self._choices = choices
        self._traits = traits

    def possible(self, literals: tuple[Literal, ...]) -> bool:
        """Say whether one request can meet all of some literals."""
        by_attribute: dict[str, list[Literal]] = {}
        for literal in literals:
            by_attribute.setdefault(literal.test.attribute, []).append(literal)
        found = {name: self._values(name, some) for name, some in by_attribute.items()}
        if any(values is not None and not values for values in found.values()):
            return False
        assets = found.get("asset")
        return assets is None or any(self._has_traits(asset, by_attribute) for asset in assets)

    def _has_traits(self, asset: Scalar, literals: Mapping[str, list[Literal]]) -> bool:
        """Say whether an asset's traits meet what is asked of them."""
        traits = self._traits.get(str(asset), {})
        return all(_allows(value, literals.get(name, [])) for name, value in traits.items())

    def _values(self, name: str, literals: list[Literal]) -> frozenset[Scalar] | None:
        """Give the values that meet all literals; None where they cannot be counted."""
        said = [each.test.given is each.wanted for each in literals if isinstance(each.test, Given)]
        tests = [each for each in literals if not isinstance(each.test, Given)]
        if False in said:
            return frozenset() if True in said or tests else None
        wanted = [
            each.values
            for each in tests
            if isinstance(each.test, Among) and each.wanted and not each.patterns
        ]
        if not wanted and self._choices.get(name):
            wanted = [self._choices[name]]
        if wanted:
            candidates = frozenset.intersection(*wanted)
            return frozenset(value for value in candidates if _allows(value, tests))
        return frozenset() if _empty_range(tests) else None


def _allows(value: Scalar, literals: list[Literal]) -> bool:
    """Say whether a value meets literals."""
    return all(_meets(value, each) for each in literals)


def _meets(value: Scalar, literal: Literal) -> bool:
    match literal.test:
        case Given(_, given):
            return given is literal.wanted
        case Compared(_, relation, bound):
            if isinstance(value, str):
                return literal.when_silent
            low, high = _range(relation, bound)
            inside = (low is None or _above(value, low)) and (high is None or _under(value, high))
            return inside is literal.wanted
    matched = value in literal.values or any(
        form.fullmatch(str(value)) is not None for form in literal.patterns
    )
    return matched is literal.wanted


def _range(relation: str, bound: Fraction) -> tuple[_Bound | None, _Bound | None]:
    """Give the ends of what stands in a relation to a bound."""
    included = relation in ("at_most", "at_least")
    end = _Bound(bound, included)
    return (None, end) if relation in ("at_most", "less_than") else (end, None)


def _above(value: bool | int | Fraction, low: _Bound) -> bool:
    return value > low.value or (low.included and value == low.value)


def _under(value: bool | int | Fraction, high: _Bound) -> bool:
    return value < high.value or (high.included and value == high.value)


_OPPOSITES: Final[Mapping[str, str]] = {
    "at_most": "more_than",
    "more_than": "at_most",
    "at_least": "less_than",
    "less_than": "at_least",
}


def _empty_range(literals: list[Literal]) -> bool:
    """Say whether comparisons leave no number."""
    lows, highs = [], []
    for relation, bound in _comparisons(literals):
        low, high = _range(relation, bound)
        lows.extend([low] if low else [])
        highs.extend([high] if high else [])
    return any(
        low.value > high.value or (low.value == high.value and not (low.included and high.included))
        for low in lows
        for high in highs
    )


def _comparisons(literals: list[Literal]) -> Iterator[tuple[str, Fraction]]:
    for literal in literals:
        if isinstance(literal.test, Compared):
            relation = literal.test.relation
            yield relation if literal.wanted else _OPPOSITES[relation], literal.test.bound
