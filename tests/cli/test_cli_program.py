"""The command as people and scripts meet it: help, mistakes, exit status, start-up."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from entente.cli.serve import with_overrides
from entente.config import load
from entente.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ended, Runner

CANARY = "sk-canary-7f3a9c-never-printed"

SETTINGS = f"""
[providers.main]
kind = "openai"
base_url = "https://api.example.com/v1"

[models.priced]
targets = [{{ provider = "main", model = "a" }}, {{ provider = "main", model = "b" }}]
price = {{ currency = "EUR", per = "1K tokens", input = "0.150", output = "1/3" }}
context_tokens = 1000

[models.bare]
targets = [{{ provider = "main", model = "c" }}]
# {CANARY}
"""


def test_the_program_makes_and_lists_a_key(program: Callable[..., Ended]) -> None:
    """As a process of its own, output and status are what scripts rely on."""
    made = program("keys", "create", "--name", "bob")
    assert (made.status, made.err) == (0, "")
    assert made.out.startswith("sk-ent-")
    listed = program("keys", "list", "--json")
    assert (listed.status, listed.err) == (0, "")
    assert json.loads(listed.out)[0]["name"] == "bob"


def test_an_error_is_a_line_and_a_status_not_a_traceback(program: Callable[..., Ended]) -> None:
    """On standard error, so that a pipe gets nothing."""
    ended = program("keys", "list")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("entente: There is no database")
    assert "Traceback" not in ended.err


def test_serve_says_what_is_wrong_with_the_settings(
    program: Callable[..., Ended], folder: Path
) -> None:
    """All of it, with lines, and without the literal key that was pasted in."""
    (folder / "entente.toml").write_text(
        SETTINGS + f'[providers.second]\nkind = "openia"\napi_key = "{CANARY}"\n'
    )
    ended = program("serve", "--port", "0")
    assert ended.status == 1
    lines = ended.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("entente: entente.toml:15: providers.second.kind: ")
    assert "Did you mean `openai`?" in lines[0]
    assert lines[1].startswith("entente: entente.toml:16: providers.second.api_key: ")
    assert CANARY not in ended.err


def test_help_needs_nothing_that_serves(program: Callable[..., Ended], folder: Path) -> None:
    """The server's parts are imported by `serve` only, which keeps every other command quick."""
    assert "serve" in program("--help").out
    (folder / "probe.py").write_text(
        "import sys\n"
        "from entente.cli.root import run\n"
        "run(['--help'])\n"
        "loaded = {'uvicorn', 'uvloop', 'rich', 'entente.app', 'prometheus_client'}\n"
        "print(sorted(loaded & set(sys.modules)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "probe.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words", [("keys", "create", "--budget", "1"), ("serv",), ("keys", "revoke"), ("ledger", "x")]
)
def test_misuse_is_status_two_with_a_pointer_to_help(
    entente_: Runner, words: tuple[str, ...]
) -> None:
    """As every Unix program has it."""
    ended = entente_(*words)
    assert ended.status == 2
    assert "--help" in ended.err
    assert "Traceback" not in ended.err


def test_models_and_prices_show_the_settings(entente_: Runner, folder: Path) -> None:
    """Prices are exact; a model without one says so."""
    (folder / "entente.toml").write_text(SETTINGS)
    first, second = entente_.ok("models", "--json").json
    assert first["targets"] == ["main/a", "main/b"]
    assert (first["priced"], second["priced"]) == (True, False)
    assert "unpriced" in entente_.ok("models").out
    first, second = entente_.ok("prices", "show", "--json").json
    assert first == {
        "model": "priced",
        "priced": True,
        "currency": "EUR",
        "per": "1K tokens",
        "rates": {"input": "0.15", "output": "1/3"},
        "origin": "settings",
    }
    assert second == {"model": "bare", "priced": False, "target": "main/c"}
    assert "input=0.15 output=1/3" in entente_.ok("prices", "show").out


def test_config_check_says_yes_or_everything(entente_: Runner, folder: Path) -> None:
    """In words and in JSON, with the same status."""
    assert "built-in settings" in entente_.ok("config", "check").out
    (folder / "entente.toml").write_text(SETTINGS)
    assert entente_.ok("config", "check", "--json").json == {
        "ok": True,
        "file": "entente.toml",
        "providers": 1,
        "models": 2,
    }
    other = folder / "other.toml"
    other.write_text("[server]\nprot = 1\nhots = 1\n")
    ended = entente_("config", "check", "--config", str(other), "--json")
    assert ended.status == 1
    assert [problem["line"] for problem in ended.json["problems"]] == [2, 3]
    assert len(ended.err.splitlines()) == 2


def test_a_settings_file_that_is_not_there_is_named(entente_: Runner) -> None:
    """Every command takes --config."""
    assert "gone.toml: cannot be read" in entente_.fails("models", "--config", "gone.toml")


def test_options_of_serve_come_before_the_file() -> None:
    """Only those that were given."""
    config = load(None, {})
    assert with_overrides(config, host=None, port=None, workers=None) == config
    changed = with_overrides(config, host="::1", port=0, workers=1).server
    assert (changed.host, changed.port, changed.workers) == ("::1", 0, 1)
    with pytest.raises(ConfigError, match="--workers"):
        with_overrides(config, host=None, port=None, workers=2)


def test_the_version_is_shown(entente_: Runner) -> None:
    """For bug reports."""
    shown = entente_.ok("version").out.strip()
    assert entente_.ok("version", "--json").json == {"version": shown}


def test_the_version_is_where_people_look_for_it(program: Callable[..., Ended]) -> None:
    """As an option, as other programs have it, and as a command."""
    asked, told = program("--version"), program("version")
    assert (asked.status, asked.err) == (0, "")
    assert asked.out == told.out != ""
