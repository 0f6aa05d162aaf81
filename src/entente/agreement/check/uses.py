"""Clauses that do nothing: nobody names them, or what they say can never matter."""

from __future__ import annotations

from collections.abc import Iterator

from entente.agreement.check.conditions import conditions
from entente.agreement.check.finding import Finding
from entente.agreement.check.references import references
from entente.agreement.conditions import Among, Fact, nodes
from entente.agreement.decide.words import Words
from entente.agreement.document import Agreement
from entente.agreement.rights import ANYONE, listed

_NAMED = ("events", "triggers", "windows", "attributes", "meters", "bases")
"""Lists whose clauses do nothing unless others name them."""


def unused(agreement: Agreement) -> frozenset[str]:
    """Give the clauses of one version that only matter where others name them, and none does."""
    used = {reference.name for reference in references(agreement)}
    used |= {name for party in agreement.parties for name in party.members}
    for _, _, clause in agreement.clauses():
        if clause.until is not None:
            used |= {part for name in clause.until.events() for part in _parts(name)}
    for _, _, condition in conditions(agreement):
        for node in nodes(condition.node):
            if isinstance(node, Fact):
                used.update(_parts(node.reference))
            elif hasattr(node, "attribute"):
                used.add(node.attribute)
                if isinstance(node, Among):
                    used.update(value for value in node.values if isinstance(value, str))
    used |= {each.limit.of for each in agreement.prohibitions if each.limit is not None}
    used |= {each.per for each in agreement.precedences}
    return frozenset(
        clause.id
        for section in _NAMED
        for clause in getattr(agreement, section)
        if clause.id not in used
    )


def _parts(reference: str) -> tuple[str, str]:
    """Give what `EVENT.STATE` or `TRIGGER` may name."""
    return reference, reference.rpartition(".")[0]


def check(agreement: Agreement) -> Iterator[Finding]:
    """Find grants of what is not reserved, and exclusive grants to everybody."""
    words = Words(agreement)
    reserved = frozenset[str]().union(
        *(words.parts(asset.id) for asset in agreement.assets if asset.reserved)
    )
    for grant in agreement.grants:
        granted = frozenset[str]().union(*(words.parts(name) for name in listed(grant.asset)))
        left = granted.difference(*(words.parts(name) for name in listed(grant.exclude)))
        if not left:
            text = "excludes everything that it grants: remove one"
            yield Finding(grant.id, ("exclude",), text)
        elif not left & reserved and not grant.exclusive:
            text = "grants what everybody may: give the asset `reserved: true`, or remove this"
            yield Finding(grant.id, ("asset",), text)
        if grant.exclusive and ANYONE in listed(grant.to):
            yield Finding(grant.id, ("exclusive",), "cannot be exclusive to anyone: name parties")
    for event in agreement.events:
        if event.verified_by is not None:
            panel = next(p for p in agreement.parties if p.id == event.verified_by.panel)
            if not panel.members:
                text = f"{panel.id} has no members, so that nobody can verify: list them"
                yield Finding(event.id, ("verified_by", "panel"), text)
