"""`entente db migrate | check | backup | restore | copy | release`: care of the database."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from entente.cli.base import (
    ConfigOption,
    JsonOption,
    database_path,
    environment,
    existing_file,
    say,
    say_json,
    settings,
)
from entente.config.secrets import text_or_reference
from entente.control.reports import utc
from entente.db import backup as folders
from entente.db import connect, locked, migrate
from entente.db.address import address_of
from entente.db.schema import MIGRATIONS
from entente.domain.errors import InvalidParameter, LedgerCorrupt
from entente.ledger.journal import verify
from entente.ledger.reader import repeated, rows
from entente.objects import FOLDER_NAME, OBJECTS_NAME

if TYPE_CHECKING:
    from types import ModuleType

    from entente.control.hosts import GivenUp
    from entente.db.archive import Manifest
    from entente.ledger.postgres_ending import Waiting
    from entente.ledger.postgres_months import MonthState

app = typer.Typer(help="Care for the database.", no_args_is_help=True)


@app.command("migrate")
def bring_forward(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Bring the schema forward. `serve` does so, too, at its start."""
    chosen = settings(config)
    if chosen.ledger.url is not None:
        before, after = _work().migrate(chosen.ledger.url)
    else:
        path = existing_file(chosen)
        before, _ = folders.state_of(path)
        with closing(connect(path)) as connection:
            migrate(connection)
        after, _ = folders.state_of(path)
    if as_json:
        say_json({"from": before, "to": after})
    elif before == after:
        say(f"schema {after}: nothing to do")
    else:
        say(f"schema {before} is now {after}")


@app.command()
def check(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check the file, the schema's version, and the whole journal. A server may be running.

    With PostgreSQL: say of each month whether its partition may be dropped.
    """
    chosen = settings(config)
    url = chosen.ledger.url
    schema, entries, head, found = (
        _check(existing_file(chosen)) if url is None else _work().check(url)
    )
    months: tuple[MonthState, ...] = () if url is None else _work().months(url)
    if as_json:
        said = {"ok": not found, "schema": schema, "entries": entries, "head": head}
        told = {} if url is None else {"months": [_month_as_json(each) for each in months]}
        say_json({**said, **told, "problems": found})
    else:
        if not found:
            say(f"ok: schema {schema}, {entries} entries, head {head[:16]}")
        for each in months:
            say(f"{each.table}: {_month_in_words(each)}")
    if found:
        raise LedgerCorrupt("\n".join(f"the database is not in order: {what}." for what in found))


def _month_as_json(month: MonthState) -> dict[str, object]:
    return {
        "partition": month.table,
        "may_be_dropped": month.may_be_dropped,
        "over": month.is_over,
        "open_chains": list(month.writers),
    }


def _month_in_words(month: MonthState) -> str:
    """Say whether a month's partition may be dropped, and what it waits for."""
    if not month.is_over:
        return "not to be dropped: the month goes on"
    if month.writers:
        chains = ", ".join(month.writers)
        return f"not to be dropped: chains are open that stopping their servers ends: {chains}"
    return "its chains are closed: it may be dropped once it is exported and verified"


def _check(path: Path) -> tuple[int, int, str, list[str]]:
    found = folders.faults(path)
    schema, (_, head) = folders.state_of(path)
    if schema != len(MIGRATIONS):
        found.append(f"the schema is {schema}, this program's is {len(MIGRATIONS)}: migrate it")
    entries = 0
    if schema:
        report, _ = verify(rows(path))
        entries = report.entries
        found += [*report.problems, *repeated(path)]
    return schema, entries, head, found


@app.command()
def backup(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The backup, a new file.")],
    *,
    files: Annotated[
        bool, typer.Option("--files", help="With the bytes of files that clients have stored.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a backup of all that the database holds. A server may be running."""
    chosen = settings(config)
    if chosen.ledger.url is not None:
        if files:
            message = "--files: they are in the data folder; back that up by itself."
            raise InvalidParameter(message, param="--files", code=None)
        manifest = _work().backup(chosen.ledger.url, out)
    else:
        folder = existing_file(chosen).parent
        manifest = folders.back_up(
            folder,
            out,
            beside=(OBJECTS_NAME,),
            files=folder / FOLDER_NAME if files else None,
            now_ns=time.time_ns(),
        )
    _tell(f"wrote {out}", manifest, as_json=as_json)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup where the settings say: a data folder without database and server.

    With PostgreSQL, a database that is empty.
    """
    chosen = settings(config)
    if chosen.ledger.url is not None:
        manifest, place = _work().restore(source, chosen.ledger.url), f"{chosen.ledger.url}"
    else:
        folder = database_path(chosen).parent
        manifest, place = folders.restore(source, folder), f"{folder}"
    _tell(f"restored {source} to {place}", manifest, as_json=as_json)


@app.command()
def copy(
    *,
    to: Annotated[
        str,
        typer.Option("--to", metavar="URL", help="The empty database; or env:NAME or file:PATH."),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the data folder's database into PostgreSQL, and verify that it is the same there."""
    chosen = settings(config)
    path = existing_file(chosen)
    try:
        address = address_of(text_or_reference(to, environment(), Path()))
    except ValueError as error:
        raise InvalidParameter(f"--to: {error}.", param="--to", code=None) from error
    with locked(path.parent):
        report = _work().move(path, address)
    if as_json:
        say_json({"to": f"{address}", **msgspec.to_builtins(report)})
        return
    say(
        f"copied to {address}: {report.entries} entries, {report.requests} requests, head "
        f"{report.head[:16]}, verified; name it as ledger.url"
    )


@app.command()
def release(
    host: Annotated[
        str | None, typer.Argument(metavar="HOST", help="The host; without it they are listed.")
    ] = None,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give up a host whose disk is gone, so that its chains of the ledger can end.

    Without a host: list those for which chains wait.
    """
    chosen = settings(config)
    if chosen.ledger.url is None:
        message = "A SQLite ledger is on one host, which has no spool: there is nothing to give up."
        raise InvalidParameter(message, param="HOST", code=None)
    if host is None:
        _list_waiting(_work().waiting(chosen.ledger.url), as_json=as_json)
        return
    done: GivenUp | None = _work().release(chosen.ledger.url, host)
    if done is None:
        message = (
            f"No chain waits for the host {host}: it has ended its own, or its workers are "
            "connected. `entente db release` lists the hosts for which some do."
        )
        raise InvalidParameter(message, param="HOST", code=None)
    if as_json:
        say_json(done)
        return
    say(
        f"gave {host} up: chains ended: {len(done.chains)}, open holds settled at their bounds: "
        f"{done.settled_holds}; its loans are back. What it spent in its last `spool_s` without "
        "the database is not recorded, unless entente starts there once more with its data folder"
    )


def _list_waiting(found: tuple[Waiting, ...], *, as_json: bool) -> None:
    """Show hosts, with the writers of their chains."""
    if as_json:
        say_json(
            [
                {"host": each.host, "writers": each.writers, "since": utc(each.opened_ns)}
                for each in found
            ]
        )
        return
    for each in found:
        say(f"{each.host}  left by {', '.join(each.writers)}")
    if not found:
        say("no chain waits for a host")


def _work() -> ModuleType:
    # PostgreSQL's driver is an extra of the installation.
    from entente.cli import db_postgres  # noqa: PLC0415

    return db_postgres


def _tell(what: str, manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        say_json(manifest)
        return
    heads = [head[:16] for _, head in manifest.heads.values()]
    ends = f"head {heads[0]}" if len(heads) == 1 else f"{len(heads)} chains"
    say(
        f"{what}: made {utc(manifest.made_ns)}, schema {manifest.schema}, "
        f"{manifest.entries} entries, {ends}"
    )
