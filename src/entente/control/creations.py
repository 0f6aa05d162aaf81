"""Creations that a client has named, so that asking twice makes one.

The name stands in the transaction of what it made. The answer is not kept, because secrets
are in some: who asks again gets the object as it is now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entente.control.outbox import DAY_NS
from entente.domain.errors import Conflict

if TYPE_CHECKING:
    from entente.control.table import Base
    from entente.domain.principal import Principal

KEPT_DAYS: Final = 7
NAME_CHARS_MAX: Final = 255


class Creations:
    """The table."""

    def __init__(self, base: Base) -> None:
        """Work on an open, migrated database."""
        self._base = base

    def find(self, actor: Principal, name: str, digest: bytes) -> str | None:
        """Give the id of what `actor` made under a name, None for nothing yet.

        Raises Conflict where that was asked for with another content.
        """
        row = self._base.database.execute(
            "SELECT digest, object FROM creations WHERE actor = ? AND name = ?",
            (actor.key_id, name),
        ).fetchone()
        if row is None:
            return None
        if bytes(row[0]) != digest:
            message = (
                f"The idempotency key {name!r} was used for another request. Use a new one for "
                "each object that you make."
            )
            raise Conflict(message, param="idempotency-key", code="idempotency_conflict")
        return str(row[1])

    def note(self, actor: Principal, name: str, digest: bytes, made: str) -> None:
        """Note what was made, in the transaction that makes it."""
        self._base.database.execute(
            "INSERT INTO creations (actor, name, digest, object, created_ns)"
            " VALUES (?, ?, ?, ?, ?)",
            (actor.key_id, name, digest, made, self._base.now_ns()),
        )

    def sweep(self) -> None:
        """Forget names that are too old to be asked for again."""
        self._base.database.execute(
            "DELETE FROM creations WHERE created_ns < ?",
            (self._base.now_ns() - KEPT_DAYS * DAY_NS,),
        )
