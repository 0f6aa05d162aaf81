"""`entente budgets show | grant | set`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from entente.auth import OPERATOR, KeyStore
from entente.cli.amounts import nano_of_usd
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    database,
    database_path,
    ids,
    say_json,
    say_table,
    settings,
)
from entente.control.budgets import Budget, budgets, further_grant, nothing_granted
from entente.domain.money import format_nano
from entente.ledger.journal import entries
from entente.ledger.reader import rows
from entente.ledger.sqlite import append_now

if TYPE_CHECKING:
    from pathlib import Path
    from sqlite3 import Connection

    from entente.auth import KeyRecord
    from entente.config import Config

NOTE_CHARS_MAX: Final = 256

app = typer.Typer(help="Show and change what keys may spend.", no_args_is_help=True)

KeyArgument = Annotated[str, typer.Argument(help="Its id, its name, or the start of its id.")]


@app.command()
def show(
    *,
    key: Annotated[str | None, typer.Argument(help="One key; else every budgeted one.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show granted, spent, held and available amounts."""
    chosen = settings(config)
    with database(chosen) as connection:
        store = KeyStore(connection)
        if key is not None:
            records: tuple[KeyRecord, ...] = (store.resolve(OPERATOR, key),)
        else:
            records = tuple(
                record
                for record in store.list(OPERATOR, with_revoked=True)
                if record.principal.budgeted
            )
        known = _fold(database_path(chosen))
    _show(records, known, as_json=as_json)


@app.command()
def grant(
    *,
    key: KeyArgument,
    usd: Annotated[str, typer.Option(metavar="X", help="Dollars to add; negative to take away.")],
    config: ConfigOption = None,
    note: Annotated[str, typer.Option(help="Why, for the ledger.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Add to a key's budget. A key without one is under a hard budget from then on."""
    nano = nano_of_usd(usd, "--usd", may_be_negative=True)
    chosen = settings(config)
    with database(chosen) as connection:
        record = KeyStore(connection).resolve(OPERATOR, key)
        _grant(connection, record, nano, note)
    _show_one(chosen, record, as_json=as_json)


@app.command("set")
def set_budget(
    *,
    key: KeyArgument,
    usd: Annotated[str, typer.Option(metavar="X", help="The whole budget, spent part included.")],
    config: ConfigOption = None,
    note: Annotated[str, typer.Option(help="Why, for the ledger.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a key's budget X dollars in all, by granting the difference."""
    nano = nano_of_usd(usd, "--usd")
    chosen = settings(config)
    with database(chosen) as connection:
        record = KeyStore(connection).resolve(OPERATOR, key)
        before = _fold(database_path(chosen)).get(record.principal.key_id)
        _grant(connection, record, nano - (before.granted_nano if before else 0), note)
    _show_one(chosen, record, as_json=as_json)


def _fold(path: Path) -> dict[str, Budget]:
    return budgets(entries(rows(path)))


def _grant(connection: Connection, record: KeyRecord, nano: int, note: str) -> None:
    """Write a grant; only then put the key under its budget."""
    key_id = record.principal.key_id
    if nano:
        entry = further_grant(
            OPERATOR,
            key_id,
            nano,
            id_=ids().new("grant"),
            at_ns=time.time_ns(),
            note=note[:NOTE_CHARS_MAX],
        )
        append_now(connection, [entry])
    if not record.principal.budgeted:
        KeyStore(connection).set_budgeted(OPERATOR, key_id)


def _show_one(config: Config, record: KeyRecord, *, as_json: bool) -> None:
    _show((record,), _fold(database_path(config)), as_json=as_json)


def _show(records: tuple[KeyRecord, ...], known: dict[str, Budget], *, as_json: bool) -> None:
    lines = []
    for record in records:
        who = record.principal
        budget = known.get(who.key_id) or nothing_granted(who.key_id)
        lines.append(
            {
                "key": who.key_id,
                "name": who.name,
                "currency": budget.asset,
                "granted": format_nano(budget.granted_nano),
                "spent": format_nano(budget.spent_nano),
                "held": format_nano(budget.held_nano),
                "available": format_nano(budget.available_nano),
            }
        )
    if as_json:
        say_json(lines)
        return
    titles = ("KEY", "NAME", "CURRENCY", "GRANTED", "SPENT", "HELD", "AVAILABLE")
    say_table(titles, [tuple(line.values()) for line in lines])
