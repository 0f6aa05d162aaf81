"""`entente keys create | list | set | rotate | revoke`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from msgspec import UNSET

from entente.auth import OPERATOR, KeyRecord
from entente.cli.amounts import nano_of_usd
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    base_of,
    check_models,
    database,
    keys_of,
    say,
    say_json,
    say_table,
    settings,
)
from entente.control.audit import Audit
from entente.control.budgets import initial_grant, nothing_granted
from entente.control.grants import note_grant
from entente.control.key_forms import KeyChange, KeyWish, view
from entente.control.times import moment_ns, span_s
from entente.domain.errors import InvalidParameter
from entente.domain.principal import DEFAULT_PROJECT, Role
from entente.ledger.appending import append_now

if TYPE_CHECKING:
    from entente.control.keys import NewKey
    from entente.db import Database

NOTHING: Final = "none"
"""What takes an attribute away."""

app = typer.Typer(help="Make, list, change and revoke keys.", no_args_is_help=True)

KeyArgument = Annotated[str, typer.Argument(help="Its id, its name, or the start of its id.")]
ModelOption = Annotated[
    list[str] | None, typer.Option(metavar="M", help="A model it may use; may be repeated.")
]
UserOption = Annotated[str | None, typer.Option(metavar="U", help="Who it is given to.")]
TagsOption = Annotated[
    str | None, typer.Option(metavar="T,…", help="What its requests are counted under besides.")
]
FactorOption = Annotated[
    str | None,
    typer.Option(metavar="F", help="The part of each price that it is charged, such as 1.15."),
]
ExpiresOption = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="When it ends: 30d, 2027-01-31, or an instant."),
]


@app.command()
def create(
    *,
    config: ConfigOption = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    budget_usd: Annotated[
        str | None, typer.Option(metavar="X", help="A hard budget in US dollars, such as 12.50.")
    ] = None,
    model: ModelOption = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests per minute.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens per minute.")] = None,
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.MEMBER,
    project: Annotated[
        str, typer.Option(metavar="P", help="The project that it belongs to.")
    ] = DEFAULT_PROJECT,
    user: UserOption = None,
    tags: TagsOption = None,
    expires: ExpiresOption = None,
    price_factor: FactorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and show it, this one time."""
    nano = None if budget_usd is None else nano_of_usd(budget_usd, "--budget-usd")
    wish = KeyWish(
        name=name,
        role=role,
        project=project,
        user=user,
        tags=_tags(tags or ""),
        expires_ns=None if expires is None else moment_ns(expires, "--expires", time.time_ns()),
        budgeted=nano is not None,
        models=tuple(model) if model else None,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        price_factor=price_factor,
    )
    chosen = settings(config)
    check_models(chosen, model or (), "--model")
    with database(chosen, make=True) as opened:
        made = _made(opened, wish, nano)
    _say_made(made, as_json=as_json)


def _say_made(made: NewKey, *, as_json: bool) -> None:
    """Show a secret, this one time."""
    if as_json:
        shown = msgspec.to_builtins(view(made.record))
        say_json({**shown, "key": made.secret.reveal()})
    else:
        say(made.secret.reveal())


def _made(opened: Database, wish: KeyWish, budget_nano: int | None) -> NewKey:
    """Make a key and grant its budget: both, or neither."""
    keys = keys_of(opened)
    with opened.transaction():
        made = keys.create(OPERATOR, wish)
        if budget_nano:
            key_id = made.record.principal.key_id
            entry = initial_grant(OPERATOR, key_id, budget_nano, at_ns=time.time_ns())
            append_now(opened, [entry])
            note_grant(Audit(base_of(opened)), OPERATOR, nothing_granted(key_id), entry)
    return made


_HEADINGS: Final = (
    *("ID", "NAME", "ROLE", "PROJECT", "USER", "TAGS", "KEY", "MODELS", "BUDGET"),
    *("RPM", "TPM", "PRICES", "CREATED", "EXPIRES", "REVOKED"),
)


@app.command("list")
def list_keys(
    *,
    config: ConfigOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Revoked ones too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the keys, without their secrets."""
    with database(settings(config)) as opened:
        records = keys_of(opened).list(OPERATOR, with_revoked=everything)
    if as_json:
        say_json([view(record) for record in records])
        return
    say_table(
        _HEADINGS,
        [_row(record) for record in records],
    )


@app.command("set")
def set_key(
    *,
    key: KeyArgument,
    config: ConfigOption = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    model: ModelOption = None,
    rpm: Annotated[str | None, typer.Option(metavar="N", help="Requests per minute.")] = None,
    tpm: Annotated[str | None, typer.Option(metavar="N", help="Tokens per minute.")] = None,
    user: UserOption = None,
    tags: TagsOption = None,
    expires: ExpiresOption = None,
    price_factor: FactorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a key; `none` takes an attribute away. A running server goes by it in a second."""
    chosen = settings(config)
    if model and list(model) != [NOTHING]:
        check_models(chosen, model, "--model")
    change = KeyChange(
        name=UNSET if name is None else name,
        user=UNSET if user is None else None if user == NOTHING else user,
        tags=UNSET if tags is None else _tags(tags),
        expires_ns=(
            UNSET
            if expires is None
            else None
            if expires == NOTHING
            else moment_ns(expires, "--expires", time.time_ns())
        ),
        models=UNSET if not model else None if list(model) == [NOTHING] else tuple(model),
        requests_per_minute=UNSET if rpm is None else _limit(rpm, "--rpm"),
        tokens_per_minute=UNSET if tpm is None else _limit(tpm, "--tpm"),
        price_factor=(
            UNSET if price_factor is None else None if price_factor == NOTHING else price_factor
        ),
    )
    with database(chosen) as opened:
        record = keys_of(opened).change(OPERATOR, key, change)
    if as_json:
        say_json(view(record))
    else:
        say_table(_HEADINGS, [_row(record)])


@app.command()
def rotate(
    *,
    key: KeyArgument,
    grace: Annotated[
        str, typer.Option(metavar="SPAN", help="How long the old secret is good for.")
    ] = "24h",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a key another secret and show it, this one time."""
    grace_s = span_s(grace, "--grace")
    with database(settings(config)) as opened:
        made = keys_of(opened).rotate(OPERATOR, key, grace_s=grace_s)
    _say_made(made, as_json=as_json)


@app.command()
def revoke(
    *,
    key: KeyArgument,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key. A running server stops accepting it within a second."""
    with database(settings(config)) as opened:
        record = keys_of(opened).revoke(OPERATOR, key)
    if as_json:
        say_json(view(record))
    else:
        say(f"Revoked {record.principal.key_id} ({record.principal.name}).")


def _tags(text: str) -> tuple[str, ...]:
    return () if text in ("", NOTHING) else tuple(tag.strip() for tag in text.split(","))


def _limit(text: str, option: str) -> int | None:
    """Read a limit or `none`. Raises InvalidParameter."""
    if text == NOTHING:
        return None
    if not (text.isascii() and text.isdigit()):
        message = f"{option} must be a whole number, or {NOTHING} for no limit."
        raise InvalidParameter(message, param=option, code=None)
    return int(text)


def _row(record: KeyRecord) -> tuple[str, ...]:
    who, shown = record.principal, view(record)
    return (
        who.key_id,
        who.name,
        who.role,
        who.project,
        who.user or "-",
        ",".join(who.tags) or "-",
        record.hint,
        "all" if who.models is None else ",".join(who.models),
        "hard" if who.budgeted else "none",
        str(who.requests_per_minute or "-"),
        str(who.tokens_per_minute or "-"),
        shown.price_factor or "-",
        *(
            moment[:19] + "Z" if moment else "-"
            for moment in (shown.created, shown.expires, shown.revoked)
        ),
    )
