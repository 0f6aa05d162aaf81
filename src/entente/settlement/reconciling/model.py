"""What is compared: lines of a provider's export, sums of both sides, and what explains them.

Tokens are in classes that do not overlap; a provider does not say how much of its output was
reasoning, so `output` holds both. Amounts of an export are exact, in nano-units as a
`Fraction`, since providers write more digits than nine; sums are rounded once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from fractions import Fraction
from typing import Final, TypeAlias

import msgspec

from entente.domain.usage import MEASURES, TOKEN_CLASSES, Usage
from entente.ledger.model import Settlement
from entente.metering.prices import Price

CLASSES: Final = (*(name for name in TOKEN_CLASSES if name != "reasoning"), *MEASURES)
"""What is counted: tokens by class, and other measures."""
WRITTEN: Final[tuple[str, ...]] = ("cache_write", "cache_write_1h")
CACHED: Final[tuple[str, ...]] = ("cache_read", *WRITTEN)

Tokens: TypeAlias = dict[str, int]
"""By class; a class that is missing has none."""

Rates: TypeAlias = Mapping[str, Fraction]
"""Nano-units for one of a class; a class that is missing has no price."""


class Kind(StrEnum):
    """What explains a difference. Amounts are ours less theirs."""

    TOKENS = "tokens"
    """The same requests, but another count of tokens."""
    CACHE = "cache"
    """The same tokens, but cached ones are counted otherwise, twice, or not at all."""
    PRICE = "price version"
    """The same tokens at another price."""
    MISSING_HERE = "missing here"
    """They have what the ledger has not."""
    MISSING_THERE = "missing there"
    """The ledger has what they have not."""
    DUPLICATE = "duplicate"
    """One of the sides says something twice."""
    TIMING = "timing"
    """It stands on the other side of the edge between two times."""
    ROUNDING = "rounding"
    """What is lost below the last digit of either side."""
    UNEXPLAINED = "unexplained"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One row of an export. What it does not say is None or empty."""

    place: str
    """Where it stands, for people: `usage.csv:12`."""
    since_ns: int
    until_ns: int
    model: str = ""
    """As the provider names it; empty where all models are in one sum."""
    request: str = ""
    """The provider's id, where a line is one request."""
    requests: int | None = None
    tokens: Tokens | None = None
    cost: Fraction | None = None
    """In nano-units of `asset`."""
    asset: str = ""
    about: str = ""
    """The class of tokens that the cost is about, where it is about one."""
    groups: tuple[tuple[str, str], ...] = ()
    """Whose it is in the provider's words: `("project", "proj_1")`, `("key", …)`."""
    mark: bytes = b""
    """All that the line says, condensed: lines with the same mark say the same thing twice."""


class Side(msgspec.Struct, kw_only=True):
    """The sums of one side over one model and time."""

    requests: int | None = None
    """None where the side does not count them."""
    tokens: Tokens | None = None
    cost: Fraction | None = None
    costs: dict[str, Fraction] = {}
    """By class, where the cost is said by class."""
    charged: Tokens = {}
    """What costs say that they are for."""
    lines: int = 0
    """How many amounts were rounded on the way to the sum."""
    duplicates: int = 0
    duplicates_cost: Fraction = Fraction(0)
    """Lines that say what another line has said. Not among the others."""

    def take(self, line: Line) -> None:
        """Add a line. Tokens that a cost names count where no usage does."""
        self.lines += 1
        if line.requests is not None:
            self.requests = (self.requests or 0) + line.requests
        if line.cost is not None:
            self.cost = (self.cost or 0) + line.cost
            if line.about:
                self.costs[line.about] = self.costs.get(line.about, Fraction(0)) + line.cost
        if line.tokens is not None and line.cost is not None and not line.request:
            add(self.charged, line.tokens)
        elif line.tokens is not None:
            self.tokens = self.tokens or {}
            add(self.tokens, line.tokens)

    def merge(self, other: Side) -> None:
        """Add the sums of another."""
        self.lines += other.lines
        self.duplicates += other.duplicates
        self.duplicates_cost += other.duplicates_cost
        if other.requests is not None:
            self.requests = (self.requests or 0) + other.requests
        if other.cost is not None:
            self.cost = (self.cost or 0) + other.cost
        for name, cost in other.costs.items():
            self.costs[name] = self.costs.get(name, Fraction(0)) + cost
        if other.tokens is not None:
            self.tokens = self.tokens or {}
            add(self.tokens, other.tokens)
        add(self.charged, other.charged)

    @property
    def counted(self) -> Tokens | None:
        """The tokens that it says, as usage or, without that, as quantities of its costs."""
        if self.tokens is None and self.charged:
            return self.charged
        return self.tokens


class Shape(msgspec.Struct, kw_only=True):
    """Our requests that were priced alike."""

    version: str
    rates: Rates | None
    requests: int = 0
    tokens: Tokens = {}
    nano: int = 0


class Ours(msgspec.Struct, kw_only=True):
    """What the ledger settled over one model and time."""

    requests: int = 0
    tokens: Tokens = {}
    nano: int = 0
    unpriced: int = 0
    estimated: int = 0
    shapes: dict[str, Shape] = {}
    duplicates: int = 0
    duplicates_nano: int = 0
    """Settlements of a provider's request that was settled before. Not among the others."""


class Sum(msgspec.Struct, kw_only=True):
    """The whole of a side."""

    requests: int | None = None
    tokens: Tokens | None = None
    nano: int | None = None


class Part(msgspec.Struct, frozen=True):
    """A part of a difference, in nano-units."""

    kind: Kind
    nano: int
    words: str = ""


class Finding(msgspec.Struct, kw_only=True):
    """What differs over one model and time: `nano` is the sum of the parts."""

    since_ns: int
    until_ns: int
    model: str
    request: str = ""
    nano: int = 0
    parts: list[Part] = []
    tokens: Tokens = {}
    """Ours less theirs, by class, where there is a difference."""
    requests: int = 0
    """Ours less theirs."""


class Verdict(StrEnum):
    """How a comparison ended."""

    AGREES = "agrees"
    """Nothing differs but what rounding can do, or an edge between two times."""
    EXPLAINED = "explained"
    UNEXPLAINED = "unexplained"


class Report(msgspec.Struct, kw_only=True):
    """What a comparison found. `nano` is ours less theirs, and the sum of `parts`."""

    provider: str
    asset: str
    since_ns: int
    until_ns: int
    ours: Sum
    theirs: Sum
    nano: int = 0
    parts: dict[Kind, int] = {}
    compared: int = 0
    """Pairs of sums, or requests, that were held against each other."""
    findings: list[Finding] = []
    """Those that differ, as far as a bound allows."""
    found: int = 0
    """How many differ."""
    adjusted: tuple[str, ...] = ()
    """The ids of adjustments that were posted for this time, or part of it."""
    adjusted_nano: int = 0
    """What they have added to what is owed."""
    astride: bool = False
    """One of them is also about another time."""
    notes: list[str] = []
    digest: str = ""
    """SHA-256 of what was compared with."""

    @property
    def open_nano(self) -> int:
        """What is owed here more than there, with what was adjusted before.

        What stands on the other side of an edge is of another time, and is not counted.
        """
        return self.nano + self.adjusted_nano - self.parts.get(Kind.TIMING, 0)

    @property
    def verdict(self) -> Verdict:
        """How it ended."""
        harmless = {Kind.ROUNDING, Kind.TIMING}
        if any(part.kind is Kind.UNEXPLAINED for each in self.findings for part in each.parts):
            return Verdict.UNEXPLAINED
        said = {part.kind for each in self.findings for part in each.parts}
        return Verdict.AGREES if said <= harmless else Verdict.EXPLAINED


PriceOf: TypeAlias = Callable[[Settlement], tuple[str, Price | None]]
"""Gives the version and the price that a settlement was made at; None where it is not known."""


def tokens_of(usage: Usage) -> Tokens:
    """Give a usage by the classes that are compared."""
    counts = {name: getattr(usage, name) for name in CLASSES}
    counts["output"] += usage.reasoning
    return {name: count for name, count in counts.items() if count}


def rates_of(price: Price | None) -> Rates | None:
    """Give the rates of a price; None where there is no price, or where reasoning has its own."""
    if price is None:
        return None
    names = TOKEN_CLASSES if price.unit == "tokens" else (price.unit,)
    rates = {
        name: Fraction(rate, price.denominator)
        for name, rate in zip(names, price.numerators, strict=True)
        if rate is not None
    }
    if rates.pop("reasoning", rates.get("output")) != rates.get("output"):
        return None
    return rates


def value(tokens: Tokens, rates: Rates | None) -> Fraction | None:
    """Price tokens, which may be negative; None where one of the classes has no rate."""
    if rates is None:
        return None
    total = Fraction(0)
    for name, count in tokens.items():
        rate = rates.get(name)
        if count and rate is None:
            return None
        total += count * (rate or 0)
    return total


def less(ours: Tokens, theirs: Tokens) -> Tokens:
    """Subtract, class by class; what is zero is left out."""
    names = [name for name in CLASSES if name in ours or name in theirs]
    delta = {name: ours.get(name, 0) - theirs.get(name, 0) for name in names}
    return {name: count for name, count in delta.items() if count}


def add(into: Tokens, more: Tokens) -> None:
    """Add to a sum in place."""
    for name, count in more.items():
        into[name] = into.get(name, 0) + count
