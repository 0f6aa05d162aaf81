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
from entente.domain.errors import ConfigError, InvalidParameter
from entente.domain.principal import DEFAULT_PROJECT, Principal, Role
from entente.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entente.auth.keys import Entropy
    from entente.auth.store import KeyStore
    from entente.domain.ids import Ids, NowNs

ADMIN_KEY_VARIABLE: Final = "ENTENTE_ADMIN_KEY"
ADMIN_KEY_CHARS_MIN: Final = 16
ADMIN_KEY_CHARS_MAX: Final = 4096
BOOTSTRAP_NAME: Final = "bootstrap-admin"
NAME_CHARS_MAX: Final = 128
MODELS_PER_KEY_MAX: Final = 1000
PER_MINUTE_MAX: Final = 10**12

_PROJECT: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ADMIN_KEY: Final = re.compile(r"[\x21-\x7e]+")


class KeyWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a new key should be. No name means one made from the key's id."""

    name: str | None = None
    role: Role = Role.MEMBER
    project: str = DEFAULT_PROJECT
    user: str | None = None
    tags: tuple[str, ...] = ()
    expires_ns: int | None = None
    budgeted: bool = False
    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key just made. `secret` is to be shown once and kept nowhere."""

    record: KeyRecord
    secret: Secret


class Keys:
    """The use cases; clock, ids and randomness are given."""

    def __init__(self, store: KeyStore, *, now_ns: NowNs, ids: Ids, token_bytes: Entropy) -> None:
        """Work on `store`."""
        self._store = store
        self._now_ns = now_ns
        self._ids = ids
        self._token_bytes = token_bytes

    def create(self, actor: Principal, wish: KeyWish) -> NewKey:
        """Make a key. Raises InvalidParameter, PermissionDenied, LedgerUnavailable."""
        _check(wish)
        return self._add(actor, wish, new_secret(self._token_bytes))

    def list(self, actor: Principal, *, with_revoked: bool = False) -> tuple[KeyRecord, ...]:
        """Give the keys, oldest first. Raises PermissionDenied, LedgerUnavailable."""
        return self._store.list(actor, with_revoked=with_revoked)

    def revoke(self, actor: Principal, handle: str) -> KeyRecord:
        """End the key that `handle` names; a second time changes nothing.

        Raises InvalidParameter where no key or several fit, PermissionDenied,
        LedgerUnavailable.
        """
        record = self._store.resolve(actor, handle)
        self._store.revoke(actor, record.principal.key_id, self._now_ns())
        return self._store.get(actor, record.principal.key_id) or record

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
            if any(key.principal.role is Role.ADMIN for key in self._store.list(OPERATOR)):
                return None
            return self._add(OPERATOR, _BOOTSTRAP, new_secret(self._token_bytes)).secret

    def _adopt(self, secret: Secret) -> None:
        """Make `secret` the one bootstrap key."""
        known = self._store.by_digest(OPERATOR, digest_of(secret.reveal().encode()))
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
            ),
            hint=hint_of(secret),
            created_ns=self._now_ns(),
            revoked_ns=None,
        )
        self._store.create(actor, record, digest_of(secret.reveal().encode()))
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


def _check(wish: KeyWish) -> None:
    """Refuse a key that could not be named or used. Raises InvalidParameter."""
    name = wish.name
    if name is not None and (not name.strip() or not name.isprintable()):
        _refuse("name", "must be printable text")
    if name is not None and len(name) > NAME_CHARS_MAX:
        _refuse("name", f"must have at most {NAME_CHARS_MAX} characters")
    if name == BOOTSTRAP_NAME:
        _refuse("name", "is reserved for the first admin key: choose another")
    if not _PROJECT.fullmatch(wish.project):
        _refuse("project", "must be 1 to 64 letters, digits, dots, dashes or underscores")
    if wish.models is not None and not 1 <= len(wish.models) <= MODELS_PER_KEY_MAX:
        _refuse("models", f"must name 1 to {MODELS_PER_KEY_MAX} models, or be left out for all")
    for param in ("requests_per_minute", "tokens_per_minute"):
        value = getattr(wish, param)
        if value is not None and not 1 <= value <= PER_MINUTE_MAX:
            _refuse(param, f"must be 1 to {PER_MINUTE_MAX}, or be left out for no limit")


def _refuse(param: str, text: str) -> None:
    message = f"`{param}` {text}."
    raise InvalidParameter(message, param=param, code=None)
