"""Grants of a running server: what a key may spend, changed in the ledger and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from entente.control.budgets import (
    Budget,
    brought_forward,
    budget_view,
    check_change,
    further_grant,
)
from entente.control.table import Base, admit
from entente.domain.errors import ObjectNotFound

if TYPE_CHECKING:
    from entente.auth.store import KeyStore
    from entente.control.audit import Audit
    from entente.domain.principal import Principal
    from entente.ledger.model import Grant


class Granting(Protocol):
    """What grants ask of the ledger, whichever it stands on."""

    def budget(self, key: str) -> Budget:
        """Give where the budget of a key stands now. Raises LedgerUnavailable."""

    def granted(self, key: str) -> int:
        """Give what a key was granted in all, in nano-units. Raises LedgerUnavailable."""

    def append(self, entry: Grant) -> None:
        """Write a grant. Raises LedgerUnavailable."""

    def find(self, grant_id: str) -> Grant | None:
        """Give a grant by its id."""


def note_grant(audit: Audit, actor: Principal, before: Budget, made: Grant) -> None:
    """Write a grant down in the audit, in the transaction that makes it."""
    after = msgspec.structs.replace(
        before,
        granted_nano=before.granted_nano + made.nano,
        available_nano=before.available_nano + made.nano,
    )
    views = {"before": budget_view(before), "after": budget_view(after)}
    audit.note(actor, "budget.grant", made.key, **views)


class Grants:
    """The use cases."""

    def __init__(self, base: Base, audit: Audit, store: KeyStore, ledger: Granting) -> None:
        """Take the parts."""
        self._base = base
        self._audit = audit
        self._store = store
        self._ledger = ledger

    def standing(self, actor: Principal, key: str) -> Budget:
        """Give where the budget of a key stands. Raises PermissionDenied, LedgerUnavailable."""
        admit(actor)
        return self._ledger.budget(key)

    def add(
        self, actor: Principal, key: str, nano: int, *, before: Budget, note: str = ""
    ) -> Grant:
        """Add to a key's budget, or take away; from then on the key is under a hard one.

        `before` is where it stands, which may take a while to find out: not inside a
        transaction, because all writers wait for that; what others have granted meanwhile is
        added here. Raises InvalidParameter for what is spent already, PermissionDenied,
        LedgerUnavailable.
        """
        admit(actor)
        with self._base.database.transaction():
            before = brought_forward(before, self._ledger.granted(key))
            check_change(before, nano)
            made = further_grant(
                actor,
                key,
                nano,
                id_=self._base.ids.new("grant"),
                at_ns=self._base.now_ns(),
                note=note,
            )
            self._ledger.append(made)
            self._store.set_budgeted(actor, key)
            note_grant(self._audit, actor, before, made)
        return made

    def get(self, actor: Principal, grant_id: str) -> Grant:
        """Give a grant. Raises ObjectNotFound."""
        admit(actor)
        found = self._ledger.find(grant_id)
        if found is None:
            message = f"There is no grant {grant_id!r}."
            raise ObjectNotFound(message, param="grant", code="not_found")
        return found
