"""Entries and books: what is posted adds up, and what is taken back is as if never done."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.money import NANO_PER_UNIT
from entente.ledger.books import Books
from entente.ledger.journal import decode, encode
from entente.ledger.model import AnyEntry, available, payable
from tests.kit.entries import AMOUNTS, KEY, USD, granted, held, journals, settled
from tests.kit.run import PROPERTY


def _copy(books: Books) -> Books:
    return msgspec.json.decode(msgspec.json.encode(books), type=Books)


def _nonzero(books: Books) -> dict[tuple[str, str], int]:
    return {
        (account, asset): nano
        for account, amounts in books.balances.items()
        for asset, nano in amounts.items()
        if nano
    }


@PROPERTY
@given(journals())
def test_all_accounts_together_are_always_zero(entries: list[AnyEntry]) -> None:
    """A posting moves money from one account to another, so no sum can ever appear."""
    books = Books()
    for entry in entries:
        books.apply(entry)
        sums: Counter[str] = Counter()
        for amounts in books.balances.values():
            sums.update(amounts)
        assert not any(sums.values())


@PROPERTY
@given(AMOUNTS, AMOUNTS)
def test_settlement_releases_the_hold_and_charges_exactly_the_cost(nano: int, cost: int) -> None:
    """Above the hold too: an overrun is the key's, and no posting moves zero or less."""
    opened = held("r", nano)
    entry = settled(opened, cost)
    books = Books()
    for step in (granted("g", 10**23), opened, entry):
        books.apply(step)
    assert books.held(KEY, USD) == 0
    assert books.balance(payable("p"), USD) == cost
    assert books.available(KEY, USD) == 10**23 - cost
    assert all(posting.nano > 0 for posting in entry.postings)


@PROPERTY
@given(journals(), AMOUNTS, st.booleans())
def test_retract_undoes_apply(entries: list[AnyEntry], nano: int, bounded: bool) -> None:
    """A hold that could not be written leaves the books as they were."""
    books = Books()
    for entry in entries:
        books.apply(entry)
    before = _nonzero(books), dict(books.open_holds)
    opened = held("new", nano, bounded=bounded)
    books.apply(opened)
    books.retract(opened)
    assert (_nonzero(books), books.open_holds) == before
    books.retract(opened)
    assert (_nonzero(books), books.open_holds) == before, "taking back twice takes back once"


@PROPERTY
@given(journals())
def test_entries_and_books_read_back_as_they_were_written(entries: list[AnyEntry]) -> None:
    """The journal and its checkpoint are JSON; 10^12 dollars in nano-units must survive it."""
    books = Books()
    for entry in entries:
        assert decode(encode(entry)) == entry
        books.apply(entry)
    assert _copy(books) == books


def test_a_trillion_dollars_fits() -> None:
    """DESIGN: amounts are stored so that 10^12 dollars fit, one nano-unit apart."""
    nano = 10**12 * NANO_PER_UNIT + 1
    assert decode(encode(granted("g", nano))) == granted("g", nano)


def test_negative_grant_moves_back_to_funding() -> None:
    """A correction is a posting the other way round, never a negative amount."""
    entry = granted("g", -5)
    assert [(p.source, p.destination, p.nano) for p in entry.postings] == [
        (available(KEY), "funding", 5)
    ]


def test_idempotency_keys_tell_kinds_apart() -> None:
    """A hold and its settlement share the request's id and are two entries."""
    opened = held("r", 1)
    assert {opened.idempotency_key, settled(opened).idempotency_key} == {"hold:r", "settle:r"}
