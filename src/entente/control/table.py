"""What the tables of the control plane have in common: what they stand on, who may, pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

import msgspec

from entente.db import Database
from entente.domain.errors import PermissionDenied
from entente.domain.ids import Ids, NowNs
from entente.domain.principal import Principal, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE_MAX: Final = 100
PAGE_DEFAULT: Final = 20

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list, in the list's order."""

    found: tuple[T, ...]
    has_more: bool


def page_of(rows: Sequence[T], limit: int) -> Page[T]:
    """Make a page of one row more than it has at most."""
    return Page(tuple(rows[:limit]), len(rows) > limit)


class Base(NamedTuple):
    """What a use case of the control plane stands on; clock and ids are given."""

    database: Database
    now_ns: NowNs
    ids: Ids


def admit(actor: Principal) -> None:
    """Let admins pass. Raises PermissionDenied for everyone else."""
    if actor.role is not Role.ADMIN:
        message = "Only a key with the role admin may use the control plane."
        raise PermissionDenied(message)
