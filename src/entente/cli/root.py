"""The command `entente`: all commands under one name, and the last place for errors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from entente.cli import (
    agreement,
    audit,
    budgets,
    configuration,
    db,
    doctor,
    keys,
    ledger,
    limits,
    models,
    prices,
    projects,
    rates,
    serve,
    usage,
    webhooks,
)
from entente.domain.errors import EntenteError

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED: Final = 1
INTERRUPTED: Final = 130
"""128 and the number of SIGINT, as shells have it."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _module in (serve, models, doctor):
    _module.register(app)

app.add_typer(keys.app, name="keys")
app.add_typer(projects.app, name="projects")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(audit.app, name="audit")
app.add_typer(budgets.app, name="budgets")
app.add_typer(limits.app, name="limits")
app.add_typer(usage.app, name="usage")
app.add_typer(prices.app, name="prices")
app.add_typer(rates.app, name="rates")
app.add_typer(ledger.app, name="ledger")
app.add_typer(db.app, name="db")
app.add_typer(configuration.app, name="config")
app.add_typer(agreement.app, name="agreement")


def _say_version(value: bool) -> None:
    if value:
        serve.show_version()
        raise typer.Exit


@app.callback()
def begin(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Run a model platform of one's own. `entente serve` starts it."""


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit status. An EntenteError becomes one line."""
    try:
        app(args=list(arguments), prog_name="entente", standalone_mode=True)
    except EntenteError as error:
        for line in error.message.splitlines():
            typer.echo(f"entente: {line}", err=True)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED * bool(end.code)
    return 0


def main() -> None:
    """Run as the program `entente`."""
    sys.exit(run(sys.argv[1:]))
