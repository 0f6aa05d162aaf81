"""The databases: one SQLite file, or PostgreSQL, for keys, price books and the journal.

PostgreSQL's driver is an extra of the installation: `entente.db.postgres` is imported by
name, and only where the settings name such a database.
"""

from entente.db.database import Database, Kind, Rows, Value
from entente.db.lock import is_locked, locked
from entente.db.sqlite import (
    DATABASE_NAME,
    SqliteDatabase,
    connect,
    migrate,
    open_sqlite,
    transaction,
)

__all__ = [
    "DATABASE_NAME",
    "Database",
    "Kind",
    "Rows",
    "SqliteDatabase",
    "Value",
    "connect",
    "is_locked",
    "locked",
    "migrate",
    "open_sqlite",
    "transaction",
]
