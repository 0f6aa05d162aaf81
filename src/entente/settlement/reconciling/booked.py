"""The prices that the ledger's entries name, as they stand beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

import msgspec

from entente.ledger.model import Settlement
from entente.metering.prices import Price


class Booked:
    """Price books by version. One that this program does not know the form of is left out."""

    def __init__(self, books: Iterable[tuple[str, bytes]]) -> None:
        """Read books: their versions, and their lines as JSON."""
        self._books: dict[str, dict[str, Price]] = {}
        for version, lines in books:
            try:
                self._books[version] = msgspec.json.decode(lines, type=dict[str, Price])
            except msgspec.DecodeError:
                continue

    def owed_of(self, entry: Settlement) -> tuple[str, Price | None]:
        """Give the version that a settlement names, and the price that its provider asks."""
        if entry.owed_asset:
            return entry.prices, self._books.get(entry.prices, {}).get(entry.model)
        return self.price_of(entry)

    def price_of(self, entry: Settlement) -> tuple[str, Price | None]:
        """Give the version that a settlement names, with the part of it, and what its key pays.

        None where that is in another currency than the price.
        """
        price = self._books.get(entry.prices, {}).get(entry.model)
        if price is not None and price.asset != entry.asset:
            price = None
        if price is None or not entry.price_factor:
            return entry.prices, price
        factor = Fraction(entry.price_factor)
        return f"{entry.prices} × {entry.price_factor}", price.scaled(factor)

    def versions_of(self, model: str) -> Mapping[str, Price]:
        """Give the prices of a model, as clients name it, by version."""
        return {version: lines[model] for version, lines in self._books.items() if model in lines}
