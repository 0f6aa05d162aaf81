"""The normative rules of FOCUS 1.2 that a file can be held against without anything else.

From the specification's own columns and attributes, each with the sentence that it comes from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final

Row = dict[str, str]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MANDATORY: Final = _words(
    "BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd "
    "BillingPeriodStart ChargeCategory ChargeClass ChargeDescription ChargePeriodEnd "
    "ChargePeriodStart ContractedCost EffectiveCost InvoiceIssuerName ListCost "
    "PricingQuantity PricingUnit ProviderName PublisherName ServiceCategory ServiceName"
)
KNOWN: Final = {
    *MANDATORY,
    *_words(
        "AvailabilityZone BillingAccountType CapacityReservationId CapacityReservationStatus "
        "ChargeFrequency CommitmentDiscountCategory CommitmentDiscountId "
        "CommitmentDiscountName CommitmentDiscountQuantity CommitmentDiscountStatus "
        "CommitmentDiscountType CommitmentDiscountUnit ConsumedQuantity ConsumedUnit "
        "ContractedUnitPrice InvoiceId ListUnitPrice PricingCategory PricingCurrency "
        "PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost "
        "PricingCurrencyListUnitPrice RegionId RegionName ResourceId ResourceName "
        "ResourceType ServiceSubcategory SkuId SkuMeter SkuPriceDetails SkuPriceId "
        "SubAccountId SubAccountName SubAccountType Tags"
    ),
}
NEVER_NULL: Final = _words(
    "BilledCost BillingAccountId BillingCurrency BillingPeriodEnd BillingPeriodStart "
    "ChargeCategory ChargeFrequency ChargePeriodEnd ChargePeriodStart ContractedCost "
    "EffectiveCost InvoiceIssuerName ListCost PricingCurrency ProviderName PublisherName "
    "ServiceCategory ServiceName ServiceSubcategory"
)
DECIMALS: Final = _words(
    "BilledCost ConsumedQuantity ContractedCost ContractedUnitPrice EffectiveCost "
    "ListCost ListUnitPrice PricingCurrencyContractedUnitPrice "
    "PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice PricingQuantity"
)
INSTANTS: Final = _words("BillingPeriodEnd BillingPeriodStart ChargePeriodEnd ChargePeriodStart")
ALLOWED: Final = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"", "Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {"Generative AI"},
}
WITH_USAGE: Final = _words(
    "ConsumedQuantity ConsumedUnit ContractedUnitPrice ListUnitPrice PricingCategory "
    "PricingQuantity PricingUnit SkuId SkuPriceId"
)
"""Not null when the category is Usage and the class is not Correction."""
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_UNIT: Final = re.compile(r"(\d+ )?([A-Z][A-Za-z]*)(-[A-Z][a-z]+)*(/\w+)?")


def broken(header: list[str], rows: list[Row]) -> list[str]:
    """Give what breaks a rule."""
    found = [f"{name} is not there" for name in MANDATORY if name not in header]
    found += [
        f"{name} is neither a column nor a custom one"
        for name in header
        if name not in KNOWN and not name.startswith("x_")
    ]
    for number, row in enumerate(rows, 1):
        found += [f"row {number}: {what}" for what in _broken(row)]
    return found


def _broken(row: Row) -> Iterator[str]:
    yield from (f"{name} is null" for name in NEVER_NULL if not row[name])
    yield from (f"{name} is {row[name]}" for name in ALLOWED if row[name] not in ALLOWED[name])
    yield from _formats(row)
    yield from _times(row)
    if row["SkuMeter"] and not row["SkuId"]:
        yield "SkuMeter without SkuId"
    if row["SkuPriceDetails"] and not row["SkuPriceId"]:
        yield "SkuPriceDetails without SkuPriceId"
    if row["ChargeCategory"] == "Usage":
        yield from (f"{name} is null for usage" for name in WITH_USAGE if not row[name])
        yield from _products(row)
    elif row["ConsumedQuantity"]:
        yield "ConsumedQuantity of what is no usage"


def _formats(row: Row) -> Iterator[str]:
    for name in DECIMALS:
        if row[name] and not _NUMBER.fullmatch(row[name]):
            yield f"{name} is no number"
    if not re.fullmatch("[A-Z]{3}", row["BillingCurrency"]):
        yield "BillingCurrency is no code of ISO 4217"
    for name in ("Tags", "SkuPriceDetails"):
        if row[name] and not _is_flat(json.loads(row[name])):
            yield f"{name} has a value that is neither number, text, true, false nor null"
    for name in ("PricingUnit", "ConsumedUnit"):
        if row[name] and not _UNIT.fullmatch(row[name]):
            yield f"{name} is {row[name]}"


def _times(row: Row) -> Iterator[str]:
    for name in INSTANTS:
        if not _INSTANT.fullmatch(row[name]) or datetime.fromisoformat(row[name]).tzinfo is None:
            yield f"{name} is no instant in UTC"
    for kind in ("Billing", "Charge"):
        if not row[f"{kind}PeriodStart"] < row[f"{kind}PeriodEnd"]:
            yield f"the {kind} period has no length"


def _products(row: Row) -> Iterator[str]:
    for cost, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
        if Decimal(row["PricingQuantity"]) * Decimal(row[price]) != Decimal(row[cost]):
            yield f"{price} by PricingQuantity is not {cost}"
    if Decimal(row["ConsumedQuantity"]) <= 0:
        yield "ConsumedQuantity is not positive"


def _is_flat(value: object) -> bool:
    return isinstance(value, dict) and all(
        each is None or isinstance(each, str | int | float | bool) for each in value.values()
    )
