"""What clients of `/admin/v1` send and get, as types: code and document are made of these."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from entente.control.audit import Actor
from entente.control.events import EventType
from entente.control.key_forms import KeyView
from entente.control.prices import BookView
from entente.control.table import PAGE_DEFAULT, PAGE_MAX
from entente.control.webhooks import WebhookView
from entente.domain.principal import DEFAULT_PROJECT, Role
from entente.domain.rules import Level, Unit
from entente.domain.windows import UTC_NAME, Window

T = TypeVar("T")

Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=PAGE_MAX, description="Most items of a page.")]
Cursor: TypeAlias = Annotated[
    str, Meta(max_length=256, description="The id behind which the page begins: `last_id`.")
]
Amount: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]{1,13}(\.[0-9]{1,9})?\Z",
        description="An exact decimal, such as `12.50`; at most nine places behind the point.",
    ),
]


class _Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent: nothing but what is named here."""


class Nothing(_Form, frozen=True, kw_only=True):
    """A body or query without members."""


class Listing(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page of a list."""

    object: str = "list"
    data: tuple[T, ...]
    first_id: str | None
    last_id: str | None
    """What the next page begins behind."""
    has_more: bool


# ---- projects ----


class ProjectQuery(_Form, frozen=True, kw_only=True):
    """Which projects."""

    limit: Limit = PAGE_DEFAULT
    after: Cursor | None = None
    archived: bool = False
    """Archived ones, too."""


class NewProject(_Form, frozen=True, kw_only=True):
    """A project to be made."""

    id: str
    name: str | None = None


class ProjectChange(_Form, frozen=True, kw_only=True):
    """What is to become of a project."""

    name: str


# ---- keys ----


class KeyQuery(_Form, frozen=True, kw_only=True):
    """Which keys."""

    limit: Limit = PAGE_DEFAULT
    after: Cursor | None = None
    project: str | None = None
    user: str | None = None
    revoked: bool = False
    """Revoked ones, too."""


class NewKeyForm(_Form, frozen=True, kw_only=True):
    """A key to be made."""

    name: str | None = None
    role: Role = Role.MEMBER
    project: str = DEFAULT_PROJECT
    user: str | None = None
    tags: tuple[str, ...] = ()
    expires: Moment | None = None
    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    price_factor: str | None = None
    """The part of each price that it is charged, such as "1.15"; null for its project's."""
    budget_usd: Amount | None = None
    """A hard budget; null for none."""


class KeyChangeForm(_Form, frozen=True, kw_only=True):
    """What is to become of a key: what is not there stays, null takes away."""

    name: str | UnsetType = UNSET
    user: str | UnsetType | None = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    expires: Moment | UnsetType | None = UNSET
    models: tuple[str, ...] | UnsetType | None = UNSET
    requests_per_minute: int | UnsetType | None = UNSET
    tokens_per_minute: int | UnsetType | None = UNSET
    price_factor: str | UnsetType | None = UNSET


class Rotation(_Form, frozen=True, kw_only=True):
    """How a key gets another secret."""

    grace_s: Annotated[int, Meta(ge=0)] = 24 * 3600
    """How long the secret before is good for."""


class KeyWithSecret(KeyView, frozen=True, kw_only=True):
    """A key just made, with its secret: the only time that it is shown."""

    key: str | None
    """Null where the same idempotency key made it before: then rotate it to get a secret."""


class GrantForm(_Form, frozen=True, kw_only=True):
    """What a key's budget grows by, or shrinks by."""

    usd: Amount
    note: str = ""


class GrantView(msgspec.Struct, frozen=True, kw_only=True):
    """A grant, as it stands in the ledger."""

    id: str
    key: str
    currency: str
    amount: str
    note: str
    created: str


# ---- rules ----


class RuleQuery(_Form, frozen=True, kw_only=True):
    """Which rules."""

    limit: Limit = PAGE_DEFAULT
    after: Cursor | None = None
    ended: bool = False
    """Those that were ended, too."""


class NewRule(_Form, frozen=True, kw_only=True):
    """A rule to be made: at most `amount` of `unit` for whom it is about, in each window."""

    level: Level
    name: str = ""
    """Of whom it is about; `*` for each one, counted for itself; a key by its id."""
    unit: Unit
    amount: Amount
    """Money for spend, a whole number for what else is counted."""
    window: Window = Window.LIFETIME
    zone: str = UTC_NAME
    currency: str | None = None
    """For spend only."""
    hard: bool = True
    """What does not fit is refused; else it is only told of."""
    thresholds: tuple[int, ...] = ()
    """Percentages of the amount that webhooks are told of."""


class RuleChange(_Form, frozen=True, kw_only=True):
    """What is to become of a rule: what is not there stays, and what was used stays used."""

    amount: Amount | UnsetType = UNSET
    hard: bool | UnsetType = UNSET
    thresholds: tuple[int, ...] | UnsetType = UNSET


# ---- webhooks ----


class PageQuery(_Form, frozen=True, kw_only=True):
    """Which part of a list."""

    limit: Limit = PAGE_DEFAULT
    after: Cursor | None = None


class NewWebhookForm(_Form, frozen=True, kw_only=True):
    """A webhook to be made. No events means all."""

    url: str
    events: tuple[EventType, ...] = ()


class WebhookChange(_Form, frozen=True, kw_only=True):
    """What is to become of a webhook: what is not there stays."""

    url: str | UnsetType = UNSET
    events: tuple[EventType, ...] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookWithSecret(WebhookView, frozen=True, kw_only=True):
    """A webhook just made, with its secret: the only time that it is shown."""

    secret: str | None
    """Null where the same idempotency key made it before: then remove it and make another."""


class DeliveryState(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class DeliveryQuery(_Form, frozen=True, kw_only=True):
    """Which deliveries."""

    limit: Limit = PAGE_DEFAULT
    after: Cursor | None = None
    webhook: str | None = None
    state: DeliveryState | None = None


# ---- the rest ----


class BookWithLines(BookView, frozen=True, kw_only=True):
    """A price book with its lines."""

    book: dict[str, Any]
    """The document, as it was imported."""


class AuditQuery(_Form, frozen=True, kw_only=True):
    """Which changes."""

    limit: Limit = PAGE_DEFAULT
    after: Cursor | None = None
    object: str | None = None
    """Those of one key, project, … only."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the control plane."""

    id: str
    time: str
    actor: Actor
    action: str
    object: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class UsagePointer(msgspec.Struct, frozen=True, kw_only=True):
    """Where usage and costs are asked for."""

    usage: tuple[str, ...]
    costs: str


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong."""

    message: str
    """A sentence for people: what, where, and what to do."""
    type: str
    param: str | None
    """The member or parameter that is wrong."""
    code: str | None
    """A word for programs."""


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Every answer that is not a success. `x-request-id` has the request's id."""

    error: ErrorBody


BODY_BYTES_MAX: Final = 256 * 1024
