"""Projects: what keys belong to, and what they store belongs to.

One is archived, never deleted: its keys stop working then, and what its requests have cost
goes on standing in the ledger under its name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from entente.control.audit import Audit
from entente.control.factors import read_factor
from entente.control.reports import utc
from entente.control.table import Base, Page, admit, page_of
from entente.control.times import utc_or_none
from entente.domain.errors import Conflict, InvalidParameter, ObjectNotFound
from entente.domain.money import format_rate
from entente.domain.principal import DEFAULT_PROJECT

if TYPE_CHECKING:
    from entente.domain.principal import Principal

NAME_CHARS_MAX: Final = 128
PROJECT: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project. Times are nanoseconds since 1970."""

    id: str
    name: str
    created_ns: int
    archived_ns: int | None
    price_factor: str | None = None

    def view(self) -> ProjectView:
        """Show it to people."""
        return ProjectView(
            id=self.id,
            name=self.name,
            created=utc(self.created_ns),
            archived=utc_or_none(self.archived_ns),
            price_factor=self.price_factor,
        )


class ProjectView(msgspec.Struct, frozen=True, kw_only=True):
    """A project, as people and programs see it."""

    id: str
    name: str
    created: str
    archived: str | None
    price_factor: str | None = None
    """The part of each price that its keys are charged, where they have none of their own."""


class Projects:
    """The use cases."""

    def __init__(self, base: Base, audit: Audit) -> None:
        """Work on an open, migrated database."""
        self._base = base
        self._audit = audit

    def create(self, actor: Principal, id: str, name: str | None = None) -> Project:
        """Make a project. Raises InvalidParameter, PermissionDenied, LedgerUnavailable."""
        admit(actor)
        if not PROJECT.fullmatch(id):
            _refuse("id", "must be 1 to 64 letters, digits, dots, dashes or underscores")
        made = Project(
            id=id, name=_checked(name or id), created_ns=self._base.now_ns(), archived_ns=None
        )
        with self._base.database.transaction():
            if self._find(id) is not None:
                message = f"There is a project {id!r} already: choose another id."
                raise Conflict(message, param="id", code="already_exists")
            self._base.database.execute(
                "INSERT INTO projects (id, name, created_ns) VALUES (?, ?, ?)",
                (made.id, made.name, made.created_ns),
            )
            self._audit.note(actor, "project.create", id, after=made.view())
        return made

    def rename(self, actor: Principal, id: str, name: str) -> Project:
        """Give a project another name; its id stays. Raises as `create`, and ObjectNotFound."""
        admit(actor)
        checked = _checked(name)
        with self._base.database.transaction():
            before = self.get(actor, id)
            self._base.database.execute("UPDATE projects SET name = ? WHERE id = ?", (checked, id))
            after = msgspec.structs.replace(before, name=checked)
            self._audit.note(actor, "project.rename", id, before=before.view(), after=after.view())
        return after

    def charge(self, actor: Principal, id: str, factor: str | None) -> Project:
        """Charge a project's keys this part of each price; None for all of it.

        Raises ObjectNotFound, and InvalidParameter for a factor that is none.
        """
        admit(actor)
        read = read_factor(factor)
        value = None if read is None else format_rate(read)
        with self._base.database.transaction():
            before = self.get(actor, id)
            after = msgspec.structs.replace(before, price_factor=value)
            database = self._base.database
            database.execute("UPDATE projects SET price_factor = ? WHERE id = ?", (value, id))
            database.execute("UPDATE keys SET revision = revision + 1 WHERE project = ?", (id,))
            self._audit.note(actor, "project.charge", id, before=before.view(), after=after.view())
        return after

    def archive(self, actor: Principal, id: str) -> Project:
        """End a project and, with it, its keys; a second time changes nothing.

        Raises ObjectNotFound, InvalidParameter for the default project.
        """
        admit(actor)
        if id == DEFAULT_PROJECT:
            _refuse("project", f"{id!r} is always there and cannot be archived")
        with self._base.database.transaction():
            before = self.get(actor, id)
            if before.archived_ns is not None:
                return before
            after = msgspec.structs.replace(before, archived_ns=self._base.now_ns())
            self._base.database.execute(
                "UPDATE projects SET archived_ns = ? WHERE id = ?", (after.archived_ns, id)
            )
            self._audit.note(actor, "project.archive", id, before=before.view(), after=after.view())
        return after

    def get(self, actor: Principal, id: str) -> Project:
        """Give one. Raises ObjectNotFound, PermissionDenied, LedgerUnavailable."""
        admit(actor)
        found = self._find(id)
        if found is None:
            message = f"There is no project {id!r}: `entente projects list` shows them."
            raise ObjectNotFound(message, param="project", code="not_found")
        return found

    def list(
        self, actor: Principal, *, limit: int, after: str | None = None, archived: bool = False
    ) -> Page[Project]:
        """Give projects by their ids, behind the one called `after`; archived ones on request."""
        admit(actor)
        condition = "" if archived else " AND archived_ns IS NULL"
        rows = self._base.database.execute(
            "SELECT id, name, created_ns, archived_ns, price_factor FROM projects WHERE id > ?"  # noqa: S608
            f"{condition} ORDER BY id LIMIT ?",
            (after or "", limit + 1),
        ).fetchall()
        return page_of([_project(row) for row in rows], limit)

    def check_open(self, actor: Principal, id: str, *, param: str = "project") -> None:
        """Refuse a project whose keys do not work. Raises InvalidParameter, PermissionDenied.

        `param` is what named it.
        """
        admit(actor)
        found = self._find(id)
        if found is None:
            message = (
                f"There is no project {id!r}: `entente projects create {id}` makes it, "
                "`entente projects list` shows those that there are."
            )
            raise InvalidParameter(message, param=param, code="unknown_project")
        if found.archived_ns is not None:
            message = f"The project {id!r} is archived: choose another."
            raise InvalidParameter(message, param=param, code="project_archived")

    def _find(self, id: str) -> Project | None:
        row = self._base.database.execute(
            "SELECT id, name, created_ns, archived_ns, price_factor FROM projects WHERE id = ?",
            (id,),
        ).fetchone()
        return None if row is None else _project(row)


def _project(row: tuple[str, str, int, int | None, str | None]) -> Project:
    return Project(
        id=row[0], name=row[1], created_ns=row[2], archived_ns=row[3], price_factor=row[4]
    )


def _checked(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > NAME_CHARS_MAX:
        _refuse("name", f"must be 1 to {NAME_CHARS_MAX} printable characters")
    return name


def _refuse(param: str, text: str, *, code: str | None = "invalid_value") -> None:
    message = f"`{param}` {text}."
    raise InvalidParameter(message, param=param, code=code)
