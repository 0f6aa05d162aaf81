"""Servers that lose their database go on with a spool, and lose nothing by it, nor does a kill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

from entente.ledger.model import Settlement
from entente.ledger.places import verify
from tests.support.budgets import CONFIG, COST_NANO, WORDS, Budget
from tests.support.hosts import FRESH, WorkersServer, counter, kill_process
from tests.support.load import Load, assert_nothing_is_lost, until_calls
from tests.support.loops import run, until
from tests.support.postgres import PostgresServer
from tests.support.server import ADMIN_KEY, wait_until
from tests.support.upstream import Upstream, UpstreamThread, config, play_words

if TYPE_CHECKING:
    from pathlib import Path

    from entente.ledger.journal import Report

SEED: Final = 20261122
SPOOL: Final = "spool_s = 600\n"
REQUESTS: Final = 600
SPOOLED: Final = "entente_spooled_entries "


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """Give a database server that a test may stop and kill."""
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


class Spooling(WorkersServer):
    """A server with a spool."""

    def __init__(self, folder: Path, config: str, url: str, **options: Any) -> None:
        """Write the configuration."""
        folder.mkdir(exist_ok=True)
        super().__init__(folder, config, url, **{"ledger": SPOOL, **options})

    def verify(self) -> Report:
        """Check every chain, and what all of them add up to."""
        with self.opened() as opened:
            report = verify(opened)
        assert report.problems == []
        return report

    def readiness(self) -> tuple[int, dict[str, str]]:
        """Give the status of readiness, and its notices."""
        got = self.get("/readyz")
        return got.status, json.loads(got.body).get("notices", {})

    def spooled(self) -> list[str]:
        """Name the files of chains that are there, but for the host's name."""
        return sorted(each.name for each in (self.data_dir / "spool").glob("chain-*"))

    def waiting(self) -> float:
        """Give how many entries only the spools have, as the metrics tell it."""
        return counter(self.get("/metrics", key=ADMIN_KEY).body.decode(), SPOOLED)

    def told(self, name: str) -> str:
        """Give a notice; empty where there is none, or the server is not ready."""
        status, notices = self.readiness()
        return notices.get(name, "") if status == 200 else ""


def assert_sums(server: Spooling) -> None:
    """Check that sums of usage say what the entries do, and that the command line verifies."""
    entries = [entry for entry in server.entries() if isinstance(entry, Settlement)]
    done = server.cli("usage", "--json")
    assert done.returncode == 0, done.stderr
    assert sum(line["requests"] for line in json.loads(done.stdout)) == len(entries)
    verified = server.cli("ledger", "verify")
    assert (verified.returncode, verified.stdout[:3]) == (0, "ok:"), verified.stderr


def test_a_database_that_goes_and_comes_back_is_not_noticed(
    tmp_path: Path, database: PostgresServer
) -> None:
    """Under load: every request is answered, and stands in one chain in the end."""

    async def drill() -> None:
        async with Upstream(play_words) as upstream:
            url = database.new_database()
            with Spooling(tmp_path, config(upstream.base_url), url, workers=1) as server:
                load = Load(SEED)
                running = asyncio.create_task(load.run(server))
                for end in (database.stop, database.kill):
                    await until_calls(upstream, upstream.calls + 100)
                    await asyncio.to_thread(end)
                    await until(lambda: "stands in for it" in server.told("ledger"))
                    assert database.password not in server.told("ledger")
                    await until_calls(upstream, upstream.calls + 200)
                    assert server.readiness()[0] == 200
                    await asyncio.to_thread(database.start)
                    await until(lambda: server.readiness() == (200, {}))
                await until_calls(upstream, upstream.calls + 100)
                load.stopping = True
                await running
                assert all(one.answered for one in load.sent)
                assert await asyncio.to_thread(server.stop) == 0
                assert_nothing_is_lost(server, load.sent, upstream.bodies)
                report = server.verify_at_rest()
                assert (report.recovered, report.requests) == (0, len(load.sent))
                assert len(load.sent) == upstream.calls
                assert len(server.chains()) == 1
                assert server.spooled() == []
                assert_sums(server)

    run(drill())


def test_a_server_that_is_killed_without_its_database(
    tmp_path: Path, database: PostgresServer
) -> None:
    """Its next start posts its spool: every call is accounted for, every answer as it was."""

    async def drill() -> None:
        async with Upstream(play_words) as upstream:
            url = database.new_database()
            server = Spooling(tmp_path, config(upstream.base_url), url, workers=1)
            with server:
                load = Load(SEED)
                running = asyncio.create_task(load.run(server))
                await until_calls(upstream, 100)
                await asyncio.to_thread(database.stop)
                await until(lambda: bool(server.told("ledger")))
                await until_calls(upstream, upstream.calls + 200)
                load.stopping = True
                await asyncio.to_thread(server.kill)
                await running
                assert len(server.spooled()) == 1
                await asyncio.to_thread(database.start)
                await asyncio.to_thread(server.start)
                assert_nothing_is_lost(server, load.sent, upstream.bodies)
                assert sum(one.answered for one in load.sent) > 200
                assert await asyncio.to_thread(server.stop) == 0
            assert len(server.chains()) == 2
            assert server.spooled() == []
            assert_sums(server)

    run(drill())


def test_what_is_in_the_spools_is_measured(tmp_path: Path, database: PostgresServer) -> None:
    """Over all workers: a hold and a settlement a request, until the database has them."""
    url = database.new_database()
    with UpstreamThread() as upstream:
        text = config(upstream.upstream.base_url)
        with Spooling(tmp_path, text, url, workers=2) as server:
            assert server.chat(max_tokens=7).status == 200
            assert server.waiting() == 0
            database.stop()
            wait_until(lambda: bool(server.told("ledger")), "the spool to stand in")
            statuses = [server.chat(max_tokens=7).status for _ in range(FRESH)]
            assert statuses == [200] * FRESH
            assert server.waiting() == 2 * FRESH
            database.start()
            wait_until(lambda: server.waiting() == 0, "the database to have all")
            assert len(server.entries()) == 2 + 2 * FRESH
        with Spooling(tmp_path, text, url, workers=1, ledger="") as server:
            assert SPOOLED not in server.get("/metrics", key=ADMIN_KEY).body.decode()


def test_workers_serve_what_is_on_loan_to_them(tmp_path: Path, database: PostgresServer) -> None:
    """What does not fit is refused; one is killed meanwhile; in the end the budget is spent."""
    url = database.new_database()
    with UpstreamThread() as upstream:
        play = upstream.upstream
        server = Spooling(tmp_path, CONFIG.format(play.base_url), url)
        budget = Budget(url, server)
        key = budget.limit(REQUESTS)
        with server:
            run(budget.ask(key, REQUESTS, 32, until=lambda: budget.statuses[200] >= 100))
            database.stop()
            wait_until(lambda: bool(server.told("ledger")), "the spool to stand in")
            before = play.calls
            away = budget.statuses[503]
            run(budget.ask(key, REQUESTS, 32, until=lambda: budget.statuses[503] >= away + 100))
            assert play.calls > before  # what was on loan
            assert play.calls < REQUESTS
            # The 503s may all be of workers that have nothing left, while one still has some.
            answers = (
                server.chat(key.secret, max_completion_tokens=WORDS) for _ in range(REQUESTS)
            )
            refused = next(each for each in answers if each.status != 200)
            assert (refused.status, b"on loan" in refused.body) == (503, True)
            assert len(server.spooled()) == 4
            kill_process(server.workers()[0])
            database.start()
            wait_until(
                lambda: all(server.readiness() == (200, {}) for _ in range(16)), "all to be back"
            )
            wait_until(lambda: server.open_holds() == set(), "the dead worker's chain to end")
            run(budget.ask(key, 3 * REQUESTS, 32))
            assert server.stop() == 0
        assert budget.cost() == REQUESTS * COST_NANO
        assert play.calls == REQUESTS == len(server.entries()) // 2
        assert server.verify_at_rest().requests == REQUESTS
        assert budget.loans() == 0
        assert [lent for _, lent in budget.meters()] == [0]
        assert server.spooled() == []
        assert_sums(server)


def test_another_host_leaves_what_it_cannot_know(tmp_path: Path, database: PostgresServer) -> None:
    """It says whose it is, until that host is back."""
    url = database.new_database()
    with UpstreamThread() as upstream:
        play = upstream.upstream
        text = config(play.base_url)
        shared = f"shared = true\n{SPOOL}"
        one = Spooling(tmp_path / "one", text, url, workers=1, ledger=shared)
        two = Spooling(tmp_path / "two", text, url, workers=1, ledger=shared)
        with one, two:
            database.stop()
            wait_until(lambda: bool(one.told("ledger")), "the spool to stand in")
            assert one.chat(max_tokens=7).status == 200
            one.kill()
            database.start()
            name = (one.data_dir / "spool" / "host").read_text().strip()
            wait_until(lambda: name in two.told("chains"), "the other host to say it")
            assert f"entente db release {name}" in two.told("chains")
            assert two.chat(max_tokens=8).status == 200
            assert one.entries() == two.entries()
            assert {getattr(entry, "output_tokens", 8) for entry in two.entries()} == {8}
            one.start()
            wait_until(lambda: two.readiness() == (200, {}), "the other host to see it")
            assert two.verify_at_rest().requests == 2
            assert [one.stop(), two.stop()] == [0, 0]
        assert (one.spooled(), two.spooled()) == ([], [])
        assert play.calls == 2


def test_a_start_that_is_refused_leaves_no_chain(tmp_path: Path, database: PostgresServer) -> None:
    """Else the host that it was told to wait for could not start, either, and so on in turns."""
    url = database.new_database()
    with UpstreamThread() as upstream:
        written = config(upstream.upstream.base_url)
        with Spooling(tmp_path / "one", written, url, workers=1) as one:
            kill_process(one.pid)
            one.wait()
            other = Spooling(tmp_path / "two", written, url, workers=1)
            for _ in range(2):
                refused = other.cli("serve")
                assert refused.returncode == 1
                assert "Start entente there" in refused.stderr
            assert other.spooled() == []
            one.start()
            assert one.chat(ADMIN_KEY).status == 200
            assert one.stop() == 0
            one.verify()
