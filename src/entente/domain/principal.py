"""Who is asking."""

from __future__ import annotations

from enum import StrEnum
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

    `project` owns what the key stores. `models` are the names that the key may use, None for
    all. The limits are None where there is none.
    """

    key_id: str
    name: str
    role: Role
    project: str = DEFAULT_PROJECT
    budgeted: bool = False
    """The key has a hard budget: what it may spend stands in the ledger."""
    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
