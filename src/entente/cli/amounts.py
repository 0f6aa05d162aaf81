"""Amounts of money as the command line reads and writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entente.domain.errors import InvalidParameter
from entente.domain.money import NANO_PER_UNIT, parse_nano

if TYPE_CHECKING:
    from fractions import Fraction

USD_MAX: Final = 10**12
RATE_DIGITS_MAX: Final = 30


def nano_of_usd(text: str, option: str, *, may_be_negative: bool = False) -> int:
    """Read dollars as nano-units. Raises InvalidParameter that names the option."""
    try:
        nano = parse_nano(text)
    except ValueError as error:
        message = f"{option}: {error}."
        raise InvalidParameter(message, param=option, code=None) from error
    if abs(nano) > USD_MAX * NANO_PER_UNIT or (nano < 0 and not may_be_negative):
        least = -USD_MAX if may_be_negative else 0
        message = f"{option} must be {least} to {USD_MAX} dollars."
        raise InvalidParameter(message, param=option, code=None)
    return nano


def rate_text(rate: Fraction) -> str:
    """Write a rate exactly: as a decimal where it ends, else as a ratio."""
    for digits in range(RATE_DIGITS_MAX + 1):
        scaled = rate * 10**digits
        if scaled.denominator == 1:
            whole, part = divmod(scaled.numerator, 10**digits)
            return f"{whole}.{part:0{digits}d}" if digits else str(whole)
    return f"{rate.numerator}/{rate.denominator}"
