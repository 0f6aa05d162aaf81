"""One server on PostgreSQL: killed, cut off, and left without its database, it loses nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

from entente.ledger.places import verify
from tests.support.hosts import WorkersServer
from tests.support.load import Load, assert_nothing_is_lost, until_calls
from tests.support.loops import run, until
from tests.support.postgres import PostgresServer
from tests.support.server import ADMIN_KEY
from tests.support.upstream import Upstream, config, play_words

if TYPE_CHECKING:
    from pathlib import Path

    from entente.ledger.journal import Report

SEED: Final = 20261122


class AloneServer(WorkersServer):
    """`entente serve` by one process, whose ledger is in PostgreSQL."""

    def __init__(self, folder: Path, config: str, url: str) -> None:
        """Write the configuration, and bring the database forward."""
        super().__init__(folder, config, url, workers=1)

    def verify(self) -> Report:
        """Check every chain, and what all of them add up to."""
        with self.opened() as database:
            report = verify(database)
        assert [each for each in report.problems if "settles them" not in each] == []
        return report

    @property
    def trouble(self) -> str:
        """What readiness says stands against serving; empty where nothing does."""
        got = self.get("/readyz")
        return "" if got.status == 200 else got.body.decode()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """Give a database server that a test may stop and kill."""
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.mark.parametrize("durability", ["full", "async"])
def test_kill_9_at_any_instant_loses_nothing(
    tmp_path: Path, postgres_url: str, kills: int, durability: str
) -> None:
    """Killed under load again and again: the next start accounts for every call."""
    chance = random.Random(f"{SEED} {durability}")  # noqa: S311 - the same drill every time

    async def drill() -> None:
        async with Upstream(play_words) as upstream:
            server = AloneServer(tmp_path, config(upstream.base_url), postgres_url)
            written = server.config_path.read_text()
            server.config_path.write_text(
                written.replace("[ledger]\n", f'[ledger]\ndurability = "{durability}"\n')
            )
            load = Load(SEED)
            with server:
                for _ in range(kills):
                    load.stopping = False
                    running = asyncio.create_task(load.run(server))
                    await until_calls(upstream, upstream.calls + chance.randint(1, 120))
                    load.stopping = True
                    await asyncio.to_thread(server.kill)
                    await running
                    await asyncio.to_thread(server.start)
                    assert_nothing_is_lost(server, load.sent, upstream.bodies)
                assert sum(one.answered for one in load.sent) > 0
                assert await asyncio.to_thread(server.stop) == 0
            verified = server.cli("ledger", "verify")
            assert (verified.returncode, verified.stdout[:3]) == (0, "ok:"), verified.stderr
            assert len(server.chains()) == kills + 1

    run(drill())


def test_sessions_that_are_ended_are_not_noticed(tmp_path: Path, postgres_url: str) -> None:
    """All of the server's sessions, again and again: every request is answered."""

    async def drill() -> None:
        async with Upstream(play_words) as upstream:
            with AloneServer(tmp_path, config(upstream.base_url), postgres_url) as server:
                load = Load(SEED)
                running = asyncio.create_task(load.run(server))
                for _ in range(3):
                    await until_calls(upstream, upstream.calls + 60)
                    with server.opened() as database:
                        database.execute(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                            " datname = current_database() AND pid <> pg_backend_pid()"
                        )
                await until_calls(upstream, upstream.calls + 60)
                load.stopping = True
                await running
                assert all(one.answered for one in load.sent)
                assert server.trouble == ""
                assert await asyncio.to_thread(server.stop) == 0
                assert_nothing_is_lost(server, load.sent, upstream.bodies)
                assert len(server.chains()) == 1

    run(drill())


def test_a_database_that_goes_and_comes_back(tmp_path: Path, own_server: PostgresServer) -> None:
    """Readiness says so; new requests are refused; what ran is settled once it is back."""

    async def drill() -> None:
        async with Upstream(partial(play_words, pause_s=0.01)) as upstream:
            url = own_server.new_database()
            with AloneServer(tmp_path, config(upstream.base_url), url) as server:
                load = Load(SEED)
                running = asyncio.create_task(load.run(server))
                await until_calls(upstream, 60)
                await asyncio.to_thread(own_server.stop)
                await until(lambda: "cannot be used now" in server.trouble)
                load.stopping = True
                await running
                refused = (await load.one(server.port)).reply
                assert refused.status == 503
                assert own_server.password not in server.trouble
                await asyncio.to_thread(own_server.start)
                await until(lambda: server.trouble == "")
                assert (await load.one(server.port)).answered
                assert await asyncio.to_thread(server.stop) == 0
                assert_nothing_is_lost(server, load.sent, upstream.bodies)
                assert server.verify_at_rest().recovered == 0
                assert len(server.chains()) == 1
                for log in (server.out_log, server.err_log):
                    assert own_server.password not in log.read_text()

    run(drill())


def test_a_database_that_crashes_under_load(tmp_path: Path, own_server: PostgresServer) -> None:
    """Its power fails; what was answered is in the ledger, and the server goes on."""

    async def drill() -> None:
        async with Upstream(play_words) as upstream:
            url = own_server.new_database()
            with AloneServer(tmp_path, config(upstream.base_url), url) as server:
                load = Load(SEED)
                running = asyncio.create_task(load.run(server))
                await until_calls(upstream, 100)
                await asyncio.to_thread(own_server.kill)
                await asyncio.to_thread(own_server.start)
                await until(lambda: server.trouble == "")
                await until_calls(upstream, upstream.calls + 60)
                load.stopping = True
                await running
                assert await asyncio.to_thread(server.stop) == 0
                assert_nothing_is_lost(server, load.sent, upstream.bodies)
                assert server.verify_at_rest().recovered == 0

    run(drill())


def test_a_second_server_is_refused(tmp_path: Path, postgres_url: str) -> None:
    """It says who is there and what to do; the first serves on."""
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    text = config("http://127.0.0.1:9/v1")
    with AloneServer(folders[0], text, postgres_url) as first:
        second = AloneServer(folders[1], text, postgres_url)
        second.launch()
        assert second.wait() == 1
        assert "Another entente serves from the database" in second.err_log.read_text()
        assert first.get("/v1/models", key=ADMIN_KEY).status == 200


def test_a_budget_is_kept_over_restarts_and_grants(tmp_path: Path, postgres_url: str) -> None:
    """What was spent before a crash counts after it; a grant is seen while the server runs."""

    async def drill() -> None:
        async with Upstream(play_words) as upstream:
            text = config(upstream.base_url, model="output_tokens_max = 50")
            server = AloneServer(tmp_path, text, postgres_url)
            made = server.cli("keys", "create", "--name", "bob", "--budget-usd", "0.0003")
            key = made.stdout.strip()
            ask = partial(asyncio.to_thread, server.chat, key, max_tokens=5)
            with server:
                asked = 0
                while (got := await ask()).status == 200:
                    asked += 1
                    if asked == 2:
                        await asyncio.to_thread(server.kill)
                        await asyncio.to_thread(server.start)
                assert (got.status, asked > 2) == (429, True)
                granted = server.cli("budgets", "grant", "bob", "--usd", "0.01")
                assert granted.returncode == 0, granted.stderr
                while (await ask()).status != 200:
                    pass
                assert await asyncio.to_thread(server.stop) == 0
            server.verify_at_rest()

    run(drill())
