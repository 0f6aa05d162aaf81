"""`entente keys create | list | revoke`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from entente.auth import OPERATOR, KeyRecord
from entente.cli.amounts import nano_of_usd
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    database,
    keys_of,
    say,
    say_json,
    say_table,
    settings,
)
from entente.config.problems import did_you_mean
from entente.control.budgets import initial_grant
from entente.control.keys import KeyWish, NewKey
from entente.control.reports import utc
from entente.domain.errors import InvalidParameter, LedgerError
from entente.domain.principal import DEFAULT_PROJECT, Role
from entente.ledger.table import append_now

if TYPE_CHECKING:
    from sqlite3 import Connection

app = typer.Typer(help="Make, list and revoke keys.", no_args_is_help=True)


@app.command()
def create(
    *,
    config: ConfigOption = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    budget_usd: Annotated[
        str | None, typer.Option(metavar="X", help="A hard budget in US dollars, such as 12.50.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="M", help="A model it may use; may be repeated.")
    ] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests per minute.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens per minute.")] = None,
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.MEMBER,
    project: Annotated[
        str, typer.Option(metavar="P", help="Whose stored objects it shares.")
    ] = DEFAULT_PROJECT,
    as_json: JsonOption = False,
) -> None:
    """Make a key and show it, this one time."""
    nano = None if budget_usd is None else nano_of_usd(budget_usd, "--budget-usd")
    wish = KeyWish(
        name=name,
        role=role,
        project=project,
        budgeted=nano is not None,
        models=tuple(model) if model else None,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
    )
    chosen = settings(config)
    for named in model or ():
        if named not in chosen.models:
            hint = did_you_mean(named, chosen.models) or " `entente models` lists them."
            raise InvalidParameter(
                f"--model: the settings have no model {named!r}.{hint}", param="model", code=None
            )
    with database(chosen, make=True) as connection:
        made = _made(connection, wish, nano)
    if as_json:
        say_json({**_as_json(made.record), "key": made.secret.reveal()})
    else:
        say(made.secret.reveal())


def _made(connection: Connection, wish: KeyWish, budget_nano: int | None) -> NewKey:
    """Make a key and grant its budget; a key whose grant fails is revoked again."""
    keys = keys_of(connection)
    made = keys.create(OPERATOR, wish)
    if not budget_nano:
        return made
    key_id = made.record.principal.key_id
    entry = initial_grant(OPERATOR, key_id, budget_nano, at_ns=time.time_ns())
    try:
        append_now(connection, [entry])
    except LedgerError:
        keys.revoke(OPERATOR, key_id)
        raise
    return made


_HEADINGS: Final = (
    *("ID", "NAME", "ROLE", "PROJECT", "KEY", "MODELS", "BUDGET", "RPM", "TPM"),
    *("CREATED", "REVOKED"),
)


@app.command("list")
def list_keys(
    *,
    config: ConfigOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Revoked ones too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the keys, without their secrets."""
    with database(settings(config)) as connection:
        records = keys_of(connection).list(OPERATOR, with_revoked=everything)
    if as_json:
        say_json([_as_json(record) for record in records])
        return
    say_table(
        _HEADINGS,
        [_row(record) for record in records],
    )


@app.command()
def revoke(
    *,
    key: Annotated[str, typer.Argument(help="Its id, its name, or the start of its id.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key. A running server stops accepting it within a second."""
    with database(settings(config)) as connection:
        record = keys_of(connection).revoke(OPERATOR, key)
    if as_json:
        say_json(_as_json(record))
    else:
        say(f"Revoked {record.principal.key_id} ({record.principal.name}).")


def _as_json(record: KeyRecord) -> dict[str, object]:
    who = record.principal
    return {
        "id": who.key_id,
        "name": who.name,
        "role": who.role,
        "project": who.project,
        "hint": record.hint,
        "budgeted": who.budgeted,
        "models": who.models,
        "requests_per_minute": who.requests_per_minute,
        "tokens_per_minute": who.tokens_per_minute,
        "created": utc(record.created_ns),
        "revoked": None if record.revoked_ns is None else utc(record.revoked_ns),
    }


def _row(record: KeyRecord) -> tuple[str, ...]:
    who = record.principal
    return (
        who.key_id,
        who.name,
        who.role,
        who.project,
        record.hint,
        "all" if who.models is None else ",".join(who.models),
        "hard" if who.budgeted else "none",
        str(who.requests_per_minute or "-"),
        str(who.tokens_per_minute or "-"),
        utc(record.created_ns)[:19] + "Z",
        "-" if record.revoked_ns is None else utc(record.revoked_ns)[:19] + "Z",
    )
