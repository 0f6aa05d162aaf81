"""The prices that the ledger's entries name, as they stand beside it.

An entry names a version: of the settings' prices, a model's one price each, or of a book, where a
price depends on time, service tier and length, too. Which of those it was is not written down
and need not be: it is the one that comes to what the entry owes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Final

import msgspec

from entente.domain.errors import EntenteError
from entente.ledger.model import Settlement
from entente.metering.book import Book, Line
from entente.metering.prices import Price
from entente.metering.reading import read_book
from entente.metering.tariffs import BATCH, Terms

Priced = tuple[str, Price]
"""A version, with what tells its prices of a model apart, and one of them."""
_SHORT: Final = -1
"""The step of every length."""


class Booked:
    """Price books by version. One that this program does not know the form of is left out."""

    def __init__(self, books: Iterable[tuple[str, bytes]]) -> None:
        """Read books: their versions, and what they hold."""
        self._settings: dict[str, dict[str, Price]] = {}
        self._books: dict[str, Book] = {}
        for version, lines in books:
            try:
                self._settings[version] = msgspec.json.decode(lines, type=dict[str, Price])
            except msgspec.DecodeError:
                self._read(version, lines)
        self._found: dict[tuple[str, str, str, str], tuple[Priced, ...]] = {}

    def _read(self, version: str, lines: bytes) -> None:
        try:
            self._books[version] = read_book(lines)
        except (EntenteError, ValueError):
            return  # of another program's form

    def owed_of(self, entry: Settlement) -> tuple[str, Price | None]:
        """Give the version that a settlement names, and the price that its provider asks.

        None where it has none that is known any more.
        """
        owed, asset = entry.owed
        candidates = [each for each in self._candidates(entry) if each[1].asset == asset]
        for label, price in candidates:
            if price.cost(entry.usage) == owed:
                return label, price
        return candidates[0] if candidates else (entry.prices, None)

    def _candidates(self, entry: Settlement) -> tuple[Priced, ...]:
        """Give the prices that an entry may be at, the likeliest first."""
        name = (entry.prices, entry.model, entry.target, entry.price_factor)
        found = self._found.get(name)
        if found is None:
            model = entry.target.partition("/")[2]
            found = self._found[name] = (
                *self._of_settings(entry.prices, entry.model, entry.price_factor),
                *self._of_book(entry.prices, model, entry.model),
            )
        return found

    def _of_settings(self, version: str, model: str, factor: str) -> Iterator[Priced]:
        price = self._settings.get(version, {}).get(model)
        if price is not None:
            yield version, price
            if factor:
                yield f"{version} × {factor}", price.scaled(Fraction(factor))

    def _of_book(self, version: str, target: str, model: str) -> Iterator[Priced]:
        """Give every price that a book has for a provider's model, or for a client's name of it."""
        book = self._books.get(version)
        names = {target, model}
        for line in () if book is None else book.lines:
            if any(name.partition("/")[2] in names for name in line.names):
                yield from _of_line(version, line)

    def versions_of(self, target: str, model: str) -> Mapping[str, Price]:
        """Give the prices of a provider's model, which clients call `model`, by version."""
        found: dict[str, Price] = {}
        for version in (*self._settings, *self._books):
            found |= self._of_settings(version, model, "")
            found |= self._of_book(version, target, model)
        return found


def _of_line(version: str, line: Line) -> Iterator[Priced]:
    """Give the prices of a line: standard ones first, batches last, each by length."""
    tariff = line.tariff()
    since = f" from {line.since}" if line.since else ""
    tiers = sorted(tariff.tiers, key=lambda tier: (tier == BATCH, tier))
    for tier in ("", *tiers):
        terms = tariff.terms(tier)
        if terms is not None:
            yield from _of_terms(f"{version}{since}{tier and f' {tier}'}", terms)


def _of_terms(label: str, terms: Terms) -> Iterator[Priced]:
    for above, price in terms.steps:
        yield (label if above == _SHORT else f"{label} above {above}"), price
