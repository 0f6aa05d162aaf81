"""Giving a host up whose disk is gone: its chains end without it, and the audit has who said so.

Money is settled at its upper bounds by it, and what the host spent without its database may be
spent once more: somebody has to answer for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from entente.control.table import Base, admit
from entente.ledger import postgres_ending

if TYPE_CHECKING:
    from entente.control.audit import Audit
    from entente.domain.principal import Principal


class GivenUp(msgspec.Struct, frozen=True, kw_only=True):
    """What giving a host up has ended, as people and programs see it."""

    host: str
    chains: tuple[int, ...]
    """Their numbers."""
    settled_holds: int
    """How many holds were open in them, and are settled at their bounds."""


class Hosts:
    """The use case. Importing it needs PostgreSQL's driver: only there do hosts have spools."""

    def __init__(self, base: Base, audit: Audit) -> None:
        """Work on an open, migrated database."""
        self._base = base
        self._audit = audit

    def release(self, actor: Principal, host: str) -> GivenUp | None:
        """Give a host up, all of its chains or none; None where no chain waits for it.

        Raises PermissionDenied, LedgerUnavailable.
        """
        admit(actor)
        base = self._base
        with base.database.transaction():
            ended = postgres_ending.release(base.database, host, base.now_ns())
            if not ended:
                return None
            done = GivenUp(host=host, chains=tuple(ended), settled_holds=sum(ended.values()))
            self._audit.note(actor, "host.release", host, after=done)
        return done
