"""What the ledger tells people of each request: one line, for exports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from entente.domain.money import format_nano
from entente.domain.usage import MEASURES, TOKEN_CLASSES
from entente.ledger.model import Settlement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from entente.ledger.model import AnyEntry

_NS_PER_S: Final = 1_000_000_000
_NS_PER_US: Final = 1000


class RequestLine(msgspec.Struct, frozen=True, kw_only=True):
    """A settled request as `ledger export` writes it. Cost is an exact decimal, in text."""

    id: str
    time: str
    key: str
    model: str
    target: str
    status: str
    input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    audio_input: int
    image_input: int
    output: int
    reasoning: int
    audio_output: int
    image_output: int
    audio_ms: int
    characters: int
    images: int
    cost: str | None
    currency: str
    owed: str | None
    """What the provider is owed, which a mark-up, discount or currency makes another amount."""
    owed_currency: str
    service_tier: str
    prices: str
    estimated: bool
    recovered: bool


def utc(at_ns: int) -> str:
    """Write a moment as `2026-11-21T19:26:37.123456Z`."""
    seconds, rest_ns = divmod(at_ns, _NS_PER_S)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // _NS_PER_US:06d}Z"


def settlements(entries: Iterable[AnyEntry]) -> Iterator[Settlement]:
    """Keep the settled requests."""
    return (entry for entry in entries if isinstance(entry, Settlement))


def request_line(entry: Settlement) -> RequestLine:
    """Write one settled request."""
    owed, owed_asset = entry.owed
    return RequestLine(
        id=entry.id,
        time=utc(entry.at_ns),
        key=entry.key,
        model=entry.model,
        target=entry.target,
        status=str(entry.status),
        **{name: getattr(entry.usage, name) for name in (*TOKEN_CLASSES, *MEASURES)},
        cost=None if entry.cost_nano is None else format_nano(entry.cost_nano),
        currency=entry.asset,
        owed=None if owed is None else format_nano(owed),
        owed_currency=owed_asset,
        service_tier=entry.service_tier,
        prices=entry.prices,
        estimated=entry.estimated,
        recovered=entry.recovered,
    )
