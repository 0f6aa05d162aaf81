"""Running commands: in this process for most, as a program for a few."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import entente.cli.root
from entente.control.keys import ADMIN_KEY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM_S_MAX = 60


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it wrote, as JSON."""
        return json.loads(self.out)


class Runner:
    """Runs commands in a folder of their own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Read output from `capsys`."""
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ended:
        """Run in this process."""
        self._capsys.readouterr()
        status = entente.cli.root.run(arguments)
        return Ended(status, *self._capsys.readouterr())

    def ok(self, *arguments: str) -> Ended:
        """Run a command that must succeed and say nothing on standard error."""
        ended = self(*arguments)
        assert (ended.status, ended.err) == (0, "")
        return ended

    def fails(self, *arguments: str) -> str:
        """Run a command that must fail; give its one line on standard error."""
        ended = self(*arguments)
        assert ended.status != 0
        (line,) = ended.err.splitlines()
        assert line.startswith("entente: ")
        return line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the working folder, empty, with nothing about entente in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ADMIN_KEY_VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def entente_(folder: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    """Give the command `entente`, run in `folder`."""
    assert Path.cwd() == folder
    return Runner(capsys)


def run_program(folder: Path, *arguments: str) -> Ended:
    """Run the command as a program, the way a shell does."""
    ended = subprocess.run(
        [sys.executable, "-m", "entente.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S_MAX,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Give a function that runs the command as a program in `folder`."""
    package = Path(entente.cli.root.__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", str(package))
    return lambda *arguments: run_program(folder, *arguments)
