"""Identifiers: a prefix and 32 hex digits that sort by time.

48 bits of milliseconds come first, so that ids made one after another are neighbours
in an index; 80 bits of randomness follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

NowNs: TypeAlias = Callable[[], int]
"""Gives the wall clock in nanoseconds since 1970 (UTC)."""

_ID_BYTES = 16
_ENTROPY_BITS = 80
_NS_PER_MS = 1_000_000
_TIME_MASK = (1 << 48) - 1


class Ids:
    """Makes ids from a clock and a source of random bits, both given."""

    __slots__ = ("_getrandbits", "_now_ns")

    def __init__(self, now_ns: NowNs, getrandbits: Callable[[int], int]) -> None:
        """Take `now_ns` and `getrandbits`, which gives that many random bits."""
        self._now_ns = now_ns
        self._getrandbits = getrandbits

    def new(self, prefix: str) -> str:
        """Make an id such as `req_0193f0c7a1b2…` (32 hex digits after the prefix)."""
        moment = (self._now_ns() // _NS_PER_MS) & _TIME_MASK
        number = (moment << _ENTROPY_BITS) | self._getrandbits(_ENTROPY_BITS)
        return f"{prefix}_{number.to_bytes(_ID_BYTES, 'big').hex()}"
