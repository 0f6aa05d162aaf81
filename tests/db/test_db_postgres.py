"""PostgreSQL behind the seam of stores: its errors, its schema, its months."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg import sql

from entente.db import Database
from entente.db.address import address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import (
    MONTHS_AHEAD,
    Month,
    make_months,
    migrate_postgres,
    month_of,
    schema_version,
)
from entente.db.postgres_schema import MIGRATIONS
from entente.domain.errors import LedgerUnavailable, StartError
from entente.domain.secret import Secret
from tests.support.postgres import postgres_server

NOW_NS = 1_795_000_000 * 10**9
"""In November 2026."""
CANARY = "pw/of%the@canary"
PAGE = Path(__file__).parents[2] / "docs" / "postgres.md"


def _database(url: str) -> PostgresDatabase:
    return PostgresDatabase(address_of(Secret(url)))


@pytest.fixture
def database(postgres_url: str) -> Iterator[PostgresDatabase]:
    """Give an open database without any table."""
    with closing(_database(postgres_url)) as opened:
        yield opened


# ---- addresses ----


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://u:p@db.example.com:5432/entente", "db.example.com:5432/entente"),
        ("postgres://db/entente?sslmode=require&password=p", "db/entente"),
        ("postgresql:///entente?host=/run/postgresql", "/run/postgresql/entente"),
        ("postgresql://a:1,b:2/entente", "a:1,b:2/entente"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, place: str) -> None:
    """Neither user nor password nor parameters."""
    address = address_of(Secret(url))
    assert str(address) == repr(address) == place


@pytest.mark.parametrize(
    "url", ["mysql://u:canary@h/db", "postgresql://u:canary@h", "postgresql://u:canary@[h/db", ""]
)
def test_what_is_no_address_is_refused_without_showing_it(url: str) -> None:
    """The rule, not the value."""
    with pytest.raises(ValueError, match=r".") as caught:
        address_of(Secret(url))
    assert "canary" not in str(caught.value)


def test_a_driver_that_says_the_password_is_masked() -> None:
    """As written and as meant."""
    address = address_of(Secret("postgresql://u:a%2Fb@h/db?sslpassword=c"))
    assert address.masked("a%2Fb a/b 'c'") == "[secret] [secret] '[secret]'"


# ---- statements ----


def test_numbers_come_back_whole(database: PostgresDatabase) -> None:
    """Amounts beyond 64 bits, too."""
    huge = 10**30 + 7
    database.execute("CREATE TABLE t (nano numeric(38,0), n bigint, b bytea, s text)")
    database.execute("INSERT INTO t VALUES (?, ?, ?, ?)", (huge, 2**63 - 1, b"\0%", "50 %"))
    assert database.execute("SELECT * FROM t WHERE s LIKE '50 %'").fetchone() == (
        *(huge, 2**63 - 1, b"\0%", "50 %"),
    )
    assert database.execute("SELECT sum(nano), sum(n) FROM t").fetchall() == [(huge, 2**63 - 1)]


def test_a_transaction_is_all_or_nothing(database: PostgresDatabase) -> None:
    """An error of the database or of ours takes everything back."""
    database.execute("CREATE TABLE t (n bigint PRIMARY KEY)")

    def fail() -> None:
        with database.transaction():
            database.execute("INSERT INTO t VALUES (1)")
            database.execute("INSERT INTO t VALUES (1)")

    with pytest.raises(LedgerUnavailable, match="duplicate key"):
        fail()
    assert database.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_transactions_exclude_one_another(postgres_url: str) -> None:
    """Read, then write what was read plus one, from four threads."""
    with closing(_database(postgres_url)) as made:
        made.execute("CREATE TABLE t (n bigint)")
        made.execute("INSERT INTO t VALUES (0)")

    def add(_: int) -> None:
        with closing(_database(postgres_url)) as own:
            for _ in range(5):
                with own.transaction():
                    (before,) = own.execute("SELECT n FROM t").fetchone()
                    own.execute("UPDATE t SET n = ?", (before + 1,))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    with closing(_database(postgres_url)) as read:
        assert read.execute("SELECT n FROM t").fetchone() == (20,)


def test_a_lost_connection_is_made_anew(database: PostgresDatabase, postgres_url: str) -> None:
    """Between statements nobody notices; within a transaction it fails, and says where."""

    def end() -> None:
        (pid,) = database.execute("SELECT pg_backend_pid()").fetchone()
        with closing(_database(postgres_url)) as other:
            other.execute("SELECT pg_terminate_backend(?, 10000)", (pid,))

    end()
    assert database.execute("SELECT 1").fetchone() == (1,)

    def end_within() -> None:
        with database.transaction():
            end()
            database.execute("SELECT 1")

    with pytest.raises(LedgerUnavailable, match=r"127\.0\.0\.1:\d+/test_"):
        end_within()
    assert database.execute("SELECT 1").fetchone() == (1,)


# ---- what goes wrong at the door ----


def test_each_refusal_names_the_place_and_the_remedy_and_no_password(postgres_url: str) -> None:
    """A wrong password, an unknown role, a missing database, nobody there."""
    server = postgres_server()
    quoted = quote(CANARY, safe="")
    wrong = {
        server.url("postgres", password=CANARY): "Correct the user or the password",
        server.url("postgres", user="nobody-here", password=CANARY): "Correct the user or the",
        server.url("not_there"): "createdb",
        f"postgresql://u:{quoted}@127.0.0.1:1/db": "entente doctor",
        f"postgresql://u:{quoted}@127.0.0.1:{server.port}x/db": "entente doctor",
        f"postgresql://u:{quoted}@127.0.0.1/db?nonsense={quoted}": "entente doctor",
    }
    for url, words in wrong.items():
        with closing(_database(url)) as database, pytest.raises(LedgerUnavailable) as caught:
            database.execute("SELECT 1")
        assert words in caught.value.message
        assert "127.0.0.1" in caught.value.message
        for secret in (CANARY, quoted, server.password):
            assert secret not in caught.value.message
        assert caught.value.__cause__ is None


def test_a_role_without_rights_is_told_what_to_do(postgres_url: str) -> None:
    """A page has the statements."""
    server = postgres_server()
    with closing(_database(postgres_url)) as made:
        migrate_postgres(made, NOW_NS)
    name = postgres_url.rpartition("/")[2]
    role = sql.Identifier(f"reader_{name}")
    made_of = sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'pw'").format(role)
    server.run(made_of)
    url = server.url(name, user=f"reader_{name}", password="pw")
    with closing(_database(url)) as database:
        with pytest.raises(LedgerUnavailable, match=r"docs/postgres\.md"):
            database.execute("SELECT * FROM keys")
        with pytest.raises(LedgerUnavailable, match=r"docs/postgres\.md"):
            migrate_postgres(database, NOW_NS, [*MIGRATIONS, ("CREATE TABLE t (n bigint)",)])
    server.run(sql.SQL("DROP ROLE {}").format(role))


_RIGHTS = re.compile(r"^GRANT [^;]*;$", re.MULTILINE)


def test_the_rights_of_the_page_are_enough_to_start(postgres_url: str) -> None:
    """A role that owns nothing finds the schema, and leaves months to the owner's."""
    server = postgres_server()
    with closing(_database(postgres_url)) as made:
        migrate_postgres(made, NOW_NS)
    name = postgres_url.rpartition("/")[2]
    role = f"server_{name}"
    server.run(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'pw'").format(sql.Identifier(role)))
    for statement in _RIGHTS.findall(PAGE.read_text()):
        given = sql.SQL(statement.replace("entente_server", "{}"))
        server.run(given.format(sql.Identifier(role)), name)
    later_ns = month_of(NOW_NS).next.start_ns
    with closing(_database(server.url(name, user=role, password="pw"))) as database:
        migrate_postgres(database, NOW_NS)
        migrate_postgres(database, later_ns)
        assert make_months(database, later_ns) == ("entries_2027_03",)
    with closing(_database(postgres_url)) as made:
        assert make_months(made, later_ns) == ()
    server.drop_database(postgres_url)
    server.run(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


# ---- the schema ----


def test_migrations_run_once_and_keep_what_is_there(database: PostgresDatabase) -> None:
    """The second time there is nothing to do."""
    assert schema_version(database) == 0
    for _ in range(2):
        migrate_postgres(database, NOW_NS)
        assert schema_version(database) == len(MIGRATIONS)
    rows = database.execute("SELECT version, migrated_ns FROM schema_version").fetchall()
    assert rows == [(n, NOW_NS) for n in range(1, len(MIGRATIONS) + 1)]


def test_two_runners_at_once(postgres_url: str) -> None:
    """Four, to be sure: each ends well, and each migration has run once."""

    def start(_: int) -> None:
        with closing(_database(postgres_url)) as database:
            migrate_postgres(database, NOW_NS)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    with closing(_database(postgres_url)) as database:
        assert schema_version(database) == len(MIGRATIONS)


def test_a_failed_migration_leaves_nothing_of_it(database: PostgresDatabase) -> None:
    """Its first statements are taken back; the one before it stands; it can run later."""
    good = ("CREATE TABLE extra (n bigint)",)
    with pytest.raises(LedgerUnavailable):
        migrate_postgres(database, NOW_NS, [*MIGRATIONS, (*good, "CREATE nonsense")])
    assert schema_version(database) == len(MIGRATIONS)
    migrate_postgres(database, NOW_NS, [*MIGRATIONS, good])
    assert schema_version(database) == len(MIGRATIONS) + 1


_KILLED = """
import sys
from entente.db.address import address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import migrate_postgres
from entente.db.postgres_schema import MIGRATIONS
from entente.domain.secret import Secret
ours = [*MIGRATIONS, ("CREATE TABLE extra (n bigint)", "SELECT pg_sleep(1000)")]
migrate_postgres(PostgresDatabase(address_of(Secret(sys.stdin.readline().strip()))), 1, ours)
"""


def test_a_killed_runner_leaves_nothing_of_a_step(
    database: PostgresDatabase, postgres_url: str
) -> None:
    """`kill -9` in the middle of a migration; the next runner does it anew."""
    child = subprocess.Popen([sys.executable, "-c", _KILLED], stdin=subprocess.PIPE)
    try:
        assert child.stdin is not None
        child.stdin.write(f"{postgres_url}\n".encode())
        child.stdin.close()
        sleeping = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event = 'PgSleep'"
        )
        while (found := database.execute(sleeping).fetchone()) is None:
            assert child.poll() is None
        child.kill()
        child.wait()
        # The server learns of it when it next writes; an administrator need not wait.
        database.execute("SELECT pg_terminate_backend(?)", found)
        migrate_postgres(database, NOW_NS, [*MIGRATIONS, ("CREATE TABLE extra (n bigint)",)])
        assert schema_version(database) == len(MIGRATIONS) + 1
    finally:
        child.kill()
        child.wait()


def test_a_newer_schema_is_refused(database: PostgresDatabase) -> None:
    """Never guessed at."""
    migrate_postgres(database, NOW_NS, [*MIGRATIONS, ("CREATE TABLE extra (n bigint)",)])
    with pytest.raises(StartError, match="newer version"):
        migrate_postgres(database, NOW_NS)


def test_a_database_of_another_encoding_is_refused() -> None:
    """A name in it could not hold every letter."""
    server = postgres_server()
    server.run(sql.SQL("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"))
    url = server.url("latin")
    with closing(_database(url)) as database, pytest.raises(StartError, match="UTF8"):
        migrate_postgres(database, NOW_NS)
    server.drop_database(url)


def test_entries_refuse_to_be_changed(database: PostgresDatabase) -> None:
    """In a month of their own and in the default."""
    migrate_postgres(database, NOW_NS)
    insert = "INSERT INTO entries VALUES (1, ?, ?, 'n', '', '')"
    for seq, at_ns in ((1, NOW_NS), (2, 0)):
        database.execute(insert, (seq, at_ns))
    for statement in ("UPDATE entries SET name = 'm'", "DELETE FROM entries WHERE seq = 2"):
        with pytest.raises(LedgerUnavailable, match="the journal is append only"):
            database.execute(statement)


# ---- months ----


def test_months_follow_one_another_over_the_year() -> None:
    """In UTC, without a gap."""
    december = month_of(Month(2026, 12).start_ns)
    assert december == Month(2026, 12)
    assert december.next == Month(2027, 1)
    assert month_of(december.next.start_ns - 1) == december
    assert december.table == "entries_2026_12"


def _partition(database: Database, seq: int) -> str:
    statement = "SELECT tableoid::regclass::text FROM entries WHERE seq = ?"
    (name,) = database.execute(statement, (seq,)).fetchone()
    return str(name)


def test_months_are_made_ahead_and_strays_go_to_the_default(database: PostgresDatabase) -> None:
    """A month that has strays is left to them, and told."""
    migrate_postgres(database, NOW_NS)
    month = month_of(NOW_NS)
    for seq in range(1, MONTHS_AHEAD + 3):
        database.execute("INSERT INTO entries VALUES (1, ?, ?, 'n', '', '')", (seq, month.start_ns))
        stray = seq == MONTHS_AHEAD + 2
        assert _partition(database, seq) == ("entries_default" if stray else month.table)
        stray_ns, month = month.start_ns, month.next
    assert make_months(database, NOW_NS) == ()
    assert make_months(database, month_of(NOW_NS).next.start_ns) == (month_of(stray_ns).table,)


def test_a_change_of_keys_is_told(database: PostgresDatabase, postgres_url: str) -> None:
    """By a notice, and by a number for who missed it."""
    migrate_postgres(database, NOW_NS)
    heard: list[str] = []
    listening = threading.Event()

    def listen() -> None:
        connection = _database(postgres_url)._connected()
        connection.execute("LISTEN entente_news")
        listening.set()
        heard.extend(notice.payload for notice in connection.notifies(stop_after=1))
        connection.close()

    thread = threading.Thread(target=listen)
    thread.start()
    listening.wait()
    database.execute(
        "INSERT INTO keys (id, name, digest, hint, role, budgeted, created_ns)"
        " VALUES ('k', 'n', 'd', 'h', 'member', 0, 1)"
    )
    thread.join()
    assert heard == ["keys"]
    told = "SELECT generation FROM news WHERE topic = 'keys'"
    assert database.execute(told).fetchall() == [(1,)]
