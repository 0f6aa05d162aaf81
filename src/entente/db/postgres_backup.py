"""Backing up a PostgreSQL database by our own means, and restoring it into an empty one.

One snapshot of every table, each by `COPY`, in one file with a manifest: a server goes on
writing, no program of PostgreSQL's has to be installed here, and the file can be read by another
version of PostgreSQL. Who has PostgreSQL backed up as a whole needs this for nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from entente.db import archive
from entente.db.archive import Archive, Manifest
from entente.db.database import Kind
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import make_months, migrate_postgres, month_of, schema_version
from entente.db.postgres_schema import MIGRATIONS
from entente.domain.errors import LedgerCorrupt, LedgerUnavailable

OURS_TO_MAKE: Final = frozenset({"schema_version", "news"})
"""Tables that a migration or a trigger fills."""
SUFFIX: Final = ".copy"
PIECE_BYTES: Final = 1024 * 1024

_TABLES: Final = """
    SELECT c.relname, array_to_string(array_agg(a.attname ORDER BY a.attnum), ',')
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
    GROUP BY c.relname ORDER BY c.relname"""
_HEADS: Final = """
    SELECT c.id, e.seq, e.hash FROM chains c CROSS JOIN LATERAL
    (SELECT seq, hash FROM entries WHERE chain = c.id ORDER BY seq DESC LIMIT 1) e ORDER BY c.id"""
_IDENTITIES: Final = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND is_identity = 'YES'"""


def tables_of(database: PostgresDatabase) -> dict[str, tuple[str, ...]]:
    """Give the columns of every table."""
    return {
        name: tuple(columns.split(","))
        for name, columns in database.execute(_TABLES).fetchall()
        if name not in OURS_TO_MAKE
    }


def heads_of(database: PostgresDatabase) -> dict[str, tuple[int, str]]:
    """Give where each chain of the journal ends."""
    rows = database.execute(_HEADS).fetchall()
    return {str(chain): (int(seq), bytes(head).hex()) for chain, seq, head in rows}


def back_up(
    database: PostgresDatabase, out: Path, *, without: Collection[str], now_ns: int
) -> Manifest:
    """Write a backup of every table but those `without`, which are made anew.

    Raises LedgerUnavailable.
    """
    schema = schema_version(database)
    if not schema:
        message = f"The database {database.place} is empty: there is nothing to back up."
        raise LedgerUnavailable(message)
    with (
        tempfile.TemporaryDirectory(prefix=".backup-", dir=archive.folder_of(out)) as made,
        _snapshot(database),
    ):
        members, columns = {}, {}
        for name, said in tables_of(database).items():
            if name in without:
                continue
            members[f"{name}{SUFFIX}"] = _copy_out(database, name, said, Path(made))
            columns[name] = said
        first, last = database.execute("SELECT min(at_ns), max(at_ns) FROM entries").fetchone()
        manifest = Manifest(
            format=archive.FORMAT,
            kind=Kind.POSTGRES,
            made_ns=now_ns,
            schema=schema,
            heads=heads_of(database),
            members={name: archive.describe(path) for name, path in members.items()},
            columns=columns,
            span_ns=(first or now_ns, last or now_ns),
        )
        archive.write(out, manifest, members)
    return manifest


@contextmanager
def _snapshot(database: PostgresDatabase) -> Iterator[None]:
    """See the database as it is at one instant, for as long as it takes."""
    database.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
    finally:
        database.execute("ROLLBACK")


def _copy_out(
    database: PostgresDatabase, table: str, columns: tuple[str, ...], folder: Path
) -> Path:
    path = folder / f"{table}{SUFFIX}"
    statement = f"COPY (SELECT {_listed(columns)} FROM {table}) TO STDOUT"  # noqa: S608  (from the catalogue)
    with path.open("wb") as file, database.copying(statement) as copy:
        for piece in copy:
            file.write(piece)
    return path


def restore(source: Path, database: PostgresDatabase, now_ns: int) -> Manifest:
    """Put a backup into an empty database, in one transaction behind the making of its tables.

    Raises StartError for one of a newer program, LedgerUnavailable where the database is not
    empty, and LedgerCorrupt for a backup that is not as it was written.
    """
    with archive.opened(source) as opened, tempfile.TemporaryDirectory() as made:
        manifest = opened.manifest
        _check(manifest, source, database)
        _unpack(opened, Path(made), source)
        migrate_postgres(database, now_ns, MIGRATIONS[: manifest.schema])
        _make_months(database, *manifest.span_ns)
        with database.transaction():
            check_empty(database)
            _fill(database, manifest, Path(made))
            if heads_of(database) != manifest.heads:
                message = f"{source} is not as it was written: a chain ends elsewhere."
                raise LedgerCorrupt(message)
    migrate_postgres(database, now_ns)
    return manifest


def _check(manifest: Manifest, source: Path, database: PostgresDatabase) -> None:
    if manifest.kind != Kind.POSTGRES:
        message = (
            f"{source} is a backup of a {manifest.kind} database: restore it to a data folder, "
            "and move it to PostgreSQL with `entente db copy`."
        )
        raise LedgerUnavailable(message)
    archive.check_schema(manifest, source, len(MIGRATIONS))
    schema = schema_version(database)
    if schema not in (0, manifest.schema):
        message = (
            f"The database {database.place} has schema {schema}, the backup {manifest.schema}: "
            "name an empty database."
        )
        raise LedgerUnavailable(message)


def _unpack(opened: Archive, folder: Path, source: Path) -> None:
    opened.unpack(folder)
    if {f"{name}{SUFFIX}" for name in opened.manifest.columns} != set(opened.manifest.members):
        message = f"{source} is not as it was written: its tables are not what it says."
        raise LedgerCorrupt(message)


def check_empty(database: PostgresDatabase) -> None:
    """Refuse a database that somebody works with. Raises LedgerUnavailable."""
    for table in ("chains", "keys", "entries"):
        if database.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone():  # noqa: S608
            message = (
                f"The database {database.place} is not empty: it has {table}. Name another one; "
                "nothing is overwritten."
            )
            raise LedgerUnavailable(message)


def _make_months(database: PostgresDatabase, first_ns: int, last_ns: int) -> None:
    """Make the journal's partitions from one time to another."""
    month, last = month_of(first_ns), month_of(last_ns)
    while month <= last:
        make_months(database, month.start_ns)
        month = month.next


def _fill(database: PostgresDatabase, manifest: Manifest, folder: Path) -> None:
    there = tables_of(database)
    for table, columns in manifest.columns.items():
        if not set(columns) <= set(there.get(table, ())):
            message = f"The backup has a table {table} that schema {manifest.schema} has not."
            raise LedgerCorrupt(message)
        if table == "projects":
            database.execute("DELETE FROM projects")  # the one that a migration makes
        with (
            (folder / f"{table}{SUFFIX}").open("rb") as file,
            database.copying(f"COPY {table} ({_listed(columns)}) FROM STDIN") as copy,
        ):
            while piece := file.read(PIECE_BYTES):
                copy.write(piece)
    advance_numbers(database)


def advance_numbers(database: PostgresDatabase) -> None:
    """Let numbers that the database gives go on behind those that rows have brought along."""
    for table, column in database.execute(_IDENTITIES).fetchall():
        database.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'),"  # noqa: S608
            f" greatest(1, (SELECT coalesce(max({column}), 0) FROM {table})),"
            f" EXISTS (SELECT 1 FROM {table}))"
        )


def _listed(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
