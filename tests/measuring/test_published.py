"""The published pages against the raw data that is committed beside them."""

from __future__ import annotations

from bench import model, report
from soak.model import RAW
from soak.report import stale


def test_the_benchmarks() -> None:
    """Every number and plot of the page is what the raw data makes of it."""
    assert report.stale(model.RAW) == []


def test_the_long_drills() -> None:
    """So is that of the drills."""
    assert stale(RAW) == []
