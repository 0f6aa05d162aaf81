"""The built-in model, asked through the product: is it what its page says?"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from entente.engine import builtin_model_path
from tests.support.server import ADMIN_KEY, EntenteServer

ROOT: Final = Path(__file__).resolve().parents[2]
EVALUATE: Final = ROOT / "models/tiny/evaluate.py"
BYTES_MAX: Final = 12 * 1000 * 1000
PER_SKILL: Final = 4
"""Held-out instances for each skill and language: a sample; the page has the whole."""
MARGIN: Final = 0.12
"""How far the sample's mean may fall below the page's."""
GOOD: Final = 0.9
OVER_CHAT: Final = (
    "repeat", "chat", "decline", "arithmetic", "sort", "reverse", "count", "extract", "passages",
    "tool_call", "tool_answer",
)  # fmt: skip
"""Skills that a chat completion can ask for; code completion has routes of its own."""


def facts() -> dict[str, Any]:
    """Read what is said about the file."""
    told: dict[str, Any] = json.loads(builtin_model_path().with_suffix(".json").read_text())
    return told


def test_the_file_is_the_one_that_was_measured() -> None:
    """Scores belong to a file; another file would have others."""
    told, data = facts(), builtin_model_path().read_bytes()
    assert hashlib.sha256(data).hexdigest() == told["sha256"]
    assert len(data) == told["bytes"] <= BYTES_MAX
    assert 2_000_000 <= told["parameters"] <= 8_000_000


def test_the_page_shows_the_scores_of_this_file() -> None:
    """Every score, to the tenth of a per cent; the page hides nothing."""
    page = (ROOT / "docs/models/entente-tiny.md").read_text()
    for skill, languages in facts()["exact_match"].items():
        (row,) = (
            line for line in page.splitlines() if line.startswith(f"| `{skill}` |") and "%" in line
        )
        for language in languages.values():
            assert f" {language['exact']:.1%} " in row


def test_most_skills_are_right_nine_times_in_ten() -> None:
    """Over the languages, as the page tells it."""
    told = facts()["exact_match"]
    good = [name for name, languages in told.items() if _mean({name: languages}) >= GOOD]
    assert 2 * len(good) > len(told)


def test_a_sample_of_held_out_instances(tmp_path: Path) -> None:
    """What the product answers agrees with the scores that are told."""
    told = facts()["exact_match"]
    skills = [name for name in OVER_CHAT if name in told]
    with EntenteServer(tmp_path, "") as server:
        done = subprocess.run(
            [
                sys.executable, "-B", str(EVALUATE), "--base-url", f"http://127.0.0.1:{server.port}/v1",
                "--per-skill", str(PER_SKILL), "--key", ADMIN_KEY, "--only", *skills,
            ],
            capture_output=True,
            text=True,
            check=True,
        )  # fmt: skip
    measured = json.loads(done.stdout)
    assert sorted(measured) == sorted(skills)
    assert _mean(measured) >= _mean({name: told[name] for name in skills}) - MARGIN


def _mean(scores: dict[str, dict[str, dict[str, float]]]) -> float:
    """Average over skills and languages."""
    shares = [one["exact"] for languages in scores.values() for one in languages.values()]
    return sum(shares) / len(shares)
