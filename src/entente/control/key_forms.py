"""What a key may be: wishes for a new one, changes of one that is there, and their bounds. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, UnsetType

from entente.auth.model import KeyRecord
from entente.control.factors import read_factor
from entente.control.projects import PROJECT
from entente.control.reports import utc
from entente.control.times import utc_or_none
from entente.domain.errors import InvalidParameter
from entente.domain.money import format_rate
from entente.domain.principal import DEFAULT_PROJECT, Principal, Role

if TYPE_CHECKING:
    from typing import Never

BOOTSTRAP_NAME: Final = "bootstrap-admin"
NAME_CHARS_MAX: Final = 128
USER_CHARS_MAX: Final = 128
TAGS_MAX: Final = 16
MODELS_PER_KEY_MAX: Final = 1000
PER_MINUTE_MAX: Final = 10**12
EXPIRES_NS_MAX: Final = 7_258_118_400 * 1_000_000_000
"""The begin of 2200: what a column can hold, with room for a grace."""

_TAG: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")


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
    price_factor: str | None = None
    """The part of each price that it is charged, as text."""


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of a key; what is not named stays as it is."""

    name: str | UnsetType = UNSET
    user: str | UnsetType | None = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    expires_ns: int | UnsetType | None = UNSET
    models: tuple[str, ...] | UnsetType | None = UNSET
    requests_per_minute: int | UnsetType | None = UNSET
    tokens_per_minute: int | UnsetType | None = UNSET
    price_factor: str | UnsetType | None = UNSET

    def on(self, who: Principal) -> Principal:
        """Give the principal as it is to be. Raises InvalidParameter for a factor that is none."""
        named = {name: getattr(self, name) for name in self.__struct_fields__}
        if self.price_factor is not UNSET:
            named["price_factor"] = read_factor(self.price_factor)
        return msgspec.structs.replace(
            who, **{name: value for name, value in named.items() if value is not UNSET}
        )


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key, as people and programs see it: without its secret."""

    id: str
    name: str
    role: Role
    project: str
    user: str | None
    tags: tuple[str, ...]
    hint: str
    """The ends of the secret."""
    budgeted: bool
    models: tuple[str, ...] | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    price_factor: str | None
    """The part of each price that it is charged; none for its project's, or all of it."""
    created: str
    expires: str | None
    revoked: str | None


def view(record: KeyRecord) -> KeyView:
    """Show a key."""
    who = record.principal
    return KeyView(
        id=who.key_id,
        name=who.name,
        role=who.role,
        project=who.project,
        user=who.user,
        tags=who.tags,
        hint=record.hint,
        budgeted=who.budgeted,
        models=who.models,
        requests_per_minute=who.requests_per_minute,
        tokens_per_minute=who.tokens_per_minute,
        price_factor=None if who.price_factor is None else format_rate(who.price_factor),
        created=utc(record.created_ns),
        expires=utc_or_none(who.expires_ns),
        revoked=utc_or_none(record.revoked_ns),
    )


def check(who: KeyWish | Principal, now_ns: int) -> None:
    """Refuse a key that could not be named or used. Raises InvalidParameter."""
    name = who.name
    if name is not None and (not name.strip() or not name.isprintable()):
        _refuse("name", "must be printable text")
    if name is not None and len(name) > NAME_CHARS_MAX:
        _refuse("name", f"must have at most {NAME_CHARS_MAX} characters")
    if name == BOOTSTRAP_NAME:
        _refuse("name", "is reserved for the first admin key: choose another")
    if not PROJECT.fullmatch(who.project):
        _refuse("project", "must be 1 to 64 letters, digits, dots, dashes or underscores")
    _check_counted(who)
    if who.models is not None and not 1 <= len(who.models) <= MODELS_PER_KEY_MAX:
        _refuse("models", f"must name 1 to {MODELS_PER_KEY_MAX} models, or be left out for all")
    for param in ("requests_per_minute", "tokens_per_minute"):
        value = getattr(who, param)
        if value is not None and not 1 <= value <= PER_MINUTE_MAX:
            _refuse(param, f"must be 1 to {PER_MINUTE_MAX}, or be left out for no limit")
    if who.expires_ns is not None and who.expires_ns > EXPIRES_NS_MAX:
        _refuse("expires", f"must be before {utc(EXPIRES_NS_MAX)[:4]}, or be left out for no end")
    if who.expires_ns is not None and who.expires_ns <= now_ns:
        _refuse("expires", "is a moment that has passed: choose a later one")


def _check_counted(who: KeyWish | Principal) -> None:
    """Check what a key's requests are counted under."""
    user = who.user
    if user is not None and not (user.strip() and user.isprintable()):
        _refuse("user", "must be printable text")
    if user is not None and len(user) > USER_CHARS_MAX:
        _refuse("user", f"must have at most {USER_CHARS_MAX} characters")
    if len(who.tags) > TAGS_MAX or len(set(who.tags)) < len(who.tags):
        _refuse("tags", f"must be at most {TAGS_MAX}, each named once")
    if not all(_TAG.fullmatch(tag) for tag in who.tags):
        _refuse("tags", "must each be 1 to 64 letters, digits, dots, dashes, colons or underscores")


def _refuse(param: str, text: str) -> Never:
    message = f"`{param}` {text}."
    raise InvalidParameter(message, param=param, code="invalid_value")
