"""From every schema that has landed to this one: whole or not at all, whoever dies or helps."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

import entente.cli.root
from entente.db import connect, migrate
from entente.db.address import address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_backup import tables_of
from entente.db.postgres_migrate import migrate_postgres, schema_version
from entente.db.postgres_schema import MIGRATIONS as POSTGRES
from entente.db.schema import MIGRATIONS
from entente.domain.secret import Secret
from entente.ledger.journal import verify
from entente.ledger.reader import rows
from entente.objects.schema import MIGRATIONS as OBJECTS
from tests.db.past import ENTRIES, PAST, database_of, rows_of, schema_of

LANDED: Final = json.loads(Path(__file__).with_name("landed.json").read_text())
WAIT_S: Final = 30

STOPS: Final = """
import os, sys
from pathlib import Path
from entente.db.schema import MIGRATIONS
from entente.db.sqlite import connect, migrate

path, version, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
connection, seen = connect(path), [0]

def statement(text):
    if seen[0] == stop:
        os.write(1, b"stopped")
        os.read(0, 1)
    seen[0] += 1

connection.set_trace_callback(statement)
migrate(connection, MIGRATIONS[:version])
os.write(1, b"done")
"""
"""Migrates to a version, and stops before its nth statement until it is killed."""


def _killed_at(path: Path, version: int, stop: int) -> bool:
    """Run a migration and kill it before a statement; say whether it got so far."""
    runner = subprocess.Popen(
        [sys.executable, "-c", STOPS, str(path), str(version), str(stop)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert runner.stdin is not None
    assert runner.stdout is not None
    with runner.stdin, runner.stdout:
        said = runner.stdout.read(len(b"stopped"))
        runner.send_signal(signal.SIGKILL)
        runner.wait(WAIT_S)
    assert said in (b"stopped", b"done")
    return said == b"stopped"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[tuple[str, str]]]:
    """Give the schema that a new database has."""
    path = tmp_path_factory.mktemp("fresh") / "entente.db"
    with closing(connect(path)) as connection:
        migrate(connection)
    return schema_of(path)


def _check(path: Path, fresh: tuple[int, list[tuple[str, str]]], before: Sequence[object]) -> None:
    assert schema_of(path) == fresh
    assert rows_of(path) == list(before)
    report, _ = verify(rows(path))
    assert (report.problems, report.entries) == ([], len(ENTRIES) if before else 0)


@pytest.mark.parametrize("version", PAST)
def test_from_every_version(
    version: int, tmp_path: Path, fresh: tuple[int, list[tuple[str, str]]]
) -> None:
    """What was there stays, and the schema is that of a new database."""
    path = database_of(version, tmp_path)
    before = rows_of(path) if version else []
    with closing(connect(path)) as connection:
        migrate(connection)
        migrate(connection)
    _check(path, fresh, before)


@pytest.mark.parametrize("version", PAST)
def test_a_runner_that_is_killed_leaves_the_version_before_or_the_one_after(
    version: int, tmp_path: Path, fresh: tuple[int, list[tuple[str, str]]]
) -> None:
    """Before each of its statements; and the next one ends the work."""
    old = schema_of(database_of(version, tmp_path))
    before = rows_of(tmp_path / "entente.db") if version else []
    for stop in range(1000):
        folder = tmp_path / str(stop)
        folder.mkdir()
        path = database_of(version, folder)
        reached = _killed_at(path, version + 1, stop)
        found = schema_of(path)
        assert found == old or found[0] == version + 1
        with closing(connect(path)) as connection:
            migrate(connection)
        _check(path, fresh, before)
        if not reached:
            assert stop > len(MIGRATIONS[version]), "each statement was one to stop at"
            return


@pytest.mark.parametrize("version", PAST)
def test_two_runners_at_once(
    version: int, tmp_path: Path, fresh: tuple[int, list[tuple[str, str]]]
) -> None:
    """One of them migrates, the other one finds nothing to do; both end well."""
    path = database_of(version, tmp_path)
    before = rows_of(path) if version else []
    never = "100000"
    runners = [
        subprocess.Popen(
            [sys.executable, "-c", STOPS, str(path), str(len(MIGRATIONS)), never],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    assert [runner.communicate(timeout=WAIT_S)[0] for runner in runners] == [b"done"] * 2
    assert [runner.returncode for runner in runners] == [0, 0]
    _check(path, fresh, before)


@pytest.mark.parametrize("version", range(1, len(POSTGRES)))
def test_from_every_version_on_postgres(version: int, postgres_url: str) -> None:
    """What was there stays, and every table is as a new database has it."""
    with closing(PostgresDatabase(address_of(Secret(postgres_url)))) as database:
        migrate_postgres(database, 1, POSTGRES[:version])
        database.execute(
            "INSERT INTO keys (id, name, digest, hint, role, budgeted, created_ns)"
            " VALUES ('key_0', 'old', ?, 'ab', 'member', 0, 1)",
            (b"digest",),
        )
        migrate_postgres(database, 1)
        kept = database.execute("SELECT id, name, digest, project FROM keys").fetchall()
        assert kept == [("key_0", "old", b"digest", "default")]
        assert schema_version(database) == len(POSTGRES)
        found = tables_of(database)
        database.execute("DROP SCHEMA public CASCADE")
        database.execute("CREATE SCHEMA public")
        migrate_postgres(database, 1)
        assert found == tables_of(database)


def _digest(statements: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(statements).encode()).hexdigest()


@pytest.mark.parametrize(
    ("name", "migrations"),
    [("database", MIGRATIONS), ("objects", OBJECTS), ("postgres", POSTGRES)],
)
def test_what_has_landed_is_never_edited(
    name: str, migrations: tuple[tuple[str, ...], ...]
) -> None:
    """Or replaying the list would not give what is out there. New ones are noted here in time."""
    landed = LANDED[name]
    assert [_digest(each) for each in migrations][: len(landed)] == landed


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says from where to where; `check` tells of a schema that is behind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".entente").mkdir()
    database_of(1, tmp_path / ".entente")
    last = len(MIGRATIONS)
    assert entente.cli.root.run(["db", "check"]) == 1
    assert f"the schema is 1, this program's is {last}: migrate it" in capsys.readouterr().err
    for said in (f"schema 1 is now {last}\n", f"schema {last}: nothing to do\n"):
        assert entente.cli.root.run(["db", "migrate"]) == 0
        assert capsys.readouterr().out == said
    assert entente.cli.root.run(["db", "check"]) == 0
    assert capsys.readouterr().out.startswith(f"ok: schema {last}, {len(ENTRIES)} entries, head ")
