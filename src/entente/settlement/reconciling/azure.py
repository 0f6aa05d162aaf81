"""Azure's cost exports: actual cost as CSV, in the columns of each kind of agreement.

A row is what one meter of one resource counted in a day. Rows of other services than models
are passed over. Amounts are what was billed; a reservation's amortised cost is not compared.
https://learn.microsoft.com/azure/cost-management-billing/dataset-schema/schema-index
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from entente.domain.money import round_half_even
from entente.settlement.reconciling.meters import meter, unit
from entente.settlement.reconciling.model import Line
from entente.settlement.reconciling.source import Row, Source, nano

NAME: Final = "azure"
_DATE: Final = ("date", "usagedatetime", "usagedate")
_COST: Final = ("costinbillingcurrency", "cost", "pretaxcost")
_CURRENCY: Final = ("billingcurrency", "billingcurrencycode", "currency", "currencycode")
_QUANTITY: Final = ("quantity", "usagequantity", "consumedquantity")
_CATEGORY: Final = ("metercategory", "servicename", "consumedservice")
_MODELS: Final = ("openai", "foundry", "cognitive", "azure ai", "ai services")
"""Words in the category of a meter that counts models."""


def recognises(source: Source) -> bool:
    """Say whether a file is one of these."""
    columns = frozenset() if source.is_json else source.columns()
    return "metername" in columns and any(name in columns for name in _COST)


def read(source: Source) -> Iterator[Line]:
    """Give the lines about models. Raises InvalidParameter with line and column."""
    for row in source.rows():
        category = row.text(*_CATEGORY, default="").lower()
        if any(word in category for word in _MODELS):
            yield _line(row)


def _line(row: Row) -> Line:
    since, until = row.day(*_DATE)
    said = meter(row.text("metername"))
    quantity = row.decimal(*_QUANTITY) * unit(row.text("unitofmeasure", default="1"))
    tokens = {said.about: round_half_even(quantity.numerator, quantity.denominator)}
    resource = row.text("resourceid", "instanceid", "resourcename", default="")
    project = row.text("subscriptionid", "subscriptionguid", default="")
    groups = (("key", resource.rpartition("/")[2]), ("project", project))
    return Line(
        place=row.place,
        since_ns=since,
        until_ns=until,
        model=said.model,
        about=said.about,
        tokens=tokens if said.about else None,
        cost=nano(row.decimal(*_COST)),
        asset=row.text(*_CURRENCY).upper(),
        groups=tuple(each for each in groups if each[1]),
        mark=row.mark,
    )
