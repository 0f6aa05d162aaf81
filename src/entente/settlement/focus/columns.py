"""The columns of FOCUS 1.2 that Entente writes, in the specification's order.

All that are mandatory, those that are conditional on what a provider of models has (unit prices,
sub-accounts, tags, currencies), and our own, which begin with `x_`.
https://focus.finops.org/focus-specification/v1-2/
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

VERSION: Final = "1.2"


class Type(StrEnum):
    """What a column holds."""

    TEXT = "text"
    DECIMAL = "decimal"
    INSTANT = "instant"
    PAIRS = "pairs"
    """Keys and values, as a JSON object."""


class Column(NamedTuple):
    """A column: its name, what it holds, and whether it may be empty."""

    name: str
    type: Type = Type.TEXT
    nullable: bool = False


_NULL: Final = True
_DECIMAL: Final = Type.DECIMAL

COLUMNS: Final[tuple[Column, ...]] = (
    Column("BilledCost", _DECIMAL),
    Column("BillingAccountId"),
    Column("BillingAccountName", nullable=_NULL),
    Column("BillingCurrency"),
    Column("BillingPeriodEnd", Type.INSTANT),
    Column("BillingPeriodStart", Type.INSTANT),
    Column("ChargeCategory"),
    Column("ChargeClass", nullable=_NULL),
    Column("ChargeDescription", nullable=_NULL),
    Column("ChargeFrequency"),
    Column("ChargePeriodEnd", Type.INSTANT),
    Column("ChargePeriodStart", Type.INSTANT),
    Column("ConsumedQuantity", _DECIMAL, _NULL),
    Column("ConsumedUnit", nullable=_NULL),
    Column("ContractedCost", _DECIMAL),
    Column("ContractedUnitPrice", _DECIMAL, _NULL),
    Column("EffectiveCost", _DECIMAL),
    Column("InvoiceId", nullable=_NULL),
    Column("InvoiceIssuerName"),
    Column("ListCost", _DECIMAL),
    Column("ListUnitPrice", _DECIMAL, _NULL),
    Column("PricingCategory", nullable=_NULL),
    Column("PricingCurrency"),
    Column("PricingCurrencyContractedUnitPrice", _DECIMAL, _NULL),
    Column("PricingCurrencyEffectiveCost", _DECIMAL),
    Column("PricingCurrencyListUnitPrice", _DECIMAL, _NULL),
    Column("PricingQuantity", _DECIMAL, _NULL),
    Column("PricingUnit", nullable=_NULL),
    Column("ProviderName"),
    Column("PublisherName"),
    Column("ResourceId", nullable=_NULL),
    Column("ResourceName", nullable=_NULL),
    Column("ResourceType", nullable=_NULL),
    Column("ServiceCategory"),
    Column("ServiceName"),
    Column("ServiceSubcategory"),
    Column("SkuId", nullable=_NULL),
    Column("SkuMeter", nullable=_NULL),
    Column("SkuPriceDetails", Type.PAIRS, _NULL),
    Column("SkuPriceId", nullable=_NULL),
    Column("SubAccountId", nullable=_NULL),
    Column("SubAccountName", nullable=_NULL),
    Column("SubAccountType", nullable=_NULL),
    Column("Tags", Type.PAIRS, _NULL),
    Column("x_Key", nullable=_NULL),
    Column("x_Model", nullable=_NULL),
    Column("x_Operation", nullable=_NULL),
    Column("x_Requests", _DECIMAL, _NULL),
)
NAMES: Final = tuple(column.name for column in COLUMNS)
