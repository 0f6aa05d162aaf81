"""Rules that clash: two that leave no place for a request, and exemptions that never apply.

Two exclusivities may be about the same requests where one place satisfies both. Where none
does, the document has to say which one gives way, by an exemption or by `overrides`: which of
two equal rules counts is never guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import combinations
from zoneinfo import ZoneInfo

from entente.agreement.check.finding import Finding
from entente.agreement.check.regions import Regions, TooMany, conjunctions
from entente.agreement.clauses import Clause, Until
from entente.agreement.conditions import Among, Condition, Fact, Node, Not, Scalar
from entente.agreement.decide.formulas import Formula, Side, both, formula
from entente.agreement.decide.rules import overriding
from entente.agreement.decide.sentences import described
from entente.agreement.decide.words import Words
from entente.agreement.document import Agreement
from entente.agreement.rights import ANYONE, Exclusivity, Grant, listed
from entente.agreement.values import instant_ns, next_day_ns


def check(agreement: Agreement) -> Iterator[Finding]:
    """Find clashes between exclusivities and between grants, and idle exemptions."""
    checking = _Checking(agreement)
    yield from checking.exclusivities()
    yield from checking.grants()
    yield from checking.exemptions()


class _Anytime:
    """Surroundings in which a fact may be either way: a test like any other."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def fact(self, fact: Fact) -> Among:
        """Stand for a fact by an attribute of its own."""
        return Among(f"{fact.kind} {fact.reference}", (True,))

    def widened(self, attribute: str, value: Scalar) -> Collection[Scalar]:
        """Give the values that a value stands for."""
        return self._words.widened(attribute, value)

    def required(self, attribute: str) -> bool:
        """Say whether requests have to say an attribute."""
        return self._words.required(attribute)


class _Checking:
    """The comparing of one version's clauses."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self._words = Words(agreement)
        self._around = _Anytime(self._words)
        self._zone = ZoneInfo(agreement.agreement.zone)
        choices = {each.id: frozenset[Scalar](each.choices) for each in agreement.attributes}
        assets = {asset.id: self._words.traits(asset.id) for asset in agreement.assets}
        self._regions = Regions(choices, assets)
        self._overriding: dict[str, list[Condition]] = {}
        for _, when, name in overriding(agreement):
            self._overriding.setdefault(name, []).append(when)

    def exclusivities(self) -> Iterator[Finding]:
        """Find pairs that leave a request no place."""
        for first, second in combinations(self._agreement.exclusivities, 2):
            if not self._meet_in_time(first, second):
                continue
            try:
                clash = self._clash(first, second)
            except TooMany:
                text = f"is too intricate to compare with {first.id}: split its conditions"
                yield Finding(second.id, ("what",), text)
                continue
            if clash:
                text = (
                    f"overlaps {first.id}, which keeps the same requests to "
                    f"{described(first.only.node)}, and no place is both: add an exception for "
                    f"one of them, or `overrides: {first.id}`"
                )
                yield Finding(second.id, ("only",), text)

    def _clash(self, first: Exclusivity, second: Exclusivity) -> bool:
        outside = [
            Not(when.node)
            for clause in (first, second)
            for when in self._overriding.get(clause.id, ())
        ]
        where = self._formula(first.what.node, second.what.node, *outside)
        place = self._formula(first.only.node, second.only.node)
        return any(
            not any(self._regions.possible((*some, *there)) for there in conjunctions(place))
            for some in conjunctions(where)
            if self._regions.possible(some)
        )

    def grants(self) -> Iterator[Finding]:
        """Find exclusive grants beside which somebody else has one."""
        for first in self._agreement.grants:
            for second in self._agreement.grants:
                if (
                    first.exclusive
                    and first is not second
                    and set(listed(second.to)) - self._insiders(first)
                    and self._meet_in_time(first, second)
                    and self._both_possible(first, second)
                ):
                    others = " and ".join(sorted(set(listed(second.to)) - self._insiders(first)))
                    text = (
                        f"is exclusive, and {second.id} grants the same to {others}: end one, or "
                        f"add an exception that overrides {first.id}"
                    )
                    yield Finding(first.id, ("exclusive",), text)

    def _insiders(self, grant: Grant) -> frozenset[str]:
        holders = frozenset(listed(grant.to)) - {ANYONE}
        owners = {
            asset.owner for asset in self._agreement.assets if asset.id in self._granted(grant)
        }
        inside = (
            holders
            if not grant.affiliates
            else frozenset[str]().union(*(self._words.affiliates(name) for name in holders))
        )
        return inside.union(*(self._words.affiliates(name) for name in owners))

    def _granted(self, grant: Grant) -> frozenset[str]:
        meant = frozenset[str]().union(*(self._words.parts(each) for each in listed(grant.asset)))
        return meant.difference(*(self._words.parts(each) for each in listed(grant.exclude)))

    def _both_possible(self, first: Grant, second: Grant) -> bool:
        if not self._granted(first) & self._granted(second):
            return False
        outside = [
            Not(when.node)
            for clause in (first, second)
            for when in self._overriding.get(clause.id, ())
        ]
        common = self._formula(first.what.node, second.what.node, *outside)
        return any(map(self._regions.possible, conjunctions(common)))

    def exemptions(self) -> Iterator[Finding]:
        """Find exemptions that exempt from nothing."""
        scopes: dict[str, Node] = {
            **{each.id: each.what.node for each in self._agreement.exclusivities},
            **{each.id: each.what.node for each in self._agreement.prohibitions},
            **{each.id: each.what.node for each in self._agreement.precedences},
            **{each.id: each.when.node for each in self._agreement.exceptions},
        }
        for exemption in self._agreement.exceptions:
            for name in listed(exemption.overrides):
                scope = scopes.get(name)
                if scope is None:
                    continue
                common = self._formula(scope, exemption.when.node)
                if not any(map(self._regions.possible, conjunctions(common))):
                    text = f"never applies, as {name} is never about such a request: correct one"
                    yield Finding(exemption.id, ("when",), text)

    def _formula(self, *parts: Node) -> Formula:
        made = (formula(Condition(part, {}), Side.PERMITS, self._around) for part in parts)
        return both(*made)

    def _meet_in_time(self, first: Clause, second: Clause) -> bool:
        """Say whether two clauses can hold at one instant; an event may come at any time."""
        begin_ns = max(self._begin_ns(first), self._begin_ns(second))
        return all(
            end_ns is None or begin_ns < end_ns
            for end_ns in (self._end_ns(first.until), self._end_ns(second.until))
        )

    def _begin_ns(self, clause: Clause) -> int:
        effective = clause.effective or self._agreement.agreement.effective
        return instant_ns(effective, self._zone)

    def _end_ns(self, until: Until | None) -> int | None:
        """Give the latest instant that an end can be; None where there is none."""
        if until is None:
            return None
        if until.date is not None:
            read = next_day_ns if until.inclusive else instant_ns
            return read(until.date, self._zone)
        ends = [self._end_ns(part) for part in (*until.earliest_of, *until.latest_of)]
        known = [end for end in ends if end is not None]
        if until.earliest_of:
            return min(known, default=None)
        return max(known, default=None) if len(known) == len(ends) else None
