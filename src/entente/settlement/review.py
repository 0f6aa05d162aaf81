"""What an agreement would have barred of past traffic, before it is put in force.

The ledger says which model went where for whom, and, since an agreement was there, as what
kind of use. Before that the use is taken for a stateless call, unless the settings say more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from entente.agreement.conditions import Scalar
from entente.agreement.decide import Decision, Rules, decide
from entente.agreement.decide.described import Traits, described
from entente.agreement.occasions import Facts
from entente.domain.principal import DEFAULT_PROJECT
from entente.ledger.model import Settlement

SURFACE: Final = "api_stateless"
GROUPS_MAX: Final = 10_000


class Barred(msgspec.Struct, kw_only=True):
    """Requests that the same clauses bar in the same words."""

    model: str
    target: str
    key: str
    clauses: tuple[str, ...]
    sentence: str
    requests: int = 0
    cost_nano: dict[str, int] = {}
    """By currency, where the cost is known."""
    first_ns: int = 0
    last_ns: int = 0


class Review(msgspec.Struct, kw_only=True):
    """All of the traffic that was looked at."""

    requests: int = 0
    allowed: int = 0
    barred: list[Barred] = []
    more: int = 0
    """Barred requests beyond `GROUPS_MAX` groups."""


def review(entries: Iterable[Settlement], rules: Rules, facts: Facts, traits: Traits) -> Review:
    """Decide every request that reached a provider, at the instant at which it was settled."""
    found = Review()
    groups: dict[tuple[str, str, str, tuple[str, ...]], Barred] = {}
    for entry in entries:
        if not entry.target:
            continue
        found.requests += 1
        decision = decide(rules, facts, described(_said(entry), traits), entry.at_ns)
        if decision.allowed:
            found.allowed += 1
            continue
        name = (entry.model, entry.target, entry.key, decision.clauses)
        if name not in groups and len(groups) >= GROUPS_MAX:
            found.more += 1
            continue
        _count(groups.setdefault(name, _barred(entry, decision)), entry)
    found.barred = sorted(groups.values(), key=lambda each: (-each.requests, each.target))
    return found


def _said(entry: Settlement) -> dict[str, Scalar]:
    provider, _, deployment = entry.target.partition("/")
    return {
        "model": entry.model,
        "deployment": deployment,
        "provider": provider,
        "target": entry.target,
        "project": entry.project or DEFAULT_PROJECT,
        "key": entry.key,
        "surface": entry.surface or SURFACE,
    }


def _barred(entry: Settlement, decision: Decision) -> Barred:
    return Barred(
        model=entry.model,
        target=entry.target,
        key=entry.key,
        clauses=decision.clauses,
        sentence=decision.sentence,
        first_ns=entry.at_ns,
    )


def _count(group: Barred, entry: Settlement) -> None:
    group.requests += 1
    group.last_ns = entry.at_ns
    if entry.cost_nano is not None:
        cost = group.cost_nano
        cost[entry.asset] = cost.get(entry.asset, 0) + entry.cost_nano
