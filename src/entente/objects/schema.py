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
    (
        "ALTER TABLE objects ADD COLUMN blob_bytes INTEGER NOT NULL DEFAULT 0",
        """UPDATE objects SET blob_bytes = coalesce(json_extract(CAST(body AS TEXT), '$.bytes'), 0)
            WHERE kind = 'file'""",
        """CREATE TABLE stored (
            project TEXT PRIMARY KEY,
            bytes INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """INSERT INTO stored SELECT project, sum(length(body) + blob_bytes + coalesce(
            (SELECT sum(length(body)) FROM items WHERE object = objects.seq), 0
        )) FROM objects GROUP BY project""",
        """CREATE TRIGGER object_made AFTER INSERT ON objects BEGIN
            INSERT INTO stored VALUES (new.project, length(new.body) + new.blob_bytes)
            ON CONFLICT (project) DO UPDATE SET bytes = bytes + excluded.bytes;
        END""",
        """CREATE TRIGGER object_changed AFTER UPDATE OF body, blob_bytes ON objects BEGIN
            UPDATE stored SET bytes = bytes + length(new.body) + new.blob_bytes
                - length(old.body) - old.blob_bytes WHERE project = old.project;
        END""",
        """CREATE TRIGGER object_going BEFORE DELETE ON objects BEGIN
            UPDATE stored SET bytes = bytes - length(old.body) - old.blob_bytes - coalesce(
                (SELECT sum(length(body)) FROM items WHERE object = old.seq), 0
            ) WHERE project = old.project;
        END""",
        """CREATE TRIGGER item_made AFTER INSERT ON items BEGIN
            UPDATE stored SET bytes = bytes + length(new.body)
                WHERE project = (SELECT project FROM objects WHERE seq = new.object);
        END""",
        # The items of an object that goes have been counted with it: it is not there any more.
        """CREATE TRIGGER item_gone AFTER DELETE ON items BEGIN
            UPDATE stored SET bytes = bytes - length(old.body)
                WHERE project = (SELECT project FROM objects WHERE seq = old.object);
        END""",
    ),
)
