"""Deciding, written down once more and plainly: the oracle of the compiled rules.

It reads the clauses as they stand, clause by clause and for one instant, with no formulas, no
stretches of time and no memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from entente.agreement.clauses import Clause
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
)
from entente.agreement.document import Agreement
from entente.agreement.occasions import Courses, Facts, courses
from entente.agreement.rights import (
    Exclusivity,
    FirstRefusal,
    FirstShip,
    Grant,
    duration_ns,
    listed,
)


class Plain:
    """One version at one instant."""

    def __init__(self, agreement: Agreement, facts: Facts, at_ns: int) -> None:
        """Take what there is."""
        self.a = agreement
        self.at = at_ns
        self.zone = ZoneInfo(agreement.agreement.zone)
        self.courses: Courses = courses(
            agreement.events, agreement.triggers, agreement.parties, facts
        )
        self.occurred = self.courses.occurred_ns(at_ns)

    def barring(self, request: Mapping[str, Scalar]) -> set[str]:
        """Give the clauses that bar a request; none means that it is allowed."""
        r = self.filled(request)
        found = set()
        for asset in self.a.assets:
            owners = self.controlled({asset.owner})
            if (
                self.active(asset)
                and asset.reserved
                and r.get("asset") in self.parts(asset.id)
                and r.get("party") not in owners
                and not self.exempt(asset.id, r, bars=True)
                and not any(self.granted(grant, r) for grant in self.a.grants)
            ):
                found.add(asset.id)
        for grant in self.a.grants:
            if (
                grant.exclusive
                and self.active(grant)
                and r.get("asset") in self.granted_assets(grant)
            ):
                inside = self.holders(grant) | self.controlled(
                    {each.owner for each in self.a.assets if each.id in self.granted_assets(grant)}
                )
                if (
                    self.holds(grant.what, r, bars=True)
                    and r.get("party") not in inside
                    and not self.exempt(grant.id, r, bars=True)
                ):
                    found.add(grant.id)
        rules = (*self.a.exclusivities, *self.a.prohibitions, *self.a.precedences)
        for rule in rules:
            if (
                self.active(rule)
                and self.holds(rule.what, r, bars=True)
                and self.binds(rule, r)
                and not self.exempt(rule.id, r, bars=True)
                and not self.satisfied(rule, r)
            ):
                found.add(rule.id)
        return found

    def active(self, clause: Clause) -> bool:
        """Say whether a clause holds now."""
        return clause.holds_at(self.at, self.zone, self.occurred)

    def binds(self, rule: Clause, r: Mapping[str, Scalar]) -> bool:
        """Say whether a prohibition is about who asks."""
        on = getattr(rule, "binds", None)
        if on is None:
            return True
        return r.get("party") in listed(on) or ("party" not in r and self.required("party"))

    def satisfied(  # noqa: PLR0911  (one return for each kind of rule)
        self, rule: Clause, r: Mapping[str, Scalar]
    ) -> bool:
        """Say whether a request does as a rule wants."""
        if isinstance(rule, Exclusivity):
            return self.holds(rule.only, r, bars=False)
        if isinstance(rule, FirstShip):
            shipped = self.since(rule.shipped).get(str(r.get(rule.per)))
            waived = rule.waiver is not None and self.holds(rule.waiver, r, bars=False)
            return (
                self.holds(rule.place, r, bars=False)
                or waived
                or (shipped is not None and shipped + duration_ns(rule.lead) <= self.at)
            )
        if isinstance(rule, FirstRefusal):
            thing = str(r.get(rule.per))
            offered = self.since(rule.offered).get(thing)
            if self.holds(rule.place, r, bars=False):
                return True
            if offered is None or self.since(rule.accepted).get(thing, -1) >= offered:
                return False
            declined = self.since(rule.declined).get(thing, -1) >= offered
            return declined or offered + duration_ns(rule.response) <= self.at
        limit = getattr(rule, "limit", None)
        if limit is None:
            return False
        number = r.get(limit.of)
        return number is not None and not isinstance(number, str) and number <= limit.at_most

    def since(self, event: str) -> dict[str, int]:
        """Give since when an event has happened, by subject."""
        (declared,) = [each for each in self.a.events if each.id == event]
        final = "declared" if declared.verified_by is None else "verified"
        found = {}
        for subject, course in self.courses.of(event):
            since = course.since(self.at)
            if since is not None and course.at(self.at) == final:
                found[subject] = since
        return found

    def exempt(self, clause: str, r: Mapping[str, Scalar], *, bars: bool) -> bool:
        """Say whether something takes a clause out; `bars` is what the clause does."""
        overriding: list[tuple[Clause, Condition, tuple[str, ...]]] = [
            *((each, each.when, listed(each.overrides)) for each in self.a.exceptions),
            *((each, each.what, listed(each.overrides)) for each in self.a.exclusivities),
            *((each, each.what, listed(each.overrides)) for each in self.a.prohibitions),
        ]
        for each, when, overridden in overriding:
            if (
                clause in overridden
                and self.active(each)
                and self.holds(when, r, bars=not bars)
                and not self.exempt(each.id, r, bars=not bars)
            ):
                return True
        return False

    def granted(self, grant: Grant, r: Mapping[str, Scalar]) -> bool:
        """Say whether a grant gives the right."""
        return (
            self.active(grant)
            and ("anyone" in listed(grant.to) or r.get("party") in self.holders(grant))
            and r.get("asset") in self.granted_assets(grant)
            and self.holds(grant.what, r, bars=False)
            and self.holds(grant.provided, r, bars=False)
            and not self.exempt(grant.id, r, bars=False)
        )

    def granted_assets(self, grant: Grant) -> set[Scalar]:
        """Give what a grant is about."""
        meant = {part for name in listed(grant.asset) for part in self.parts(name)}
        left = {part for name in listed(grant.exclude) for part in self.parts(name)}
        return meant - left

    def holders(self, grant: Grant) -> set[Scalar]:
        """Give who has a grant."""
        return self.controlled(set(listed(grant.to))) if grant.affiliates else set(listed(grant.to))

    def parts(self, asset: str) -> set[Scalar]:
        """Give an asset and everything in it."""
        found: set[Scalar] = {asset}
        for each in self.a.assets:
            if each.part_of == asset:
                found |= self.parts(each.id)
        return found

    def controlled(self, parties: set[str]) -> set[Scalar]:
        """Give parties and whom they control."""
        found: set[Scalar] = set(parties)
        for each in self.a.entity_graph:
            if each.kind == "controls" and each.party in parties:
                found |= self.controlled({each.of})
        return found

    def required(self, attribute: str) -> bool:
        """Say whether a request has to say something."""
        return any(each.id == attribute and each.required for each in self.a.attributes)

    def filled(self, request: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Say what the document knows, too."""
        r = dict(request)
        for product in self.a.products:
            if product.id == r.get("product"):
                for name in ("surface", "asset", "developed_with"):
                    if getattr(product, name) is not None:
                        r.setdefault(name, getattr(product, name))
        model = r.get("model")
        if isinstance(model, str) and "asset" not in r:
            forms = [
                (len(form.replace("*", "")), each.id)
                for each in self.a.assets
                for form in each.models
                if fnmatchcase(model, form)
            ]
            if forms:
                r["asset"] = max(forms)[1]
        above = r.get("asset")
        known: dict[str, Scalar] = {}
        while above is not None:
            found = next((each for each in self.a.assets if each.id == above), None)
            if found is None:
                break
            for name, value in found.traits.items():
                known.setdefault(f"asset.{name}", value)
            known.setdefault("asset.kind", found.kind.value)
            above = found.part_of
        return r | known

    def holds(self, condition: Condition, r: Mapping[str, Scalar], *, bars: bool) -> bool:
        """Say whether a condition holds, with silence read against who would gain by it."""
        return self.node(condition.node, r, bars, wanted=True)

    def node(  # noqa: PLR0911  (one return for each kind of part)
        self, node: Node, r: Mapping[str, Scalar], bars: bool, *, wanted: bool
    ) -> bool:
        """Say whether a part is as it is wanted."""
        match node:
            case Not(part):
                return self.node(part, r, bars, wanted=not wanted)
            case All(parts):
                join = all if wanted else any
                return join(self.node(part, r, bars, wanted=wanted) for part in parts)
            case AnyOf(parts):
                join = any if wanted else all
                return join(self.node(part, r, bars, wanted=wanted) for part in parts)
            case Fact():
                return self.fact(node, r, bars, wanted=wanted)
            case Given(name, given):
                return ((name in r) is given) is wanted
        value = r.get(node.attribute)
        silent = bars and (not wanted or self.required(node.attribute))
        if value is None:
            return silent
        if isinstance(node, Compared):
            if isinstance(value, str):
                return silent
            return {
                "at_most": value <= node.bound,
                "at_least": value >= node.bound,
                "less_than": value < node.bound,
                "more_than": value > node.bound,
            }[node.relation] is wanted
        return self.among(node, value) is wanted

    def among(self, node: Among, value: Scalar) -> bool:
        """Say whether a value is one of those that are meant."""
        wide: set[Scalar] = set()
        for each in node.values:
            wide.add(each)
            for attribute in self.a.attributes:
                if attribute.id == node.attribute and each in attribute.groups:
                    wide |= set(attribute.groups[str(each)])
            if node.attribute == "asset":
                wide |= self.parts(str(each))
        return value in wide or any(fnmatchcase(str(value), form) for form in node.patterns)

    def fact(self, fact: Fact, r: Mapping[str, Scalar], bars: bool, *, wanted: bool) -> bool:
        """Say whether a fact is as it is wanted."""
        if fact.kind == "window":
            (window,) = [each for each in self.a.windows if each.id == fact.reference]
            return self.active(window) is wanted
        name, _, state = fact.reference.rpartition(".")
        per = next((each.per for each in self.a.events if each.id == name), None)
        if per is None or fact.kind == "trigger":
            return self.courses.holds(fact.reference, self.at) is wanted
        subjects = self.courses.subjects(name, state, self.at)
        if not subjects:
            return not wanted
        if per not in r:
            return bars and (not wanted or self.required(per))
        return (r[per] in subjects) is wanted
