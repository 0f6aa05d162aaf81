"""A clock for a server and its tests at which it was noon when they began: no day ends on them."""

from __future__ import annotations

import time
from typing import Final

_DAY_S: Final = 86_400
_SHIFT_S: Final = _DAY_S // 2 - int(time.time()) % _DAY_S

PRELUDE: Final = f"""
import time
def shift(real, by):
    return lambda: real() + by
time.time, time.time_ns = shift(time.time, {_SHIFT_S}), shift(time.time_ns, {_SHIFT_S} * 10**9)
"""
"""Has a server go by it."""


def now_s() -> int:
    """Give the seconds since 1970."""
    return int(time.time()) + _SHIFT_S
