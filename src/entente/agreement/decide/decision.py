"""The answer for one request, and the rules of one stretch of time that give it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from entente.agreement.clauses import Clause
from entente.agreement.conditions import Scalar
from entente.agreement.decide.formulas import Asking, Formula, Request, asking, attributes
from entente.agreement.decide.rules import Easing, Instant, Rule, rules
from entente.agreement.decide.sentences import Grounds, grounds, joined
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


class _Ready(NamedTuple):
    """A rule as it is asked; see `Rule`."""

    clause: str
    scope: Asking
    only: Asking
    but: tuple[tuple[str, Asking], ...]
    permits: tuple[tuple[str, Asking], ...]


def _ready(rule: Rule) -> _Ready:
    return _Ready(
        clause=rule.clause,
        scope=asking(rule.scope),
        only=asking(rule.only),
        but=tuple((each.clause, _applying(each)) for each in rule.but),
        permits=tuple((each.clause, _applying(each)) for each in rule.permits),
    )


def _applying(easing: Easing) -> Asking:
    """Make the function that says whether an exemption or a grant applies to a request."""
    when = asking(easing.when)
    but = tuple(map(_applying, easing.but))
    if not but:
        return when
    return lambda request: when(request) and not any(each(request) for each in but)


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
        made = rules(Instant(agreement, words, courses, at_ns))
        self._rules = tuple(map(_ready, made))
        self._grounds: dict[str, Grounds] = {}
        asked = {name for rule in made for name in _asked(rule)}
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
            if not rule.scope(request):
                continue
            exempted = [clause for clause, applies in rule.but if applies(request)]
            granted = [clause for clause, applies in rule.permits if applies(request)]
            if exempted:
                exempts.extend(exempted)
            elif granted or rule.only(request):
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
        first = self._grounds.get(ordered[0])
        if first is None:
            first = self._grounds[ordered[0]] = grounds(self._clauses[ordered[0]])
        sentence = first.sentence(request)
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


def _formulas(part: Rule | Easing) -> Iterator[Formula]:
    if isinstance(part, Rule):
        yield part.scope
        yield part.only
        for permit in part.permits:
            yield from _formulas(permit)
    else:
        yield part.when
    for easing in part.but:
        yield from _formulas(easing)
