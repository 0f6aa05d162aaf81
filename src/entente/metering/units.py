"""What rates are called and what they are for, in settings and in price books alike. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from typing import Final

from entente.metering.prices import Unit

RATES: Final = (
    "input",
    "output",
    "cached_input",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_output",
    "image_input",
    "image_output",
)
"""The rates that a price can have, as people write them."""
_TOKEN_CLASS: Final = {"cached_input": "cache_read"}


class PricePer(StrEnum):
    """What a price is for: a number of tokens, or of another unit."""

    MILLION = "1M tokens"
    THOUSAND = "1K tokens"
    ONE = "1 token"
    MILLION_CHARACTERS = "1M characters"
    THOUSAND_CHARACTERS = "1K characters"
    MINUTE = "1 minute"
    SECOND = "1 second"
    IMAGE = "1 image"

    @property
    def unit(self) -> Unit:
        """The unit, as `metering.prices` counts it."""
        return _UNITS_PER[self][0]

    @property
    def units(self) -> int:
        """The number of units."""
        return _UNITS_PER[self][1]

    @property
    def rate(self) -> str | None:
        """The only rate of a unit other than tokens; None for tokens, which have several."""
        return None if self.unit == "tokens" else "output" if self.unit == "images" else "input"

    def rates(self, named: Mapping[str, Fraction]) -> dict[str, Fraction]:
        """Give rates by token class or unit, as `domain.usage` names them."""
        if self.rate is not None:
            return {self.unit: named[self.rate]} if self.rate in named else {}
        return {_TOKEN_CLASS.get(name, name): rate for name, rate in named.items()}


_UNITS_PER: Final[Mapping[PricePer, tuple[Unit, int]]] = {
    PricePer.MILLION: ("tokens", 1_000_000),
    PricePer.THOUSAND: ("tokens", 1000),
    PricePer.ONE: ("tokens", 1),
    PricePer.MILLION_CHARACTERS: ("characters", 1_000_000),
    PricePer.THOUSAND_CHARACTERS: ("characters", 1000),
    PricePer.MINUTE: ("audio_ms", 60_000),
    PricePer.SECOND: ("audio_ms", 1000),
    PricePer.IMAGE: ("images", 1),
}
