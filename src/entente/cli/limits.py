"""`entente limits add | list | set | end`: how much anybody may use, in any window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from entente.auth import OPERATOR, KeyStore
from entente.cli.amounts import nano_of_usd
from entente.cli.base import (
    ConfigOption,
    JsonOption,
    base_of,
    check_models,
    database,
    say,
    say_json,
    say_table,
    settings,
)
from entente.control.audit import Audit
from entente.control.exchange import Rates
from entente.control.price_shelf import PriceShelf
from entente.control.rules import RuleRecord, Rules, RuleWish
from entente.domain.errors import InvalidParameter
from entente.domain.rules import EACH, Level, Unit
from entente.domain.windows import UTC_NAME, Window

if TYPE_CHECKING:
    from entente.config import Config
    from entente.control.table import Page
    from entente.db import Database

LISTED_MAX: Final = 100_000
USD: Final = "USD"

app = typer.Typer(
    help="Limit spend, requests, tokens and requests at once, for anybody.", no_args_is_help=True
)

ScopeArgument = Annotated[
    str,
    typer.Argument(
        metavar="SCOPE",
        help="organization, or LEVEL:NAME with the levels project, model, tag, user, end_user and "
        "key; the name * stands for each one.",
    ),
]
RuleArgument = Annotated[str, typer.Argument(metavar="RULE", help="Its id.")]
SpendOption = Annotated[
    str | None, typer.Option(metavar="X", help="At most so much money: a budget.")
]
RequestsOption = Annotated[int | None, typer.Option(metavar="N", help="At most so many requests.")]
TokensOption = Annotated[int | None, typer.Option(metavar="N", help="At most so many tokens.")]
AtOnceOption = Annotated[
    int | None, typer.Option("--at-once", metavar="N", help="At most so many requests at once.")
]
SoftOption = Annotated[
    bool | None,
    typer.Option("--soft/--hard", help="Only tell of what goes beyond; else it is refused."),
]
TellOption = Annotated[
    str | None,
    typer.Option("--tell-at", metavar="P,P", help="Percentages of the amount to be told of."),
]


@app.command()
def add(
    *,
    scope: ScopeArgument,
    spend: SpendOption = None,
    requests: RequestsOption = None,
    tokens: TokensOption = None,
    at_once: AtOnceOption = None,
    window: Annotated[
        Window | None, typer.Option(help="The calendar window that it is for; else for ever.")
    ] = None,
    zone: Annotated[str, typer.Option(help="Time zone of the calendar.")] = UTC_NAME,
    currency: Annotated[str, typer.Option(help="What money is counted in.")] = USD,
    soft: SoftOption = None,
    tell_at: TellOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a limit."""
    unit, amount = _amount(spend, requests, tokens, at_once)
    chosen = settings(config)
    with database(chosen, make=True) as opened:
        level, name = _scope(opened, scope)
        if level is Level.MODEL and name not in ("", EACH):
            check_models(chosen, (name,), "SCOPE")
        wish = RuleWish(
            level=level,
            name=name,
            unit=unit,
            amount=amount,
            window=window or Window.LIFETIME,
            zone=zone,
            asset=currency if unit is Unit.SPEND else "",
            hard=not soft,
            thresholds=_thresholds(tell_at) or (),
        )
        made = _rules(opened).make(OPERATOR, wish)
        if unit is Unit.SPEND and currency not in _currencies(chosen, opened):
            typer.echo(_unknown_currency(currency, hard=wish.hard), err=True)
    _say(made, as_json=as_json)


@app.command("list")
def list_limits(
    *,
    ended: Annotated[bool, typer.Option("--all", help="Those that were ended, too.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the limits in force."""
    with database(settings(config)) as opened:
        page: Page[RuleRecord] = _rules(opened).list(OPERATOR, limit=LISTED_MAX, ended=ended)
    if as_json:
        say_json([record.view() for record in page.found])
        return
    titles = ("ID", "SCOPE", "AT MOST", "WINDOW", "KIND", "TELLS AT")
    say_table(titles, [_line(record) for record in page.found])


@app.command("set")
def set_limit(
    *,
    rule: RuleArgument,
    spend: SpendOption = None,
    requests: RequestsOption = None,
    tokens: TokensOption = None,
    at_once: AtOnceOption = None,
    soft: SoftOption = None,
    tell_at: TellOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a limit; what was used of it in this window stays used."""
    given = any(value is not None for value in (spend, requests, tokens, at_once))
    with database(settings(config)) as opened:
        rules = _rules(opened)
        amount = None
        if given:
            unit, amount = _amount(spend, requests, tokens, at_once)
            found = rules.get(OPERATOR, rule).rule.unit
            if unit is not found:
                raise _invalid("rule", f"{rule} limits {found}, not {unit}: add another limit.")
        changed = rules.change(
            OPERATOR,
            rule,
            amount=amount,
            hard=None if soft is None else not soft,
            thresholds=_thresholds(tell_at),
        )
    _say(changed, as_json=as_json)


@app.command()
def end(
    *,
    rule: RuleArgument,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a limit out of force, for good."""
    with database(settings(config)) as opened:
        ended = _rules(opened).end(OPERATOR, rule)
    _say(ended, as_json=as_json)


def _rules(opened: Database) -> Rules:
    base = base_of(opened)
    return Rules(base, Audit(base))


def _currencies(chosen: Config, opened: Database) -> set[str]:
    """Give the currencies of the settings' prices, of books in force or to come, and of rates."""
    base = base_of(opened)
    found = {model.price.currency for model in chosen.models.values() if model.price is not None}
    for _, book in PriceShelf(opened).load(base.now_ns()).books:
        found |= {line.currency for line in book.lines} if book is not None else set()
    for rate in Rates(base, Audit(base)).list():
        found |= {rate.base, rate.quote}
    return found


def _unknown_currency(currency: str, *, hard: bool) -> str:
    """Say what a budget in a currency of which nothing is known does."""
    does = "refuses what it is for with 403" if hard else "counts nothing"
    return (
        f"No price and no rate of exchange is in {currency}: until there is one, this limit "
        f"{does}. See `entente rates set`, or end it and add one in another currency."
    )


def _amount(
    spend: str | None, requests: int | None, tokens: int | None, at_once: int | None
) -> tuple[Unit, int]:
    """Read which of the four was given. Raises InvalidParameter unless it is one."""
    given = {
        Unit.SPEND: None if spend is None else nano_of_usd(spend, "--spend"),
        Unit.REQUESTS: requests,
        Unit.TOKENS: tokens,
        Unit.CONCURRENCY: at_once,
    }
    found = [(unit, amount) for unit, amount in given.items() if amount is not None]
    if len(found) != 1:
        raise _invalid("spend", "Give one of --spend, --requests, --tokens and --at-once.")
    return found[0]


def _scope(opened: Database, text: str) -> tuple[Level, str]:
    """Read `project:alpha`; a key goes by its id, its name or the start of its id."""
    level, _, name = text.partition(":")
    try:
        found = Level(level)
    except ValueError:
        known = ", ".join(Level)
        raise _invalid("scope", f"{level!r} is not a level; there are {known}.") from None
    if found is Level.KEY and name not in ("", EACH):
        name = KeyStore(opened).resolve(OPERATOR, name).principal.key_id
    return found, name


def _thresholds(text: str | None) -> tuple[int, ...] | None:
    """Read `50,80,100`."""
    if text is None:
        return None
    try:
        return tuple(sorted({int(part) for part in text.split(",") if part.strip()}))
    except ValueError:
        raise _invalid("tell_at", "--tell-at takes whole percentages, such as 50,80,100.") from None


def _line(record: RuleRecord) -> tuple[str, ...]:
    """Write a rule as a row."""
    view = record.view()
    scope = f"{view.level}:{view.name}" if view.name else str(view.level)
    what = view.currency or str(view.unit).replace("concurrency", "requests at once")
    window = str(view.window) if view.zone == UTC_NAME else f"{view.window} in {view.zone}"
    kind = "ended" if view.ended else "hard" if view.hard else "soft"
    tells = ", ".join(f"{percent} %" for percent in view.thresholds) or "-"
    return (view.id, scope, f"{view.amount} {what}", window, kind, tells)


def _say(record: RuleRecord, *, as_json: bool) -> None:
    if as_json:
        say_json(record.view())
        return
    id_, scope, amount, window, kind, tells = _line(record)
    told = f", tells at {tells}" if record.view().thresholds else ""
    say(f"{id_}: {scope} may use {amount} ({window}, {kind}{told})")


def _invalid(param: str, message: str) -> InvalidParameter:
    return InvalidParameter(message, param=param, code=None)
