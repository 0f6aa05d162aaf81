"""A stored object, its items, and what can be asked of a list of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

BODY_BYTES_MAX: Final = 256 * 1024 * 1024
PAGE_MAX: Final = 1000
"""Objects or items that one page can have; routes have smaller bounds of their own."""

T = TypeVar("T")


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object as it is kept. Times are nanoseconds since 1970.

    `body` is what its kind's module wrote, mostly the JSON that clients get; the store
    does not look into it. `state` and `metadata` can be searched.
    """

    id: str
    kind: str
    """`response`, `chat.completion`, `conversation`, `file`, `upload`, `batch`, ..."""
    project: str
    key: str
    """Id of the key that made it."""
    created_ns: int
    body: bytes
    model: str = ""
    state: str = ""
    metadata: Mapping[str, str] = MappingProxyType({})
    expires_ns: int | None = None
    revision: int = 1
    """Grows with each change."""
    parent: str = ""
    """Id of the object that it continues, which is kept for it when it has expired itself."""
    blob_bytes: int = 0
    """What it has on the disk besides, which counts for its project."""


class Item(msgspec.Struct, frozen=True):
    """One of an object's items, such as a message of a conversation. `id` is unique in it."""

    id: str
    body: bytes
    position: int = 0
    """Given by the store: grows along the object's items."""


class Link(NamedTuple):
    """An object of a lineage, with its items."""

    object: StoredObject
    items: tuple[Item, ...]


class Lineage(msgspec.Struct, frozen=True):
    """An object and what it continues, the eldest first."""

    links: tuple[Link, ...]
    missing: str | None = None
    """Id of the object that should come before the first, and has been deleted."""
    complete: bool = True
    """Whether all of it was within the bounds."""


class Order(StrEnum):
    """By time of making."""

    ASC = "asc"
    DESC = "desc"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects of a kind, or items of an object, and how many.

    `after` and `before` are ids, of what was deleted in the last hour too; an unknown one
    gives nothing. What stands before an object ends right before it.
    """

    limit: int
    order: Order = Order.DESC
    after: str | None = None
    before: str | None = None
    model: str | None = None
    states: tuple[str, ...] = ()
    """Any of them; none for all."""
    metadata: Mapping[str, str] = MappingProxyType({})
    """All of them."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list."""

    found: tuple[T, ...]
    has_more: bool
