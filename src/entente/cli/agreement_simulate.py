"""`entente agreement simulate`: many possible futures of an agreement, as tables and charts."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from entente.cli.base import ConfigOption, JsonOption
from entente.domain.errors import StartError

if TYPE_CHECKING:
    from types import ModuleType

EXTRA: Final = "pip install 'entente[agreement]', or, where Entente was cloned, make agreement"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    document: Annotated[
        Path, typer.Argument(metavar="FILE", help="The agreement's main file.", show_default=False)
    ],
    *,
    scenario: Annotated[
        Path, typer.Option("--scenario", metavar="FILE", help="How amounts may grow.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write report, tables and charts there."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the scenario's.")] = None,
    paths: Annotated[int | None, typer.Option(help="Instead of the scenario's.")] = None,
    config: ConfigOption = None,  # noqa: ARG001  (every command takes it)
    as_json: JsonOption = False,
) -> None:
    """Simulate what an agreement comes to over many paths of growth, prices and events."""
    work = extra("entente.cli.agreement_paths")
    work.simulate(document, scenario, out, seed, paths, as_json=as_json)


def extra(name: str) -> ModuleType:
    """Import what needs numpy or altair. Raises StartError where these are not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        message = f"This needs {error.name}, which is not installed: {EXTRA}"
        raise StartError(message) from error
