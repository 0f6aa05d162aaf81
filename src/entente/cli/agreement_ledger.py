"""`entente agreement settle | report | attest`: options here, the work in `agreement_records`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entente.cli.base import ConfigOption, JsonOption

if TYPE_CHECKING:
    from types import ModuleType

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
FactsOption = Annotated[
    list[Path] | None,
    typer.Option("--facts", metavar="FILE", help="Facts beside the ledger's; repeatable."),
]


class Verdict(StrEnum):
    """What somebody attests."""

    DECLARED = "declared"
    VERIFIED = "verified"
    REJECTED = "rejected"
    COUNTERED = "countered"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(settle)
    app.command()(report)
    app.command()(attest)


def settle(
    document: DocumentArgument,
    *,
    period: Annotated[str, typer.Option(metavar="PERIOD", help="2026, 2026-Q1 or 2026-05.")],
    statement: Annotated[
        str, typer.Option(metavar="ID", help="Which statement, where there are several.")
    ] = "",
    known_at: Annotated[
        str | None, typer.Option("--known-at", metavar="WHEN", help="As known then; else now.")
    ] = None,
    facts: FactsOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write the statement there.")
    ] = None,
    file: Annotated[
        bool, typer.Option("--file", help="Keep a closed statement for good, in --out.")
    ] = False,
    scenario: ScenarioOption = None,
    parameter: ParameterOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Settle a period of the ledger, and state who is owed what."""
    asked = _work().Asked(document, scenario, parameter, config, facts)
    _work().settle(asked, period, statement, known_at, out, keep=file, as_json=as_json)


def report(
    document: DocumentArgument,
    *,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="From a day or an instant on.")
    ] = None,
    facts: FactsOption = None,
    scenario: ScenarioOption = None,
    parameter: ParameterOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what an agreement would have barred of past traffic."""
    asked = _work().Asked(document, scenario, parameter, config, facts)
    _work().report(asked, since, as_json=as_json)


def attest(
    document: DocumentArgument,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's id.")],
    *,
    verdict: Annotated[Verdict, typer.Option(help="What is attested.")],
    by: Annotated[str, typer.Option(metavar="PARTY", help="Who attests it.")],
    at: Annotated[
        str | None, typer.Option(metavar="WHEN", help="When it counts; else now.")
    ] = None,
    subject: Annotated[
        str, typer.Option(metavar="NAME", help="To which of several things it happened.")
    ] = "",
    evidence: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The evidence; its hash is kept.")
    ] = None,
    scenario: ScenarioOption = None,
    parameter: ParameterOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Attest an event of an agreement. A running server goes by it within a second."""
    asked = _work().Asked(document, scenario, parameter, config, None)
    _work().attest(asked, event, verdict.value, by, at, subject, evidence, as_json=as_json)


def _work() -> ModuleType:
    # Measured: the language takes a tenth of a second to import, which `serve` need not wait for.
    from entente.cli import agreement_records  # noqa: PLC0415

    return agreement_records
