"""A journal of any length on PostgreSQL costs a request the same: no query grows with the data.

The database itself counts what is read: blocks of tables and indexes, and whole scans. A
server serves some requests and stops, then serves more; the difference is what a request
costs. ENTENTE_ENTRIES makes the long journal longer: 20000000 is for a night.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg

from tests.support.postgres import postgres_server
from tests.support.server import EntenteServer, wait_until

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES: Final = int(os.environ.get("ENTENTE_ENTRIES", "100000"))  # noqa: TID251 - an option
FEW, MANY = 20, 220
"""Requests of the two runs."""
BLOCKS_MORE_MAX: Final = 4.0
"""A longer journal has higher indexes: by so many blocks a request may cost more."""
CONFIG: Final = """
[ledger]
url = "env:DATABASE_URL"
[providers.fake]
kind = "scripted"
script = "script.toml"
[models."m"]
targets = [{ provider = "fake", model = "m" }]
price = { currency = "USD", per = "1M tokens", input = "0", output = "1" }
"""
FILL: Final = """
WITH made AS (INSERT INTO chains (name, opened_ns, closed_ns) VALUES ('long', 1, 2) RETURNING id),
     now AS (SELECT (extract(epoch FROM now()) * 1000)::bigint * 1000000 AS ns)
INSERT INTO entries (chain, seq, at_ns, name, line, hash)
SELECT made.id, n, now.ns - n, 'hold:req_' || n, convert_to('{"n":' || n || '}', 'UTF8'),
       sha256(int8send(n))
FROM made, now, generate_series(1, %s::bigint) AS n
"""
"""Entries of a server of before: what is in their lines no request may care about."""
READ: Final = """
SELECT coalesce(sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit), 0)::bigint,
       (SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables
        WHERE relname LIKE 'entries%')
FROM pg_statio_user_tables WHERE relname LIKE 'entries%'
"""
RESET: Final = "SELECT pg_stat_reset()"
OTHERS: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Cost(NamedTuple):
    """What the journal's tables and their indexes were read for."""

    blocks: int
    scanned: int
    """Rows that were looked at one after the other."""


def _ask(url: str, statement: str) -> tuple[int, ...]:
    """Ask once all other sessions have ended, which is when they have told what they read."""
    with psycopg.connect(url, autocommit=True) as connection:
        wait_until(lambda: connection.execute(OTHERS).fetchone() == (0,), "other sessions to end")
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row


def _served(server: EntenteServer, url: str, key: str, count: int) -> Cost:
    """Serve so many requests from start to stop."""
    _ask(url, RESET)
    server.start()
    for _ in range(count):
        assert server.chat(key, max_tokens=4).status == 200
    assert server.stop() == 0
    return Cost(*_ask(url, READ))


def _per_request(folder: Path, url: str, entries: int) -> tuple[float, int]:
    """Give blocks read a request, and rows scanned by requests, beside so many entries."""
    folder.mkdir()
    (folder / "script.toml").write_text('[[replies]]\ntext = "four words are here"\n')
    server = EntenteServer(folder, CONFIG, environ={"DATABASE_URL": url})
    made = server.cli("keys", "create", "--budget-usd", "100")
    assert made.returncode == 0, made.stderr
    for scope in ("organization", "project:default", "model:*", "key:*"):
        limit = server.cli("limits", "add", scope, "--spend", "100", "--window", "year")
        assert limit.returncode == 0, limit.stderr
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FILL, (entries,))
        connection.execute("ANALYZE entries")
    few, many = (_served(server, url, made.stdout.strip(), count) for count in (FEW, MANY))
    return (many.blocks - few.blocks) / (MANY - FEW), many.scanned - few.scanned


def test_a_request_reads_no_more_beside_a_long_journal(tmp_path: Path, postgres_url: str) -> None:
    """Neither more blocks than higher indexes have, nor rows one after the other."""
    other = postgres_server().new_database()
    short, _ = _per_request(tmp_path / "short", postgres_url, 1)
    long, scanned = _per_request(tmp_path / "long", other, ENTRIES)
    postgres_server().drop_database(other)
    assert long <= short + BLOCKS_MORE_MAX
    assert scanned < MANY
