"""Who is asking."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import Final

import msgspec

DEFAULT_PROJECT: Final = "default"


class Role(StrEnum):
    """What a key is for."""

    ADMIN = "admin"
    """Operates the platform; may use every model."""
    MEMBER = "member"
    """Uses models."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """The holder of a key, as everything that governs a request sees it.

    `project` owns what the key stores. `user` is who the key was given to, and `tags` are what
    its requests are counted under besides. `models` are the names that the key may use, None
    for all. The limits are None where there is none.
    """

    key_id: str
    name: str
    role: Role
    project: str = DEFAULT_PROJECT
    user: str | None = None
    tags: tuple[str, ...] = ()
    budgeted: bool = False
    """The key has a hard budget: what it may spend stands in the ledger."""
    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    price_factor: Fraction | None = None
    """The part of each price that the key is charged; None for all of it."""
    expires_ns: int | None = None
    """When the key ends by itself, in nanoseconds since 1970."""
