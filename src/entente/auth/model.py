"""What is kept about a key, and the principal that needs none. Neither holds the key."""

from __future__ import annotations

from typing import Final

import msgspec

from entente.domain.principal import Principal, Role


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept about a key, as people may see it. Times are nanoseconds since 1970."""

    principal: Principal
    hint: str
    """The ends of the key, enough to recognise it by."""
    created_ns: int
    revoked_ns: int | None


OPERATOR: Final = Principal(key_id="operator", name="command line", role=Role.ADMIN)
"""Whoever can open the database file: the command line, and the server at its start."""
