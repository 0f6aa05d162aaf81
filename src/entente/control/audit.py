"""Who changed what, when, from what to what: a table that only grows.

A row is written in the transaction of its change, so that there is neither without the
other. What was before and what is after are the objects as people see them; no secret is
part of those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from entente.control.reports import utc
from entente.control.table import Base, Page, admit, page_of

if TYPE_CHECKING:
    from entente.db import Value
    from entente.domain.principal import Principal

_COLUMNS: Final = "id, at_ns, actor, actor_name, action, object, before, after"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A change. `before` and `after` are JSON, None where there was or is nothing."""

    id: str
    at_ns: int
    actor: str
    """Id of the key that asked, `operator` for the command line."""
    actor_name: str
    action: str
    """Kind of object and what was done, such as `key.revoke`."""
    object: str
    """Id of what was changed."""
    before: msgspec.Raw | None
    after: msgspec.Raw | None

    def view(self) -> AuditView:
        """Show it to people."""
        return AuditView(
            id=self.id,
            time=utc(self.at_ns),
            actor=Actor(id=self.actor, name=self.actor_name),
            action=self.action,
            object=self.object,
            before=self.before,
            after=self.after,
        )


class Actor(msgspec.Struct, frozen=True):
    """Who did it: a key, or `operator` for the command line."""

    id: str
    name: str


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """A change, as people and programs see it."""

    id: str
    time: str
    actor: Actor
    action: str
    object: str
    before: msgspec.Raw | None
    after: msgspec.Raw | None


class Audit:
    """The table."""

    def __init__(self, base: Base) -> None:
        """Work on an open, migrated database."""
        self._base = base

    def note(
        self,
        actor: Principal,
        action: str,
        about: str,
        *,
        before: object = None,
        after: object = None,
    ) -> None:
        """Write a row about an object, in the transaction that runs. Raises LedgerUnavailable."""
        base = self._base
        base.database.execute(
            f"INSERT INTO audit ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)",  # noqa: S608
            (
                *(base.ids.new("audit"), base.now_ns(), actor.key_id, actor.name),
                *(action, about, _text(before), _text(after)),
            ),
        )

    def list(
        self,
        actor: Principal,
        *,
        limit: int,
        after: str | None = None,
        about: str | None = None,
    ) -> Page[Row]:
        """Give changes, newest first, behind the one called `after`; of one object or of all.

        Raises PermissionDenied, LedgerUnavailable.
        """
        admit(actor)
        conditions = ["1 = 1"]
        values: tuple[Value, ...] = ()
        if after is not None:
            conditions.append("(at_ns, id) < (SELECT at_ns, id FROM audit WHERE id = ?)")
            values += (after,)
        if about is not None:
            conditions.append("object = ?")
            values += (about,)
        query = (
            f"SELECT {_COLUMNS} FROM audit WHERE {' AND '.join(conditions)}"  # noqa: S608
            " ORDER BY at_ns DESC, id DESC LIMIT ?"
        )
        rows = self._base.database.execute(query, (*values, limit + 1)).fetchall()
        return page_of([_row(row) for row in rows], limit)


def _text(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _row(row: tuple[str, int, str, str, str, str, str | None, str | None]) -> Row:
    id_, at_ns, actor, name, action, about, before, after = row
    return Row(
        id=id_,
        at_ns=at_ns,
        actor=actor,
        actor_name=name,
        action=action,
        object=about,
        before=None if before is None else msgspec.Raw(before.encode()),
        after=None if after is None else msgspec.Raw(after.encode()),
    )
