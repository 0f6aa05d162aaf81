"""The scenario file: how amounts may grow, what may happen, and what is to be compared.

    scenario     what it is called, its steps of time, how many paths, its seed
    streams      amounts of money by step; those with `attributes` are what is measured
    shocks       a bad (or good) stretch that changes several streams at once
    correlations which streams tend to move together
    events       what may happen, with a probability in each step
    sweeps       one field varied while all else stays, to see what matters

A step is accounted for at its last instant, by the terms that hold then; what happens in a
step happens before that. Amounts are in whole units of the agreement's currency.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from entente.agreement.values import Day, Exact, Name

PATHS_MAX: Final = 200_000
STEPS_MAX: Final = 480
"""Forty years of months."""
CELLS_MAX: Final = 8_000_000
"""Paths times steps; a cell takes 8 bytes for each amount that is followed."""
STREAMS_MAX: Final = 64
MONEY: Final = "amount"
SWEPT_MAX: Final = 64
"""Values of all sweeps together; each is a simulation of its own."""

Probability: TypeAlias = Exact
Text: TypeAlias = Annotated[str, Meta(max_length=2_000)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a scenario file."""


class Triangular(_Part, frozen=True, kw_only=True):
    """Between two ends, most often near the mode."""

    low: Exact
    mode: Exact
    high: Exact

    def __post_init__(self) -> None:
        """Put the three in order."""
        if not self.low <= self.mode <= self.high or self.low == self.high:
            message = "a triangle needs low <= mode <= high, and low below high"
            raise ValueError(message)


class Normal(_Part, frozen=True, kw_only=True):
    """Around a mean, as often above as below."""

    mean: Exact
    deviation: Exact

    def __post_init__(self) -> None:
        """Refuse a negative spread."""
        if self.deviation < 0:
            message = "a deviation is not below zero"
            raise ValueError(message)


class Lognormal(_Part, frozen=True, kw_only=True):
    """Above zero; as often above the median as below, with a long tail upwards."""

    median: Exact
    spread: Exact
    """Standard deviation of the logarithm: `0.1` is about 10 %."""

    def __post_init__(self) -> None:
        """Refuse what has no logarithm."""
        if self.median <= 0 or self.spread < 0:
            message = "a lognormal needs a median above zero and a spread not below zero"
            raise ValueError(message)


class Draw(_Part, frozen=True, kw_only=True):
    """A number for each step: known, or drawn. Exactly one form."""

    fixed: Exact | None = None
    table: tuple[Exact, ...] | None = None
    """One for each step; the last holds for all later ones."""
    triangular: Triangular | None = None
    normal: Normal | None = None
    lognormal: Lognormal | None = None
    each: Literal["step", "path"] | None = None
    """Drawn anew in each step, or once for a whole path. Required where it is drawn."""

    def __post_init__(self) -> None:
        """Take one form."""
        drawn = (self.triangular, self.normal, self.lognormal)
        forms = (self.fixed, self.table, *drawn)
        if sum(form is not None for form in forms) != 1:
            message = "takes exactly one of fixed, table, triangular, normal and lognormal"
            raise ValueError(message)
        if self.table == ():
            message = "a table has one number at least"
            raise ValueError(message)
        if self.is_random() != (self.each is not None):
            message = "`each` (step or path) belongs to what is drawn, and has to be said there"
            raise ValueError(message)

    def is_random(self) -> bool:
        """Say whether it is drawn."""
        return self.fixed is None and self.table is None

    def known(self, step: int) -> Exact:
        """Give the number of a step where it is known. Raises ValueError where it is drawn."""
        if self.fixed is not None:
            return self.fixed
        if self.table is None:
            message = "it is drawn, and not known"
            raise ValueError(message)
        return self.table[min(step, len(self.table) - 1)]


class _Stream(_Part, frozen=True, kw_only=True):
    """Amounts by step. With `attributes` they are measured; else they only serve others."""

    id: Name
    title: Text = ""
    source: Text = ""
    attributes: dict[Name, str | int | bool] = msgspec.field(default_factory=dict)
    """What the measured amounts say of themselves, for the agreement's conditions."""
    counts: Name = MONEY
    """`amount` of money, or a quantity that meters count: `input`, `requests`, …"""
    before: Exact = Exact(0)
    """What it came to before the first step."""

    def needs(self) -> tuple[Name, ...]:
        """Name the streams that it is made of."""
        return ()


class Listed(_Stream, frozen=True, kw_only=True, tag_field="kind", tag="listed"):
    """Amounts as they are given."""

    amounts: tuple[Exact, ...]
    """One for each step; zero behind the last."""


class Grown(_Stream, frozen=True, kw_only=True, tag_field="kind", tag="grown"):
    """Each amount is the one before it, times one and the growth."""

    first: Exact
    growth: Draw
    """From the second step on; `0.1` is a tenth more."""


class Part(_Stream, frozen=True, kw_only=True, tag_field="kind", tag="part"):
    """A ratio of another stream: a cost, a margin, a price per unit."""

    of: Name
    ratio: Draw

    def needs(self) -> tuple[Name, ...]:
        """Name the other stream."""
        return (self.of,)


class Sold(_Stream, frozen=True, kw_only=True, tag_field="kind", tag="sold"):
    """A quantity (another stream) at a price that moves."""

    quantity: Name
    price: Exact
    """In the first step."""
    change: Draw
    """From the second step on; `-0.05` is a twentieth less."""

    def needs(self) -> tuple[Name, ...]:
        """Name the quantity."""
        return (self.quantity,)


class Combined(_Stream, frozen=True, kw_only=True, tag_field="kind", tag="combined"):
    """Streams added up, each with a coefficient: `{revenue: 1, costs: -1}` is a profit."""

    of: dict[Name, Exact]

    def needs(self) -> tuple[Name, ...]:
        """Name its parts."""
        return tuple(self.of)


Stream: TypeAlias = Listed | Grown | Part | Sold | Combined


class Shock(_Part, frozen=True, kw_only=True):
    """A stretch in which streams are other than they would be."""

    id: Name
    title: Text = ""
    probability: Probability
    """That one begins in a step; one that runs is not begun again."""
    lasts: Annotated[int, Meta(ge=1, le=STEPS_MAX)]
    """Steps."""
    factors: dict[Name, Exact]
    """By stream: `0.7` is three tenths less while it lasts."""

    def __post_init__(self) -> None:
        """Check the probability."""
        _probable(self.probability)


class Correlation(_Part, frozen=True, kw_only=True):
    """Two streams whose draws tend to go the same way (above zero) or not."""

    between: tuple[Name, Name]
    by: Exact
    """From -1 to 1, of the normal scores of their draws."""

    def __post_init__(self) -> None:
        """Check the range."""
        if not -1 <= self.by <= 1 or self.between[0] == self.between[1]:
            message = "a correlation is from -1 to 1, between two streams"
            raise ValueError(message)


class Happening(_Part, frozen=True, kw_only=True):
    """Something that may happen: a state of an event of the agreement is reached."""

    state: Name
    """`EVENT.STATE`, as clauses name it: `agi.verified`."""
    on: Day | None = None
    """It happens on this day, for certain."""
    probability: Probability | None = None
    """That it happens in a step, where it has not yet."""
    not_before: Day | None = None

    def __post_init__(self) -> None:
        """Take one form."""
        if (self.on is None) == (self.probability is None):
            message = "takes either `on` (a day) or a probability for each step"
            raise ValueError(message)
        if self.not_before is not None and self.probability is None:
            message = "`not_before` belongs to a probability"
            raise ValueError(message)
        if self.probability is not None:
            _probable(self.probability)


class Given(_Part, frozen=True, kw_only=True):
    """A contribution that was given before the first step."""

    contribution: Name
    amount: Exact
    form: Literal["cash", "credit"]


class Sweep(_Part, frozen=True, kw_only=True):
    """One thing varied. Exactly one of `field` and `parameter`."""

    id: Name
    title: Text = ""
    field: Text | None = None
    """A place in this file: `streams.revenue.growth.triangular.mode`."""
    parameter: Name | None = None
    """A parameter of the agreement."""
    values: Annotated[tuple[str | int | bool, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Take one form."""
        if (self.field is None) == (self.parameter is None):
            message = "takes either a `field` of this file or a `parameter` of the agreement"
            raise ValueError(message)


class Outline(_Part, frozen=True, kw_only=True):
    """What a scenario is, and the time that it is about."""

    id: Name
    title: Text
    note: Text = ""
    source: Text = ""
    uses: Name | None = None
    """A scenario of the agreement's document, whose overlay and values hold here."""
    set: dict[Name, str | int | bool] = msgspec.field(default_factory=dict)
    """Values of the agreement's parameters."""
    begins: str | int
    """The first step, which says how long steps are: `2026`, `2026-Q1` or `2026-01`."""
    steps: Annotated[int, Meta(ge=1, le=STEPS_MAX)]
    paths: Annotated[int, Meta(ge=1, le=PATHS_MAX)]
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    watch: Name | None = None
    """The party whose payout at the end sweeps compare. Required with sweeps."""


class Plan(_Part, frozen=True, kw_only=True):
    """A scenario file."""

    scenario: Outline
    streams: Annotated[tuple[Stream, ...], Meta(min_length=1, max_length=STREAMS_MAX)]
    shocks: tuple[Shock, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    events: tuple[Happening, ...] = ()
    contributed: tuple[Given, ...] = ()
    sweeps: tuple[Sweep, ...] = ()

    def ordered(self) -> Iterator[Stream]:
        """Give the streams, each behind those that it is made of."""
        by_id = {stream.id: stream for stream in self.streams}
        given: dict[Name, None] = {}
        for stream in self.streams:
            yield from _first_needs(stream, by_id, given)


def _first_needs(
    stream: Stream, by_id: dict[Name, Stream], given: dict[Name, None]
) -> Iterator[Stream]:
    if stream.id in given:
        return
    given[stream.id] = None
    for need in stream.needs():
        yield from _first_needs(by_id[need], by_id, given)
    yield stream


def _probable(number: Exact) -> None:
    if not 0 <= number <= 1:
        message = "a probability is from 0 to 1"
        raise ValueError(message)
