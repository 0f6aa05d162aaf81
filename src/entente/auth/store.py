"""The `keys` table of the database.

Rows are never deleted: a revoked key keeps its row, so that the ledger's key ids go on
meaning something and a revoked key can never be made valid again.
"""

from __future__ import annotations

import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import msgspec

from entente.auth.keys import KeyRing
from entente.auth.model import KeyRecord
from entente.db import Database
from entente.domain.errors import InvalidParameter, PermissionDenied
from entente.domain.principal import Principal, Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from entente.db import Value
    from entente.domain.ids import NowNs

KEYS_LISTED_MAX: Final = 100_000
ID_PREFIX_CHARS_MIN: Final = 8

_SETTABLE: Final = (
    "name", "owner", "tags", "models", "requests_per_minute", "tokens_per_minute", "expires_ns",
    "price_factor",
)  # fmt: skip
"""What may be changed of a key; every change of a row adds to its `revision`."""
_COLUMNS: Final = (
    f"{', '.join(_SETTABLE)}, id, role, project, budgeted, hint, created_ns, revoked_ns"
)
# These texts are made of the constants here and of nothing that anyone sends.
_SELECT: Final = f"SELECT {_COLUMNS} FROM keys"  # noqa: S608
_INSERT: Final = (
    f"INSERT INTO keys ({_COLUMNS}, digest) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
    " ON CONFLICT (digest) DO NOTHING"
)
_UPDATE: Final = (
    f"UPDATE keys SET {', '.join(f'{name} = ?' for name in _SETTABLE)},"  # noqa: S608
    " revision = revision + 1 WHERE id = ? AND revoked_ns IS NULL"
)
_SELECT_GENERATION: Final = (
    "SELECT (SELECT count(*) + coalesce(sum(revision), 0) FROM keys)"
    " + (SELECT count(archived_ns) FROM projects)"
)
"""Grows with every change: rows only ever come, are changed, or have their project archived."""
_SELECT_RING: Final = (
    f"SELECT generation, digest, {_COLUMNS}"  # noqa: S608
    f" FROM (SELECT {_SELECT_GENERATION.removeprefix('SELECT ')} AS generation) AS now"
    " LEFT JOIN keys ON revoked_ns IS NULL"
    " AND project NOT IN (SELECT id FROM projects WHERE archived_ns IS NOT NULL)"
)
"""One statement, so that the number and the rows belong to the same moment."""


class KeyStore:
    """Keys, reached by principals with the admin role only."""

    def __init__(self, database: Database) -> None:
        """Work on an open, migrated database."""
        self._database = database

    @property
    def database(self) -> Database:
        """What it stands on, for what is written together with a key."""
        return self._database

    def transaction(self) -> AbstractContextManager[None]:
        """Make what happens inside one change, excluding every other such change.

        Inside another one it is a part of that.
        """
        return self._database.transaction()

    def create(self, actor: Principal, record: KeyRecord, digest: bytes) -> None:
        """Add a key. Raises InvalidParameter if the same secret was ever used."""
        _admit(actor)
        who = record.principal
        values = (
            *_settable(who),
            *(who.key_id, str(who.role), who.project, int(who.budgeted)),
            *(record.hint, record.created_ns, record.revoked_ns),
        )
        is_new = not self.is_former(actor, digest)
        if not is_new or not self._database.execute(_INSERT, (*values, digest)).rowcount:
            message = "This key is in use or was revoked: choose another."
            raise InvalidParameter(message, param="key", code=None)

    def change(self, actor: Principal, who: Principal) -> bool:
        """Give a valid key other attributes; role, project and budget stay. False for none."""
        _admit(actor)
        changed = self._database.execute(_UPDATE, (*_settable(who), who.key_id))
        return changed.rowcount == 1

    def rotate(
        self, actor: Principal, key_id: str, digest: bytes, hint: str, *, until_ns: int
    ) -> None:
        """Give a valid key another secret; the one that it had is good until `until_ns`."""
        _admit(actor)
        self._database.execute(
            "INSERT INTO former_secrets (digest, key, until_ns)"
            " SELECT digest, id, ? FROM keys WHERE id = ? AND revoked_ns IS NULL",
            (until_ns, key_id),
        )
        self._database.execute(
            "UPDATE keys SET digest = ?, hint = ?, revision = revision + 1"
            " WHERE id = ? AND revoked_ns IS NULL",
            (digest, hint, key_id),
        )

    def revoke(self, actor: Principal, key_id: str, now_ns: int) -> bool:
        """End a key from now on; False if it was revoked before or does not exist."""
        _admit(actor)
        changed = self._database.execute(
            "UPDATE keys SET revoked_ns = ?, revision = revision + 1"
            " WHERE id = ? AND revoked_ns IS NULL",
            (now_ns, key_id),
        )
        return changed.rowcount == 1

    def set_budgeted(self, actor: Principal, key_id: str) -> None:
        """Put a key under a hard budget. There is no way back but another key."""
        _admit(actor)
        self._database.execute(
            "UPDATE keys SET budgeted = 1, revision = revision + 1 WHERE id = ?", (key_id,)
        )

    def list(self, actor: Principal, *, with_revoked: bool = False) -> tuple[KeyRecord, ...]:
        """Give the keys, oldest first, at most KEYS_LISTED_MAX."""
        _admit(actor)
        condition = "" if with_revoked else "WHERE revoked_ns IS NULL"
        return self._select(f"{condition} ORDER BY created_ns, id LIMIT {KEYS_LISTED_MAX}")

    def page(
        self,
        actor: Principal,
        *,
        limit: int,
        after: str | None = None,
        project: str | None = None,
        user: str | None = None,
        with_revoked: bool = False,
    ) -> tuple[KeyRecord, ...]:
        """Give keys by their ids, oldest first, behind the one called `after`."""
        _admit(actor)
        conditions, values = ["id > ?"], [after or ""]
        for column, value in (("project", project), ("owner", user)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        if not with_revoked:
            conditions.append("revoked_ns IS NULL")
        return self._select(
            f"WHERE {' AND '.join(conditions)} ORDER BY id LIMIT {int(limit)}", *values
        )

    def get(self, actor: Principal, key_id: str) -> KeyRecord | None:
        """Give one key by its whole id, revoked or not."""
        _admit(actor)
        found = self._select("WHERE id = ?", key_id)
        return found[0] if found else None

    def by_digest(self, actor: Principal, digest: bytes) -> KeyRecord | None:
        """Give the key that has this digest, revoked or not."""
        _admit(actor)
        found = self._select("WHERE digest = ?", digest)
        return found[0] if found else None

    def is_former(self, actor: Principal, digest: bytes) -> bool:
        """Say whether a key had this digest before it was rotated."""
        _admit(actor)
        query = "SELECT 1 FROM former_secrets WHERE digest = ?"
        return self._database.execute(query, (digest,)).fetchone() is not None

    def expired(self, actor: Principal, since_ns: int, until_ns: int) -> tuple[KeyRecord, ...]:
        """Give the keys whose end has come between two instants, and that nobody revoked."""
        _admit(actor)
        return self._select(
            "WHERE expires_ns > ? AND expires_ns <= ? AND revoked_ns IS NULL", since_ns, until_ns
        )

    def resolve(self, actor: Principal, handle: str) -> KeyRecord:
        """Give the key that a person means: by id, name of a valid key, or start of an id.

        Raises InvalidParameter where none or several fit.
        """
        _admit(actor)
        found = self._select("WHERE id = ?", handle)
        found = found or self._select("WHERE name = ? AND revoked_ns IS NULL", handle)
        if not found and len(handle) >= ID_PREFIX_CHARS_MIN:
            found = self._select("WHERE substr(id, 1, ?) = ?", len(handle), handle)
        if not found:
            message = f"There is no key {handle!r}: `entente keys list` shows ids and names."
            raise InvalidParameter(message, param="key", code=None)
        if len(found) > 1:
            ids = ", ".join(record.principal.key_id for record in found[:5])
            message = f"{handle!r} names {len(found)} keys: use one of the ids {ids}."
            raise InvalidParameter(message, param="key", code=None)
        return found[0]

    def generation(self) -> int:
        """Give the number that grows whenever a ring made before is out of date."""
        (number,) = self._database.execute(_SELECT_GENERATION).fetchone()
        return int(number)

    def load_ring(self, now_ns: NowNs = time.time_ns) -> KeyRing:
        """Take a snapshot of the keys that are not revoked, for the server itself."""
        rows = self._database.execute(_SELECT_RING).fetchall()
        former = self._database.execute(
            "SELECT digest, key, until_ns FROM former_secrets WHERE until_ns > ?", (now_ns(),)
        ).fetchall()
        factors = self._project_factors()
        principals = {
            digest: _charged(_record(row).principal, factors) for _, digest, *row in rows if digest
        }
        ends = {d: who.expires_ns for d, who in principals.items() if who.expires_ns is not None}
        keys = {who.key_id: who for who in principals.values()}
        for digest, key, until_ns in former:
            if key in keys:
                principals[digest] = keys[key]
                ends[digest] = min(until_ns, keys[key].expires_ns or until_ns)
        return KeyRing(principals, int(rows[0][0]), ends, now_ns)

    def _project_factors(self) -> dict[str, Fraction]:
        """Read what projects are charged of each price, where that is not all of it."""
        rows = self._database.execute(
            "SELECT id, price_factor FROM projects WHERE price_factor IS NOT NULL"
        ).fetchall()
        return {project: Fraction(factor) for project, factor in rows}

    def _select(self, rest: str, *values: Value) -> tuple[KeyRecord, ...]:
        rows = self._database.execute(f"{_SELECT} {rest}", values).fetchall()
        return tuple(_record(row) for row in rows)


def _admit(actor: Principal) -> None:
    """Let admins pass. Raises PermissionDenied for everyone else."""
    if actor.role is not Role.ADMIN:
        message = "Only a key with the role admin may manage keys."
        raise PermissionDenied(message)


def _charged(who: Principal, factors: Mapping[str, Fraction]) -> Principal:
    """Give a key its project's part of each price, where it has none of its own."""
    factor = factors.get(who.project)
    if factor is None or who.price_factor is not None:
        return who
    return msgspec.structs.replace(who, price_factor=factor)


def _settable(who: Principal) -> tuple[Value, ...]:
    """Give the values of what may be changed, in the order of the columns."""
    models = None if who.models is None else msgspec.json.encode(who.models).decode()
    return (
        who.name,
        who.user,
        msgspec.json.encode(who.tags).decode(),
        models,
        who.requests_per_minute,
        who.tokens_per_minute,
        who.expires_ns,
        None if who.price_factor is None else str(who.price_factor),
    )


def _record(row: Sequence[Any]) -> KeyRecord:
    """Read the columns."""
    name, owner, tags, models, requests, tokens, expires_ns, price_factor, *rest = row
    key_id, role, project, budgeted, hint, created_ns, revoked_ns = rest
    return KeyRecord(
        principal=Principal(
            key_id=key_id,
            name=name,
            role=Role(role),
            project=project,
            user=owner,
            tags=msgspec.json.decode(tags, type=tuple[str, ...]),
            budgeted=bool(budgeted),
            models=None if models is None else msgspec.json.decode(models, type=tuple[str, ...]),
            requests_per_minute=requests,
            tokens_per_minute=tokens,
            expires_ns=expires_ns,
            price_factor=None if price_factor is None else Fraction(price_factor),
        ),
        hint=hint,
        created_ns=created_ns,
        revoked_ns=revoked_ns,
    )
