"""The schema of stored objects as a list of migrations; one that has landed is never edited."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE objects (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            project TEXT NOT NULL,
            key TEXT NOT NULL,
            created_ns INTEGER NOT NULL,
            model TEXT NOT NULL,
            state TEXT NOT NULL,
            metadata TEXT NOT NULL,
            expires_ns INTEGER,
            revision INTEGER NOT NULL,
            body BLOB NOT NULL
        ) STRICT""",
        "CREATE INDEX objects_listed ON objects (project, kind, seq)",
        "CREATE INDEX objects_in_state ON objects (kind, state, seq)",
        "CREATE INDEX objects_expiring ON objects (expires_ns) WHERE expires_ns IS NOT NULL",
        """CREATE TABLE items (
            object INTEGER NOT NULL REFERENCES objects (seq) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            id TEXT NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (object, position),
            UNIQUE (object, id)
        ) STRICT""",
    ),
    (
        "ALTER TABLE objects ADD COLUMN parent TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX objects_continued ON objects (project, parent) WHERE parent != ''",
        """CREATE TABLE names (
            project TEXT NOT NULL,
            name TEXT NOT NULL,
            object INTEGER NOT NULL REFERENCES objects (seq) ON DELETE CASCADE,
            PRIMARY KEY (project, name, object)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX names_of ON names (object)",
    ),
)
