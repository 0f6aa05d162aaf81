"""`entente rates set | list`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from entente.auth import OPERATOR
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    base_of,
    database,
    say,
    say_json,
    say_table,
    settings,
)
from entente.control.audit import Audit
from entente.control.exchange import Rates, rate_of

app = typer.Typer(help="Keep rates of exchange.", no_args_is_help=True)


@app.command("set")
def set_rate(
    *,
    base: Annotated[str, typer.Argument(help="Of one unit of this currency, such as EUR,")],
    quote: Annotated[str, typer.Argument(help="what it is worth in this one, such as USD.")],
    rate: Annotated[str, typer.Argument(help="Exactly, such as 1.0823.")],
    day: Annotated[
        str | None, typer.Option("--date", metavar="DATE", help="Its day (UTC); else today.")
    ] = None,
    source: Annotated[str, typer.Option(help="Who says so.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep the rate of a day. It is never changed: entries of the ledger name it."""
    read = rate_of(base, quote, rate, day or f"{datetime.fromtimestamp(time.time(), UTC):%Y-%m-%d}")
    with database(settings(config), make=True) as opened:
        base_ = base_of(opened)
        made = Rates(base_, Audit(base_)).set(OPERATOR, read, source)
    if as_json:
        say_json(made)
    else:
        say(f"Kept {read}.")


@app.command("list")
def list_rates(
    *,
    since: Annotated[
        str, typer.Option("--since", metavar="DAY", help="Of this day and later.")
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the rates, the latest first."""
    with database(settings(config)) as opened:
        base = base_of(opened)
        views = Rates(base, Audit(base)).list(since)
    if as_json:
        say_json(views)
        return
    rows = [(v.day, v.base, v.quote, v.rate, v.source or "-") for v in views]
    say_table(("DAY", "BASE", "QUOTE", "RATE", "SOURCE"), rows)
