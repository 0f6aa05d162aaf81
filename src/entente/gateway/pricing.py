"""What a request is priced by: found once, at its hold, and the same until it is settled.

A model of the settings with a price has that one. Otherwise each of its targets has what the
book in force says of the provider's model, or of the model as clients call it. A hold takes the
dearest target, tier and length that can come; the settlement those that did. A key may be
charged another part than all of it, and in another currency than the provider's: what the
provider is owed stays what the provider asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from entente.domain.exchange import Conversion, Exchange
from entente.domain.money import round_half_even, round_up
from entente.domain.principal import Principal
from entente.domain.usage import NOTHING, Usage
from entente.ledger.model import Hold
from entente.ledger.sales import Sale
from entente.metering.book import ANY_VENDOR, Book
from entente.metering.bounds import Bound
from entente.metering.prices import Price, PriceBook
from entente.metering.tariffs import Tariff, dearest, flat
from entente.routing.catalog import Model, Target

BUDGET_ASSET: Final = "USD"
"""What budgets are in."""
_ALL: Final = Fraction(1)


class Charge(NamedTuple):
    """What a request cost, in nano-units: the key, and the provider where that differs."""

    nano: int | None
    sale: Sale | None = None


class Offer(msgspec.Struct, frozen=True):
    """What one target is paid, and how that becomes an amount of the key's."""

    tariff: Tariff
    conversion: Conversion | None = None
    """None where it is in the same asset."""

    @property
    def factor(self) -> Fraction:
        """Units of the key's asset for one of the provider's."""
        return _ALL if self.conversion is None else self.conversion.factor


class Quote(msgspec.Struct, frozen=True):
    """What one request is priced by."""

    version: str
    """Of the prices, as entries name it."""
    asset: str = BUDGET_ASSET
    """In which the key is charged."""
    fixed: Price | None = None
    """The one price, asked in full, whoever serves; None where there is more to it."""
    offers: Mapping[str, Offer | None] = MappingProxyType({})
    """By target, as the ledger writes it; None for one without a price."""
    tier: str = ""
    """The service tier that is asked for."""
    factor: Fraction = _ALL
    """The part of the price that the key is charged."""

    def bound(self, most: Bound) -> int | None:
        """Give the most that the key can be charged; None where that is unknown."""
        if self.fixed is not None:
            return self.fixed.bound(most.input_tokens, most.output_tokens, most.measured)
        return dearest(self._bound(offer, most) for offer in self.offers.values())

    def _bound(self, offer: Offer | None, most: Bound) -> int | None:
        if offer is None:
            return None
        nano = offer.tariff.bound(self.tier, most.input_tokens, most.output_tokens, most.measured)
        factor = offer.factor * self.factor
        return None if nano is None else round_up(nano * factor.numerator, factor.denominator)

    def charge(
        self, usage: Usage, target: Target | None, *, served: str = "", estimated: bool = False
    ) -> Charge:
        """Give what a request cost that a target has served; unknown where it has no price."""
        if self.fixed is not None:
            return Charge(self.fixed.cost(usage))
        if target is None:
            is_known = usage == NOTHING and None not in self.offers.values()
            return Charge(0 if is_known and self.offers else None)
        offer = self._offer(target)
        if offer is None:
            return Charge(None)
        owed = offer.tariff.cost(usage, asked=self.tier, served=served, estimated=estimated)
        if owed is None or (offer.conversion is None and self.factor == _ALL):
            return Charge(owed)
        rate = offer.factor
        value = round_half_even(owed * rate.numerator, rate.denominator)
        rate *= self.factor
        charged = round_half_even(owed * rate.numerator, rate.denominator)
        name = offer.conversion.name if offer.conversion else ""
        return Charge(charged, Sale(owed, offer.tariff.asset, value, name))

    def _offer(self, target: Target) -> Offer | None:
        """Find what a target is paid; one that was not planned is paid as the only one that was."""
        name = str(target)
        if name in self.offers or len(self.offers) != 1:
            return self.offers.get(name)
        return next(iter(self.offers.values()))

    def marked(self, opened: Hold) -> Hold:
        """Let a hold say by which part and at which rates it is priced."""
        if self.fixed is not None:
            return opened
        rates = {each.conversion.name for each in self.offers.values() if each and each.conversion}
        if self.factor == _ALL and not rates:
            return opened
        factor = "" if self.factor == _ALL else str(self.factor)
        return msgspec.structs.replace(opened, price_factor=factor, rates=tuple(sorted(rates)))


class Pricing:
    """What is sold now, and for how much."""

    def __init__(
        self, settings: PriceBook, names: Mapping[tuple[str, str], str] | None = None
    ) -> None:
        """Take the prices of the settings, and names of targets in books, by model and target."""
        self._settings = settings
        self._names = dict(names or {})
        self._plain = {
            name: Quote(settings.version, price.asset, price)
            for name, price in settings.lines.items()
        }
        self._books: tuple[tuple[int, Book | None], ...] = ()
        self._exchange = Exchange()
        self._tariffs: dict[tuple[str, str], tuple[Tariff, ...]] = {}
        """By a book's version and a name in it."""

    @property
    def settings(self) -> PriceBook:
        """The prices of the settings."""
        return self._settings

    @property
    def version(self) -> str:
        """Of the settings' prices, which is what entries of unpriced models name."""
        return self._settings.version

    def renew(self, books: Sequence[tuple[int, Book | None]], exchange: Exchange) -> None:
        """Take the books, each with the instant from which it is in force, the last one last.

        None is no book.
        """
        self._books, self._exchange = tuple(books), exchange
        self._tariffs = {}

    def book(self, at_ns: int) -> Book | None:
        """Give the book in force."""
        return next((book for since, book in reversed(self._books) if since <= at_ns), None)

    def quote(
        self,
        who: Principal,
        model: Model,
        targets: Sequence[Target],
        *,
        at_ns: int,
        asset: str | None = None,
        tier: str = "",
        part: Fraction | None = None,
    ) -> Quote:
        """Price a request of a key to one of some targets.

        `asset` is what it has to be charged in, None for the provider's own; `part` is what is
        asked of all.
        """
        plain = self._plain.get(model.name)
        if (
            plain is not None
            and part is None
            and who.price_factor is None
            and asset in (None, plain.asset)
        ):
            return plain
        factor = (part or _ALL) * (who.price_factor or _ALL)
        return self._quote(model, targets, at_ns, asset, tier, factor)

    def _quote(
        self,
        model: Model,
        targets: Sequence[Target],
        at_ns: int,
        wanted: str | None,
        tier: str,
        factor: Fraction,
    ) -> Quote:
        """Gather what each target is paid."""
        fixed = self._settings.lines.get(model.name)
        book = None if fixed else self.book(at_ns)
        names = [str(target) for target in targets]
        tariffs = {
            name: flat(fixed) if fixed else self._tariff(book, name, model.name, at_ns)
            for name in names
        }
        assets = [each.asset for each in tariffs.values() if each is not None]
        asset = wanted or (assets[0] if assets else BUDGET_ASSET)
        return Quote(
            version=book.version if book else self._settings.version,
            asset=asset,
            offers={name: self._offer(each, asset, at_ns) for name, each in tariffs.items()},
            tier=tier,
            factor=factor,
        )

    def _offer(self, tariff: Tariff | None, asset: str, at_ns: int) -> Offer | None:
        """Say how a tariff is charged in an asset; None without one, or without a rate."""
        if tariff is None or tariff.asset == asset:
            return None if tariff is None else Offer(tariff)
        conversion = self._exchange.find(tariff.asset, asset, at_ns)
        return None if conversion is None else Offer(tariff, conversion)

    def _tariff(self, book: Book | None, target: str, model: str, at_ns: int) -> Tariff | None:
        """Find what a book says of a target, or else of the model as clients call it."""
        if book is None:
            return None
        for name in (self._names.get((model, target), ""), f"{ANY_VENDOR}/{model}"):
            for tariff in self._compiled(book, name):
                if tariff.holds(at_ns):
                    return tariff
        return None

    def _compiled(self, book: Book, name: str) -> tuple[Tariff, ...]:
        """Give the tariffs of a name, each compiled once."""
        key = (book.version, name)
        found = self._tariffs.get(key)
        if found is None:
            found = self._tariffs[key] = book.tariffs(name)
        return found
