"""`entente budgets show | grant | set`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from entente.auth import OPERATOR, KeyStore
from entente.cli.amounts import nano_of_usd
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    base_of,
    database,
    ids,
    say_json,
    say_table,
    settings,
)
from entente.control.audit import Audit
from entente.control.budgets import (
    Budget,
    brought_forward,
    check_change,
    further_grant,
)
from entente.control.granting import granting_on
from entente.control.grants import note_grant
from entente.domain.money import format_nano

if TYPE_CHECKING:
    from collections.abc import Callable

    from entente.auth import KeyRecord
    from entente.config import Config

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
    with database(chosen) as opened:
        store = KeyStore(opened)
        if key is not None:
            records: tuple[KeyRecord, ...] = (store.resolve(OPERATOR, key),)
        else:
            records = tuple(
                record
                for record in store.list(OPERATOR, with_revoked=True)
                if record.principal.budgeted
            )
        budgets = granting_on(opened).budgets([record.principal.key_id for record in records])
    _show(records, budgets, as_json=as_json)


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
    _change(settings(config), key, lambda _: nano, note=note, as_json=as_json)


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
    _change(
        settings(config),
        key,
        lambda before: nano - before.granted_nano,
        note=note,
        as_json=as_json,
    )


def _change(
    config: Config, key: str, change: Callable[[Budget], int], *, note: str, as_json: bool
) -> None:
    """Grant what `change` makes of the budget so far; only then put the key under it."""
    with database(config) as opened:
        store = KeyStore(opened)
        record = store.resolve(OPERATOR, key)
        key_id = record.principal.key_id
        granting = granting_on(opened)
        before = granting.budget(key_id)  # takes a while, and all writers wait for what follows
        with opened.transaction():
            before = brought_forward(before, granting.granted(key_id))
            nano = change(before)
            check_change(before, nano)
            if nano:
                grant_id = ids().new("grant")
                entry = further_grant(
                    OPERATOR, key_id, nano, id_=grant_id, at_ns=time.time_ns(), note=note
                )
                granting.append(entry)
                note_grant(Audit(base_of(opened)), OPERATOR, before, entry)
            if nano or not record.principal.budgeted:
                store.set_budgeted(OPERATOR, key_id)
        after = granting.budgets((key_id,))
    _show((record,), after, as_json=as_json)


def _show(records: tuple[KeyRecord, ...], budgets: list[Budget], *, as_json: bool) -> None:
    lines = []
    for record, budget in zip(records, budgets, strict=True):
        who = record.principal
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
