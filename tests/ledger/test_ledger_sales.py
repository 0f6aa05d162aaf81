"""Sales: what a key pays and what its provider is owed, in postings that come out at nothing."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Status
from entente.domain.exchange import Rate, checked, parse_named
from entente.domain.usage import Usage
from entente.ledger.checkpoints import Checkpoints
from entente.ledger.journal import GENESIS, verify
from entente.ledger.model import AnyEntry, Posting, Settlement, available, payable, settlement
from entente.ledger.reader import Position
from entente.ledger.sales import DISCOUNT, EXCHANGE, MARKUP, Sale, implied
from tests.kit.entries import AT_NS, KEY, USD, granted, held, rows_of
from tests.kit.run import PROPERTY

NANO: Final = st.integers(0, 1000)
RATE: Final = "EUR/USD 2026-11-20 1.25"


def _sold(hold_nano: int, charged: int, sale: Sale) -> tuple[list[AnyEntry], Settlement]:
    opened = held("r", hold_nano, bounded=False)
    closed = settlement(
        opened,
        at_ns=AT_NS,
        status=Status.COMPLETE,
        usage=Usage(input=1),
        cost_nano=charged,
        provider="p",
        target="p/m",
        sale=sale,
    )
    return [granted("g", 5000), opened, closed], closed


@PROPERTY
@given(NANO, NANO, NANO, NANO, st.booleans())
def test_every_sale_balances(hold: int, charged: int, value: int, owed: int, foreign: bool) -> None:
    """Within the hold or past it, marked up or down, in one currency or two."""
    sale = Sale(owed, "EUR", value, RATE) if foreign else Sale(value, USD, value)
    entries, closed = _sold(hold, charged, sale)
    report, books = verify(rows_of(entries))
    assert report.problems == []
    assert report.open_holds == 0
    assert books.available(KEY, USD) == 5000 - charged
    assert books.held(KEY, USD) == 0
    assert closed.owed == (sale.nano, sale.asset)
    assert books.balance(payable("p"), sale.asset) == sale.nano
    assert books.balance(MARKUP, USD) == max(charged - value, 0)
    assert books.balance(DISCOUNT, USD) == -max(value - charged, 0)
    assert books.balance(EXCHANGE, USD) == (value if foreign else 0)
    assert books.balance(EXCHANGE, "EUR") == (-owed if foreign else 0)
    for asset in (USD, "EUR"):
        assert sum(amounts.get(asset, 0) for amounts in books.balances.values()) == 0


@PROPERTY
@given(NANO, NANO, NANO, NANO)
def test_checkpoints_follow_sales(hold: int, charged: int, value: int, owed: int) -> None:
    """The net of a hold and its sale is the whole of both."""
    entries, _ = _sold(hold, charged, Sale(owed, "EUR", value, RATE))
    rows = rows_of(entries)
    checkpoints = Checkpoints(Position(0, GENESIS, verify([])[1]), lambda _: None)
    for entry, row in zip(entries, rows, strict=True):
        checkpoints.written([entry], row.seq, row.hash)
    followed, folded = checkpoints.position().books, verify(rows)[1]
    for account in {*followed.balances, *folded.balances}:
        for asset in (USD, "EUR"):
            assert followed.balance(account, asset) == folded.balance(account, asset)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"owed_nano": 81}, "r owes 0.00000008, not 0.000000081"),
        ({"rate": ""}, "r names no rate between USD and EUR"),
        ({"owed_asset": "GBP"}, "a posting moves another asset than USD"),
        ({"cost_nano": 120}, "r pays 0.000000115, not its cost of 0.00000012"),
    ],
)
def test_a_sale_that_says_another_thing_than_it_posts_is_found(
    change: dict[str, object], problem: str
) -> None:
    """By verification, from the entry alone."""
    entries, closed = _sold(200, 115, Sale(80, "EUR", 100, RATE))
    report, _ = verify(rows_of([*entries[:2], msgspec.structs.replace(closed, **change)]))
    assert any(problem in found for found in report.problems)


def test_a_sale_that_keeps_something_in_between_is_found() -> None:
    """What leaves the key without reaching anybody would be missing somewhere."""
    entries, closed = _sold(200, 100, Sale(100, USD, 100))
    astray = tuple(
        Posting(each.source, "elsewhere", each.nano, each.asset)
        if each.destination == payable("p")
        else each
        for each in closed.postings
    )
    report, _ = verify(rows_of([*entries[:2], msgspec.structs.replace(closed, postings=astray)]))
    assert any("r owes 0, not 0.0000001" in found for found in report.problems)
    assert available(KEY) in {posting.destination for posting in astray}


def test_what_is_worked_back_from_a_charge() -> None:
    """By the hold's own part and rate, whichever way round that is named."""
    assert implied("", (), USD, 100) is None
    assert implied("5/4", (), USD, 100) == Sale(80, USD, 80)
    assert implied("5/4", (RATE,), USD, 100) == Sale(64, "EUR", 80, RATE)
    assert implied("", ("USD/EUR 2026-11-20 0.8",), USD, 100) == Sale(
        80, "EUR", 100, "USD/EUR 2026-11-20 0.8"
    )


@PROPERTY
@given(st.fractions(Fraction(1, 10**6), 10**6, max_denominator=10**6))
def test_a_rate_reads_back(value: Fraction) -> None:
    """Exactly, as the entry names it."""
    rate = Rate("2026-11-20", "EUR", "USD", value)
    assert parse_named(str(rate)) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "EUR/USD 2026-11-20",
        "EUR/EUR 2026-11-20 1",
        "EUR/USD 2026-13-20 1",
        "EUR/USD 2026-11-20 0",
    ],
)
def test_what_is_no_rate(text: str) -> None:
    """Nothing that an amount could be made with."""
    with pytest.raises(ValueError, match=r"."):
        parse_named(text)
    with pytest.raises(ValueError, match="two currencies"):
        checked(Rate("2026-11-20", "EUR", "EUR", Fraction(1)))
