"""The schema as a list of migrations; an entry that has landed is never edited."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE keys (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            digest BLOB NOT NULL UNIQUE,
            hint TEXT NOT NULL,
            role TEXT NOT NULL,
            budgeted INTEGER NOT NULL,
            models TEXT,
            requests_per_minute INTEGER,
            tokens_per_minute INTEGER,
            created_ns INTEGER NOT NULL,
            revoked_ns INTEGER
        ) STRICT""",
        """CREATE TABLE entries (
            seq INTEGER PRIMARY KEY,
            idempotency_key TEXT NOT NULL,
            line BLOB NOT NULL,
            hash BLOB NOT NULL
        ) STRICT""",
        # Only a grant can be said twice: ids of requests are made by the one who writes.
        """CREATE UNIQUE INDEX grants_once ON entries (idempotency_key)
           WHERE idempotency_key >= 'grant:' AND idempotency_key < 'grant;'""",
        """CREATE TRIGGER entries_are_never_edited BEFORE UPDATE ON entries
           BEGIN SELECT RAISE(ABORT, 'entries are append only'); END""",
        """CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries
           BEGIN SELECT RAISE(ABORT, 'entries are append only'); END""",
        """CREATE TABLE checkpoints (
            seq INTEGER PRIMARY KEY,
            hash BLOB NOT NULL,
            state BLOB NOT NULL
        ) STRICT""",
        """CREATE TABLE price_books (
            version TEXT PRIMARY KEY,
            lines BLOB NOT NULL,
            activated_ns INTEGER NOT NULL
        ) STRICT""",
    ),
    ("ALTER TABLE keys ADD COLUMN project TEXT NOT NULL DEFAULT 'default'",),
    (
        "ALTER TABLE keys ADD COLUMN owner TEXT",
        "ALTER TABLE keys ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE keys ADD COLUMN expires_ns INTEGER",
        "ALTER TABLE keys ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",
        # What a key was before it was rotated, and until when that still opens.
        """CREATE TABLE former_secrets (
            digest BLOB PRIMARY KEY,
            key TEXT NOT NULL,
            until_ns INTEGER NOT NULL
        ) STRICT""",
        """CREATE TABLE projects (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            created_ns INTEGER NOT NULL,
            archived_ns INTEGER
        ) STRICT""",
        """INSERT INTO projects (id, name, created_ns)
           SELECT project, project, min(created_ns) FROM keys GROUP BY project""",
        """INSERT INTO projects (id, name, created_ns) VALUES ('default', 'default', 0)
           ON CONFLICT DO NOTHING""",
    ),
    (
        """CREATE UNIQUE INDEX adjustments_once ON entries (idempotency_key)
           WHERE idempotency_key >= 'adjust:' AND idempotency_key < 'adjust;'""",
    ),
)
