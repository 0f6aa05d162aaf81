"""Names: ids are unique, every name leads somewhere, and no chain of names is a ring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from entente.agreement.check.conditions import check as check_conditions
from entente.agreement.check.conditions import conditions
from entente.agreement.check.finding import Finding
from entente.agreement.check.references import Reference, references
from entente.agreement.conditions import Fact, nodes
from entente.agreement.decide.rules import overriding
from entente.agreement.document import Agreement
from entente.agreement.occasions import MET, Event, State
from entente.agreement.rights import RelationKind

_KINDS: Final[Mapping[str, str]] = {
    "parties": "party",
    "assets": "asset",
    "events": "event",
    "windows": "window",
    "meters": "meter",
    "bases": "base",
    "contributions": "contribution",
    "netting": "netting set of a statement",
    "members": "member of a panel, or party",
    "overridable": "clause that bars, grants or exempts",
    "tiers": "tier of this waterfall",
    "securities": "security of this table",
}


def check(agreement: Agreement) -> Iterator[Finding]:
    """Find names that are taken twice, that lead nowhere, or that lead back to themselves."""
    yield from _twice(agreement)
    known = _known(agreement)
    for reference in references(agreement):
        yield from _leads(reference, known)
    events = {event.id: event for event in agreement.events}
    triggers = frozenset(trigger.id for trigger in agreement.triggers)
    for _, _, clause in agreement.clauses():
        if clause.until is not None:
            for state in sorted(clause.until.events()):
                yield from _state(clause.id, ("until",), state, events, triggers)
                yield from _for_each(clause.id, ("until",), state, events)
    for name, path, condition in conditions(agreement):
        for node in nodes(condition.node):
            if isinstance(node, Fact) and node.kind == "event":
                yield from _state(name, path, node.reference, events, triggers)
            elif isinstance(node, Fact):
                yield from _leads(Reference(name, path, f"{node.kind}s", node.reference), known)
    yield from check_conditions(agreement)
    yield from _rings(agreement)


def _twice(agreement: Agreement) -> Iterator[Finding]:
    """Find ids that two clauses have."""
    first: dict[str, str] = {}
    for section, _, clause in agreement.clauses():
        if clause.id in first:
            text = f"the id is taken already, under `{first[clause.id]}`: give another one"
            yield Finding(clause.id, ("id",), text)
        first.setdefault(clause.id, section)


def _known(agreement: Agreement) -> dict[str, Collection[str]]:
    """Give the ids that each kind of reference may lead to."""
    members = {name for party in agreement.parties for name in party.members}
    return {
        **{
            section: {clause.id for clause in getattr(agreement, section)}
            for section in ("parties", "assets", "events", "windows", "triggers", "meters", "bases")
        },
        "contributions": {clause.id for clause in agreement.contributions},
        "netting": {name for each in agreement.statements for name in each.netting},
        "members": members | {party.id for party in agreement.parties},
        "overridable": {
            clause.id
            for section in ("exclusivities", "prohibitions", "precedences", "grants", "exceptions")
            for clause in getattr(agreement, section)
        }
        | {asset.id for asset in agreement.assets if asset.reserved},
    }


def _leads(reference: Reference, known: Mapping[str, Collection[str]]) -> Iterator[Finding]:
    there = reference.there if reference.there is not None else known[reference.kind]
    if reference.name not in there:
        what = _KINDS.get(reference.kind, reference.kind.removesuffix("s"))
        text = f"there is no {what} `{reference.name}`{_near(reference.name, there)}"
        yield Finding(reference.clause, reference.path, text)


def _near(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f": did you mean `{near[0]}`?" if near else ": add it, or correct the name"


def _state(
    clause: str,
    path: tuple[str | int, ...],
    reference: str,
    events: Mapping[str, Event],
    triggers: Collection[str],
) -> Iterator[Finding]:
    """Find states that nothing can come to."""
    if reference in triggers:
        return
    name, _, state = reference.rpartition(".")
    if name in triggers and state == MET:
        return
    event = events.get(name)
    if event is None:
        near = _near(name or reference, [*events, *triggers])
        text = f"`{reference}` is no state of an event, and no trigger{near}"
        yield Finding(clause, path, text)
    elif state != State.DECLARED and (event.verified_by is None or state not in list(State)):
        states = "declared, verified or rejected" if event.verified_by else "declared only"
        yield Finding(clause, path, f"`{name}` can be {states}, not `{state}`")


def _for_each(
    clause: str, path: tuple[str | int, ...], reference: str, events: Mapping[str, Event]
) -> Iterator[Finding]:
    event = events.get(reference.rpartition(".")[0])
    if event is not None and event.per is not None:
        text = (
            f"`{event.id}` happens to each {event.per} apart, so that nothing can end with it: "
            "use it in a condition"
        )
        yield Finding(clause, path, text)


def _rings(agreement: Agreement) -> Iterator[Finding]:
    """Find parts, control and exemptions that come back to where they began."""
    parts = [(asset.id, asset.part_of, "part_of") for asset in agreement.assets if asset.part_of]
    control = [
        (each.party, each.of, "controls")
        for each in agreement.entity_graph
        if each.kind is RelationKind.CONTROLS
    ]
    overrides = [(clause.id, name, "overrides") for clause, _, name in overriding(agreement)]
    for edges in (parts, control, overrides):
        yield from _ring(edges)


def _ring(edges: list[tuple[str, str, str]]) -> Iterator[Finding]:
    """Find the rings in a graph by taking away what leads nowhere until no more does."""
    left = list(edges)
    while True:
        begins = {begin for begin, _, _ in left}
        kept = [edge for edge in left if edge[1] in begins]
        if len(kept) == len(left):
            break
        left = kept
    ends = Counter(end for _, end, _ in left)
    for begin, end, word in left:
        if begin in ends:
            text = f"leads back to itself, by `{word}` {end}: break the ring"
            yield Finding(begin, (word,), text)
