"""Budgets over four real workers on a real PostgreSQL: exact, whoever dies and whatever stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from entente.auth import OPERATOR
from entente.control.audit import Audit
from entente.control.budgets import initial_grant
from entente.control.rules import Rules, RuleWish
from entente.control.table import Base
from entente.domain.ids import Ids
from entente.domain.rules import Level, Unit
from entente.ledger.appending import append_now
from entente.ledger.model import Settlement
from tests.support.hosts import WorkersServer, kill_process
from tests.support.loops import run
from tests.support.postgres import postgres_server
from tests.support.rawclient import connection, post, read_reply
from tests.support.server import Got, Key, chat_body, wait_until
from tests.support.upstream import UpstreamThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WORDS: Final = 5
COST_NANO: Final = WORDS * 1_000
"""Of each request, exactly what is held for it: only words that are answered have a price."""
ASKED: Final = 8
CONFIG: Final = """
[limits]
budget_wait_s = 60.0
[providers.up]
kind = "openai"
base_url = "{0}/v1"
[models."m"]
targets = [{{ provider = "up", model = "m" }}]
price = {{ currency = "USD", per = "1M tokens", input = "0", output = "1" }}
"""


class Stage:
    """Workers in front of a provider that answers with as many words as are paid for."""

    def __init__(self, server: WorkersServer, upstream: UpstreamThread, url: str) -> None:
        self.server = server
        self.upstream = upstream
        self.url = url
        self.statuses: Counter[int] = Counter()

    def grant(self, requests: int) -> Key:
        """Make a key with a budget for so many requests."""
        key = self.server.make_key(budgeted=True)
        with self.server.opened() as database:
            append_now(
                database,
                [initial_grant(OPERATOR, key.id, requests * COST_NANO, at_ns=time.time_ns())],
            )
        return key

    def limit(self, requests: int) -> Key:
        """Make a key, and a budget for so many requests of everybody."""
        with self.server.opened() as database:
            ids = Ids(time.time_ns, random.SystemRandom().getrandbits)
            base = Base(database, time.time_ns, ids)
            Rules(base, Audit(base)).make(
                OPERATOR,
                RuleWish(
                    level=Level.ORGANIZATION,
                    unit=Unit.SPEND,
                    amount=requests * COST_NANO,
                    asset="USD",
                ),
            )
        return self.server.make_key()

    async def ask(
        self, key: Key, requests: int, connections: int, *, until: Callable[[], bool] | None = None
    ) -> None:
        """Send requests over connections of many workers; what breaks off has the status 0."""
        left = iter(range(requests))
        sent = post(chat_body(max_completion_tokens=WORDS), key.secret)

        async def client() -> None:
            while next(left, None) is not None and not (until and until()):
                with contextlib.suppress(OSError):
                    async with connection(self.server.port) as (reader, writer):
                        status = 200
                        while status and next(left, None) is not None:
                            writer.write(sent)
                            status = (await read_reply(reader)).status
                            self.statuses[status] += 1

        await asyncio.gather(*(client() for _ in range(connections)))

    def meters(self) -> list[tuple[int, int]]:
        """Read what meters of money have used, and lent."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT used, lent FROM meters WHERE name LIKE 'spend%'"
            ).fetchall()
        return [(int(used), int(lent)) for used, lent in rows]

    def loans(self) -> int:
        """Count what is on loan to anybody."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT count(*) FROM loans").fetchone()
        assert row is not None
        return int(row[0])

    def cost(self) -> int:
        """Add up what all entries say was spent."""
        entries = self.server.entries()
        return sum(each.cost_nano or 0 for each in entries if isinstance(each, Settlement))


@pytest.fixture
def stage(tmp_path: Path, postgres_url: str) -> Iterator[Stage]:
    """Run workers for one test, which may kill them."""
    with UpstreamThread() as upstream:
        config = CONFIG.format(upstream.upstream.base_url)
        with WorkersServer(tmp_path, config, postgres_url) as server:
            yield Stage(server, upstream, postgres_url)


@pytest.mark.parametrize("budget", ["granted", "rule"])
def test_a_budget_for_a_thousand_serves_a_thousand(stage: Stage, budget: str) -> None:
    """Three thousand requests over 512 connections, whichever workers they reach."""
    key = stage.grant(1_000) if budget == "granted" else stage.limit(1_000)
    run(stage.ask(key, 3_000 + 512, 512))
    assert stage.statuses[200] == 1_000
    assert set(stage.statuses) == {200, 429}
    assert stage.upstream.upstream.calls == 1_000
    assert stage.server.stop() == 0
    assert stage.cost() == 1_000 * COST_NANO
    assert stage.server.open_holds() == set()
    assert stage.loans() == 0
    assert [lent for _, lent in stage.meters()] == [0]


def test_a_worker_that_is_killed_takes_nothing_with_it(stage: Stage) -> None:
    """Neither is more spent than the budget, nor does what it had on loan stay away."""
    key = stage.limit(400)
    server = stage.server

    async def drill() -> None:
        asking = asyncio.create_task(stage.ask(key, 2_000, 64))
        for served in (60, 160):
            while stage.upstream.upstream.calls < served:  # noqa: ASYNC110 - of another thread
                await asyncio.sleep(0.005)
            kill_process(server.workers()[0])
        await asking

    run(drill())
    wait_until(lambda: server.open_holds() == set(), "the dead workers' chains to be taken over")
    run(stage.ask(key, 1_000, 32))
    assert stage.statuses[429] > 0
    assert stage.upstream.upstream.calls <= 400
    assert server.stop() == 0
    assert stage.cost() == 400 * COST_NANO, "all of it is spent, and not a nano more"
    assert stage.meters() == [(400 * COST_NANO, 0)]
    assert stage.loans() == 0


def test_without_the_database_no_hold_is_served(stage: Stage) -> None:
    """It is said in so many words, readiness tells, and it comes back by itself."""
    key = stage.limit(1_000)
    run(stage.ask(key, 40, 8))
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
    assert stage.meters() == [((sent + recovered) * COST_NANO, 0)]


async def _at_once(server: WorkersServer, key: Key) -> list[Got]:
    """Ask over several connections."""
    return await asyncio.gather(*(asyncio.to_thread(_ask, server, key) for _ in range(ASKED)))


def _ask(server: WorkersServer, key: Key) -> Got:
    """Ask for a completion."""
    return server.chat(key.secret, max_completion_tokens=WORDS)


def test_a_worker_that_stops_and_goes_on_is_fenced(stage: Stage) -> None:
    """One that is held still for long is taken for dead only if its session is; nothing is lost."""
    key = stage.limit(300)
    server = stage.server
    stopped = server.workers()[0]

    async def drill() -> None:
        asking = asyncio.create_task(stage.ask(key, 1_500, 32))
        while stage.upstream.upstream.calls < 50:  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.005)
        os.kill(stopped, signal.SIGSTOP)
        await asyncio.sleep(0.5)
        os.kill(stopped, signal.SIGCONT)
        await asking

    run(drill())
    assert stage.upstream.upstream.calls == 300
    assert server.stop() == 0
    assert stage.cost() == 300 * COST_NANO
    assert stage.meters() == [(300 * COST_NANO, 0)]
