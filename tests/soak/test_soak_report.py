"""The fitted line says what it knows, and the page what the raw data says."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from soak import report
from soak.line import REQUESTS_MIN, effective_share, growth
from soak.model import Machine, Outcome, Results, Sample, load, merged, save

BASE = 50_000_000
MACHINE = Machine(
    "2026-11-21", "a processor", 2, 8, "Linux 6.1", 300.0, 900.0, {"python": "3"}, "c"
)


def samples(per_request: float, noise: float = 200_000.0, count: int = 250) -> list[Sample]:
    """Make the memory of a process that keeps so much of each request, and goes in steps."""
    chance = random.Random(5)  # noqa: S311 - the same noise every time
    made, step = [], 0.0
    for number in range(count):
        requests = number * 4_000
        if number % 10 == 0:
            step = chance.uniform(-noise, noise)
        made.append(Sample(requests, round(BASE + per_request * requests + step), 0))
    return made


@pytest.mark.parametrize(
    ("kept", "grows", "says"),
    [
        (0.0, False, "no growth"),
        (-3.0, False, "no growth"),
        (1.0, False, "not surely one above 1 byte"),
        (8.0, True, "memory grows"),
    ],
)
def test_growth_is_told_from_noise(kept: float, grows: bool, says: str) -> None:
    """A pointer kept of each request is seen, in memory that goes in steps."""
    found = growth(samples(kept))
    assert found is not None
    assert found.is_sure
    assert found.grows is grows
    assert says in found.verdict
    assert abs(found.slope - kept) < found.margin


def test_a_line_that_is_not_sure_says_so() -> None:
    """Noise far above what is looked for."""
    found = growth(samples(0.0, noise=3e7))
    assert found is not None
    assert not found.is_sure
    assert "too wide" in found.verdict


def test_too_little_to_fit_a_line() -> None:
    """Few requests or few samples, or none."""
    assert growth([]) is None
    assert growth(samples(0.0, count=15)) is None
    assert growth([s for s in samples(0.0) if s.requests < REQUESTS_MIN]) is None


def test_samples_that_resemble_each_other_count_less() -> None:
    """Alternating ones count whole, steps for what they are worth."""
    assert effective_share([1.0, -1.0] * 20) == 1.0
    assert effective_share([0.0] * 5) == 1.0
    assert effective_share([1.0] * 20 + [-1.0] * 20) < 0.1


def results() -> Results:
    """Make a run with a drill of each end."""
    return Results(
        MACHINE,
        7,
        "full",
        [
            Outcome("endurance", 7, requests=1_000_000, samples=samples(0.0), verifications=1),
            Outcome("kills", 7, lost=2, notes=["1007 was called without an account of it"]),
            Outcome("disk", 7, skipped="mounting is not allowed here"),
            Outcome("clock", 7, failed="AssertionError: holds are open", facts={"steps": 40}),
        ],
    )


def test_page() -> None:
    """Each drill has its line; what failed stands out."""
    page = report.page(results())
    assert "1 of 3 drills passed. Not: kills, clock." in page
    assert "1 could not be run here" in page
    assert "| **kills: failed** |" in page
    assert "| **2** | 0 | 0 |" in page
    assert "Not run: mounting is not allowed here" in page
    assert "**Failed**: AssertionError: holds are open" in page
    assert "no growth that could be told from noise" in page
    assert "- steps: 40" in page


def test_page_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was saved is what is read; the page is stale until it is written."""
    monkeypatch.setattr(report, "PAGE", tmp_path / "soak.md")
    monkeypatch.setattr(report, "PLOT", tmp_path / "soak" / "memory.svg")
    raw = tmp_path / "soak" / "raw.json"
    save(results(), raw)
    assert load(raw) == results()
    assert len(report.stale(raw)) == 2
    report.write(raw)
    assert report.stale(raw) == []
    assert (tmp_path / "soak.md").read_text() == report.page(results())


def test_a_drill_that_was_run_again_apart(tmp_path: Path) -> None:
    """It stands in its place, with its day and commit; the others stay as they were."""
    raw = tmp_path / "raw.json"
    save(results(), raw)
    again = Results(replace(MACHINE, commit="later"), 8, "full", [Outcome("clock", 8, answered=3)])
    both = merged(raw, again)
    assert [each.drill for each in both.outcomes] == ["endurance", "kills", "disk", "clock"]
    assert both.outcomes[:3] == results().outcomes[:3]
    page = report.page(both)
    assert "2 of 3 drills passed. Not: kills." in page
    assert f"- clock run again apart: {MACHINE.date}, commit later, seed 8\n" in page
