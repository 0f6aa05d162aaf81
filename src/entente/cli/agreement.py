"""`entente agreement check | decide | schema`: options here, the work in `agreement_work`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entente.cli import agreement_ledger, agreement_simulate
from entente.cli.base import ConfigOption, JsonOption

if TYPE_CHECKING:
    from types import ModuleType

app = typer.Typer(help="Check an agreement, and ask what it allows.", no_args_is_help=True)

DocumentArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="The agreement's main file.", show_default=False)
]
ScenarioOption = Annotated[
    str | None, typer.Option("--scenario", metavar="ID", help="A scenario of the document.")
]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option("--parameter", metavar="NAME=VALUE", help="A parameter's value; repeatable."),
]


def _work() -> ModuleType:
    # Measured: the language takes a tenth of a second to import, which `serve` need not wait for.
    from entente.cli import agreement_work  # noqa: PLC0415

    return agreement_work


@app.command()
def check(
    document: DocumentArgument,
    *,
    scenario: ScenarioOption = None,
    parameter: ParameterOption = None,
    config: ConfigOption = None,  # noqa: ARG001  (every command takes it)
    as_json: JsonOption = False,
) -> None:
    """Read an agreement and every version of it, and say everything that is wrong."""
    _work().check(document, scenario, parameter, as_json=as_json)


@app.command()
def decide(
    document: DocumentArgument,
    *,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="WHEN", help="A day or an instant; else now."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model's name.")] = None,
    host: Annotated[str | None, typer.Option(help="Where it would be served.")] = None,
    surface: Annotated[str | None, typer.Option(help="The kind of API or product.")] = None,
    said: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other attribute; repeatable."),
    ] = None,
    facts: Annotated[
        Path | None, typer.Option("--facts", metavar="FILE", help="What has happened.")
    ] = None,
    known: Annotated[
        str | None,
        typer.Option("--known", metavar="WHEN", help="As it was known then; else all of it."),
    ] = None,
    scenario: ScenarioOption = None,
    parameter: ParameterOption = None,
    config: ConfigOption = None,  # noqa: ARG001  (every command takes it)
    as_json: JsonOption = False,
) -> None:
    """Say whether a request would be allowed, by which clauses, and why."""
    named = {"model": model, "host": host, "surface": surface}
    request = {name: text for name, text in named.items() if text is not None}
    _work().decide(document, scenario, parameter, request, said, at, facts, known, as_json=as_json)


class SchemaForm(StrEnum):
    """What `schema` writes."""

    SCHEMA = "schema"
    REFERENCE = "reference"


@app.command()
def schema(
    *,
    form: Annotated[
        SchemaForm, typer.Option("--form", help="The JSON Schema, or the reference page.")
    ] = SchemaForm.SCHEMA,
    config: ConfigOption = None,  # noqa: ARG001  (every command takes it)
    as_json: JsonOption = False,
) -> None:
    """Write the JSON Schema of agreements, for editors, or the reference page."""
    if form is SchemaForm.SCHEMA:
        _work().schema(as_json=as_json)
    else:
        _work().reference(as_json=as_json)


agreement_simulate.register(app)
agreement_ledger.register(app)
