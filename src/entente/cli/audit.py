"""`entente audit list`."""

from __future__ import annotations

from typing import Annotated

import typer

from entente.auth import OPERATOR
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    base_of,
    database,
    say_json_lines,
    say_table,
    settings,
)
from entente.control.audit import Audit
from entente.control.reports import utc

LISTED_DEFAULT = 100
LISTED_MAX = 100_000

app = typer.Typer(help="See who changed what.", no_args_is_help=True)


@app.callback()
def begin() -> None:
    """See who changed what."""


@app.command("list")
def list_changes(
    *,
    about: Annotated[
        str | None, typer.Option("--object", metavar="ID", help="Of one key, project, … only.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=LISTED_MAX, help="How many, newest first.")
    ] = LISTED_DEFAULT,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List changes of the control plane, newest first. `--json` has before and after."""
    with database(settings(config)) as opened:
        page = Audit(base_of(opened)).list(OPERATOR, limit=limit, about=about)
    if as_json:
        say_json_lines(change.view() for change in page.found)
        return
    rows = [
        (utc(each.at_ns)[:19] + "Z", each.actor_name, each.actor, each.action, each.object)
        for each in page.found
    ]
    say_table(("WHEN", "WHO", "KEY", "ACTION", "OBJECT"), rows)
