"""What every command shares: options, settings, the database, and how to say things.

Human output is plain columns, machine output is JSON on one line: both on standard
output, so that they can be piped. What went wrong is one line on standard error.
"""

from __future__ import annotations

import os
import random
import secrets
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec
import typer

from entente.auth import KeyStore
from entente.config import Config, find, load
from entente.config.problems import did_you_mean
from entente.control.keys import Keys
from entente.control.table import Base
from entente.db import DATABASE_NAME, is_locked, migrate, open_sqlite
from entente.db.postgres_migrate import migrate_postgres, schema_version
from entente.db.postgres_schema import MIGRATIONS as POSTGRES_MIGRATIONS
from entente.domain.errors import InvalidParameter, LedgerUnavailable
from entente.domain.ids import Ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from entente.db import Database
    from entente.db.address import Address
    from entente.ledger.places import Place

PRIVATE_FOLDER: Final = 0o700

ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The settings; else ./entente.toml if there."),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Write JSON.")]


def environment() -> Mapping[str, str]:
    """Give the process's environment: the one place that reads it."""
    return dict(os.environ)


def settings(config: Path | None) -> Config:
    """Load the settings that a command works with. Raises ConfigError."""
    return load(find(config, Path()), environment())


def check_models(chosen: Config, named: Iterable[str], said: str) -> None:
    """Refuse a model that the settings do not have. Raises InvalidParameter.

    `said` is where on the command line they were named.
    """
    for name in named:
        if name not in chosen.models:
            hint = did_you_mean(name, chosen.models) or " `entente models` lists them."
            raise InvalidParameter(
                f"{said}: the settings have no model {name!r}.{hint}", param="model", code=None
            )


def database_path(config: Config) -> Path:
    """Give where the database is, or will be."""
    return config.server.data_dir / DATABASE_NAME


def existing_database(config: Config) -> Place:
    """Give where the database is. Raises LedgerUnavailable where there is none yet."""
    if config.ledger.url is not None:
        return _existing_postgres(config.ledger.url)
    return existing_file(config)


def existing_file(config: Config) -> Path:
    """Give the path of the SQLite file. Raises LedgerUnavailable where there is none yet."""
    if config.ledger.url is not None:
        message = (
            f"The ledger of these settings is in PostgreSQL ({config.ledger.url.place}); this "
            "command works on a SQLite file."
        )
        raise LedgerUnavailable(message)
    path = database_path(config)
    if not path.is_file():
        message = (
            f"There is no database at {path} yet: run `entente serve` or `entente keys create` "
            "first, or name the right settings with --config."
        )
        raise LedgerUnavailable(message)
    return path


def place_if_any(config: Config) -> Place | None:
    """Give where the database is, None where there is none yet. Raises LedgerUnavailable."""
    if config.ledger.url is None and not database_path(config).is_file():
        return None
    return existing_database(config)


def is_served(config: Config) -> bool:
    """Say whether a server of this host works on the database, and so may hold amounts."""
    return is_locked(config.server.data_dir)


@contextmanager
def database(config: Config, *, make: bool = False) -> Iterator[Database]:
    """Open the database for writing; `make` it where there is none.

    Raises LedgerUnavailable. Only what a person makes first makes a database: a listing in
    the wrong folder should say so and leave nothing behind.
    """
    if config.ledger.url is not None:
        with closing(_postgres(config.ledger.url)) as shared:
            _migrate_postgres(shared)
            yield shared
        return
    path = _place_for_database(config) if make else existing_file(config)
    with closing(open_sqlite(path)) as opened:
        migrate(opened.connection)
        yield opened


def _postgres(address: Address) -> Database:
    """Give a PostgreSQL database, which may take its time with what a person asked for."""
    from entente.db.postgres import PostgresDatabase  # noqa: PLC0415  (an extra, and slow)

    return PostgresDatabase(address, statement_ms_max=0)


def _existing_postgres(address: Address) -> Database:
    """Give a PostgreSQL database that has a schema. Raises LedgerUnavailable."""
    opened = _postgres(address)
    if not schema_version(opened):
        message = (
            f"The database {address.place} is empty: run `entente serve` or `entente keys create` "
            "first, or name the right settings with --config."
        )
        raise LedgerUnavailable(message)
    return opened


def _migrate_postgres(opened: Database) -> None:
    """Bring the schema forward, unless it is there already: a role may have no right to."""
    if schema_version(opened) != len(POSTGRES_MIGRATIONS):
        migrate_postgres(opened, time.time_ns())


def _place_for_database(config: Config) -> Path:
    """Make the data folder. Raises LedgerUnavailable."""
    path = database_path(config)
    try:
        path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        message = (
            f"The folder {path.parent} cannot be made ({error.strerror}): make it writable or "
            "set server.data_dir."
        )
        raise LedgerUnavailable(message) from error
    return path


def ids() -> Ids:
    """Give ids from this process's clock and randomness."""
    return Ids(time.time_ns, random.SystemRandom().getrandbits)


def keys_of(opened: Database) -> Keys:
    """Give the use cases of keys with this process's clock and randomness."""
    return Keys(KeyStore(opened), now_ns=time.time_ns, ids=ids(), token_bytes=secrets.token_bytes)


def base_of(opened: Database) -> Base:
    """Give what use cases stand on, with this process's clock and randomness."""
    return Base(opened, time.time_ns, ids())


def say(text: str) -> None:
    """Write a line."""
    typer.echo(text)


def say_json(value: object) -> None:
    """Write a value as one line of JSON."""
    typer.echo(msgspec.json.encode(value))


def say_json_lines(values: Iterable[object]) -> None:
    """Write each value as a line of JSON, as a stream: there may be millions."""
    for value in values:
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def say_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write aligned columns under titles; nothing for no rows but the titles."""
    lines = [titles, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
