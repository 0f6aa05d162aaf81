"""Rules: the clauses of one version that bar, made ready for one stretch of time.

A rule bars a request that is in its `scope`, does not meet `only`, and is not exempted. All
clauses that bar have this one shape:

    reserved asset   scope: the asset, and not its owner        only: a grant
    exclusive grant  scope: the asset, and neither its owner    only: never
                            nor who has the grant
    exclusivity      scope: what                                only: only
    prohibition      scope: what                                only: below the limit, or never
    first_ship       scope: what                                only: place, or shipped for `lead`,
                                                                      or waived
    first_refusal    scope: what                                only: place, or declined, or lapsed
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from zoneinfo import ZoneInfo

import msgspec

from entente.agreement.clauses import Clause
from entente.agreement.conditions import Among, Compared, Condition, Fact, Not, Scalar
from entente.agreement.decide.formulas import (
    NO,
    YES,
    Formula,
    Side,
    both,
    either,
    formula,
    one_of,
)
from entente.agreement.decide.words import Words
from entente.agreement.document import Agreement
from entente.agreement.occasions import Courses, Event, State
from entente.agreement.rights import (
    ANYONE,
    Exclusivity,
    FirstRefusal,
    FirstShip,
    Grant,
    Prohibition,
    duration_ns,
    listed,
)


class Easing(msgspec.Struct, frozen=True):
    """A clause that lets requests pass, an exemption or a grant, and those that prevent it."""

    clause: str
    when: Formula
    but: tuple[Easing, ...]


class Rule(msgspec.Struct, frozen=True):
    """One clause that bars. `kind` is the name of its list in the document."""

    clause: str
    kind: str
    scope: Formula
    only: Formula
    but: tuple[Easing, ...]
    permits: tuple[Easing, ...] = ()


class Instant:
    """The surroundings of conditions at one instant: `formulas.Surroundings`."""

    def __init__(self, agreement: Agreement, words: Words, courses: Courses, at_ns: int) -> None:
        """Take a version, its words, and what has happened."""
        self.agreement = agreement
        self.words = words
        self.at_ns = at_ns
        self._courses = courses
        self._zone = ZoneInfo(agreement.agreement.zone)
        self._occurred_ns = courses.occurred_ns(at_ns)
        self._events = {event.id: event for event in agreement.events}
        self._windows = {window.id: window for window in agreement.windows}

    def active(self, clause: Clause) -> bool:
        """Say whether a clause holds at the instant."""
        return clause.holds_at(self.at_ns, self._zone, self._occurred_ns)

    def fact(self, fact: Fact) -> bool | Among:
        """Answer a fact; one that happens to several subjects is a test of which it is."""
        if fact.kind == "window":
            return self.active(self._windows[fact.reference])
        name, _, state = fact.reference.rpartition(".")
        event = self._events.get(name) if fact.kind == "event" else None
        if event is not None and event.per is not None:
            return Among(event.per, self._courses.subjects(name, state, self.at_ns))
        return self._courses.holds(fact.reference, self.at_ns)

    def widened(self, attribute: str, value: Scalar) -> Collection[Scalar]:
        """Give the values that a value stands for."""
        return self.words.widened(attribute, value)

    def required(self, attribute: str) -> bool:
        """Say whether requests have to say an attribute."""
        return self.words.required(attribute)

    def since(self, event: str) -> Iterator[tuple[str, int]]:
        """Give the subjects to which an event has happened for good, each with since when."""
        declared = self._events[event]
        for subject, course in self._courses.of(event):
            since_ns = course.since(self.at_ns)
            if since_ns is not None and course.at(self.at_ns) == final_state(declared):
                yield subject, since_ns


def final_state(event: Event) -> State:
    """Give the state in which an event counts as having happened."""
    return State.DECLARED if event.verified_by is None else State.VERIFIED


def rules(around: Instant) -> tuple[Rule, ...]:
    """Give every rule that holds at an instant, in the order of the document."""
    return tuple(_Making(around).rules())


class _Making:
    """The making of rules at one instant."""

    def __init__(self, around: Instant) -> None:
        self._around = around
        self._agreement = around.agreement
        self._exempting: dict[str, list[tuple[str, Condition]]] = {}
        for clause, when, name in overriding(self._agreement):
            if around.active(clause):
                self._exempting.setdefault(name, []).append((clause.id, when))

    def rules(self) -> Iterator[Rule]:
        """Give the rules list by list."""
        yield from self._reserved()
        for grant in self._agreement.grants:
            if grant.exclusive and self._around.active(grant):
                yield self._exclusive_grant(grant)
        for exclusivity in self._agreement.exclusivities:
            if self._around.active(exclusivity):
                yield self._rule(exclusivity, "exclusivities", self._permits(exclusivity.only))
        for prohibition in self._agreement.prohibitions:
            if self._around.active(prohibition):
                yield self._prohibition(prohibition)
        for precedence in self._agreement.precedences:
            if self._around.active(precedence):
                ready = (
                    self._shipped(precedence)
                    if isinstance(precedence, FirstShip)
                    else self._released(precedence)
                )
                only = either(self._permits(precedence.place), *ready)
                yield self._rule(precedence, "precedences", only)

    def _bars(self, condition: Condition) -> Formula:
        return formula(condition, Side.BARS, self._around)

    def _permits(self, condition: Condition) -> Formula:
        return formula(condition, Side.PERMITS, self._around)

    def _test(self, test: Among | Compared, side: Side) -> Formula:
        return formula(Condition(test, {}), side, self._around)

    def _but(self, clause: str, side: Side) -> tuple[Easing, ...]:
        """Give what exempts from a clause; `side` is what an exemption from it does."""
        return tuple(
            Easing(name, formula(when, side, self._around), self._but(name, side.other))
            for name, when in self._exempting.get(clause, ())
        )

    def _rule(
        self,
        clause: Exclusivity | Prohibition | FirstShip | FirstRefusal,
        kind: str,
        only: Formula,
    ) -> Rule:
        but = self._but(clause.id, Side.PERMITS)
        return Rule(clause.id, kind, self._bars(clause.what), only, but)

    def _prohibition(self, clause: Prohibition) -> Rule:
        only: Formula = NO
        if clause.limit is not None:
            test = Compared(clause.limit.of, "at_most", clause.limit.at_most)
            only = self._test(test, Side.PERMITS)
        rule = self._rule(clause, "prohibitions", only)
        if clause.binds is None:
            return rule
        bound = self._test(Among("party", listed(clause.binds)), Side.BARS)
        return msgspec.structs.replace(rule, scope=both(bound, rule.scope))

    def _reserved(self) -> Iterator[Rule]:
        grants = [
            (grant, self._permit(grant))
            for grant in self._agreement.grants
            if self._around.active(grant)
        ]
        for asset in self._agreement.assets:
            if asset.reserved and self._around.active(asset):
                parts = self._around.words.parts(asset.id)
                permits = tuple(permit for grant, permit in grants if self._granted(grant) & parts)
                others = self._others(self._around.words.affiliates(asset.owner))
                scope = both(self._of(parts), others)
                but = self._but(asset.id, Side.PERMITS)
                yield Rule(asset.id, "assets", scope, NO, but, permits)

    def _of(self, assets: Collection[str], side: Side = Side.BARS) -> Formula:
        """Be one of these assets; parts that are meant are among them, ones left out are not."""
        silent = side is Side.BARS and self._around.required("asset")
        return one_of("asset", sorted(assets), when_silent=silent)

    def _others(self, parties: Collection[str]) -> Formula:
        """Everybody but these, and whoever does not say who it is."""
        meant = Condition(Not(Among("party", tuple(sorted(parties)))), {})
        return self._bars(meant)

    def _granted(self, grant: Grant) -> frozenset[str]:
        """Give the assets that a grant is about, parts included and exclusions left out."""
        words = self._around.words
        meant = frozenset[str]().union(*(words.parts(name) for name in listed(grant.asset)))
        return meant.difference(*(words.parts(name) for name in listed(grant.exclude)))

    def _holders(self, grant: Grant) -> frozenset[str]:
        """Give who has a grant."""
        words = self._around.words
        parties = frozenset(listed(grant.to))
        if not grant.affiliates:
            return parties
        return parties.union(*(words.affiliates(name) for name in parties))

    def _permit(self, grant: Grant) -> Easing:
        whom: Formula = YES
        if ANYONE not in listed(grant.to):
            whom = self._test(Among("party", tuple(sorted(self._holders(grant)))), Side.PERMITS)
        when = both(
            whom,
            self._of(self._granted(grant), Side.PERMITS),
            self._permits(grant.what),
            self._permits(grant.provided),
        )
        return Easing(grant.id, when, self._but(grant.id, Side.BARS))

    def _exclusive_grant(self, grant: Grant) -> Rule:
        assets = self._granted(grant)
        words = self._around.words
        owners = (
            words.affiliates(asset.owner) for asset in self._agreement.assets if asset.id in assets
        )
        inside = self._holders(grant).union(*owners)
        scope = both(self._of(assets), self._bars(grant.what), self._others(inside))
        return Rule(grant.id, "grants", scope, NO, self._but(grant.id, Side.PERMITS))

    def _shipped(self, clause: FirstShip) -> Iterator[Formula]:
        """Give when a thing may go elsewhere: shipped for long enough, or waived."""
        lead_ns = duration_ns(clause.lead)
        ready = tuple(
            subject
            for subject, since_ns in self._around.since(clause.shipped)
            if since_ns + lead_ns <= self._around.at_ns
        )
        yield self._test(Among(clause.per, ready), Side.PERMITS)
        if clause.waiver is not None:
            yield self._permits(clause.waiver)

    def _released(self, clause: FirstRefusal) -> Iterator[Formula]:
        """Give when a thing may go elsewhere: offered, and declined or let lapse."""
        response_ns = duration_ns(clause.response)
        accepted = dict(self._around.since(clause.accepted))
        declined = dict(self._around.since(clause.declined))
        ready = tuple(
            subject
            for subject, offered_ns in self._around.since(clause.offered)
            if accepted.get(subject, -1) < offered_ns
            and (
                declined.get(subject, -1) >= offered_ns
                or offered_ns + response_ns <= self._around.at_ns
            )
        )
        yield self._test(Among(clause.per, ready), Side.PERMITS)


def overriding(agreement: Agreement) -> Iterator[tuple[Clause, Condition, str]]:
    """Give every clause that overrides another, when it does, and the id of the other."""
    for exemption in agreement.exceptions:
        for name in listed(exemption.overrides):
            yield exemption, exemption.when, name
    barring: tuple[Exclusivity | Prohibition, ...] = (
        *agreement.exclusivities,
        *agreement.prohibitions,
    )
    for rule in barring:
        for name in listed(rule.overrides):
            yield rule, rule.what, name
