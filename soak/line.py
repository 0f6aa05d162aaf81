"""A fitted line with a confidence that samples of one process's memory deserve. Pure.

Memory goes in steps, so one sample resembles the one before, and least squares alone would
be far too sure of the slope. The error is widened as for the fewer samples that would be
worth as much: with r the correlation of each residual with the one before, n samples count
as n (1 - r) / (1 + r).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from bench.numbers import fit
from soak.model import Sample

WARM_SHARE: Final = 0.1
"""The first samples, in which pools and caches fill, are left out."""
SAMPLES_MIN: Final = 20
REQUESTS_MIN: Final = 100_000
"""With fewer requests the warm-up is most of it, and nothing can be said."""
Z95: Final = 1.96
KEPT_BYTES_MIN: Final = 8.0
"""Whatever is kept of each request takes a pointer at the least."""
DRIFT_BYTES_MAX: Final = 1.0
"""Bytes a request, a megabyte in a million: no line over a finite run is level exactly."""


class Growth(NamedTuple):
    """How memory went with the number of requests."""

    slope: float
    """Bytes a request."""
    margin: float
    """Half of the interval that has the slope with a confidence of 95 %."""
    intercept: float
    first: int
    """Requests answered at the first sample that counts."""
    last: int

    @property
    def grows(self) -> bool:
        """Whether memory drifts upwards by more than a trifle, beyond doubt."""
        return self.slope - self.margin > DRIFT_BYTES_MAX

    @property
    def verdict(self) -> str:
        """What the line says, in words."""
        if self.grows:
            text = "memory grows"
        elif self.slope - self.margin > 0:
            text = f"a rise, but not surely one above {DRIFT_BYTES_MAX:g} byte a request"
        else:
            text = "no growth that could be told from noise"
        return text if self.is_sure else f"{text}; the interval is too wide to be sure"

    @property
    def is_sure(self) -> bool:
        """Whether the interval is narrow enough to see a pointer kept for each request."""
        return self.margin < KEPT_BYTES_MIN


def growth(samples: Sequence[Sample]) -> Growth | None:
    """Fit the server's memory; None where there is too little to say anything."""
    if not samples or samples[-1].requests < REQUESTS_MIN:
        return None
    warm = samples[-1].requests * WARM_SHARE
    xs = [float(s.requests) for s in samples if s.requests >= warm]
    ys = [float(s.server_bytes) for s in samples if s.requests >= warm]
    if len(xs) < SAMPLES_MIN:
        return None
    line = fit(xs, ys)
    residuals = [y - line.intercept - line.slope * x for x, y in zip(xs, ys, strict=True)]
    wider = math.sqrt(1 / effective_share(residuals))
    margin = Z95 * line.slope_error * wider
    return Growth(line.slope, margin, line.intercept, round(xs[0]), round(xs[-1]))


def effective_share(residuals: Sequence[float]) -> float:
    """Give what share of the samples counts, from how each residual follows the one before."""
    power = sum(value * value for value in residuals)
    if power == 0:
        return 1.0
    follows = sum(a * b for a, b in pairwise(residuals)) / power
    follows = min(max(follows, 0.0), 1.0 - 1.0 / len(residuals))
    return (1 - follows) / (1 + follows)
