"""The two schemas say the same, but for what each kind of database has for the journal."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from entente.db import DATABASE_NAME, connect, migrate
from entente.db.address import address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import migrate_postgres
from entente.domain.secret import Secret

ONLY_SQLITE = {"checkpoints", "entries"}
ONLY_POSTGRES = {
    *("news", "schema_version"),
    *("chains", "entries", "side_entries", "balances"),
    *("meters", "loans"),
}


def _columns_of_sqlite(connection: sqlite3.Connection) -> dict[str, set[str]]:
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return {
        table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for (table,) in tables
        if not table.startswith("sqlite_")
    }


def _columns_of_postgres(database: PostgresDatabase) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    rows = database.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name NOT LIKE 'entries\\_%'"
    )
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


def test_a_table_of_one_is_a_table_of_the_other(tmp_path: Path, postgres_url: str) -> None:
    """With the same columns: a store is written once."""
    with closing(connect(tmp_path / DATABASE_NAME)) as connection:
        migrate(connection)
        sqlite = _columns_of_sqlite(connection)
    with closing(PostgresDatabase(address_of(Secret(postgres_url)))) as database:
        migrate_postgres(database, 1)
        postgres = _columns_of_postgres(database)
    for table in ONLY_SQLITE:
        del sqlite[table]
    for table in ONLY_POSTGRES:
        del postgres[table]
    assert postgres == sqlite
