"""Budgets over four real workers on a real PostgreSQL: exact, whoever dies and whatever stops."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from entente.ledger.model import Settlement
from tests.support.budgets import CONFIG, COST_NANO, WORDS, Budget
from tests.support.hosts import WorkersServer, kill_process
from tests.support.loops import run
from tests.support.postgres import postgres_server
from tests.support.server import Got, Key, wait_until
from tests.support.upstream import UpstreamThread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASKED: Final = 8


class Stage(NamedTuple):
    """Workers in front of a provider that answers with as many words as are paid for."""

    server: WorkersServer
    upstream: UpstreamThread
    budget: Budget


@pytest.fixture
def stage(tmp_path: Path, postgres_url: str) -> Iterator[Stage]:
    """Run workers for one test, which may kill them."""
    with UpstreamThread() as upstream:
        config = CONFIG.format(upstream.upstream.base_url)
        with WorkersServer(tmp_path, config, postgres_url) as server:
            yield Stage(server, upstream, Budget(postgres_url, server))


@pytest.mark.parametrize("budget", ["granted", "rule"])
def test_a_budget_for_a_thousand_serves_a_thousand(stage: Stage, budget: str) -> None:
    """Three thousand requests over 512 connections, whichever workers they reach."""
    key = stage.budget.grant(1_000) if budget == "granted" else stage.budget.limit(1_000)
    run(stage.budget.ask(key, 3_000 + 512, 512))
    assert stage.budget.statuses[200] == 1_000
    assert set(stage.budget.statuses) == {200, 429}
    assert stage.upstream.upstream.calls == 1_000
    assert stage.server.stop() == 0
    assert stage.budget.cost() == 1_000 * COST_NANO
    assert stage.server.open_holds() == set()
    assert stage.budget.loans() == 0
    assert [lent for _, lent in stage.budget.meters()] == [0]


def test_hosts_of_one_worker_share_a_budget(tmp_path: Path, postgres_url: str) -> None:
    """Two of them, each its own folder and port, where both say that they are not alone."""
    with UpstreamThread() as upstream:
        config = "shared = true\n" + CONFIG.format(upstream.upstream.base_url)
        hosts = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            hosts.append(WorkersServer(tmp_path / name, config, postgres_url, workers=1))
        budget = Budget(postgres_url, *hosts)
        key = budget.limit(100)
        with hosts[0], hosts[1]:
            run(budget.ask(key, 400 + 16, 16))
            assert (budget.statuses[200], upstream.upstream.calls) == (100, 100)
            assert [host.stop() for host in hosts] == [0, 0]
        assert budget.cost() == 100 * COST_NANO
        assert budget.loans() == 0


def test_a_worker_that_is_killed_takes_nothing_with_it(stage: Stage) -> None:
    """Neither is more spent than the budget, nor does what it had on loan stay away."""
    key = stage.budget.limit(400)
    server = stage.server

    async def drill() -> None:
        asking = asyncio.create_task(stage.budget.ask(key, 2_000, 64))
        for served in (60, 160):
            while stage.upstream.upstream.calls < served:  # noqa: ASYNC110 - of another thread
                await asyncio.sleep(0.005)
            kill_process(server.workers()[0])
        await asking

    run(drill())
    wait_until(lambda: server.open_holds() == set(), "the dead workers' chains to be taken over")
    run(stage.budget.ask(key, 1_000, 32))
    assert stage.budget.statuses[429] > 0
    assert stage.upstream.upstream.calls <= 400
    assert server.stop() == 0
    assert stage.budget.cost() == 400 * COST_NANO, "all of it is spent, and not a nano more"
    assert stage.budget.meters() == [(400 * COST_NANO, 0)]
    assert stage.budget.loans() == 0


def test_a_changed_limit_of_a_key_holds_in_the_minute_that_has_begun(stage: Stage) -> None:
    """Wherever it has been asked with already."""
    server = stage.server
    key = server.make_key(requests_per_minute=1_000)
    assert {got.status for got in run(_at_once(server, key))} == {200}
    changed = server.cli("keys", "set", key.id, "--rpm", "1")
    assert changed.returncode == 0, changed.stderr
    server.make_key()  # by the time that it works, all workers have heard of the change
    served = [got.status for got in run(_at_once(server, key))].count(200)
    assert served <= 1, "one, where another minute has begun meanwhile"


def test_without_the_database_no_hold_is_served(stage: Stage) -> None:
    """It is said in so many words, readiness tells, and it comes back by itself."""
    key = stage.budget.limit(1_000)
    run(stage.budget.ask(key, 40, 8))
    postgres = postgres_server()
    postgres.pause()
    try:
        answers = run(_at_once(stage.server, key))
        wait_until(lambda: stage.server.get("/readyz").status == 503, "readiness to tell")
    finally:
        postgres.resume()
    refused = [answer for answer in answers if answer.status != 200]
    assert len(refused) == ASKED
    for answer in refused:
        assert answer.status == 503
        assert "database" in answer.error["message"]
    wait_until(lambda: stage.server.everywhere(key, 200), "keys to work")
    wait_until(lambda: _ask(stage.server, key).status == 200, "a request to be served")
    calls = stage.upstream.upstream.calls
    assert stage.server.stop() == 0
    settlements = [each for each in stage.server.entries() if isinstance(each, Settlement)]
    recovered = sum(each.recovered for each in settlements)
    sent = sum(each.attempts > 0 for each in settlements)
    # Whether a request whose hold was on its way was refused, or sent, only its worker knew.
    assert sent <= calls <= sent + recovered
    assert stage.budget.meters() == [((sent + recovered) * COST_NANO, 0)]


async def _at_once(server: WorkersServer, key: Key) -> list[Got]:
    """Ask over several connections."""
    return await asyncio.gather(*(asyncio.to_thread(_ask, server, key) for _ in range(ASKED)))


def _ask(server: WorkersServer, key: Key) -> Got:
    """Ask for a completion."""
    return server.chat(key.secret, max_completion_tokens=WORDS)


def test_a_worker_that_stops_and_goes_on_is_fenced(stage: Stage) -> None:
    """One that is held still for long is taken for dead only if its session is; nothing is lost."""
    key = stage.budget.limit(300)
    server = stage.server
    stopped = server.workers()[0]

    async def drill() -> None:
        asking = asyncio.create_task(stage.budget.ask(key, 1_500, 32))
        while stage.upstream.upstream.calls < 50:  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.005)
        os.kill(stopped, signal.SIGSTOP)
        await asyncio.sleep(0.5)
        os.kill(stopped, signal.SIGCONT)
        await asking

    run(drill())
    assert stage.upstream.upstream.calls == 300
    assert server.stop() == 0
    assert stage.budget.cost() == 300 * COST_NANO
    assert stage.budget.meters() == [(300 * COST_NANO, 0)]
