"""Two differences that people have reported, to the cent and beyond, by the command itself."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

import entente.cli.root
from entente.domain.money import format_nano
from entente.ledger.journal import verify
from entente.ledger.reader import rows
from tests.kit import house

EXAMPLES = house.ROOT / "examples" / "reconciliation"


class Case:
    """An example's ledger in a folder of its own, and the command on it."""

    def __init__(self, name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Write the ledger."""
        self.database: Path = runpy.run_path(str(EXAMPLES / "ledger.py"))["write"](
            EXAMPLES / name, folder / ".entente"
        )
        self._files = sorted(map(str, (EXAMPLES / name).iterdir()))
        self._capsys = capsys

    def run(self, *more: str) -> tuple[int, str, str]:
        """Reconcile it; give exit status, output and errors."""
        self._capsys.readouterr()
        files = [name for name in self._files if Path(name).stem in ("usage", "costs")]
        words = ["ledger", "reconcile", "--provider", "openai", *files, *more]
        status = entente.cli.root.run(words)
        out, err = self._capsys.readouterr()
        return status, out, err


@pytest.fixture
def undercounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Case:
    """Write the first example."""
    monkeypatch.chdir(tmp_path)
    return Case("cache-undercounted", tmp_path, capsys)


def test_cached_tokens_that_were_taken_for_others(undercounted: Case) -> None:
    """40 requests: 0.939487 here, 0.865846 there, all of it by 15,741 tokens of cache."""
    status, out, _ = undercounted.run("--json")
    said = json.loads(out)
    assert status == 0
    assert said["verdict"] == "explained"
    here, there = said["here"], said["there"]
    assert (here["requests"], there["requests"]) == (40, 40)
    assert sum(here["tokens"][name] for name in ("input", "cache_read", "cache_write")) == 73_550
    assert sum(there["tokens"][name] for name in ("input", "cache_read", "cache_write")) == 73_550
    assert (here["tokens"]["output"], there["tokens"]["output"]) == (20_480, 20_480)
    assert (here["tokens"]["cache_read"], there["tokens"]["cache_read"]) == (49_563, 65_304)
    assert (here["cost"], there["cost"]) == ("0.93948725", "0.865846")
    assert said["difference"] == "0.07364125"
    assert said["explained_by"] == {"cache": "0.07364075", "rounding": "0.0000005"}
    (difference,) = said["differences"]
    assert difference["tokens"] == {"input": 13_496, "cache_read": -15_741, "cache_write": 2_245}
    assert "15741 tokens read from the cache" in difference["parts"][0]["words"]


def test_cached_tokens_that_were_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A million tokens, nine in ten of them cached: 3.625 here, 1.375 there."""
    monkeypatch.chdir(tmp_path)
    case = Case("cache-counted-twice", tmp_path, capsys)
    status, out, _ = case.run()
    assert status == 0
    lines = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    assert lines["USD"] == ["USD", "3.625", "1.375", "+2.25"]
    assert lines["cache"] == ["cache", "+2.25"]
    assert "900000 tokens (cache read) are counted as input here, too" in out
    assert out.splitlines()[-1].startswith("explained: the ledger has 2.25 USD more")


def test_an_adjustment_is_posted_once(undercounted: Case) -> None:
    """However often it is asked for; then what is owed is what the invoice says."""
    status, out, _ = undercounted.run("--post", "--note", "July", "--json")
    posted = json.loads(out)["posted"]
    assert status == 0
    assert (posted["nano"], posted["note"]) == (-73_641_250, "July")
    assert posted["parts"] == {"cache": -73_640_750, "rounding": -500}
    for _ in range(2):
        status, out, _ = undercounted.run("--post")
        assert status == 0
        assert out.splitlines()[-1] == (
            "nothing to post: with what was adjusted before, the ledger agrees"
        )
    report, books = verify(rows(undercounted.database))
    assert report.problems == []
    assert report.adjustments == 1
    assert format_nano(books.balance("payable:openai", "USD")) == "0.865846"
    assert format_nano(books.balance("adjustments", "USD")) == "0.07364125"


def test_what_cannot_be_posted(undercounted: Case, tmp_path: Path) -> None:
    """A time that cuts through an adjustment, and an export without costs."""
    assert undercounted.run("--post")[0] == 0
    status, _, _ = undercounted.run("--post", "--from", "2026-07-26", "--until", "2026-07-30")
    assert status == 0, "a longer time takes the adjustment in"
    usage = str(EXAMPLES / "cache-undercounted" / "usage.json")
    status = entente.cli.root.run(["ledger", "reconcile", "--provider", "openai", usage, "--post"])
    assert status == 1
