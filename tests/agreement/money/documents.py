"""Documents and logs in few words, for tests of settling."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from entente.agreement.document import Agreement, canonical, dec_hook
from entente.agreement.load import Book, Version
from entente.agreement.log import Measured, attributes
from entente.agreement.values import instant_ns

HEAD: dict[str, Any] = {
    "id": "pact",
    "currency": "USD",
    "scale": 2,
    "rounding": "floor_then_first",
    "zone": "UTC",
    "effective": "2026-01-01",
}
QUARTERLY: dict[str, Any] = {
    "id": "ST",
    "parties": ["lab", "cloud"],
    "period": "quarter",
    "close_lag_days": 10,
}
NANO = 1_000_000_000


def agreement(**sections: Any) -> Agreement:
    """Read an agreement from plain data; `agreement=` changes its head."""
    head = HEAD | sections.pop("agreement", {})
    sections.setdefault("statements", [QUARTERLY])
    return msgspec.convert({"agreement": head, **sections}, Agreement, dec_hook=dec_hook)


def book(base: Agreement, *amended: tuple[str, str, Agreement]) -> Book:
    """Make a book of a document and of later versions: (effective, known, version)."""
    zone = ZoneInfo(base.agreement.zone)
    changes = [(instant_ns(e, zone), instant_ns(k, zone), v) for e, k, v in amended]
    changes.sort(key=lambda change: change[0])
    known = {f"A{number}": change[1] for number, change in enumerate(changes)}
    first_ns = instant_ns(base.agreement.effective, zone)
    versions: dict[tuple[str, ...], Version] = {(): _version(base, first_ns, ())}
    for applied in _applied(tuple(known)):
        effective_ns, _, version = changes[int(applied[-1][1:])]
        versions[applied] = _version(version, effective_ns, applied)
    return Book(versions, known)


def _applied(names: Sequence[str]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for name in names:
        found += [(*each, name) for each in found]
    return [each for each in found if each]


def _version(read: Agreement, effective_ns: int, applied: tuple[str, ...]) -> Version:
    digest = hashlib.sha256(canonical(read)).hexdigest()
    return Version(agreement=read, hash=digest, effective_ns=effective_ns, amendments=applied)


def ns(text: str, zone: str = "UTC") -> int:
    """Read a day or an instant."""
    return instant_ns(text, ZoneInfo(zone))


def sold(
    id: str,
    at: str,
    units: int | str,
    *,
    known: str = "",
    asset: str = "USD",
    numbers: Mapping[str, int] | None = None,
    zone: str = "UTC",
    **traits: str | int | bool,
) -> Measured:
    """Measure an amount in whole units of currency."""
    return Measured(
        id=id,
        at_ns=ns(at, zone),
        known_ns=ns(known or at, zone),
        attributes=attributes(**(traits or {"flow": "revenue"})),
        nano=round(float(units) * NANO) if isinstance(units, str) else units * NANO,
        asset=asset,
        numbers=dict(numbers or {}),
    )
