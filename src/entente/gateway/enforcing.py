"""Deciding the targets of requests by an agreement, quickly: by memory, else by its rules.

What a target is (its host, its seller, its region), what a model is, and whose a project or
a key is, stands in the settings as attributes. A decision is remembered for who asks for
which model on which API, until the instant at which the agreement next changes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeAlias

from entente.agreement.conditions import Scalar
from entente.agreement.decide import Decision, Rules
from entente.agreement.decide.described import Traits, described
from entente.agreement.occasions import Facts
from entente.domain.chat import Surface
from entente.domain.errors import AgreementForbids
from entente.domain.principal import Principal
from entente.gateway.agreed import Allowed, Decided
from entente.routing.catalog import Model, Target

REMEMBERED_MAX: Final = 16_384
"""Plans that are remembered; then it begins anew."""
HASH_CHARS_SHOWN: Final = 12
STATELESS: Final = "api_stateless"
STATEFUL: Final = "api_stateful"

Key: TypeAlias = tuple[str, str, str, str, Surface, bool]

_log = logging.getLogger("entente.agreement")


class Enforcer:
    """One state of the agreement, applied to plans. `gateway.agreed.Agreed`."""

    def __init__(
        self,
        rules: Rules,
        facts: Facts,
        traits: Traits,
        *,
        enforces: bool,
        count: Callable[[str], None],
    ) -> None:
        """Take the rules, what has happened, and what things are.

        `count` is told the model of each request that is barred, or would be.
        """
        self._standing = rules.given(facts)
        self._traits = traits
        self._enforces = enforces
        self._count = count
        self._until_ns = -1
        self._remembered: dict[Key, Allowed | AgreementForbids] = {}
        self._barred: set[Key] = set()

    def allow(
        self, who: Principal, model: Model, api: Surface, *, stateful: bool, at_ns: int
    ) -> Allowed:
        """Give what is allowed of a model's targets. Raises AgreementForbids for nothing."""
        if at_ns >= self._until_ns or len(self._remembered) >= REMEMBERED_MAX:
            self._forget(at_ns)
        key = (who.key_id, who.name, who.project, model.name, api, stateful)
        found = self._remembered.get(key)
        if found is None:
            found = self._remembered[key] = self._decide(key, who, model, at_ns)
        if key in self._barred:
            self._count(model.name)
        if isinstance(found, AgreementForbids):
            raise AgreementForbids(found.message, clauses=found.clauses)
        return found

    def _forget(self, at_ns: int) -> None:
        self._remembered.clear()
        self._barred.clear()
        self._until_ns = self._standing.changes_after(at_ns)

    def _decide(
        self, key: Key, who: Principal, model: Model, at_ns: int
    ) -> Allowed | AgreementForbids:
        kept: list[Target] = []
        decided: dict[Target, Decided] = {}
        barred: list[Decision] = []
        request: dict[str, Scalar] = {}
        for target in model.targets:
            request = self._request(key, who, model, target)
            decision = self._standing.decide(request, at_ns)
            decided[target] = Decided(decision.version, decision.clauses)
            if decision.allowed:
                kept.append(target)
                continue
            barred.append(decision)
            self._say(who, model, target, decision)
            if not self._enforces:
                kept.append(target)
        if barred and (not self._enforces or not kept):
            self._barred.add(key)
        if not kept:
            return _refusal(model, barred)
        surface = str(request.get("surface", ""))
        return Allowed(tuple(kept), decided, surface, who.project)

    def _request(self, key: Key, who: Principal, model: Model, target: Target) -> dict[str, Scalar]:
        """Describe a request to a target in the agreement's words."""
        *_, api, stateful = key
        said: dict[str, Scalar] = {
            "model": model.name,
            "deployment": target.model,
            "provider": target.provider,
            "target": str(target),
            "project": who.project,
            "key": who.key_id,
            "api": str(api),
            "surface": STATEFUL if stateful else STATELESS,
        }
        found = described(said, self._traits)
        keys = self._traits.get("key", {})
        if who.key_id not in keys:
            found.update(keys.get(who.name, {}))
        return found

    def _say(self, who: Principal, model: Model, target: Target, decision: Decision) -> None:
        """Leave a line for whoever runs the platform; once for each plan that is remembered."""
        _log.warning(
            "%s model=%s target=%s key=%s project=%s clauses=%s version=%s: %s",
            "barred" if self._enforces else "would be barred",
            model.name,
            target,
            who.key_id,
            who.project,
            ",".join(decision.clauses),
            decision.version[:HASH_CHARS_SHOWN],
            decision.sentence,
        )


def _refusal(model: Model, barred: list[Decision]) -> AgreementForbids:
    """Say what bars every target, in the words for the first one."""
    clauses = tuple(dict.fromkeys(name for each in barred for name in each.clauses))
    first = barred[0]
    message = (
        f"The agreement allows no target of the model `{model.name}` for this request. "
        f"{first.sentence} (clauses: {', '.join(clauses)}; version "
        f"{first.version[:HASH_CHARS_SHOWN]})"
    )
    return AgreementForbids(message, clauses=clauses)
