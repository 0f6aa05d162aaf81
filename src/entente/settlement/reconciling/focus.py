"""Cost and usage in FOCUS columns, as CSV: Azure's variant of it, and what Entente exports.

FOCUS has no column for a model or a class of tokens. Azure says both in a meter's name
(`x_SkuMeterName`, or `SkuMeter`); Entente says the class as `SkuMeter` and the model as
`ResourceName`. https://focus.finops.org
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from entente.domain.money import round_half_even
from entente.settlement.reconciling.meters import meter, unit
from entente.settlement.reconciling.model import CLASSES, Line, Tokens
from entente.settlement.reconciling.source import Row, Source, nano

NAME: Final = "focus"
_COLUMNS: Final = frozenset({"billedcost", "chargeperiodstart", "chargeperiodend"})
_AI: Final = "ai and machine learning"


def recognises(source: Source) -> bool:
    """Say whether a file is one of these."""
    return not source.is_json and source.columns() >= _COLUMNS


def read(source: Source) -> Iterator[Line]:
    """Give the lines about models. Raises InvalidParameter with line and column."""
    for row in source.rows():
        if row.text("servicecategory", default=_AI).lower() == _AI:
            yield _line(row)


def _line(row: Row) -> Line:
    name = row.text("x_skumetername", "skumeter", default="")
    ours = name in CLASSES or name == "reasoning"
    about, model = name.replace("reasoning", "output"), row.text("resourcename", default="")
    if not ours:
        said = meter(name or row.text("chargedescription", default=""))
        about, model = said.about, said.model
    groups = (
        ("project", row.text("subaccountid", default="")),
        ("key", row.text("resourceid", default="").rpartition("/")[2]),
    )
    return Line(
        place=row.place,
        since_ns=row.instant("chargeperiodstart"),
        until_ns=row.instant("chargeperiodend"),
        model=model,
        about=about,
        tokens=_tokens(row, about),
        cost=nano(row.decimal("billedcost")),
        asset=row.text("billingcurrency").upper(),
        groups=tuple(each for each in groups if each[1]),
        mark=row.mark,
    )


def _tokens(row: Row, about: str) -> Tokens | None:
    """Give the tokens that were consumed, where the row says them."""
    if not about:
        return None
    for quantity, measure in (
        ("consumedquantity", "consumedunit"),
        ("pricingquantity", "pricingunit"),
    ):
        if row.fields.get(quantity):
            count = row.decimal(quantity) * _unit(row.text(measure, default="1"))
            return {about: round_half_even(count.numerator, count.denominator)}
    return None


def _unit(text: str) -> Fraction:
    """Read `Tokens`, `1M Tokens`, `1000 Tokens`."""
    return unit(text)
