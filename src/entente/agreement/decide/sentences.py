"""Sentences: conditions and decisions in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

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
    Bound,
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


class Grounds(NamedTuple):
    """Why a clause bars: what it says, and which attributes of a request that is about."""

    says: str
    about: tuple[str, ...]

    def sentence(self, request: Request) -> str:
        """Say why it bars a request."""
        has = [
            f"{name} {_value(request[name])}" if request.get(name) is not None else f"no {name}"
            for name in self.about
        ]
        return f"{self.says}; this request has {joined(has, 'and')}" if has else self.says


def grounds(clause: Clause) -> Grounds:
    """Give why a clause bars what it bars."""
    match clause:
        case Asset():
            says = f"is reserved to {clause.owner}, and no grant covers this"
            about: tuple[str, ...] = ("party",)
        case Grant():
            says = f"grants this to {joined(listed(clause.to), 'and')} alone"
            about = ("party",)
        case Exclusivity():
            says = f"keeps {described(clause.what.node)} to {described(clause.only.node)}"
            about = attributes(clause.only.node)
        case Prohibition(limit=None):
            says, about = f"prohibits {described(clause.what.node)}", ()
        case Prohibition(limit=Bound(of=name, at_most=most)):
            what = described(clause.what.node)
            says, about = f"allows {what} with {name} at most {shown(most)}", (name,)
        case FirstShip():
            says = (
                f"has {described(clause.what.node)} ship first on "
                f"{described(clause.place.node)}, where this {clause.per} has not been for "
                f"{clause.lead}, without a waiver"
            )
            about = (clause.per,)
        case FirstRefusal():
            says = (
                f"offers {described(clause.what.node)} to {clause.holder} first, who "
                "has neither declined nor let it lapse"
            )
            about = (clause.per,)
        case _:
            says, about = "bars this", ()
    return Grounds(f"{clause.id} {says}", about)


def attributes(node: Node) -> tuple[str, ...]:
    """Give the attributes that a condition asks for, each once, as they come."""
    tested = (part for part in nodes(node) if isinstance(part, Among | Compared | Given))
    return tuple(dict.fromkeys(part.attribute for part in tested))


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
