"""Usage with the journal on PostgreSQL: sums beside it, for every server and the command line."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from tests.support.hosts import WorkersServer
from tests.support.server import ADMIN_KEY
from tests.usage.conftest import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S: Final = 86_400


@pytest.fixture
def servers(postgres_url: str, tmp_path: Path) -> Iterator[list[WorkersServer]]:
    """Run two servers of two workers, each with a data folder of its own, on one database."""
    with contextlib.ExitStack() as stack:
        made = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            server = WorkersServer(tmp_path / name, CONFIG, postgres_url, workers=2)
            made.append(stack.enter_context(server))
        yield made


def requests(server: WorkersServer) -> int:
    """Give how many requests a server's report has."""
    start_s = int(time.time()) // DAY_S * DAY_S - DAY_S
    path = f"/v1/organization/usage/completions?start_time={start_s}&end_time={start_s + 4 * DAY_S}"
    got = server.get(path, key=ADMIN_KEY)
    assert got.status == 200, got.body
    results = [each for bucket in got.json["data"] for each in bucket["results"]]
    return sum(each["num_model_requests"] for each in results)


def cli(server: WorkersServer, *words: str) -> Any:
    """Run a command beside; give what it says in JSON."""
    done = server.cli(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_server_reports_what_all_have_served(
    servers: list[WorkersServer], postgres_url: str
) -> None:
    """At once, also after one was killed; the command line says the same, and verifies it."""
    one, two = servers
    for number in range(1, 4):
        assert one.chat(model="small", text="a").status == 200
        assert two.chat(model="late", text="b").status == 200
        assert requests(one) == requests(two) == 2 * number
    lines = cli(one, "usage", "--group-by", "model")
    assert {line["model"]: line["requests"] for line in lines} == {"small": 3, "late": 3}
    one.kill()
    assert two.chat(model="small", text="c").status == 200
    assert requests(two) == 7
    one.start()
    assert requests(one) == 7
    report = cli(two, "ledger", "verify", "--rollups")
    assert (report["ok"], report["behind"]) == (True, 0)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE rollups SET requests = requests + 1 WHERE model = 'late'")
    done = two.cli("ledger", "verify", "--rollups")
    assert done.returncode != 0
    assert "rollup by hour" in done.stderr
    assert [server.stop() for server in servers] == [0, 0]  # nobody folds beside the rebuild
    assert cli(two, "usage", "rebuild")["entries"] >= 2 * 7
    assert cli(two, "ledger", "verify", "--rollups")["ok"]
    for server in servers:
        server.start()
    assert requests(one) == requests(two) == 7


def test_zones_of_half_hours_read_every_chain(servers: list[WorkersServer]) -> None:
    """Those that are folded and have ended, too."""
    one, two = servers
    assert one.chat(model="small", text="a").status == 200
    assert two.chat(model="small", text="a").status == 200
    assert requests(one) == 2
    assert one.stop() == 0
    words = ("usage", "--group-by", "day", "--zone", "Asia/Kolkata", "--json")
    done = two.cli(*words)
    assert sum(line["requests"] for line in json.loads(done.stdout)) == 2
    assert "every entry is read" in done.stderr
