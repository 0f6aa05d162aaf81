"""Mark-ups and discounts as people write them: the part of each price that is charged. Pure."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from entente.domain.errors import InvalidParameter
from entente.domain.money import parse_rate

PRICE_FACTOR_MAX: Final = 100


def read_factor(text: str | None) -> Fraction | None:
    """Read a factor such as 1.15 or 2/3, None for none. Raises InvalidParameter."""
    if text is None:
        return None
    try:
        factor = parse_rate(text)
    except ValueError as error:
        message = f"`price_factor` must be a decimal or a ratio: {error}."
        raise InvalidParameter(message, param="price_factor", code="invalid_value") from error
    if not 0 < factor <= PRICE_FACTOR_MAX:
        message = f"`price_factor` must be above 0 and at most {PRICE_FACTOR_MAX}."
        raise InvalidParameter(message, param="price_factor", code="invalid_value")
    return factor
