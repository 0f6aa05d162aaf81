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
    (
        """CREATE TABLE audit (
            id TEXT PRIMARY KEY,
            at_ns INTEGER NOT NULL,
            actor TEXT NOT NULL,
            actor_name TEXT NOT NULL,
            action TEXT NOT NULL,
            object TEXT NOT NULL,
            before TEXT,
            after TEXT
        ) STRICT""",
        "CREATE INDEX audit_by_time ON audit (at_ns, id)",
        "CREATE INDEX audit_by_object ON audit (object, at_ns, id)",
        """CREATE TRIGGER audit_is_never_edited BEFORE UPDATE ON audit
           BEGIN SELECT RAISE(ABORT, 'the audit is append only'); END""",
        """CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
           BEGIN SELECT RAISE(ABORT, 'the audit is append only'); END""",
        # What a client has made under a name of its own, so that asking twice makes one.
        """CREATE TABLE creations (
            actor TEXT NOT NULL,
            name TEXT NOT NULL,
            digest BLOB NOT NULL,
            object TEXT NOT NULL,
            created_ns INTEGER NOT NULL,
            PRIMARY KEY (actor, name)
        ) STRICT""",
        """CREATE TABLE webhooks (
            id TEXT PRIMARY KEY,
            url TEXT NOT NULL,
            events TEXT NOT NULL,
            secret TEXT NOT NULL,
            created_ns INTEGER NOT NULL,
            disabled_ns INTEGER
        ) STRICT""",
        # `once` names what may be told a single time, by whichever worker.
        """CREATE TABLE outbox (
            id TEXT PRIMARY KEY,
            type TEXT NOT NULL,
            at_ns INTEGER NOT NULL,
            body BLOB NOT NULL,
            once TEXT UNIQUE
        ) STRICT""",
        "CREATE INDEX outbox_by_time ON outbox (at_ns)",
        """CREATE TABLE deliveries (
            id TEXT PRIMARY KEY,
            webhook TEXT NOT NULL,
            event TEXT NOT NULL,
            state TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            created_ns INTEGER NOT NULL,
            due_ns INTEGER NOT NULL,
            ended_ns INTEGER,
            status INTEGER,
            trouble TEXT
        ) STRICT""",
        "CREATE INDEX deliveries_due ON deliveries (due_ns) WHERE state = 'pending'",
        "CREATE INDEX deliveries_by_webhook ON deliveries (webhook, created_ns, id)",
    ),
    (
        # Amounts are digits: they may pass 64 bits.
        """CREATE TABLE rules (
            id TEXT PRIMARY KEY,
            level TEXT NOT NULL,
            name TEXT NOT NULL,
            unit TEXT NOT NULL,
            amount TEXT NOT NULL,
            window_kind TEXT NOT NULL,
            zone TEXT NOT NULL,
            asset TEXT NOT NULL,
            hard INTEGER NOT NULL,
            thresholds TEXT NOT NULL,
            created_ns INTEGER NOT NULL,
            ended_ns INTEGER,
            revision INTEGER NOT NULL
        ) STRICT""",
    ),
    ("CREATE INDEX keys_by_end ON keys (expires_ns) WHERE expires_ns IS NOT NULL",),
    (
        # What was imported to be in force some day, beside what the settings say.
        "ALTER TABLE price_books ADD COLUMN is_book INTEGER NOT NULL DEFAULT 0",
        """CREATE TABLE price_activations (
            number INTEGER PRIMARY KEY,
            version TEXT NOT NULL,
            from_ns INTEGER NOT NULL,
            at_ns INTEGER NOT NULL,
            actor TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE exchange_rates (
            base TEXT NOT NULL,
            quote TEXT NOT NULL,
            day TEXT NOT NULL,
            rate TEXT NOT NULL,
            source TEXT NOT NULL,
            kept_ns INTEGER NOT NULL,
            PRIMARY KEY (base, quote, day)
        ) STRICT""",
        "ALTER TABLE keys ADD COLUMN price_factor TEXT",
        "ALTER TABLE projects ADD COLUMN price_factor TEXT",
    ),
)
