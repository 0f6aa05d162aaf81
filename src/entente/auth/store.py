"""The `keys` table of the database.

Rows are never deleted: a revoked key keeps its row, so that the ledger's key ids go on
meaning something and a revoked key can never be made valid again. SQLite's errors leave
here as LedgerUnavailable.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from entente.auth.keys import KeyRing
from entente.auth.model import KeyRecord
from entente.domain.errors import InvalidParameter, LedgerUnavailable, PermissionDenied
from entente.domain.principal import Principal, Role

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS_LISTED_MAX: Final = 100_000
ID_PREFIX_CHARS_MIN: Final = 8

_COLUMNS: Final = (
    "id, name, role, project, budgeted, models, requests_per_minute, tokens_per_minute,"
    " hint, created_ns, revoked_ns"
)
# These texts are made of the constants here and of nothing that anyone sends.
_SELECT: Final = f"SELECT {_COLUMNS} FROM keys"  # noqa: S608
_INSERT: Final = f"INSERT INTO keys ({_COLUMNS}, digest) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
_SELECT_GENERATION: Final = (
    "SELECT count(*) + count(revoked_ns) + coalesce(sum(budgeted), 0) FROM keys"
)
"""Grows with every change, because rows only ever come, are revoked or get a budget."""
_SELECT_RING: Final = f"SELECT ({_SELECT_GENERATION}), digest, {_COLUMNS} FROM keys"  # noqa: S608

_Row = tuple[str, str, str, str, int, str | None, int | None, int | None, str, int, int | None]


class KeyStore:
    """Keys, reached by principals with the admin role only."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Work on an open, migrated database in autocommit mode."""
        self._connection = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one change, excluding every other writer."""
        with _errors_mapped():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        with _errors_mapped():
            self._connection.execute("COMMIT")

    def create(self, actor: Principal, record: KeyRecord, digest: bytes) -> None:
        """Add a key. Raises InvalidParameter if the same secret was ever used."""
        _admit(actor)
        who = record.principal
        models = None if who.models is None else msgspec.json.encode(who.models).decode()
        try:
            with _errors_mapped():
                self._connection.execute(
                    _INSERT,
                    (
                        who.key_id,
                        who.name,
                        str(who.role),
                        who.project,
                        int(who.budgeted),
                        models,
                        who.requests_per_minute,
                        who.tokens_per_minute,
                        record.hint,
                        record.created_ns,
                        record.revoked_ns,
                        digest,
                    ),
                )
        except sqlite3.IntegrityError as error:
            message = "This key is in use or was revoked: choose another."
            raise InvalidParameter(message, param="key", code=None) from error

    def revoke(self, actor: Principal, key_id: str, now_ns: int) -> bool:
        """End a key from now on; False if it was revoked before or does not exist."""
        _admit(actor)
        with _errors_mapped():
            changed = self._connection.execute(
                "UPDATE keys SET revoked_ns = ? WHERE id = ? AND revoked_ns IS NULL",
                (now_ns, key_id),
            )
        return changed.rowcount == 1

    def set_budgeted(self, actor: Principal, key_id: str) -> None:
        """Put a key under a hard budget. There is no way back but another key."""
        _admit(actor)
        with _errors_mapped():
            self._connection.execute("UPDATE keys SET budgeted = 1 WHERE id = ?", (key_id,))

    def list(self, actor: Principal, *, with_revoked: bool = False) -> tuple[KeyRecord, ...]:
        """Give the keys, oldest first, at most KEYS_LISTED_MAX."""
        _admit(actor)
        condition = "" if with_revoked else "WHERE revoked_ns IS NULL"
        return self._select(f"{condition} ORDER BY created_ns, id LIMIT {KEYS_LISTED_MAX}")

    def get(self, actor: Principal, key_id: str) -> KeyRecord | None:
        """Give one key by its whole id, revoked or not."""
        _admit(actor)
        found = self._select("WHERE id = ?", key_id)
        return found[0] if found else None

    def by_digest(self, actor: Principal, digest: bytes) -> KeyRecord | None:
        """Give the key with this digest, revoked or not."""
        _admit(actor)
        found = self._select("WHERE digest = ?", digest)
        return found[0] if found else None

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
        with _errors_mapped():
            (number,) = self._connection.execute(_SELECT_GENERATION).fetchone()
        return int(number)

    def load_ring(self) -> KeyRing:
        """Take a snapshot of the valid keys, for the server itself."""
        # One statement, so that the number and the rows belong to the same moment.
        with _errors_mapped():
            rows = self._connection.execute(_SELECT_RING).fetchall()
        principals = {digest: _record(row).principal for _, digest, *row in rows if row[-1] is None}
        return KeyRing(principals, rows[0][0] if rows else 0)

    def _select(self, rest: str, *values: object) -> tuple[KeyRecord, ...]:
        with _errors_mapped():
            rows = self._connection.execute(f"{_SELECT} {rest}", values)
            return tuple(_record(row) for row in rows)


def _admit(actor: Principal) -> None:
    """Let admins pass. Raises PermissionDenied for everyone else."""
    if actor.role is not Role.ADMIN:
        message = "Only a key with the role admin may manage keys."
        raise PermissionDenied(message)


def _record(row: _Row) -> KeyRecord:
    (
        key_id,
        name,
        role,
        project,
        budgeted,
        models,
        requests,
        tokens,
        hint,
        created_ns,
        revoked_ns,
    ) = row
    return KeyRecord(
        principal=Principal(
            key_id=key_id,
            name=name,
            role=Role(role),
            project=project,
            budgeted=bool(budgeted),
            models=None if models is None else msgspec.json.decode(models, type=tuple[str, ...]),
            requests_per_minute=requests,
            tokens_per_minute=tokens,
        ),
        hint=hint,
        created_ns=created_ns,
        revoked_ns=revoked_ns,
    )


@contextmanager
def _errors_mapped() -> Iterator[None]:
    """Let uniqueness through, and turn every other SQLite error into LedgerUnavailable."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        message = f"The key table cannot be used now: {error}. Run `entente doctor`."
        raise LedgerUnavailable(message) from error
