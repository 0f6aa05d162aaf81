"""The prices that the ledger's entries name, as they stand beside it.

An entry names a version: of the settings' prices, a model's one price each, or of a book, where a
price depends on time, service tier and length, too. Which of those it was is not written down
and need not be: it is the one that comes to what the entry owes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final

import msgspec

from entente.domain.errors import EntenteError
from entente.ledger.model import Settlement
from entente.metering.book import ANY_VENDOR, Book, Line
from entente.metering.prices import Price
from entente.metering.reading import read_book
from entente.metering.tariffs import BATCH, Terms

Priced = tuple[str, Price]
"""A version, with what tells its prices of a model apart, and one of them."""
_SHORT: Final = -1
"""The step of every length."""


class Booked:
    """Price books by version. One that this program does not know the form of is left out."""

    def __init__(
        self,
        books: Iterable[tuple[str, bytes]],
        names: Mapping[tuple[str, str], str] = MappingProxyType({}),
    ) -> None:
        """Read books: their versions, and what they hold.

        `names` are what books call targets by the settings of today, by model and target.
        """
        self._names = names
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
            found = self._found[name] = (
                *self._of_settings(entry.prices, entry.model, entry.price_factor),
                *self._of_book(entry.prices, entry.target, entry.model),
            )
        return found

    def _of_settings(self, version: str, model: str, factor: str) -> Iterator[Priced]:
        price = self._settings.get(version, {}).get(model)
        if price is not None:
            yield version, price
            if factor:
                yield f"{version} × {factor}", price.scaled(Fraction(factor))

    def _of_book(self, version: str, target: str, model: str) -> Iterator[Priced]:
        """Give every price that a book has for a target, or for a client's name of it.

        What the settings call it counts; where no line has that name any more, or the settings
        have none, every vendor's line does that is named like it.
        """
        book = self._books.get(version)
        lines = () if book is None else book.lines
        known = {self._names.get((model, target), ""), f"{ANY_VENDOR}/{model}"}
        alike = {target.partition("/")[2], model}
        found = [line for line in lines if not known.isdisjoint(line.names)] or [
            line for line in lines if any(name.partition("/")[2] in alike for name in line.names)
        ]
        for line in found:
            yield from _of_line(version, line)

    def versions_of(self, target: str, model: str) -> Mapping[str, Price]:
        """Give the prices of a target, which clients call `model`, by version."""
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
