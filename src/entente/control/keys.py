"""Making, listing and revoking keys, and the first admin key of a new installation.

The secret of a key exists in clear in two moments only: when it is made, to be shown
once, and when a client presents it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from entente.auth.keys import digest_of, hint_of, new_secret
from entente.auth.model import OPERATOR, KeyRecord
from entente.control.audit import Audit
from entente.control.events import EventType
from entente.control.factors import read_factor
from entente.control.key_forms import BOOTSTRAP_NAME, KeyChange, KeyWish, check, view
from entente.control.outbox import Outbox
from entente.control.projects import Projects
from entente.control.table import Base
from entente.control.times import NS_PER_S
from entente.domain.errors import ConfigError, InvalidParameter
from entente.domain.principal import Principal, Role
from entente.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entente.auth.keys import Entropy
    from entente.auth.store import KeyStore
    from entente.domain.ids import Ids, NowNs

ADMIN_KEY_VARIABLE: Final = "ENTENTE_ADMIN_KEY"
ADMIN_KEY_CHARS_MIN: Final = 16
ADMIN_KEY_CHARS_MAX: Final = 4096
GRACE_S_MAX: Final = 30 * 24 * 3600

_ADMIN_KEY: Final = re.compile(r"[\x21-\x7e]+")


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key just made. `secret` is to be shown once and kept nowhere."""

    record: KeyRecord
    secret: Secret


class Keys:
    """The use cases; clock, ids and randomness are given."""

    def __init__(self, store: KeyStore, *, now_ns: NowNs, ids: Ids, token_bytes: Entropy) -> None:
        """Work on `store`, and on what stands beside it in the same database."""
        self._store = store
        self._now_ns = now_ns
        self._ids = ids
        self._token_bytes = token_bytes
        base = Base(store.database, now_ns, ids)
        self._audit = Audit(base)
        self._outbox = Outbox(base)
        self._projects = Projects(base, self._audit)

    def create(self, actor: Principal, wish: KeyWish) -> NewKey:
        """Make a key. Raises InvalidParameter, PermissionDenied, LedgerUnavailable."""
        check(wish, self._now_ns())
        with self._store.transaction():
            self._projects.check_open(actor, wish.project)
            return self._add(actor, wish, new_secret(self._token_bytes))

    def list(self, actor: Principal, *, with_revoked: bool = False) -> tuple[KeyRecord, ...]:
        """Give the keys, oldest first. Raises PermissionDenied, LedgerUnavailable."""
        return self._store.list(actor, with_revoked=with_revoked)

    def get(self, actor: Principal, handle: str) -> KeyRecord:
        """Give the key that `handle` names. Raises as `revoke` does."""
        return self._store.resolve(actor, handle)

    def change(self, actor: Principal, handle: str, change: KeyChange) -> KeyRecord:
        """Give a key other attributes, at once wherever it is used.

        Raises InvalidParameter, also for a key that was revoked, PermissionDenied,
        LedgerUnavailable.
        """
        with self._store.transaction():
            before = self._valid(actor, handle)
            who = change.on(before.principal)
            if who.name != before.principal.name or who.name != BOOTSTRAP_NAME:
                check(who, self._now_ns())
            self._store.change(actor, who)
            return self._noted(actor, "key.change", before)

    def rotate(self, actor: Principal, handle: str, *, grace_s: int) -> NewKey:
        """Give a key another secret; the one before is good for `grace_s` seconds more.

        Raises as `change` does.
        """
        if not 0 <= grace_s <= GRACE_S_MAX:
            message = f"`grace` must be 0 to {GRACE_S_MAX} seconds."
            raise InvalidParameter(message, param="grace", code="invalid_value")
        with self._store.transaction():
            before = self._valid(actor, handle)
            secret = new_secret(self._token_bytes)
            digest, hint = digest_of(secret.reveal().encode()), hint_of(secret)
            until_ns = self._now_ns() + grace_s * NS_PER_S
            self._store.rotate(actor, before.principal.key_id, digest, hint, until_ns=until_ns)
            return NewKey(record=self._noted(actor, "key.rotate", before), secret=secret)

    def revoke(self, actor: Principal, handle: str) -> KeyRecord:
        """End the key that `handle` names; a second time changes nothing.

        Raises InvalidParameter where no key or several fit, PermissionDenied,
        LedgerUnavailable.
        """
        with self._store.transaction():
            before = self._store.resolve(actor, handle)
            if not self._store.revoke(actor, before.principal.key_id, self._now_ns()):
                return before
            after = self._noted(actor, "key.revoke", before)
            self._outbox.tell(EventType.KEY_REVOKED, {"key": view(after)})
            return after

    def _valid(self, actor: Principal, handle: str) -> KeyRecord:
        """Give a key that can still be changed."""
        found = self._store.resolve(actor, handle)
        if found.revoked_ns is not None:
            message = f"The key {found.principal.key_id} was revoked: make another."
            raise InvalidParameter(message, param="key", code="key_revoked")
        return found

    def _noted(self, actor: Principal, action: str, before: KeyRecord) -> KeyRecord:
        """Write a change down, and give the key as it is now."""
        key_id = before.principal.key_id
        after = self._store.get(actor, key_id) or before
        self._audit.note(actor, action, key_id, before=view(before), after=view(after))
        return after

    def bootstrap_admin(self, environ: Mapping[str, str]) -> Secret | None:
        """Make sure that an admin key exists; give it if it was made and must be shown.

        With ENTENTE_ADMIN_KEY set, that is the bootstrap key, and an earlier bootstrap
        key is revoked. Without it, a key is made only where no valid admin key exists.
        May be run at every start and by two processes at once. Raises ConfigError for
        a value that cannot be a key, LedgerUnavailable.
        """
        given = environ.get(ADMIN_KEY_VARIABLE)
        with self._store.transaction():
            if given:
                self._adopt(_admin_secret(given))
                return None
            if any(self._is_admin(key.principal) for key in self._store.list(OPERATOR)):
                return None
            return self._add(OPERATOR, _BOOTSTRAP, new_secret(self._token_bytes)).secret

    def _is_admin(self, who: Principal) -> bool:
        """Say whether somebody can operate the platform now."""
        has_ended = who.expires_ns is not None and who.expires_ns <= self._now_ns()
        return who.role is Role.ADMIN and not has_ended

    def _adopt(self, secret: Secret) -> None:
        """Make `secret` the one bootstrap key."""
        digest = digest_of(secret.reveal().encode())
        if self._store.is_former(OPERATOR, digest):
            message = (
                f"The key in {ADMIN_KEY_VARIABLE} was rotated: set the one that took its place."
            )
            raise ConfigError(message)
        known = self._store.by_digest(OPERATOR, digest)
        if known is not None:
            if known.revoked_ns is None and known.principal.role is Role.ADMIN:
                return
            state = "not an admin key" if known.revoked_ns is None else "revoked"
            message = (
                f"The key in {ADMIN_KEY_VARIABLE} is known and {state}: set another value, or "
                f"unset {ADMIN_KEY_VARIABLE}."
            )
            raise ConfigError(message)
        for key in self._store.list(OPERATOR):
            if key.principal.name == BOOTSTRAP_NAME:
                self._store.revoke(OPERATOR, key.principal.key_id, self._now_ns())
                self._noted(OPERATOR, "key.revoke", key)
        self._add(OPERATOR, _BOOTSTRAP, secret)

    def _add(self, actor: Principal, wish: KeyWish, secret: Secret) -> NewKey:
        key_id = self._ids.new("key")
        record = KeyRecord(
            principal=Principal(
                key_id=key_id,
                name=wish.name or f"key-{key_id[-6:]}",
                role=wish.role,
                project=wish.project,
                user=wish.user,
                tags=wish.tags,
                expires_ns=wish.expires_ns,
                budgeted=wish.budgeted,
                models=wish.models,
                requests_per_minute=wish.requests_per_minute,
                tokens_per_minute=wish.tokens_per_minute,
                price_factor=read_factor(wish.price_factor),
            ),
            hint=hint_of(secret),
            created_ns=self._now_ns(),
            revoked_ns=None,
        )
        self._store.create(actor, record, digest_of(secret.reveal().encode()))
        self._audit.note(actor, "key.create", key_id, after=view(record))
        self._outbox.tell(EventType.KEY_CREATED, {"key": view(record)})
        return NewKey(record=record, secret=secret)


_BOOTSTRAP: Final = KeyWish(name=BOOTSTRAP_NAME, role=Role.ADMIN)


def _admin_secret(given: str) -> Secret:
    """Check a key that a person chose. Raises ConfigError, without the value."""
    if not ADMIN_KEY_CHARS_MIN <= len(given) <= ADMIN_KEY_CHARS_MAX:
        message = (
            f"{ADMIN_KEY_VARIABLE} has {len(given)} characters and needs {ADMIN_KEY_CHARS_MIN} to "
            f"{ADMIN_KEY_CHARS_MAX}: set a longer one, or unset it and one is made."
        )
        raise ConfigError(message)
    if not _ADMIN_KEY.fullmatch(given):
        message = (
            f"{ADMIN_KEY_VARIABLE} holds spaces or characters that a header cannot carry: use "
            "letters, digits and punctuation of ASCII."
        )
        raise ConfigError(message)
    return Secret(given)
