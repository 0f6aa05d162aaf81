"""Charges as rows in FOCUS columns. Pure.

A provider of models is who provides, publishes and invoices; our account with it is the billing
account, a project is a sub-account, a provider's model is a resource, and each class of its
tokens a SKU. Unit prices are those of the price book, for a million tokens.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeAlias

import msgspec

from entente.domain.money import NANO_PER_UNIT, round_half_even
from entente.domain.usage import TOKEN_CLASSES
from entente.settlement.focus.charges import DAY_NS, REQUESTS, Adjusted, Charge
from entente.settlement.focus.columns import NAMES

Value: TypeAlias = str | Decimal | datetime | None
Row: TypeAlias = dict[str, Value]

PLACES: Final = 18
"""Digits behind the point, where a number does not end before."""
NOBODY: Final = "unknown"
"""Who is owed for a request that a crash has cut off, before anybody wrote who answered."""
_MILLION: Final = 1_000_000
_UNITS: Final = {"audio_ms": "Milliseconds", "characters": "Characters", "images": "Images"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EMPTY: Final[Row] = dict.fromkeys(NAMES)


class Month:
    """A month as a billing period."""

    def __init__(self, year: int, month: int) -> None:
        """Take the month of a year. Raises ValueError for none."""
        self.start = datetime(year, month, 1, tzinfo=UTC)
        self.end = (self.start + timedelta(days=31)).replace(day=1)

    @property
    def since_ns(self) -> int:
        """Its first instant."""
        return _ns(self.start)

    @property
    def until_ns(self) -> int:
        """The first instant behind it."""
        return _ns(self.end)

    def row(self, charge: Charge | Adjusted) -> Row:
        """Write a charge."""
        said = _adjusted(charge) if isinstance(charge, Adjusted) else _usage(charge)
        return {
            **_EMPTY,
            "BillingPeriodStart": self.start,
            "BillingPeriodEnd": self.end,
            "ServiceCategory": "AI and Machine Learning",
            "ServiceSubcategory": "Generative AI",
            **said,
        }


def _parties(provider: str, asset: str) -> Row:
    return {
        "BillingAccountId": provider,
        "BillingAccountName": provider,
        "BillingCurrency": asset,
        "InvoiceIssuerName": provider,
        "PricingCurrency": asset,
        "ProviderName": provider,
        "PublisherName": provider,
        "ServiceName": provider,
    }


def _usage(charge: Charge) -> Row:
    group = charge.group
    target = group.target or f"{NOBODY}/{group.model}"
    provider, _, model = target.partition("/")
    sku = f"{target}/{charge.about}"
    quantity, unit, consumed, price = _priced(charge)
    cost = decimal(Fraction(quantity) * Fraction(price))
    billed = _amount(charge.billed_nano)
    start = _EPOCH + timedelta(days=group.day)
    details = {"Model": group.model, "TokenClass": charge.about, "PriceVersion": group.version}
    return {
        **_parties(provider, group.asset),
        "BilledCost": billed,
        "EffectiveCost": billed,
        "PricingCurrencyEffectiveCost": billed,
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{charge.about.replace('_', ' ')} of {model}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": start,
        "ChargePeriodEnd": start + timedelta(days=1),
        "ConsumedQuantity": Decimal(charge.count),
        "ConsumedUnit": consumed,
        "ContractedCost": cost,
        "ContractedUnitPrice": price,
        "ListCost": cost,
        "ListUnitPrice": price,
        "PricingCategory": "Standard",
        "PricingCurrencyContractedUnitPrice": price,
        "PricingCurrencyListUnitPrice": price,
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "ResourceId": target,
        "ResourceName": model,
        "ResourceType": "Model",
        "SkuId": sku,
        "SkuMeter": charge.about,
        "SkuPriceDetails": _pairs(details),
        "SkuPriceId": f"{sku}@{group.version}",
        "SubAccountId": group.project,
        "SubAccountName": group.project,
        "SubAccountType": "Project",
        "Tags": _pairs(dict.fromkeys(group.tags, True)),
        "x_Key": group.key,
        "x_Model": group.model,
        "x_Operation": group.operation,
        "x_Requests": Decimal(charge.requests),
    }


def _priced(charge: Charge) -> tuple[Decimal, str, str, Decimal]:
    """Give quantity and unit of the price, unit of the count, and the unit price."""
    if charge.about == REQUESTS:
        # Nobody knows what one request costs: all of them together are what was priced.
        return Decimal(1), "Units", "Requests", _amount(charge.billed_nano)
    if charge.about in TOKEN_CLASSES:
        quantity = decimal(Fraction(charge.count, _MILLION))
        price = decimal(charge.rate * _MILLION / NANO_PER_UNIT)
        return quantity, f"{_MILLION} Tokens", "Tokens", price
    unit = _UNITS[charge.about]
    return Decimal(charge.count), unit, unit, decimal(charge.rate / NANO_PER_UNIT)


def _adjusted(charge: Adjusted) -> Row:
    cost = _amount(charge.nano)
    return {
        **_parties(charge.provider, charge.asset),
        "BilledCost": cost,
        "EffectiveCost": cost,
        "PricingCurrencyEffectiveCost": cost,
        "ChargeCategory": "Adjustment",
        "ChargeDescription": charge.words,
        "ChargeFrequency": "One-Time",
        "ChargePeriodStart": _instant(charge.since_ns),
        "ChargePeriodEnd": _instant(charge.until_ns),
        "ContractedCost": cost,
        "ListCost": cost,
    }


def _amount(nano: int) -> Decimal:
    return decimal(Fraction(nano, NANO_PER_UNIT))


def decimal(number: Fraction) -> Decimal:
    """Write a number as a decimal: exact where it ends within `PLACES`, else rounded there."""
    scaled = number * 10**PLACES
    digits = Decimal(round_half_even(scaled.numerator, scaled.denominator))
    return Decimal(f"{digits}E-{PLACES}")


def _pairs(values: dict[str, str] | dict[str, bool]) -> str | None:
    return msgspec.json.encode(values).decode() if values else None


def _instant(at_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_ns // 1000)


def _ns(instant: datetime) -> int:
    return (instant - _EPOCH).days * DAY_NS


def text(value: Value) -> str:
    """Write a value as CSV has it: nothing for none, plain decimals, instants in UTC."""
    match value:
        case None:
            return ""
        case Decimal():
            plain = f"{value:f}"
            return plain.rstrip("0").rstrip(".") if "." in plain else plain
        case datetime():
            return f"{value:%Y-%m-%dT%H:%M:%SZ}"
        case _:
            return value
