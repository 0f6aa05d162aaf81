"""Stored objects on one SQLite connection: plain calls, used from one thread.

Every statement about an object names its project, so that there is one place where one
project could see another's, and it does not. What changes something is called inside
`together`, which makes one transaction of many changes.

What is deleted leaves an empty row at its place in the list for a while: a client that deletes
while it lists asks for what comes after an object that is gone. It has a kind of its own, so
that nothing else finds it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from entente.db import transaction
from entente.objects.model import Item, Lineage, Link, Order, Page, StoredObject, T, Wanted

_COLUMNS: Final = (
    "id, kind, project, key, created_ns, model, state, metadata, expires_ns, revision, parent, "
    "body, blob_bytes"
)
_INSERT: Final = f"INSERT INTO objects ({_COLUMNS}) VALUES ({','.join('?' * 13)})"
_SELECT: Final = f"SELECT {_COLUMNS} FROM objects"
_OWN: Final = "id = ? AND kind = ? AND project = ?"
_ALIVE: Final = "(expires_ns IS NULL OR expires_ns > ?)"
_SWEPT_MAX: Final = 1000
"""Expired objects that one sweep deletes."""

_GONE: Final = "deleted "
"""Stands before the kind of an object that has been deleted."""
_GONE_ITEM: Final = f"{_GONE}item"
"""The kind of a deleted item's place, which is its `state`; its id has those of both."""
_GONE_KEPT_NS: Final = 3600 * 1_000_000_000
"""So long a client can go on listing after what it has deleted."""

Ref: TypeAlias = tuple[str, str, str]
"""Id, kind and project."""


class Table:
    """The statements. Raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Work on an open, migrated database in autocommit mode."""
        self._connection = connection

    def together(self, changes: Sequence[Callable[[], Any]]) -> list[Any]:
        """Make changes in one transaction; give what each gave, or the error that undid it."""
        results: list[Any] = []
        with transaction(self._connection):
            for change in changes:
                self._connection.execute("SAVEPOINT change")
                try:
                    results.append(change())
                except sqlite3.Error as error:
                    results.append(error)
                    if not self._connection.in_transaction:
                        raise  # SQLite has undone them all
                    self._connection.execute("ROLLBACK TO change")
                self._connection.execute("RELEASE change")
        return results

    def version(self) -> int:
        """Give a number that changes when another connection commits."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def create(self, made: StoredObject, items: Iterable[Item], names: Iterable[str]) -> None:
        """Add an object with its first items. Raises sqlite3.IntegrityError if the id is taken."""
        metadata = msgspec.json.encode(dict(made.metadata)).decode()
        self._connection.execute(
            f"DELETE FROM objects WHERE id = ? AND kind GLOB '{_GONE}*'", (made.id,)
        )
        added = self._connection.execute(
            _INSERT,
            (
                *(made.id, made.kind, made.project, made.key, made.created_ns, made.model),
                *(made.state, metadata, made.expires_ns, made.revision, made.parent, made.body),
                made.blob_bytes,
            ),
        )
        self._add_items(added.lastrowid, items)
        self._add_names(added.lastrowid, made.project, names)

    def get(self, ref: Ref, now_ns: int) -> StoredObject | None:
        """Give an object, None if there is none, or none any more."""
        row = self._connection.execute(
            f"{_SELECT} WHERE {_OWN} AND {_ALIVE}", (*ref, now_ns)
        ).fetchone()
        return None if row is None else _object(row)

    def replace(self, changed: StoredObject, items: Iterable[Item], names: Iterable[str]) -> bool:
        """Put an object in the place of the revision that it was made from, and add items.

        False, and nothing changed, if another change came first or it is gone.
        """
        metadata = msgspec.json.encode(dict(changed.metadata)).decode()
        row = self._connection.execute(
            "UPDATE objects SET model = ?, state = ?, metadata = ?, expires_ns = ?,"
            " body = ?, blob_bytes = ?, revision = revision + 1"
            f" WHERE {_OWN} AND revision = ? RETURNING seq",
            (
                *(changed.model, changed.state, metadata, changed.expires_ns, changed.body),
                changed.blob_bytes,
                *(changed.id, changed.kind, changed.project, changed.revision),
            ),
        ).fetchone()
        if row is not None:
            self._add_items(row[0], items)
            self._add_names(row[0], changed.project, names)
        return row is not None

    def delete(self, ref: Ref, now_ns: int) -> bool:
        """Delete an object and its items, all but its place; False if there is none."""
        row = self._connection.execute(
            "UPDATE objects SET kind = ?, key = '', model = '', state = '', metadata = '{}',"
            " expires_ns = ?, parent = '', body = x'', blob_bytes = 0"
            f" WHERE {_OWN} RETURNING seq",
            (_GONE + ref[1], now_ns + _GONE_KEPT_NS, *ref),
        ).fetchone()
        if row is None:
            return False
        self._connection.execute("DELETE FROM items WHERE object = ?", row)
        self._connection.execute("DELETE FROM names WHERE object = ?", row)
        return True

    def page(
        self, project: str | None, kind: str, wanted: Wanted, now_ns: int
    ) -> Page[StoredObject]:
        """Give a part of a kind's list, of one project or, for the platform itself, of all."""
        where, values = ["kind = ?", _ALIVE], [kind, now_ns]
        scope: list[object] = [kind, _GONE + kind]
        scoped = "kind IN (?, ?)"
        if project is not None:
            where.append("project = ?")
            values.append(project)
            scoped += " AND project = ?"
            scope.append(project)
        if wanted.model is not None:
            where.append("model = ?")
            values.append(wanted.model)
        if wanted.states:
            where.append(f"state IN ({','.join('?' * len(wanted.states))})")
            values.extend(wanted.states)
        for name, value in wanted.metadata.items():
            where.append("EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND value = ?)")
            values.extend((name, value))
        mark = f"(SELECT seq FROM objects WHERE id = ? AND {scoped})"
        rest, more = _cut(wanted, "seq", mark, scope)
        rows = self._connection.execute(
            f"{_SELECT} WHERE {' AND '.join(where)}{rest}", (*values, *more)
        ).fetchall()
        return _page(list(map(_object, rows)), wanted)

    def append(self, ref: Ref, items: Sequence[Item], items_max: int | None) -> bool:
        """Add items behind an object's others; False if there is no such object, or no room."""
        seq = self._seq(ref)
        if seq is None:
            return False
        if items_max is not None:
            counted = "SELECT count(*) FROM items WHERE object = ?"
            (count,) = self._connection.execute(counted, (seq,)).fetchone()
            if count + len(items) > items_max:
                return False
        self._add_items(seq, items)
        return True

    def lineage(self, ref: Ref, now_ns: int, *, links_max: int, bytes_max: int) -> Lineage | None:
        """Give an object and what it continues, with their items; None if there is none."""
        found = self.get(ref, now_ns)
        if found is None:
            return None
        id, kind, project = ref
        links: list[Link] = []
        size = 0
        while found is not None:
            rows = self._connection.execute(
                "SELECT items.id, items.body, position FROM items JOIN objects AS o"
                " ON o.seq = object WHERE o.id = ? AND o.kind = ? AND o.project = ?"
                " ORDER BY position",
                (id, kind, project),
            )
            items = tuple(Item(*row) for row in rows)
            size += len(found.body) + sum(len(item.body) for item in items)
            if len(links) == links_max or size > bytes_max:
                return Lineage(tuple(links[::-1]), complete=False)
            links.append(Link(found, items))
            id = found.parent
            found = self._any_age((id, kind, project)) if id else None
        return Lineage(tuple(links[::-1]), missing=id or None)

    def named(self, project: str, kind: str, name: str, now_ns: int) -> StoredObject | None:
        """Give the newest object of a kind that has such a name."""
        row = self._connection.execute(
            f"{_SELECT} WHERE seq IN (SELECT object FROM names WHERE project = ? AND name = ?)"
            f" AND kind = ? AND {_ALIVE} ORDER BY seq DESC LIMIT 1",
            (project, name, kind, now_ns),
        ).fetchone()
        return None if row is None else _object(row)

    def is_taken(self, id: str) -> bool:
        """Say whether any object has this id."""
        row = self._connection.execute(
            f"SELECT 1 FROM objects WHERE id = ? AND kind NOT GLOB '{_GONE}*'", (id,)
        ).fetchone()
        return row is not None

    def items(self, ref: Ref, wanted: Wanted) -> Page[Item]:
        """Give a part of an object's items."""
        mark = (
            "(WITH mark (id) AS (VALUES (?)) SELECT coalesce("
            "(SELECT position FROM items WHERE id = mark.id AND object = o.seq),"
            " (SELECT CAST(state AS INTEGER) FROM objects WHERE id = o.id || '/' || mark.id"
            f" AND kind = '{_GONE_ITEM}' AND project = o.project)) FROM mark)"
        )
        rest, more = _cut(wanted, "position", mark, ())
        rows = self._connection.execute(
            "SELECT items.id, items.body, position FROM items JOIN objects AS o ON o.seq = object"
            f" WHERE o.id = ? AND o.kind = ? AND o.project = ?{rest}",
            (*ref, *more),
        ).fetchall()
        return _page([Item(*row) for row in rows], wanted)

    def item(self, ref: Ref, item_id: str) -> Item | None:
        """Give one item."""
        row = self._connection.execute(
            "SELECT id, body, position FROM items WHERE object ="
            f" (SELECT seq FROM objects WHERE {_OWN}) AND id = ?",
            (*ref, item_id),
        ).fetchone()
        return None if row is None else Item(*row)

    def item_ids(self, ref: Ref) -> list[str]:
        """Give the ids of an object's items, in their order."""
        rows = self._connection.execute(
            f"SELECT id FROM items WHERE object = (SELECT seq FROM objects WHERE {_OWN})"
            " ORDER BY position",
            ref,
        ).fetchall()
        return [row[0] for row in rows]

    def clear(self, ref: Ref) -> None:
        """Delete all items of an object."""
        self._connection.execute(
            f"DELETE FROM items WHERE object = (SELECT seq FROM objects WHERE {_OWN})", ref
        )

    def delete_item(self, ref: Ref, item_id: str, now_ns: int) -> bool:
        """Delete one item, all but its place; False if there is none."""
        rows = self._connection.execute(
            f"DELETE FROM items WHERE object = (SELECT seq FROM objects WHERE {_OWN}) AND id = ?"
            " RETURNING position",
            (*ref, item_id),
        ).fetchall()
        for (position,) in rows:
            place = StoredObject(
                id=f"{ref[0]}/{item_id}",
                kind=_GONE_ITEM,
                project=ref[2],
                key="",
                created_ns=now_ns,
                state=str(position),
                expires_ns=now_ns + _GONE_KEPT_NS,
                body=b"",
            )
            self.create(place, (), ())
        return bool(rows)

    def sweep(self, now_ns: int) -> list[StoredObject]:
        """Delete objects that have expired, oldest first and so many at a time; give them.

        One that another continues stays until that one has gone. The places of what was deleted
        are among them.
        """
        rows = self._connection.execute(
            "DELETE FROM objects WHERE seq IN (SELECT seq FROM objects AS o WHERE expires_ns <= ?"
            " AND NOT EXISTS (SELECT 1 FROM objects AS later WHERE later.project = o.project"
            " AND later.parent = o.id AND later.parent != '')"
            f" ORDER BY expires_ns LIMIT {_SWEPT_MAX}) RETURNING {_COLUMNS}",
            (now_ns,),
        ).fetchall()
        return [_object(row) for row in rows]

    def stored_bytes(self, project: str) -> int:
        """Count the bytes of all that a project has stored."""
        row = self._connection.execute(
            "SELECT bytes FROM stored WHERE project = ?", (project,)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _any_age(self, ref: Ref) -> StoredObject | None:
        row = self._connection.execute(f"{_SELECT} WHERE {_OWN}", ref).fetchone()
        return None if row is None else _object(row)

    def _seq(self, ref: Ref) -> int | None:
        row = self._connection.execute(
            f"SELECT seq FROM objects WHERE {_OWN}",
            ref,
        ).fetchone()
        return None if row is None else int(row[0])

    def _add_items(self, seq: int | None, items: Iterable[Item]) -> None:
        """Add items behind those that are there, and behind the places of deleted ones."""
        (last,) = self._connection.execute(
            "SELECT max(coalesce((SELECT max(position) FROM items WHERE object = ?1), 0),"
            " coalesce((SELECT max(CAST(gone.state AS INTEGER)) FROM objects AS o"
            " JOIN objects AS gone ON gone.id > o.id || '/' AND gone.id < o.id || '0'"
            " WHERE o.seq = ?1 AND +gone.kind = ?2), 0))",
            (seq, _GONE_ITEM),
        ).fetchone()
        self._connection.executemany(
            "INSERT INTO items (object, position, id, body) VALUES (?, ?, ?, ?)",
            [(seq, last + n, item.id, item.body) for n, item in enumerate(items, 1)],
        )

    def _add_names(self, seq: int | None, project: str, names: Iterable[str]) -> None:
        """Let an object be found by what is in it."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO names (project, name, object) VALUES (?, ?, ?)",
            [(project, name, seq) for name in names],
        )


def _cut(
    wanted: Wanted, column: str, mark: str, scope: Sequence[object]
) -> tuple[str, list[object]]:
    """Write the end of a statement that gives one page, and one more to see if there is more.

    A page before an object is the one next to it, so it is read backwards from there.
    """
    ascending = wanted.order is Order.ASC
    text, values = "", list[object]()
    for limit, later in ((wanted.after, ascending), (wanted.before, not ascending)):
        if limit is not None:
            text += f" AND {column} {'>' if later else '<'} {mark}"
            values += [limit, *scope]
    read_ascending = ascending is not _is_backwards(wanted)
    text += f" ORDER BY {column} {'ASC' if read_ascending else 'DESC'} LIMIT ?"
    return text, [*values, wanted.limit + 1]


def _is_backwards(wanted: Wanted) -> bool:
    return wanted.before is not None and wanted.after is None


def _page(rows: list[T], wanted: Wanted) -> Page[T]:
    """Make a page of what `_cut` has found, in the order of the list."""
    found = rows[: wanted.limit]
    return Page(tuple(found[::-1] if _is_backwards(wanted) else found), len(rows) > wanted.limit)


def _object(row: tuple[object, ...]) -> StoredObject:
    names = _COLUMNS.split(", ")
    members = dict(zip(names, row, strict=True))
    members["metadata"] = msgspec.json.decode(str(members["metadata"]))
    return msgspec.convert(members, StoredObject)
