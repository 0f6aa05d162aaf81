"""Without the drivers of PostgreSQL, which are an extra, all of the embedded product works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

_WITHOUT: Final = """
import sys
for name in ("psycopg", "asyncpg"):
    sys.modules[name] = None
from entente.cli.root import run
sys.exit(run(sys.argv[1:]))
"""


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "create"),
        ("keys", "list"),
        ("limits", "add", "organization", "--requests", "3"),
        ("budgets", "show"),
        ("usage",),
        ("ledger", "verify"),
        ("db", "check"),
        ("config", "check"),
    ],
    ids=" ".join,
)
def test_the_embedded_database_needs_no_driver(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Of another one."""
    made = _run(tmp_path, "keys", "create")
    assert made.returncode == 0, made.stderr
    done = _run(tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")


def test_postgresql_without_its_drivers_says_what_to_install(tmp_path: Path) -> None:
    """With the line of the setting."""
    (tmp_path / "entente.toml").write_text('[ledger]\nurl = "postgresql://u:p@127.0.0.1:1/x"\n')
    done = _run(tmp_path, "config", "check")
    assert done.returncode == 1
    assert "entente.toml:2: ledger.url" in done.stderr
    assert "pip install 'entente[postgres]'" in done.stderr
