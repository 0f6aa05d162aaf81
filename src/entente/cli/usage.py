"""`entente usage`: tokens and cost by key, model, target and day, from the ledger."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from entente.auth import OPERATOR, KeyStore
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    existing_database,
    say_json,
    say_table,
    settings,
)
from entente.control.reports import UsageLine, parse_groups, settlements, usage
from entente.db import open_sqlite
from entente.domain.money import format_nano
from entente.ledger.journal import entries
from entente.ledger.reader import rows

if TYPE_CHECKING:
    from pathlib import Path


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("usage")(show_usage)


def show_usage(
    *,
    config: ConfigOption = None,
    group_by: Annotated[
        str, typer.Option(metavar="GROUPS", help="Any of key,model,target,day, with commas.")
    ] = "key,model",
    as_json: JsonOption = False,
) -> None:
    """Sum the settled requests. Days are UTC."""
    groups = parse_groups(group_by)
    path = existing_database(settings(config))
    # Two keys may have one name; ids keep them apart in JSON, for machines.
    names = {} if as_json else _names(path)
    lines = usage(settlements(entries(rows(path))), groups, names)
    if as_json:
        say_json([_as_json(line) for line in lines])
        return
    titles = (*(name.upper() for name in groups), "REQUESTS", "INPUT", "OUTPUT", "COST")
    say_table(titles, [_row(line) for line in lines])


def _names(path: Path) -> dict[str, str]:
    """Give names that are unique: a name that several keys have comes with the id."""
    with closing(open_sqlite(path, read_only=True)) as opened:
        records = KeyStore(opened).list(OPERATOR, with_revoked=True)
    all_names = [record.principal.name for record in records]
    return {
        who.key_id: who.name if all_names.count(who.name) == 1 else f"{who.name} ({who.key_id})"
        for who in (record.principal for record in records)
    }


def _as_json(line: UsageLine) -> dict[str, object]:
    return {
        **line.group,
        "requests": line.requests,
        "input_tokens": line.input_tokens,
        "output_tokens": line.output_tokens,
        "cost": {currency: format_nano(nano) for currency, nano in line.costs.items()},
        "estimated_requests": line.estimated,
        "unpriced_requests": line.unpriced,
    }


def _row(line: UsageLine) -> tuple[str, ...]:
    costs = [f"{format_nano(nano)} {currency}" for currency, nano in sorted(line.costs.items())]
    if line.unpriced:
        costs.append(f"{line.unpriced} unpriced")
    return (
        *line.group.values(),
        str(line.requests),
        str(line.input_tokens),
        str(line.output_tokens),
        " + ".join(costs) or "0",
    )
