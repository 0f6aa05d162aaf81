"""The embedded database: one SQLite file for keys, price books and the journal."""

from entente.db.sqlite import DATABASE_NAME, connect, migrate, transaction

__all__ = ["DATABASE_NAME", "connect", "migrate", "transaction"]
