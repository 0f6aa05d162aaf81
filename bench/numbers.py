"""Percentiles, medians with spread, and a fitted line. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the smallest value that `percent` of all do not exceed; 0 when there is none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]


class Spread(NamedTuple):
    """A median over rounds, with the least and the most."""

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Summarise rounds. Raises StatisticsError when there is none."""
    return Spread(statistics.median(values), min(values), max(values))


class Line(NamedTuple):
    """A fitted line, and how sure its slope is."""

    slope: float
    intercept: float
    slope_error: float
    """Standard error of the slope."""


def fit(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """Fit a line by least squares. Needs three points or more."""
    slope, intercept = statistics.linear_regression(xs, ys)
    mean = statistics.fmean(xs)
    squares = sum((y - intercept - slope * x) ** 2 for x, y in zip(xs, ys, strict=True))
    across = sum((x - mean) ** 2 for x in xs)
    return Line(slope, intercept, math.sqrt(squares / (len(xs) - 2) / across))
