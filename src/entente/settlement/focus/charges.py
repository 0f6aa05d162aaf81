"""Charges of a month: settled requests, summed by day and by what tells them apart. Pure.

Requests of a day with the same provider, model, price, project, key and tags are one group, and
each class of tokens in it is one charge. Groups are given out when their day has passed, or
when there are too many to remember; a group that goes on then is a second charge, and sums stay
what they are. What is billed is what the provider is owed; rounding, which is done per request
there, stands in the largest charge of a group, so that all of them add up to the nano-unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Final

import msgspec

from entente.domain.money import round_half_even
from entente.domain.usage import MEASURES, NOTHING, TOKEN_CLASSES, Usage
from entente.ledger.model import Adjustment, AnyEntry, Settlement
from entente.metering.prices import Price
from entente.settlement.reconciling.model import PriceOf

GROUPS_MAX: Final = 20_000
"""Groups that are remembered at once."""
DAY_NS: Final = 86_400 * 1_000_000_000
REQUESTS: Final = "requests"
"""What is counted where the price of the classes is not known."""


class Group(msgspec.Struct, frozen=True):
    """What tells charges apart. `day` counts days since 1970, in UTC."""

    day: int
    target: str
    model: str
    project: str
    key: str
    operation: str
    tags: tuple[str, ...]
    asset: str
    version: str


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """One charge. Amounts are in nano-units."""

    group: Group
    about: str
    """The class of tokens, or what else is counted."""
    count: int
    requests: int
    billed_nano: int
    rate: Fraction
    """For one of what is counted."""


class Adjusted(msgspec.Struct, frozen=True, kw_only=True):
    """What was adjusted to agree with an invoice."""

    provider: str
    asset: str
    nano: int
    since_ns: int
    until_ns: int
    words: str


class _Sums(msgspec.Struct):
    rates: dict[str, Fraction] | None
    requests: int = 0
    nano: int = 0
    counts: dict[str, int] = {}


class Charges:
    """Makes charges of a month's entries, and counts what has no price."""

    def __init__(self, since_ns: int, until_ns: int, price_of: PriceOf) -> None:
        """Take what was settled from `since_ns` on and before `until_ns`."""
        self._since, self._until = since_ns, until_ns
        self._price_of = price_of
        self._groups: dict[Group, _Sums] = {}
        self._rates: dict[tuple[str, str, str], dict[str, Fraction] | None] = {}
        self._day = 0
        self.unpriced = 0
        """Requests that have no place in an export: their cost is not known."""

    def of(self, entries: Iterable[AnyEntry]) -> Iterator[Charge | Adjusted]:
        """Give the charges of the month, about in the order of their days."""
        for entry in entries:
            if isinstance(entry, Adjustment):
                if self._since <= entry.until_ns - 1 < self._until and entry.nano:
                    yield _adjusted(entry)
            elif isinstance(entry, Settlement) and self._since <= entry.at_ns < self._until:
                nano, asset = entry.owed
                if nano is None:
                    self.unpriced += 1
                elif nano or entry.usage != NOTHING:
                    yield from self._take(entry, nano, asset)
        yield from self._flush()

    def _take(self, entry: Settlement, nano: int, asset: str) -> Iterator[Charge]:
        day = entry.at_ns // DAY_NS
        if day > self._day or len(self._groups) >= GROUPS_MAX:
            yield from self._flush()
            self._day = max(day, self._day)
        version, rates = self._priced(entry)
        origin = entry.origin
        group = Group(
            day,
            entry.target,
            entry.model,
            origin.project,
            entry.key,
            origin.api,
            origin.tags,
            asset,
            version,
        )
        sums = self._groups.get(group)
        if sums is None:
            sums = self._groups[group] = _Sums(rates)
        sums.requests += 1
        sums.nano += nano
        counts = _counts(entry.usage)
        if sums.rates is not None and any(name not in sums.rates for name in counts):
            sums.rates = None  # a cost without rates that it could be of
        for name, count in counts.items():
            sums.counts[name] = sums.counts.get(name, 0) + count

    def _flush(self) -> Iterator[Charge]:
        for group, sums in self._groups.items():
            yield from _charges(group, sums)
        self._groups.clear()

    def _priced(self, entry: Settlement) -> tuple[str, dict[str, Fraction] | None]:
        """Give the version and the rates that an entry was priced at, made once each."""
        version, price = self._price_of(entry)
        name = (version, entry.model, entry.target)
        if name not in self._rates:
            self._rates[name] = _rates(price)
        return version, self._rates[name]


def _counts(usage: Usage) -> dict[str, int]:
    return {name: count for name in (*TOKEN_CLASSES, *MEASURES) if (count := getattr(usage, name))}


def _rates(price: Price | None) -> dict[str, Fraction] | None:
    """Give the rates of a price. What it does not count is free under it."""
    if price is None:
        return None
    if price.unit != "tokens":
        rates = dict.fromkeys((*TOKEN_CLASSES, *MEASURES), Fraction(0))
        return rates | {price.unit: Fraction(price.numerators[0] or 0, price.denominator)}
    rates = dict.fromkeys(MEASURES, Fraction(0))
    for name, rate in zip(TOKEN_CLASSES, price.numerators, strict=True):
        if rate is not None:
            rates[name] = Fraction(rate, price.denominator)
    return rates


def _charges(group: Group, sums: _Sums) -> Iterator[Charge]:
    """Cut the sums of a group into charges that add up to what was settled."""
    if sums.rates is None or not sums.counts or not _is_worth(sums):
        yield Charge(
            group=group,
            about=REQUESTS,
            count=sums.requests,
            requests=sums.requests,
            billed_nano=sums.nano,
            rate=Fraction(sums.nano, sums.requests),
        )
        return
    billed = {
        name: round_half_even(worth.numerator, worth.denominator)
        for name, count in sums.counts.items()
        for worth in (count * sums.rates[name],)
    }
    largest = max(billed, key=lambda name: billed[name])
    billed[largest] += sums.nano - sum(billed.values())
    for number, (name, count) in enumerate(sums.counts.items()):
        yield Charge(
            group=group,
            about=name,
            count=count,
            requests=0 if number else sums.requests,
            billed_nano=billed[name],
            rate=sums.rates[name],
        )


def _is_worth(sums: _Sums) -> bool:
    """Say whether the counts at their rates are what was settled, but for rounding."""
    rates = sums.rates or {}
    worth = sum((count * rates[name] for name, count in sums.counts.items()), Fraction(0))
    return abs(worth - sums.nano) <= sums.requests


def _adjusted(entry: Adjustment) -> Adjusted:
    parts = ", ".join(entry.parts)
    return Adjusted(
        provider=entry.provider,
        asset=entry.asset,
        nano=entry.nano,
        since_ns=entry.since_ns,
        until_ns=entry.until_ns,
        words=entry.note or f"Adjusted to the provider's invoice: {parts}",
    )
