"""How many examples a property of the money is tried on."""

from __future__ import annotations

from typing import Final

from hypothesis import HealthCheck, settings

THOROUGH: Final = settings(
    max_examples=10_000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
"""For calculators, which are quick."""
HALF: Final = settings(THOROUGH, max_examples=5_000)
"""For properties that take two tests, one for small and one for larger examples."""
