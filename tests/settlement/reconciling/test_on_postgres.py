"""The commands on a ledger in PostgreSQL: the same words, and an adjustment once there, too."""

from __future__ import annotations

import runpy
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from entente.db.address import address_of
from entente.db.postgres import PostgresDatabase
from entente.domain.secret import Secret
from entente.ledger import postgres_verify
from entente.ledger.moving import move
from tests.kit import house

EXAMPLE = house.ROOT / "examples" / "reconciliation"
CASE = EXAMPLE / "cache-undercounted"
FILES = (str(CASE / "usage.json"), str(CASE / "costs.json"))
PROGRAM_S_MAX = 60


class Both:
    """One ledger in a file and in PostgreSQL, and the command on either."""

    def __init__(self, folder: Path, url: str) -> None:
        """Write the file, and move it."""
        self.url = url
        data = folder / "data"
        file: Path = runpy.run_path(str(EXAMPLE / "ledger.py"))["write"](CASE, data)
        with closing(self.database()) as database:
            move(file, database, 1)
        for name, ledger in (("file", ""), ("postgres", f'[ledger]\nurl = "{url}"\n')):
            text = f'[server]\ndata_dir = "{data}"\n{ledger}'
            (folder / f"{name}.toml").write_text(text)
        self._folder = folder

    def database(self) -> PostgresDatabase:
        """Open the database."""
        return PostgresDatabase(address_of(Secret(self.url)))

    def run(self, *words: str, on: str) -> str:
        """Run a command as a program; give what it said."""
        ended = subprocess.run(
            [sys.executable, "-m", "entente.cli", *words, "--config", f"{on}.toml"],
            cwd=self._folder,
            env={"PYTHONPATH": str(house.ROOT / "src")},
            capture_output=True,
            text=True,
            timeout=PROGRAM_S_MAX,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout


@pytest.fixture
def both(tmp_path: Path, postgres_url: str) -> Both:
    """Give a ledger on both."""
    return Both(tmp_path, postgres_url)


def test_it_says_the_same_of_both(both: Both) -> None:
    """Reconciled, and exported for other tools."""
    asked = ("ledger", "reconcile", "--provider", "openai", *FILES)
    assert both.run(*asked, on="postgres") == both.run(*asked, on="file")
    month = ("ledger", "export", "--format", "focus-csv", "--month", "2026-07")
    assert both.run(*month, on="postgres") == both.run(*month, on="file")


def test_an_adjustment_is_posted_once(both: Both) -> None:
    """To a chain of its own; balances and every chain verify behind it."""
    asked = ("ledger", "reconcile", "--provider", "openai", *FILES, "--post")
    assert "posted: adj_" in both.run(*asked, on="postgres")
    assert "nothing to post" in both.run(*asked, on="postgres")
    with closing(both.database()) as database:
        report = postgres_verify.verify(database)
        assert (report.problems, report.adjustments) == ([], 1)
        (owed,) = database.execute(
            "SELECT nano FROM balances WHERE account = 'payable:openai'"
        ).fetchone()
    assert owed == 865_846_000
    said = both.run(
        "ledger", "export", "--format", "focus-csv", "--month", "2026-07", on="postgres"
    )
    assert "Adjustment" in said
