"""What a server prices by besides its settings: the books in force, and rates of exchange."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from entente.control.prices import activations_in
from entente.domain.exchange import AGE_DAYS_MAX, Exchange, Rate
from entente.domain.money import parse_rate
from entente.metering.reading import read_book

if TYPE_CHECKING:
    from entente.db import Database
    from entente.metering.book import Book


class InForce(NamedTuple):
    """What is in force, and what is known to come."""

    books: tuple[tuple[int, Book | None], ...]
    """Each with the instant from which it counts, the last one last; None is no book."""
    exchange: Exchange


class PriceShelf:
    """Reads what is in force; a book that it has read once it does not read again."""

    def __init__(self, database: Database) -> None:
        """Read from an open, migrated database."""
        self._database = database
        self._read: dict[str, Book] = {}

    def load(self, now_ns: int) -> InForce:
        """Read what counts now and later. Raises LedgerUnavailable."""
        activations = activations_in(self._database)
        past = [each for each in activations if each.from_ns <= now_ns]
        kept = [*past[-1:], *(each for each in activations if each.from_ns > now_ns)]
        self._read = {each.version: self._book(each.version) for each in kept if each.version}
        books = tuple((each.from_ns, self._read.get(each.version)) for each in kept)
        return InForce(books, self._exchange(now_ns))

    def _book(self, version: str) -> Book:
        known = self._read.get(version)
        if known is not None:
            return known
        (lines,) = self._database.execute(
            "SELECT lines FROM price_books WHERE version = ?", (version,)
        ).fetchone()
        return read_book(lines)

    def _exchange(self, now_ns: int) -> Exchange:
        """Read the rates that can count."""
        oldest = Exchange.day_of(now_ns) - timedelta(days=AGE_DAYS_MAX)
        rows = self._database.execute(
            "SELECT day, base, quote, rate FROM exchange_rates WHERE day >= ?",
            (oldest.isoformat(),),
        )
        return Exchange(Rate(row[0], row[1], row[2], parse_rate(row[3])) for row in rows.fetchall())
