"""Price books, rates of exchange and parts of prices, on both databases."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import pytest

from entente.auth import OPERATOR, KeyStore
from entente.control.audit import Audit
from entente.control.exchange import Rates, rate_of
from entente.control.key_forms import KeyChange, KeyWish
from entente.control.keys import Keys
from entente.control.price_shelf import PriceShelf
from entente.control.prices import NO_BOOK, Prices, in_force
from entente.control.projects import Projects
from entente.control.table import Base
from entente.domain.errors import InvalidParameter, ObjectNotFound, PermissionDenied
from entente.domain.ids import Ids
from entente.domain.principal import Principal, Role
from entente.metering.book import instant_ns

if TYPE_CHECKING:
    from entente.db import Database
    from tests.conftest import Open

START: Final = instant_ns("2026-11-20T12:00:00Z")
MEMBER: Final = Principal(key_id="k", name="n", role=Role.MEMBER)


class Clock:
    """Moves when a test says so."""

    now = START

    def __call__(self) -> int:
        """Give the time."""
        return self.now


@pytest.fixture
def database(open_database: Open) -> Iterator[Database]:
    """Give an open, migrated database, of each kind in turn."""
    with closing(open_database()) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    """Give a clock."""
    return Clock()


@pytest.fixture
def base(database: Database, clock: Clock) -> Base:
    """Give what use cases stand on."""
    source = random.Random(3)  # noqa: S311  (tests want it foreseeable)
    return Base(database, clock, Ids(clock, source.getrandbits))


def _book(rate: str) -> bytes:
    line: dict[str, Any] = {
        "models": ["openai/m"],
        "currency": "USD",
        "per": "1M tokens",
        "rates": {"input": rate},
    }
    head = {"format": "entente-prices/1", "source": "here", "retrieved": "2026-11-01"}
    return json.dumps(head | {"lines": [line]}).encode()


def test_books_are_kept_once_and_named_by_their_beginning(base: Base) -> None:
    """By admins only; what is no book leaves nothing behind."""
    prices = Prices(base, Audit(base))
    book = prices.keep(OPERATOR, _book("1"))
    assert prices.keep(OPERATOR, _book("1.0")) == book
    assert [view.version for view in prices.list(OPERATOR)] == [book.version]
    assert prices.resolve(book.version[:4]) == book
    for version in ("", book.version[:3], "zzzz"):
        with pytest.raises(InvalidParameter, match="No price book"):
            prices.resolve(version)
    with pytest.raises(InvalidParameter, match="Nothing was imported"):
        prices.keep(OPERATOR, b"{}")
    with pytest.raises(PermissionDenied):
        prices.keep(MEMBER, _book("1"))
    with pytest.raises(PermissionDenied):
        prices.activate(MEMBER, book.version)


def test_what_is_in_force_when(base: Base, clock: Clock) -> None:
    """The latest beginning counts; of two at once, the one that was named last."""
    prices, shelf = Prices(base, Audit(base)), PriceShelf(base.database)
    one, two, three = (prices.keep(OPERATOR, _book(rate)) for rate in ("1", "2", "3"))
    assert shelf.load(START).books == ()
    prices.activate(OPERATOR, one.version)
    prices.activate(OPERATOR, two.version, START + 100)
    prices.activate(OPERATOR, three.version, START + 100)
    assert shelf.load(START).books == (
        (START, one), (START + 100, two), (START + 100, three),
    )  # fmt: skip
    assert prices.at(START + 99) == one
    assert prices.at(START + 100) == three
    clock.now = START + 200
    prices.activate(OPERATOR, NO_BOOK)
    assert prices.at(START + 200) is None
    assert shelf.load(START + 200).books == ((START + 200, None),)
    with pytest.raises(InvalidParameter, match="has passed"):
        prices.activate(OPERATOR, one.version, START + 199)
    with pytest.raises(InvalidParameter, match="No price book"):
        prices.activate(OPERATOR, "12345")
    assert in_force([], START) == ""


def test_a_book_is_read_once(base: Base) -> None:
    """What has not changed is the same object, whatever else changes."""
    prices, shelf = Prices(base, Audit(base)), PriceShelf(base.database)
    prices.activate(OPERATOR, prices.keep(OPERATOR, _book("1")).version)
    first = shelf.load(START).books[0][1]
    Rates(base, Audit(base)).set(OPERATOR, rate_of("EUR", "USD", "1.1", "2026-11-20"))
    again = shelf.load(START)
    assert again.books[0][1] is first
    assert again.exchange.find("EUR", "USD", START) is not None


def test_rates_of_a_week_reach_a_server(base: Base) -> None:
    """Older ones cannot count; a rate turned about does; the later of two does."""
    rates, shelf = Rates(base, Audit(base)), PriceShelf(base.database)
    for day, value in (("2026-11-12", "9"), ("2026-11-13", "1.25"), ("2026-11-21", "8")):
        rates.set(OPERATOR, rate_of("EUR", "USD", value, day), "a bank")
    exchange = shelf.load(START).exchange
    found = exchange.find("EUR", "USD", START)
    assert found is not None
    assert (found.factor, found.name) == (Fraction(5, 4), "EUR/USD 2026-11-13 1.25")
    turned = exchange.find("USD", "EUR", START)
    assert turned is not None
    assert turned.factor == Fraction(4, 5)
    assert exchange.find("EUR", "GBP", START) is None
    assert exchange.find("EUR", "USD", START - 9 * 86_400 * 10**9) is None
    rates.set(OPERATOR, rate_of("USD", "EUR", "1/2", "2026-11-19"))
    later = shelf.load(START).exchange.find("EUR", "USD", START)
    assert later is not None
    assert later.factor == 2
    assert [view.day for view in rates.list("2026-11-13")] == [
        "2026-11-21", "2026-11-19", "2026-11-13",
    ]  # fmt: skip
    with pytest.raises(InvalidParameter, match="never changed"):
        rates.set(OPERATOR, rate_of("EUR", "USD", "2", "2026-11-13"))
    with pytest.raises(PermissionDenied):
        rates.set(MEMBER, rate_of("EUR", "USD", "2", "2026-11-14"))


def test_a_key_is_charged_its_own_part_or_its_projects(base: Base) -> None:
    """Changes make the ring of before out of date; an exact number stays exact."""
    store, audit = KeyStore(base.database), Audit(base)
    keys = Keys(store, now_ns=base.now_ns, ids=base.ids, token_bytes=random.Random(1).randbytes)  # noqa: S311
    projects = Projects(base, audit)
    own = keys.create(OPERATOR, KeyWish(name="own", price_factor="1.15"))
    plain = keys.create(OPERATOR, KeyWish(name="plain"))

    def factors() -> dict[str, Fraction | None]:
        ring = store.load_ring()
        found = {name: ring.named(name) for name in ("own", "plain")}
        return {name: who.price_factor for name, who in found.items() if who is not None}

    assert factors() == {"own": Fraction(23, 20), "plain": None}
    before = store.generation()
    assert projects.charge(OPERATOR, "default", "2/3").view().price_factor == "2/3"
    assert store.generation() > before
    assert factors() == {"own": Fraction(23, 20), "plain": Fraction(2, 3)}
    keys.change(OPERATOR, "own", KeyChange(price_factor=None))
    keys.change(OPERATOR, "plain", KeyChange(price_factor="0.1"))
    assert factors() == {"own": Fraction(2, 3), "plain": Fraction(1, 10)}
    projects.charge(OPERATOR, "default", None)
    assert factors() == {"own": None, "plain": Fraction(1, 10)}
    for wrong in ("0", "-1", "101", "x", "1e1"):
        with pytest.raises(InvalidParameter, match="price_factor"):
            keys.create(OPERATOR, KeyWish(price_factor=wrong))
        with pytest.raises(InvalidParameter, match="price_factor"):
            keys.change(OPERATOR, "own", KeyChange(price_factor=wrong))
        with pytest.raises(InvalidParameter, match="price_factor"):
            projects.charge(OPERATOR, "default", wrong)
    with pytest.raises(ObjectNotFound):
        projects.charge(OPERATOR, "nobody", "1")
    assert own.record.principal.key_id != plain.record.principal.key_id
