"""Where a call comes from, as its entries say it."""

from __future__ import annotations

from entente.domain.chat import Call
from entente.domain.origin import USUAL, Origin, plain
from entente.domain.principal import Principal


def origin_of(who: Principal, call: Call) -> Origin:
    """Give the origin of a call; the usual one is always the same object."""
    found = Origin(
        api=call.surface.value,
        project=who.project,
        user=who.user or "",
        end_user=plain(call.end_user),
        tags=tags_of(who, call.tags),
        service_tier=call.service_tier,
        is_batch=call.is_batch,
        size=call.size,
    )
    return USUAL if found == USUAL else found


def tags_of(who: Principal, named: tuple[str, ...]) -> tuple[str, ...]:
    """Give the tags that a request names with those of its key."""
    return tuple(sorted({*named, *who.tags})) if who.tags else named
