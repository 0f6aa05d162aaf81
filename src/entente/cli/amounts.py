"""Amounts of money as the command line reads and writes them."""

from __future__ import annotations

from typing import Final

from entente.domain.errors import InvalidParameter
from entente.domain.money import NANO_PER_UNIT, parse_nano

USD_MAX: Final = 10**12


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
