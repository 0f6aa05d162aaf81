"""`entente config check`."""

from __future__ import annotations

from pathlib import Path

import typer

from entente.cli.base import ConfigOption, JsonOption, environment, say, say_json
from entente.config import Config, ConfigProblems, find, load

app = typer.Typer(help="Check the settings.", no_args_is_help=True)


@app.command()
def check(
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the settings as `serve` would, and say everything that is wrong."""
    path = find(config, Path())
    try:
        chosen = load(path, environment())
    except ConfigProblems as error:
        if as_json:
            say_json({"ok": False, "problems": error.problems})
        raise
    if as_json:
        say_json({"ok": True, "file": None if path is None else str(path), **_counts(chosen)})
    else:
        place = "no entente.toml here: built-in settings" if path is None else str(path)
        counts = ", ".join(f"{count} {name}" for name, count in _counts(chosen).items())
        say(f"ok: {place} ({counts})")


def _counts(config: Config) -> dict[str, int]:
    return {"providers": len(config.providers), "models": len(config.models)}
