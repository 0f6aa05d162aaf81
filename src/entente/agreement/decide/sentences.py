"""Sentences: conditions and decisions in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from entente.agreement.clauses import Clause
from entente.agreement.conditions import (
    All,
    Among,
    AnyOf,
    Compared,
    Fact,
    Given,
    Node,
    Not,
    Scalar,
    nodes,
)
from entente.agreement.decide.formulas import Request
from entente.agreement.rights import (
    Asset,
    Exclusivity,
    FirstRefusal,
    FirstShip,
    Grant,
    Prohibition,
    listed,
)
from entente.agreement.values import shown

NAMED_MAX: Final = 4
"""Things that a sentence names one by one."""

_RELATIONS: Final[Mapping[str, str]] = {
    "at_most": "at most",
    "at_least": "at least",
    "less_than": "less than",
    "more_than": "more than",
}


def described(node: Node) -> str:  # noqa: PLR0911  (one return for each kind of part)
    """Write a condition in words."""
    match node:
        case Among(attribute, values, patterns):
            return f"{attribute} {joined([*map(_value, values), *patterns], 'or')}"
        case Compared(attribute, relation, bound):
            return f"{attribute} {_RELATIONS[relation]} {shown(bound)}"
        case Given(attribute, given):
            return f"{attribute} {'said' if given else 'not said'}"
        case Fact(_, reference):
            return reference
        case Not(Among(attribute, values, patterns)):
            return f"{attribute} other than {joined([*map(_value, values), *patterns], 'or')}"
        case Not(part):
            return f"not ({described(part)})"
        case All(parts):
            return joined(map(_part, parts), "and") or "anything"
        case AnyOf(parts):
            return joined(map(_part, parts), "or") or "nothing"


def _part(node: Node) -> str:
    """Write a part of a condition, in brackets where it has parts itself."""
    words = described(node)
    return f"({words})" if isinstance(node, All | AnyOf) else words


def joined(words: Iterable[str], conjunction: str) -> str:
    """Join words as people do: `a, b and c`; many are cut short."""
    some = list(words)
    if len(some) > NAMED_MAX:
        some = [*some[: NAMED_MAX - 1], f"{len(some) - NAMED_MAX + 1} more"]
    if len(some) < 2:  # noqa: PLR2004  (one needs no conjunction)
        return "".join(some)
    return f"{', '.join(some[:-1])} {conjunction} {some[-1]}"


def barred(  # noqa: PLR0911  (one return for each kind of clause)
    clause: Clause, request: Request
) -> str:
    """Say why a clause bars a request."""
    match clause:
        case Asset():
            who = request.get("party")
            whom = "who does not say which party it is" if who is None else f"{who}"
            return f"{clause.id} is reserved to {clause.owner}, and no grant to {whom} covers this"
        case Grant():
            holders = joined(listed(clause.to), "and")
            return f"{clause.id} grants this to {holders} alone{_has(request, ('party',))}"
        case Exclusivity():
            return (
                f"{clause.id} keeps {described(clause.what.node)} to "
                f"{described(clause.only.node)}{_has(request, attributes(clause.only.node))}"
            )
        case Prohibition():
            return _prohibited(clause, request)
        case FirstShip():
            return (
                f"{clause.id} has {described(clause.what.node)} ship first on "
                f"{described(clause.place.node)}, where this {clause.per} has not been for "
                f"{clause.lead}, without a waiver{_has(request, (clause.per,))}"
            )
        case FirstRefusal():
            return (
                f"{clause.id} offers {described(clause.what.node)} to {clause.holder} first, who "
                f"has neither declined nor let it lapse{_has(request, (clause.per,))}"
            )
    return f"{clause.id} bars this"


def _prohibited(clause: Prohibition, request: Request) -> str:
    what = described(clause.what.node)
    if clause.limit is None:
        return f"{clause.id} prohibits {what}"
    limit = f"{clause.limit.of} at most {shown(clause.limit.at_most)}"
    return f"{clause.id} allows {what} with {limit}{_has(request, (clause.limit.of,))}"


def attributes(node: Node) -> tuple[str, ...]:
    """Give the attributes that a condition asks for, each once, as they come."""
    tested = (part for part in nodes(node) if isinstance(part, Among | Compared | Given))
    return tuple(dict.fromkeys(part.attribute for part in tested))


def _has(request: Request, names: Iterable[str]) -> str:
    """Say what a request has, of some attributes."""
    said = [
        f"{name} {_value(request[name])}" if request.get(name) is not None else f"no {name}"
        for name in names
    ]
    return f"; this request has {joined(said, 'and')}" if said else ""


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
