"""Which price of a book an entry was settled at: the one that comes to what it owes."""

from __future__ import annotations

import json

import msgspec
import pytest

from entente.domain.usage import Usage
from entente.ledger.model import Settlement
from entente.metering.reading import read_book
from entente.settlement.reconciling.booked import Booked
from entente.settlement.reconciling.model import Kind
from tests.settlement.reconciling.exports import (
    BOOKS,
    bucket,
    compared,
    cost,
    pages,
    settled,
    used,
)

BOOK = json.dumps(
    {
        "format": "entente-prices/1",
        "source": "https://example.com/prices",
        "retrieved": "2026-07-01",
        "lines": [
            {
                "models": ["openai/big-1"],
                "currency": "USD",
                "per": "1M tokens",
                "rates": {"input": "5", "output": "30"},
                "above": [{"input_tokens": 200000, "rates": {"input": "10", "output": "45"}}],
                "tiers": {"flex": {"factor": "1/2"}, "batch": {"factor": "1/4"}},
            }
        ],
    }
).encode()
VERSION = read_book(BOOK).version
FLAT = msgspec.json.encode({"big": BOOKS["old"]})


def booked() -> Booked:
    """Give a book, prices of the settings, and something of a program to come."""
    return Booked([(VERSION, BOOK), ("flat", FLAT), ("later", b'{"form": 2}')])


def entry(usage: Usage, nano: int, **fields: object) -> Settlement:
    """Make a settlement at an amount."""
    _, closed = settled(1, usage, version="none")
    said = {"prices": VERSION, "cost_nano": nano, **fields}
    return msgspec.structs.replace(closed, **said)


SHORT, LONG = Usage(input=100_000, output=1000), Usage(input=300_000, output=1000)


@pytest.mark.parametrize(
    ("usage", "nano", "label"),
    [
        (SHORT, 530_000_000, ""),
        (SHORT, 265_000_000, " flex"),
        (SHORT, 132_500_000, " batch"),
        (LONG, 3_045_000_000, " above 200000"),
        (LONG, 1_522_500_000, " flex above 200000"),
        (SHORT, 1, ""),
    ],
)
def test_the_price_that_comes_to_it(usage: Usage, nano: int, label: str) -> None:
    """By tier and length; the standard one where none does."""
    version, price = booked().owed_of(entry(usage, nano))
    assert version == f"{VERSION}{label}"
    assert price is not None
    assert nano == 1 or price.cost(usage) == nano


def test_what_the_provider_is_owed_counts() -> None:
    """Not what the key is charged, be it more, or in another currency."""
    marked_up = entry(SHORT, 999, asset="EUR", owed_nano=530_000_000, owed_asset="USD")
    assert booked().owed_of(marked_up)[0] == VERSION
    assert booked().owed_of(entry(SHORT, 530_000_000, asset="EUR"))[1] is None


def test_prices_of_the_settings() -> None:
    """One each; with a part of it where the entry says so."""
    usage = Usage(input=100_000)
    assert booked().owed_of(entry(usage, 500_000_000, prices="flat"))[0] == "flat"
    half = entry(usage, 250_000_000, prices="flat", price_factor="1/2")
    assert booked().owed_of(half)[0] == "flat × 1/2"
    assert booked().owed_of(entry(usage, 1, prices="later"))[1] is None
    assert list(booked().versions_of("main/big-1", "big")) == [
        "flat",
        VERSION,
        f"{VERSION} above 200000",
        f"{VERSION} flex",
        f"{VERSION} flex above 200000",
        f"{VERSION} batch",
        f"{VERSION} batch above 200000",
    ]


def test_a_target_that_the_settings_call_otherwise_in_a_book() -> None:
    """A deployment has a name of its own; the price is that of what it is priced as."""
    lines = [
        {"models": [name], "currency": "USD", "per": "1M tokens", "rates": rates}
        for name, rates in (
            ("azure/global/big-1", {"input": "6", "output": "36"}),
            ("other/deployed", {"input": "6", "output": "1"}),
        )
    ]
    book = json.dumps({**json.loads(BOOK), "lines": lines}).encode()
    version = read_book(book).version
    names = {("big", "east/deployed"): "azure/global/big-1"}
    usage = Usage(input=100_000)
    closed = entry(usage, 600_000_000, prices=version, target="east/deployed")
    books = Booked([(version, book)], names)
    _, price = books.owed_of(closed)
    assert price is not None
    assert price.cost(Usage(output=1_000_000)) == 36_000_000_000
    assert books.versions_of("east/deployed", "big") == {version: price}
    _, price = Booked([(version, book)]).owed_of(closed)  # the nearest, where nothing is known
    assert price is not None
    assert price.cost(Usage(output=1_000_000)) == 1_000_000_000


def test_an_invoice_in_another_tier_is_named() -> None:
    """Settled as a standard request, charged as a flexible one."""
    books = booked()
    report = compared(
        pages(bucket(used(1, 100_000, 0, 1000), cost(0.265))),
        [(entry(SHORT, 530_000_000),)],
        books=books,
    )
    assert report.parts == {Kind.PRICE: 265_000_000}
    assert f"billed as at version {VERSION} flex" in report.findings[0].parts[0].words
