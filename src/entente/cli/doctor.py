"""`entente doctor`: what stands in the way of serving, in words, with what to do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from entente.cli.base import ConfigOption, JsonOption, environment, say, say_json
from entente.cli.checks import Finding, State, check_machine
from entente.cli.reach import check_network
from entente.config import ConfigProblems, find, load

if TYPE_CHECKING:
    from collections.abc import Mapping


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check settings, data folder, database, port, local runtime, providers and clock."""
    findings = _findings(config, environment())
    if as_json:
        say_json(findings)
    else:
        for finding in findings:
            say(str(finding))
    if any(finding.state is State.FAIL for finding in findings):
        raise typer.Exit(1)


def _findings(path: Path | None, environ: Mapping[str, str]) -> list[Finding]:
    """Run every check; without settings there is nothing else to check."""
    found = find(path, Path())
    try:
        config = load(found, environ)
    except ConfigProblems as error:
        return [
            Finding(
                check="settings",
                state=State.FAIL,
                text=str(problem),
                remedy="correct it, then run `entente config check`",
            )
            for problem in error.problems
        ]
    place = "built-in settings, no entente.toml here" if found is None else str(found)
    settings = Finding(check="settings", state=State.OK, text=place)
    return [settings, *check_machine(config), *asyncio.run(check_network(config, environ))]
