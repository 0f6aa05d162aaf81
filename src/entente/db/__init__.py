"""The embedded database: one SQLite file for keys, price books and the journal."""

from entente.db.lock import is_locked, locked
from entente.db.sqlite import DATABASE_NAME, connect, migrate, transaction

__all__ = ["DATABASE_NAME", "connect", "is_locked", "locked", "migrate", "transaction"]
