"""Money: an integer count of nano-units of an asset, and the one place that rounds.

1 USD is 1_000_000_000 nano-units. Python ints have no upper end, so 10^12 dollars
(10^21 nano-units) fit; nothing here is ever a float.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

NANO_PER_UNIT = 1_000_000_000
NANO_DIGITS = 9
RATE_DIGITS_MAX: Final = 30

_DECIMAL = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?")
_RATIONAL = re.compile(r"\d{1,30}/\d{1,30}")


def parse_rate(text: str) -> Fraction:
    """Read a rate exactly: `"0.15"` or `"1/3"`.

    Raises ValueError for anything else, floats in scientific notation included.
    """
    plain = text.strip().replace("_", "")
    if not _DECIMAL.fullmatch(plain) and not _RATIONAL.fullmatch(plain):
        message = f'{text!r} is not a decimal such as "0.15" or a ratio such as "1/3"'
        raise ValueError(message)
    try:
        return Fraction(plain)
    except ZeroDivisionError:
        message = f"{text!r} divides by zero"
        raise ValueError(message) from None


def format_rate(rate: Fraction) -> str:
    """Write a rate exactly: as a decimal where it ends, else as a ratio."""
    for digits in range(RATE_DIGITS_MAX + 1):
        scaled = rate * 10**digits
        if scaled.denominator == 1:
            whole, part = divmod(scaled.numerator, 10**digits)
            return f"{whole}.{part:0{digits}d}" if digits else str(whole)
    return f"{rate.numerator}/{rate.denominator}"


def parse_nano(text: str) -> int:
    """Read a decimal amount of whole units as nano-units: `"12.5"` is 12_500_000_000.

    Raises ValueError where the amount is not exact at nano-units.
    """
    nano = parse_rate(text) * NANO_PER_UNIT
    if nano.denominator != 1:
        message = f"{text!r} is finer than {NANO_DIGITS} decimal places"
        raise ValueError(message)
    return nano.numerator


def format_nano(nano: int) -> str:
    """Write nano-units as the shortest exact decimal of whole units."""
    sign = "-" if nano < 0 else ""
    whole, part = divmod(abs(nano), NANO_PER_UNIT)
    if not part:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{part:0{NANO_DIGITS}d}".rstrip("0")


def round_half_even(numerator: int, denominator: int) -> int:
    """Round a rational number of nano-units to a whole one, ties to even.

    The only rounding of what a request costs. `denominator` is positive.
    """
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def round_up(numerator: int, denominator: int) -> int:
    """Round a rational number of nano-units up: the only rounding of a hold."""
    return -(-numerator // denominator)
