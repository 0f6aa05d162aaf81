"""The book that comes with the program: sourced, plausible, never a zero for what is unknown."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Final

import pytest

from entente.cli.prices import starting_book
from entente.domain.money import NANO_PER_UNIT, parse_nano
from entente.domain.usage import Usage
from entente.metering.book import Book, Line, Rates, instant_ns
from entente.metering.reading import read_book

BOOK: Final[Book] = read_book(starting_book())
VENDORS: Final = {"anthropic", "azure", "gemini", "groq", "mistral", "openai", "together", "xai"}
AT: Final = instant_ns("2026-11-22")
ids = [line.names[0] for line in BOOK.lines]


def _tables(line: Line) -> list[Rates]:
    """Give every table of rates of a line, the shortest input first, and those of its tiers."""
    tables = [line.rates, *(step.rates for step in line.steps)]
    for tier in line.tiers.values():
        tables += [tier.rates or {}, *(step.rates for step in tier.steps)]
    return [table for table in tables if table]


@pytest.mark.parametrize("line", BOOK.lines, ids=ids)
def test_each_line_is_sourced_and_plausible(line: Line) -> None:
    """Nothing is free; what is cached costs less; writing it, answers and long inputs more."""
    assert line.source.startswith("https://")
    assert date(2025, 7, 1) <= date.fromisoformat(line.retrieved) <= date(2026, 11, 22)
    assert line.currency == "USD"
    for rates in _tables(line):
        assert min(rates.values()) > 0
        least = rates["input"]
        assert rates.get("cached_input", Fraction(0)) < least
        assert rates.get("output", least) >= least
        assert rates.get("cache_write", least) >= least
        long = rates.get("cache_write_1h")
        assert long is None or long > rates["cache_write"]
    for before, after in zip(line.steps, line.steps[1:], strict=False):
        assert before.rates["input"] < after.rates["input"]
    for step in line.steps:
        assert {*step.rates} == {*line.rates}
        assert all(step.rates[name] > rate for name, rate in line.rates.items())
    batch = line.tiers.get("batch")
    assert batch is None or batch.factor == Fraction(1, 2)


def test_the_vendors_are_known() -> None:
    """Every name is one that a provider's address, or `priced_as`, can lead to."""
    assert {name.partition("/")[0] for name in BOOK.by_name} <= VENDORS
    assert len(BOOK.by_name) > 50


@pytest.mark.parametrize(
    ("name", "tier", "usage", "cost"),
    [
        ("openai/gpt-4o", "", Usage(input=100_000, cache_read=900_000), "1.375"),
        ("openai/gpt-6-astra", "", Usage(input=272_000), "2.72"),
        ("openai/gpt-6-astra", "", Usage(input=272_001), "5.44002"),
        ("openai/gpt-6-astra", "flex", Usage(input=272_001, output=1000), "2.75751"),
        ("anthropic/claude-opus-5-5", "", Usage(cache_write=10**6, cache_write_1h=10**6), "13"),
        ("anthropic/claude-haiku-4-5", "batch", Usage(output=10**6), "2.5"),
        ("xai/grok-4.7", "", Usage(input=199_999), "0.399998"),
        ("xai/grok-4.7", "", Usage(input=200_000), "0.8"),
    ],
)
def test_invoices(name: str, tier: str, usage: Usage, cost: str) -> None:
    """Worked out by hand from the pages."""
    price = BOOK.price(name, AT, tier=tier, input_total=usage.input_total)
    assert price is not None
    assert price.cost(usage) == parse_nano(cost)


def test_what_ends_has_no_price_behind_its_end() -> None:
    """An offer until the end of the year; then the page has to be read again."""
    assert BOOK.price("gemini/gemini-3.8-flash", instant_ns("2026-12-31")) is not None
    assert BOOK.price("gemini/gemini-3.8-flash", instant_ns("2027-01-01")) is None


def test_sound_is_not_priced_as_text() -> None:
    """A class that a page has a rate of its own for, and the book not, is unknown."""
    price = BOOK.price("gemini/gemini-3.8-flash", AT)
    assert price is not None
    assert price.cost(Usage(audio_input=1)) is None
    assert price.cost(Usage(input=10**6)) == NANO_PER_UNIT * 3 // 4
