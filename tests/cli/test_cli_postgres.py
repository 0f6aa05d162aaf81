"""The command line on a ledger in PostgreSQL: what works, and what is said where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from tests.support.hosts import WorkersServer
from tests.support.postgres import postgres_server
from tests.support.server import EntenteServer, wait_until

PROVIDER = (
    '[providers.s]\nkind = "scripted"\n[models.m]\n'
    'targets = [{ provider = "s", model = "x" }]\n'
    'price = { currency = "USD", per = "1M tokens", input = "1", output = "1" }\n'
)


def _program(folder: Path, url: str) -> EntenteServer:
    config = f'[ledger]\nurl = "env:ENTENTE_TEST_URL"\n{PROVIDER}'
    return EntenteServer(folder, config, environ={"ENTENTE_TEST_URL": url})


def test_a_whole_day(tmp_path: Path, postgres_url: str) -> None:
    """Keys, budgets, requests, usage, verification, export: nothing of it in a file."""
    program = WorkersServer(tmp_path, PROVIDER, postgres_url, workers=1)

    def say(*arguments: str) -> str:
        done = program.cli(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    key = say("keys", "create", "--name", "bob", "--budget-usd", "1").strip()
    with program:
        assert [program.chat(key).status for _ in range(3)] == [200, 200, 200]
        (shown,) = json.loads(say("budgets", "show", "--json"))
        assert (shown["granted"], shown["spent"]) == ("1", "0.000006")
        say("budgets", "grant", "bob", "--usd", "1")
        assert program.stop() == 0
    (shown,) = json.loads(say("budgets", "show", "--json"))
    assert (shown["granted"], shown["spent"], shown["held"]) == ("2", "0.000006", "0")
    verified = json.loads(say("ledger", "verify", "--json"))
    assert (verified["requests"], verified["grants"], verified["open_holds"]) == (3, 2, 0)
    assert len(json.loads(say("ledger", "export", "--json"))) == 3
    (line,) = json.loads(say("usage", "--json"))
    assert (line["requests"], line["cost"]) == (3, {"USD": "0.000006"})
    say("keys", "revoke", "bob")
    assert "bob" in say("keys", "list", "--all")
    assert "has schema" in say("doctor")
    assert not (program.data_dir / "entente.db").exists()


@pytest.mark.parametrize("command", [("keys", "list"), ("ledger", "verify"), ("serve",)])
def test_what_stands_in_the_way_is_said(tmp_path: Path, command: tuple[str, ...]) -> None:
    """One line, with the place and the remedy, and without the password."""
    server = postgres_server()
    wrong = {
        server.url("not_there"): "createdb",
        server.url("postgres", password="canary-of-the-tests"): "Correct the user or the password",
        server.url("postgres").replace(str(server.port), "1"): "entente doctor",
    }
    for url, words in wrong.items():
        done = _program(tmp_path, url).cli(*command)
        assert done.returncode == 1
        assert words in done.stderr
        assert "127.0.0.1" in done.stderr
        for text in (done.stdout, done.stderr):
            assert "canary-of-the-tests" not in text
            assert server.password not in text
            assert "Traceback" not in text


def test_an_empty_database_is_told_apart(tmp_path: Path, postgres_url: str) -> None:
    """A reader makes nothing; who writes makes the schema."""
    program = _program(tmp_path, postgres_url)
    refused = program.cli("ledger", "verify")
    assert (refused.returncode, "is empty: run" in refused.stderr) == (1, True)
    assert "the first start makes its schema" in program.cli("doctor").stdout
    assert program.cli("keys", "create").returncode == 0
    assert program.cli("ledger", "verify").returncode == 0


def test_months_are_told_by_the_check(tmp_path: Path, postgres_url: str) -> None:
    """Which may be dropped, also where the check finds something."""
    program = _program(tmp_path, postgres_url)
    assert program.cli("keys", "create").returncode == 0
    assert "not to be dropped: the month goes on" in program.cli("db", "check").stdout
    for change in (
        "CREATE TABLE entries_2020_01 PARTITION OF entries FOR VALUES FROM (0) TO (1)",
        "CREATE TABLE entries_2020_02 PARTITION OF entries FOR VALUES FROM (1) TO (2)",
        "INSERT INTO entries VALUES (9, 1, 1, 'stray', '', '')",
        "INSERT INTO chains (name, opened_ns) VALUES ('left', 1580515200000000000)",
    ):
        postgres_server().run(sql.SQL(change), postgres_url.rpartition("/")[2])
    told = json.loads(program.cli("db", "check", "--json").stdout)["months"]
    assert [(each["partition"], each["may_be_dropped"]) for each in told[:2]] == [
        ("entries_2020_01", True),
        ("entries_2020_02", False),
    ]
    said = program.cli("db", "check").stdout
    assert "entries_2020_01: its chains are closed: it may be dropped" in said
    assert "entries_2020_02: not to be dropped: chains are open" in said


def test_the_doctor_sees_what_breaks_promises(tmp_path: Path, postgres_url: str) -> None:
    """A month without a partition, and entries that had none."""
    program = _program(tmp_path, postgres_url)
    assert program.cli("keys", "create").returncode == 0
    name = postgres_url.rpartition("/")[2]
    postgres_server().run(sql.SQL("INSERT INTO entries VALUES (9, 1, 0, 'stray', '', '')"), name)
    found = program.cli("doctor").stdout
    assert "entries_default has entries" in found
    assert "PostgreSQL" in found
    down = _program(tmp_path, postgres_server().url("not_there")).cli("doctor")
    assert (down.returncode, "createdb" in down.stdout) == (1, True)
    away = postgres_url.replace(str(postgres_server().port), "1")
    shown = _program(tmp_path, away).cli("doctor").stdout
    assert "can be reached" in shown
    assert "entente doctor" not in shown


def test_a_host_is_given_up(tmp_path: Path, postgres_url: str) -> None:
    """Who waits for a host is told its name; giving it up says what that means."""
    program = WorkersServer(tmp_path, PROVIDER, postgres_url, workers=1, ledger="spool_s = 60\n")
    assert program.cli("db", "release").stdout == "no chain waits for a host\n"
    with program:
        program.kill()

        def waiting() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = json.loads(program.cli("db", "release", "--json").stdout)
            return found

        wait_until(lambda: bool(waiting()), "the database to see that its session has ended")
        (host,) = waiting()
        name = host["host"]
        listed = program.cli("db", "release").stdout
        assert listed.startswith(f"{name}  left by {host['writers'][0]}\n")
        assert f"chains that wait for the host {name}: 1" in program.cli("doctor").stdout
        assert f"waits for its host {name}" in program.cli("ledger", "verify").stderr
        wrong = program.cli("db", "release", "nobody")
        assert (wrong.returncode, "No chain waits for the host nobody" in wrong.stderr) == (1, True)
        (tmp_path / "elsewhere").mkdir()
        elsewhere = _program(tmp_path / "elsewhere", postgres_url)
        elsewhere.launch()
        assert elsewhere.wait() == 1
        assert f"`entente db release {name}`" in elsewhere.err_log.read_text()
        done = program.cli("db", "release", name)
        assert (done.returncode, done.stdout[: len(name) + 5]) == (0, f"gave {name}"), done.stderr
        assert "is not recorded" in done.stdout
        assert program.cli("db", "release").stdout == "no chain waits for a host\n"
        assert program.cli("db", "release", name).returncode == 1  # there is nothing more to end
        (noted,) = program.cli("audit", "list", "--object", name, "--json").stdout.splitlines()
        row = json.loads(noted)
        assert (row["action"], row["actor"]["id"]) == ("host.release", "operator")
        assert row["before"] is None
        assert row["after"] == {"host": name, "chains": [1], "settled_holds": 0}
        assert "nobody" not in program.cli("audit", "list").stdout
        assert program.cli("ledger", "verify").returncode == 0
        program.start()


def test_there_is_nothing_to_give_up_in_a_file(tmp_path: Path) -> None:
    """A SQLite ledger has no other host."""
    done = EntenteServer(tmp_path, PROVIDER).cli("db", "release")
    assert done.returncode == 1
    assert "nothing to give up" in done.stderr
