"""`entente db migrate | check | backup | restore`: care of the database."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entente.cli.base import (
    ConfigOption,
    JsonOption,
    database_path,
    existing_file,
    say,
    say_json,
    settings,
)
from entente.control.reports import utc
from entente.db import backup as folders
from entente.db import connect, migrate
from entente.db.schema import MIGRATIONS
from entente.domain.errors import LedgerCorrupt
from entente.ledger.journal import verify
from entente.ledger.reader import repeated, rows
from entente.objects import FOLDER_NAME, OBJECTS_NAME

if TYPE_CHECKING:
    from entente.db.archive import Manifest

app = typer.Typer(help="Care for the database.", no_args_is_help=True)


@app.command("migrate")
def bring_forward(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Bring the schema forward. `serve` does so, too, at its start."""
    path = existing_file(settings(config))
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
    """Check the file, the schema's version, and the whole journal. A server may be running."""
    path = existing_file(settings(config))
    found = folders.faults(path)
    schema, (_, head) = folders.state_of(path)
    if schema != len(MIGRATIONS):
        found.append(f"the schema is {schema}, this program's is {len(MIGRATIONS)}: migrate it")
    entries = 0
    if schema:
        report, _ = verify(rows(path))
        entries = report.entries
        found += [*report.problems, *repeated(path)]
    if as_json:
        said = {"ok": not found, "schema": schema, "entries": entries, "head": head}
        say_json({**said, "problems": found})
    elif not found:
        say(f"ok: schema {schema}, {entries} entries, head {head[:16]}")
    if found:
        raise LedgerCorrupt("\n".join(f"the database is not in order: {what}." for what in found))


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
    folder = existing_file(settings(config)).parent
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
    """Put a backup into the data folder, which must have no database and no server."""
    folder = database_path(settings(config)).parent
    manifest = folders.restore(source, folder)
    _tell(f"restored {source} to {folder}", manifest, as_json=as_json)


def _tell(what: str, manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        say_json(manifest)
        return
    heads = ", ".join(f"{head[:16]}" for _, head in manifest.heads.values())
    say(
        f"{what}: made {utc(manifest.made_ns)}, schema {manifest.schema}, "
        f"{manifest.entries} entries, head {heads}"
    )
