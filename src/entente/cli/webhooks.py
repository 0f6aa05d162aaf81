"""`entente webhooks add | list | set | remove | test | deliveries | redeliver`."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from msgspec import UNSET

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
from entente.control.events import EventType
from entente.control.webhooks import SUBSCRIBABLE, DeliveryView, Webhooks, WebhookView
from entente.domain.errors import InvalidParameter

if TYPE_CHECKING:
    from entente.config import Config
    from entente.control.table import Page
    from entente.db import Database

LISTED_DEFAULT: Final = 100
LISTED_MAX: Final = 10_000
ALL: Final = "all"

app = typer.Typer(help="Tell others what happens.", no_args_is_help=True)

WebhookArgument = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id.")]
EventsOption = Annotated[
    str | None, typer.Option(metavar="E,…", help="Kinds of events, with commas; `all` for all.")
]


@app.command()
def add(
    *,
    url: Annotated[str, typer.Argument(help="Where events are sent, by HTTPS.")],
    events: EventsOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a webhook and show its secret, this one time."""
    chosen = settings(config)
    with database(chosen, make=True) as opened:
        made = _webhooks(opened, chosen).add(OPERATOR, url, _events(events) or ())
    if as_json:
        shown = msgspec.to_builtins(made.webhook)
        say_json({**shown, "secret": made.secret.reveal()})
    else:
        say(made.secret.reveal())


@app.command("list")
def list_webhooks(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the webhooks, without their secrets."""
    chosen = settings(config)
    with database(chosen) as opened:
        page: Page[WebhookView] = _webhooks(opened, chosen).list(OPERATOR, limit=LISTED_MAX)
    if as_json:
        say_json(list(page.found))
        return
    _table(*page.found)


@app.command("set")
def set_webhook(
    *,
    webhook: WebhookArgument,
    url: Annotated[str | None, typer.Option(help="Where events are sent from now on.")] = None,
    events: EventsOption = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Let it rest, or end that.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a webhook; its secret stays."""
    chosen = settings(config)
    wanted = _events(events)
    with database(chosen) as opened:
        changed = _webhooks(opened, chosen).change(
            OPERATOR,
            webhook,
            url=UNSET if url is None else url,
            events=UNSET if wanted is None else wanted,
            enabled=UNSET if enabled is None else enabled,
        )
    if as_json:
        say_json(changed)
    else:
        _table(changed)


@app.command()
def remove(
    *, webhook: WebhookArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Remove a webhook; what waits for it is not delivered."""
    chosen = settings(config)
    with database(chosen) as opened:
        removed = _webhooks(opened, chosen).remove(OPERATOR, webhook)
    if as_json:
        say_json(removed)
    else:
        say(f"Removed {removed.id} ({removed.url}).")


@app.command("test")
def send_test(
    *, webhook: WebhookArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Send a webhook an event of its own. A running server delivers it within a second."""
    chosen = settings(config)
    with database(chosen) as opened:
        delivery = _webhooks(opened, chosen).test(OPERATOR, webhook)
    _say_delivery(delivery, as_json=as_json)


@app.command()
def deliveries(
    *,
    webhook: Annotated[str | None, typer.Option(metavar="ID", help="Of one webhook.")] = None,
    state: Annotated[
        str | None, typer.Option(metavar="S", help="pending, delivered or dead.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=LISTED_MAX, help="How many, newest first.")
    ] = LISTED_DEFAULT,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List deliveries of the last 30 days, newest first."""
    chosen = settings(config)
    with database(chosen) as opened:
        page = _webhooks(opened, chosen).deliveries(
            OPERATOR, limit=limit, webhook=webhook, state=state
        )
    if as_json:
        say_json(list(page.found))
        return
    titles = ("ID", "EVENT", "TYPE", "STATE", "ATTEMPTS", "STATUS", "CREATED", "TROUBLE")
    rows = [
        (each.id, each.event, each.type, each.state, str(each.attempts), str(each.status or "-"),
         each.created[:19] + "Z", each.trouble or "-")
        for each in page.found
    ]  # fmt: skip
    say_table(titles, rows)


@app.command()
def redeliver(
    *,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send an event again, as a delivery of its own."""
    chosen = settings(config)
    with database(chosen) as opened:
        again = _webhooks(opened, chosen).redeliver(OPERATOR, delivery)
    _say_delivery(again, as_json=as_json)


def _webhooks(opened: Database, chosen: Config) -> Webhooks:
    base = base_of(opened)
    return Webhooks(
        base,
        Audit(base),
        token_bytes=secrets.token_bytes,
        allow_private=chosen.webhooks.allow_private,
    )


def _events(text: str | None) -> tuple[EventType, ...] | None:
    """Read kinds of events; no text is None, `all` is none in particular."""
    if text is None:
        return None
    if text == ALL:
        return ()
    try:
        return tuple(EventType(part.strip()) for part in text.split(","))
    except ValueError as error:
        names = ", ".join(sorted(SUBSCRIBABLE))
        message = f"--events: {error}. There are {names}, and {ALL}."
        raise InvalidParameter(message, param="events", code=None) from None


def _table(*found: WebhookView) -> None:
    rows = [
        (each.id, each.url, ",".join(each.events) or ALL, "no" if each.disabled else "yes",
         each.created[:19] + "Z")
        for each in found
    ]  # fmt: skip
    say_table(("ID", "URL", "EVENTS", "ENABLED", "CREATED"), rows)


def _say_delivery(delivery: DeliveryView, *, as_json: bool) -> None:
    if as_json:
        say_json(delivery)
    else:
        say(f"{delivery.id} is on its way to {delivery.webhook}.")
