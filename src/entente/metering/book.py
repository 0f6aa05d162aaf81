"""The price book: a document of lines, each of which says what some names cost for a while. Pure.

A name is `VENDOR/MODEL`, as the provider calls the model, or `*/MODEL`, as clients do. A book
has one form of writing, sorted and exact, and its version is the digest of that: what an entry
of the ledger names can be shown again, and equal books have equal versions on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from functools import cached_property
from typing import Final

import msgspec

from entente.domain.money import format_rate
from entente.metering.prices import VERSION_DIGITS, Price, compile_price
from entente.metering.tariffs import BATCH, Tariff, Terms
from entente.metering.units import PricePer

FORMAT: Final = "entente-prices/1"
ANY_VENDOR: Final = "*"
NS_PER_S: Final = 1_000_000_000

Rates = Mapping[str, Fraction]
"""By the names of `units.RATES`."""


class Step(msgspec.Struct, frozen=True):
    """Rates of requests whose whole input has more than `above` tokens."""

    above: int
    rates: Rates


class Tier(msgspec.Struct, frozen=True):
    """What a service tier costs: a part of the standard rates, or rates of its own."""

    factor: Fraction | None = None
    rates: Rates | None = None
    steps: tuple[Step, ...] = ()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What some names cost from one instant until another."""

    names: tuple[str, ...]
    source: str
    """Where it says so; empty where the book's own source does."""
    retrieved: str
    """The day on which it was read there."""
    currency: str
    per: PricePer
    rates: Rates
    steps: tuple[Step, ...] = ()
    tiers: Mapping[str, Tier]
    since: str = ""
    """The first instant, as text; empty for ever before."""
    until: str = ""
    """The first instant for which it no longer holds; empty for ever after."""
    note: str = ""

    def tariff(self) -> Tariff:
        """Compile it for many requests."""
        standard = self._terms(self.rates, self.steps)
        return Tariff(
            asset=self.currency,
            standard=standard,
            tiers={name: self._tier(tier, standard) for name, tier in sorted(self.tiers.items())},
            from_ns=instant_ns(self.since) if self.since else None,
            until_ns=instant_ns(self.until) if self.until else None,
        )

    def _tier(self, tier: Tier, standard: Terms) -> Terms:
        if tier.factor is not None:
            return standard.scaled(tier.factor)
        return self._terms(tier.rates or {}, tier.steps)

    def _terms(self, rates: Rates, steps: Iterable[Step]) -> Terms:
        longer = [(step.above, self._price(step.rates)) for step in steps]
        return Terms(((-1, self._price(rates)), *longer))

    def _price(self, rates: Rates) -> Price:
        per = self.per
        return compile_price(self.currency, per.rates(rates), per.units, unit=per.unit)


class Book(msgspec.Struct, frozen=True, dict=True):
    """A price book as it was read, its version, and its lines by name."""

    source: str
    retrieved: str
    lines: tuple[Line, ...]
    note: str = ""

    @cached_property
    def version(self) -> str:
        """The digest of the book's one form of writing."""
        return hashlib.sha256(self.encode()).hexdigest()[:VERSION_DIGITS]

    @cached_property
    def by_name(self) -> dict[str, tuple[Line, ...]]:
        """The lines of each name, the earliest first."""
        found: dict[str, list[Line]] = {}
        for line in self.lines:
            for name in line.names:
                found.setdefault(name, []).append(line)
        return {name: tuple(sorted(lines, key=starts)) for name, lines in sorted(found.items())}

    def line(self, name: str, at_ns: int) -> Line | None:
        """Give the line that holds for a name at an instant."""
        for line in self.by_name.get(name, ()):
            if starts(line) <= at_ns and (not line.until or at_ns < instant_ns(line.until)):
                return line
        return None

    def tariffs(self, name: str) -> tuple[Tariff, ...]:
        """Give the tariffs of a name, the earliest first; none for a name that it does not have."""
        return tuple(line.tariff() for line in self.by_name.get(name, ()))

    def price(
        self, name: str, at_ns: int, *, tier: str = "", batch: bool = False, input_total: int = 0
    ) -> Price | None:
        """Give what one request costs; None where the book does not say."""
        line = self.line(name, at_ns)
        terms = None if line is None else line.tariff().terms(BATCH if batch else tier)
        return None if terms is None else terms.price(input_total)

    def encode(self) -> bytes:
        """Write the book in its one form."""
        lines: list[dict[str, object]] = [_line_document(line) for line in self.lines]
        lines.sort(key=_place)
        document = {
            "format": FORMAT,
            "source": self.source,
            "retrieved": self.retrieved,
            **({"note": self.note} if self.note else {}),
            "lines": lines,
        }
        return msgspec.json.encode(document)


def instant_ns(text: str) -> int:
    """Read a day, which begins at midnight UTC, or an instant. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        if "T" in text or " " in text:
            message = f"{text!r} needs its zone, such as 2026-01-31T12:00:00Z"
            raise ValueError(message)
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1000


def starts(line: Line) -> int:
    """Give the first instant of a line; the lowest number for ever before."""
    return instant_ns(line.since) if line.since else -(2**63)


def written_rates(rates: Rates) -> dict[str, str]:
    """Write rates exactly, in the order of their names."""
    return {name: format_rate(rate) for name, rate in sorted(rates.items())}


def _line_document(line: Line) -> dict[str, object]:
    """Write a line, without what says nothing."""
    document: dict[str, object] = {
        "models": sorted(line.names),
        "source": line.source,
        "retrieved": line.retrieved,
        "currency": line.currency,
        "per": str(line.per),
        "from": line.since,
        "until": line.until,
        "rates": written_rates(line.rates),
        "above": _written_steps(line.steps),
        "tiers": {name: _tier_document(tier) for name, tier in sorted(line.tiers.items())},
        "note": line.note,
    }
    return {name: value for name, value in document.items() if value}


def _tier_document(tier: Tier) -> dict[str, object]:
    if tier.factor is not None:
        return {"factor": format_rate(tier.factor)}
    return {"rates": written_rates(tier.rates or {}), "above": _written_steps(tier.steps)}


def _written_steps(steps: Iterable[Step]) -> list[dict[str, object]]:
    return [{"input_tokens": step.above, "rates": written_rates(step.rates)} for step in steps]


def _place(document: Mapping[str, object]) -> tuple[str, str]:
    """Say where a written line stands among the others."""
    return str(document["models"]), str(document.get("from", ""))


def classes(line: Line) -> Iterator[tuple[str, Fraction]]:
    """Give every rate of a line under a name of its own, for people to compare."""
    for tier, rates, steps in _tables(line):
        for name, rate in sorted(rates.items()):
            yield f"{tier}{name}", rate
        for step in steps:
            for name, rate in sorted(step.rates.items()):
                yield f"{tier}{name} above {step.above}", rate


def _tables(line: Line) -> Iterator[tuple[str, Rates, tuple[Step, ...]]]:
    """Give each tier's rates, the standard ones first."""
    yield "", line.rates, line.steps
    for name, tier in sorted(line.tiers.items()):
        if tier.factor is None:
            yield f"{name} ", tier.rates or {}, tier.steps
            continue
        factor = tier.factor
        scaled = {each: rate * factor for each, rate in line.rates.items()}
        longer = tuple(
            Step(step.above, {each: rate * factor for each, rate in step.rates.items()})
            for step in line.steps
        )
        yield f"{name} ", scaled, longer
