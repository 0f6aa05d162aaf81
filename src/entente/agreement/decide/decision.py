"""The answer for one request, and the rules of one stretch of time that give it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from entente.agreement.clauses import Clause
from entente.agreement.conditions import Scalar
from entente.agreement.decide.formulas import Formula, Request, attributes, holds
from entente.agreement.decide.rules import Exempting, Instant, Permit, Rule, rules
from entente.agreement.decide.sentences import barred, joined
from entente.agreement.decide.words import FILLING, Words
from entente.agreement.document import Agreement
from entente.agreement.occasions import Courses

REMEMBERED_MAX: Final = 8_192
"""Decisions that a stretch of time remembers; then it begins anew."""
TEXT_CHARS_MAX: Final = 1_000
"""Of an attribute's value. A longer one is decided, and not remembered."""


class Decision(msgspec.Struct, frozen=True):
    """Whether a request is allowed, by which clauses, in one sentence.

    Where it is not, `clauses` are those that bar it. Where it is, they are those that have a
    say in it: rules that it meets, exemptions and grants that it has; none means that no
    clause is about it. `version` is the hash of the agreement's version, empty before the
    first one counts.
    """

    allowed: bool
    clauses: tuple[str, ...]
    sentence: str
    version: str


class Stretch:
    """One version in a stretch of time in which nothing changes."""

    def __init__(
        self, agreement: Agreement, version: str, words: Words, courses: Courses, at_ns: int
    ) -> None:
        """Make the rules; `at_ns` is any instant in the stretch."""
        self._version = version
        self._words = words
        self._clauses: Mapping[str, Clause] = {
            clause.id: clause for _, _, clause in agreement.clauses()
        }
        self._order = {name: position for position, name in enumerate(self._clauses)}
        self._rules = rules(Instant(agreement, words, courses, at_ns))
        asked = {name for rule in self._rules for name in _asked(rule)}
        self._names = tuple(sorted(asked | set(FILLING))) if asked else ()
        self._remembered: dict[tuple[Scalar | None, ...], Decision] = {}

    def decide(self, request: Request) -> Decision:
        """Decide by memory, else by the rules."""
        key = tuple(map(request.get, self._names))
        found = self._remembered.get(key)
        if found is not None:
            return found
        decision = self._decide(self._words.completed(request))
        if not any(isinstance(part, str) and len(part) > TEXT_CHARS_MAX for part in key):
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[key] = decision
        return decision

    def _decide(self, request: Request) -> Decision:
        bars: list[str] = []
        says: list[str] = []
        exempts: list[str] = []
        for rule in self._rules:
            if not holds(rule.scope, request):
                continue
            lifted = [each.clause for each in rule.but if each.applies(request)]
            granted = [each.clause for each in rule.permits if each.applies(request)]
            if lifted:
                exempts.extend(lifted)
            elif granted or holds(rule.only, request):
                says.extend(granted or (rule.clause,))
            else:
                bars.append(rule.clause)
        if bars:
            return self._denial(bars, request)
        return Decision(
            allowed=True,
            clauses=self._ordered((*says, *exempts)),
            sentence=_permission(self._ordered(says), self._ordered(exempts)),
            version=self._version,
        )

    def _denial(self, bars: Sequence[str], request: Request) -> Decision:
        ordered = self._ordered(bars)
        sentence = barred(self._clauses[ordered[0]], request)
        also = f" ({joined(ordered[1:], 'and')} too)" if len(ordered) > 1 else ""
        return Decision(
            allowed=False,
            clauses=ordered,
            sentence=f"Not allowed: {sentence}{also}.",
            version=self._version,
        )

    def _ordered(self, clauses: Sequence[str]) -> tuple[str, ...]:
        """Name clauses once each, in the order of the document."""
        return tuple(sorted(set(clauses), key=self._order.__getitem__))


def _permission(says: Sequence[str], exempts: Sequence[str]) -> str:
    if says and exempts:
        return f"Allowed by {joined(says, 'and')}, and exempted by {joined(exempts, 'and')}."
    if says:
        return f"Allowed by {joined(says, 'and')}."
    if exempts:
        return f"Allowed, as {joined(exempts, 'and')} exempts it."
    return "Allowed: no clause is about this."


def _asked(rule: Rule) -> Iterator[str]:
    """Give every attribute that a rule asks for."""
    for made in _formulas(rule):
        yield from attributes(made)


def _formulas(part: Rule | Exempting | Permit) -> Iterator[Formula]:
    if isinstance(part, Rule):
        yield part.scope
        yield part.only
        for permit in part.permits:
            yield from _formulas(permit)
    else:
        yield part.when
    for exempting in part.but:
        yield from _formulas(exempting)
