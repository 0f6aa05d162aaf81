"""The schema on PostgreSQL as a list of migrations; an entry that has landed is never edited.

It has what the SQLite schema has, table by table, and what only many writers need: a chain
of entries for each of them, months as partitions, and the news that tells every worker what
changed. Amounts are `numeric(38,0)`, times nanoseconds in `bigint`.
"""

from __future__ import annotations

from typing import Final

CHANGES_LOCK: Final = 0x656E7465
"""`ente`: the advisory lock under which transactions of stores exclude one another."""
NEWS_CHANNEL: Final = "entente_news"
"""What is notified of; the payload is a topic of the table `news`."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # ---- news: what changed, by topic; a number for who missed the notice ----
        """CREATE TABLE news (
            topic text PRIMARY KEY,
            generation bigint NOT NULL
        )""",
        """CREATE FUNCTION tell_news(told text) RETURNS void LANGUAGE sql AS $$
            INSERT INTO news VALUES (told, 1)
            ON CONFLICT (topic) DO UPDATE SET generation = news.generation + 1;
            SELECT pg_notify('entente_news', told);
        $$""",
        # A trigger of any table whose changes every worker should hear of.
        """CREATE FUNCTION tell_of_table() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM tell_news(TG_TABLE_NAME::text); RETURN NULL; END
        $$""",
        # ---- what the command line and the server share ----
        """CREATE TABLE keys (
            id text PRIMARY KEY,
            name text NOT NULL,
            digest bytea NOT NULL UNIQUE,
            hint text NOT NULL,
            role text NOT NULL,
            budgeted bigint NOT NULL,
            models text,
            requests_per_minute bigint,
            tokens_per_minute bigint,
            created_ns bigint NOT NULL,
            revoked_ns bigint,
            project text NOT NULL DEFAULT 'default',
            owner text,
            tags text NOT NULL DEFAULT '[]',
            expires_ns bigint,
            revision bigint NOT NULL DEFAULT 0
        )""",
        """CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON keys
            FOR EACH STATEMENT EXECUTE FUNCTION tell_of_table()""",
        """CREATE TABLE former_secrets (
            digest bytea PRIMARY KEY,
            key text NOT NULL,
            until_ns bigint NOT NULL
        )""",
        """CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON former_secrets
            FOR EACH STATEMENT EXECUTE FUNCTION tell_of_table()""",
        """CREATE TABLE projects (
            id text PRIMARY KEY,
            name text NOT NULL,
            created_ns bigint NOT NULL,
            archived_ns bigint
        )""",
        "INSERT INTO projects (id, name, created_ns) VALUES ('default', 'default', 0)",
        """CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON projects
            FOR EACH STATEMENT EXECUTE FUNCTION tell_of_table()""",
        """CREATE TABLE audit (
            id text PRIMARY KEY,
            at_ns bigint NOT NULL,
            actor text NOT NULL,
            actor_name text NOT NULL,
            action text NOT NULL,
            object text NOT NULL,
            before text,
            after text
        )""",
        "CREATE INDEX audit_by_time ON audit (at_ns, id)",
        "CREATE INDEX audit_by_object ON audit (object, at_ns, id)",
        """CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION '% is append only', TG_ARGV[0]; END
        $$""",
        """CREATE TRIGGER audit_is_never_edited BEFORE UPDATE OR DELETE ON audit
            FOR EACH ROW EXECUTE FUNCTION refuse_change('the audit')""",
        # What a client has made under a name of its own, so that asking twice makes one.
        """CREATE TABLE creations (
            actor text NOT NULL,
            name text NOT NULL,
            digest bytea NOT NULL,
            object text NOT NULL,
            created_ns bigint NOT NULL,
            PRIMARY KEY (actor, name)
        )""",
        """CREATE TABLE webhooks (
            id text PRIMARY KEY,
            url text NOT NULL,
            events text NOT NULL,
            secret text NOT NULL,
            created_ns bigint NOT NULL,
            disabled_ns bigint
        )""",
        """CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON webhooks
            FOR EACH STATEMENT EXECUTE FUNCTION tell_of_table()""",
        # `once` names what may be told a single time, by whichever worker.
        """CREATE TABLE outbox (
            id text PRIMARY KEY,
            type text NOT NULL,
            at_ns bigint NOT NULL,
            body bytea NOT NULL,
            once text UNIQUE
        )""",
        "CREATE INDEX outbox_by_time ON outbox (at_ns)",
        """CREATE TABLE deliveries (
            id text PRIMARY KEY,
            webhook text NOT NULL,
            event text NOT NULL,
            state text NOT NULL,
            attempts bigint NOT NULL,
            created_ns bigint NOT NULL,
            due_ns bigint NOT NULL,
            ended_ns bigint,
            status bigint,
            trouble text
        )""",
        "CREATE INDEX deliveries_due ON deliveries (due_ns) WHERE state = 'pending'",
        "CREATE INDEX deliveries_by_webhook ON deliveries (webhook, created_ns, id)",
        """CREATE TABLE price_books (
            version text PRIMARY KEY,
            lines bytea NOT NULL,
            activated_ns bigint NOT NULL
        )""",
        """CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON price_books
            FOR EACH STATEMENT EXECUTE FUNCTION tell_of_table()""",
        # ---- the journal: a chain for each writer ----
        """CREATE TABLE chains (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text NOT NULL,
            opened_ns bigint NOT NULL,
            closed_ns bigint,
            seq bigint NOT NULL DEFAULT 0,
            head bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
            state bytea
        )""",
        "CREATE INDEX chains_open ON chains (id) WHERE closed_ns IS NULL",
        """CREATE TABLE entries (
            chain bigint NOT NULL,
            seq bigint NOT NULL,
            at_ns bigint NOT NULL,
            name text NOT NULL,
            line bytea NOT NULL,
            hash bytea NOT NULL,
            PRIMARY KEY (chain, seq, at_ns)
        ) PARTITION BY RANGE (at_ns)""",
        "CREATE TABLE entries_default PARTITION OF entries DEFAULT",
        """CREATE TRIGGER entries_are_never_edited BEFORE UPDATE OR DELETE ON entries
            FOR EACH ROW EXECUTE FUNCTION refuse_change('the journal')""",
        # What is written beside the servers, a grant most often, in one order for all who
        # follow it. Only such entries can be said twice: ids of requests are made by the one
        # who writes.
        """CREATE TABLE side_entries (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text NOT NULL UNIQUE,
            chain bigint NOT NULL,
            line bytea NOT NULL
        )""",
        """CREATE TRIGGER tell AFTER INSERT ON side_entries
            FOR EACH STATEMENT EXECUTE FUNCTION tell_of_table()""",
        # What the chains that are closed add up to.
        """CREATE TABLE balances (
            account text NOT NULL,
            asset text NOT NULL,
            nano numeric(38,0) NOT NULL,
            PRIMARY KEY (account, asset)
        )""",
    ),
    (
        """CREATE TABLE rules (
            id text PRIMARY KEY,
            level text NOT NULL,
            name text NOT NULL,
            unit text NOT NULL,
            amount text NOT NULL,
            window_kind text NOT NULL,
            zone text NOT NULL,
            asset text NOT NULL,
            hard bigint NOT NULL,
            thresholds text NOT NULL,
            created_ns bigint NOT NULL,
            ended_ns bigint,
            revision bigint NOT NULL
        )""",
        """CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON rules
            FOR EACH STATEMENT EXECUTE FUNCTION tell_of_table()""",
    ),
    ("CREATE INDEX keys_by_end ON keys (expires_ns) WHERE expires_ns IS NOT NULL",),
    # ---- many workers: the authority over each meter, and who has something on loan ----
    (
        """CREATE TABLE meters (
            name text PRIMARY KEY,
            used numeric(38,0) NOT NULL DEFAULT 0,
            lent numeric(38,0) NOT NULL DEFAULT 0,
            ends_ns bigint,
            lender text NOT NULL
        )""",
        "CREATE INDEX meters_by_end ON meters (ends_ns) WHERE ends_ns IS NOT NULL",
        """CREATE TABLE loans (
            chain bigint NOT NULL,
            meter text NOT NULL,
            PRIMARY KEY (chain, meter)
        )""",
    ),
    (
        # What was imported to be in force some day, beside what the settings say.
        "ALTER TABLE price_books ADD COLUMN is_book bigint NOT NULL DEFAULT 0",
        """CREATE TABLE price_activations (
            number bigint PRIMARY KEY,
            version text NOT NULL,
            from_ns bigint NOT NULL,
            at_ns bigint NOT NULL,
            actor text NOT NULL
        )""",
        """CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON price_activations
            FOR EACH STATEMENT EXECUTE FUNCTION tell_of_table()""",
        """CREATE TABLE exchange_rates (
            base text NOT NULL,
            quote text NOT NULL,
            day text NOT NULL,
            rate text NOT NULL,
            source text NOT NULL,
            kept_ns bigint NOT NULL,
            PRIMARY KEY (base, quote, day)
        )""",
        """CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON exchange_rates
            FOR EACH STATEMENT EXECUTE FUNCTION tell_of_table()""",
        "ALTER TABLE keys ADD COLUMN price_factor text",
        "ALTER TABLE projects ADD COLUMN price_factor text",
    ),
    # A meter's name says of which rule it is; thresholds ask for those of some rules.
    ("CREATE INDEX meters_by_rule ON meters (split_part(name, '|', 2))",),
    # The host that may have entries of a chain in its spool: only there can it be ended.
    ("ALTER TABLE chains ADD COLUMN spool text",),
)
