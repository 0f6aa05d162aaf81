"""Two servers of two workers each on one PostgreSQL: killed, held still, cut off, minutes apart.

Each run has a budget of its own, and faults at random instants while clients ask for three
times as much as it pays for. Then everything is mended, and clients ask until nothing is
left: what the upstream was asked, what the entries say and what the meter has used must be
the same, to the nano-unit, and nothing may be held or on loan.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

from entente.ledger.journal import verify
from entente.ledger.model import Settlement
from entente.ledger.postgres_reader import chain_rows, chains
from soak.run import Run
from tests.support.budgets import CONFIG, COST_NANO, Budget
from tests.support.hosts import WorkersServer, kill_process
from tests.support.postgres import PostgresServer
from tests.support.server import wait_until
from tests.support.upstream import UpstreamThread, play_words

HOSTS: Final = 2
WORKERS: Final = 2
SKEWS_S: Final = (-300, 300)
"""Of the clocks of the two servers: ten minutes lie between them."""
CONNECTIONS: Final = 48
TIMES: Final = 3
PAUSE_S: Final = 0.1
"""Of the provider before each answer: there is time for something to happen."""
FAULTS: Final = ("kill", "hold", "pause", "restart", "power", "sessions", "slow")
COMMIT_DELAY_US: Final = 100_000
"""What a slow disk adds to each commit; the most that PostgreSQL can be told to wait."""
FAULT_PAUSE_S_MAX: Final = 0.8
FAULTS_MAX: Final = 12
"""In one run: a worker that dies again and again is started again later and later."""
_SHIFTED: Final = """
import time
def _shift(name, real_ns=time.time_ns):
    def time_ns():
        return real_ns() + {offset_s} * 10**9
    def time_s():
        return time_ns() / 1e9
    return {{"time_ns": time_ns, "time": time_s}}[name]
time.time, time.time_ns = _shift("time"), _shift("time_ns")
"""


async def leases(run: Run) -> None:
    """Play as many runs as the plan says."""
    faults: Counter[str] = Counter()
    outcome = run.outcome
    outcome.durability = "full"
    with UpstreamThread() as upstream:
        upstream.upstream.play = partial(play_words, pause_s=PAUSE_S)
        for number in range(run.plan.lease_runs):
            run.tell(number / run.plan.lease_runs, f"run {number + 1}")
            folder = run.folder / f"run-{number}"
            folder.mkdir()
            postgres = await asyncio.to_thread(PostgresServer)
            try:
                await asyncio.to_thread(postgres.start)
                one = _Once(run, run.chance(str(number)), folder, postgres, upstream)
                faults.update(await one.play())
            finally:
                await asyncio.to_thread(postgres.remove)
    outcome.facts = {"runs": run.plan.lease_runs}
    for name, count in sorted(faults.items()):
        outcome.facts[f"faults: {name}"] = count


def _end(server: WorkersServer) -> None:
    """End a server, however its run ended."""
    if server.running:
        server.kill()


class _Once:
    """One run: a database, two servers, a budget."""

    def __init__(
        self,
        run: Run,
        chance: random.Random,
        folder: Path,
        postgres: PostgresServer,
        upstream: UpstreamThread,
    ) -> None:
        self._run, self._chance, self._folder = run, chance, folder
        self._postgres, self._upstream = postgres, upstream
        self._requests = chance.choice([300, 800, 1_500])
        self._faults: Counter[str] = Counter()

    async def play(self) -> Counter[str]:
        """Ask among faults, mend, ask for the rest, and compare; give the faults."""
        url = self._postgres.new_database()
        calls_before = self._upstream.upstream.calls
        with contextlib.ExitStack() as stack:
            servers = [self._server(n, url, stack) for n in range(HOSTS)]
            for server in servers:
                await asyncio.to_thread(server.start)
            budget = Budget(url, *servers)
            key = await asyncio.to_thread(budget.limit, self._requests)
            over = asyncio.Event()
            breaking = asyncio.create_task(self._break(servers, over))
            await budget.ask(key, TIMES * self._requests, CONNECTIONS)
            over.set()
            await breaking
            await asyncio.to_thread(self._settle_down, servers)
            await budget.ask(key, TIMES * self._requests, CONNECTIONS)
            for server in servers:
                status = await asyncio.to_thread(server.stop)
                self._run.outcome.expect(status == 0, f"a server stopped with {status}")
            self._compare(budget, self._upstream.upstream.calls - calls_before)
        return self._faults

    def _server(self, number: int, url: str, stack: contextlib.ExitStack) -> WorkersServer:
        """Prepare a server whose clock is off."""
        folder = self._folder / f"host-{number}"
        folder.mkdir()
        shifted = folder / "shifted"
        shifted.mkdir()
        text = _SHIFTED.format(offset_s=SKEWS_S[number])
        (shifted / "sitecustomize.py").write_text(text)
        config = CONFIG.format(self._upstream.upstream.base_url)
        server = WorkersServer(folder, config, url, workers=WORKERS, before=shifted)
        stack.callback(_end, server)
        return server

    async def _break(self, servers: list[WorkersServer], over: asyncio.Event) -> None:
        """Break something again and again, until everybody has asked, or enough is broken."""
        for _ in range(FAULTS_MAX):
            if over.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._chance.uniform(0.05, FAULT_PAUSE_S_MAX)):
                    await over.wait()
            fault = self._chance.choice(FAULTS)
            self._faults[fault] += 1
            workers = self._chance.choice(servers).workers()
            await self._do(fault, self._chance.choice(workers) if workers else 0)

    async def _do(self, fault: str, worker: int) -> None:
        """Break one thing, and mend what does not mend itself."""
        postgres, pause_s = self._postgres, self._chance.uniform(0.1, 2.0)
        match fault:
            case "kill" if worker:
                kill_process(worker)
            case "hold" if worker:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGSTOP)
                    await asyncio.sleep(pause_s)
                    os.kill(worker, signal.SIGCONT)
            case "pause":
                postgres.pause()
                await asyncio.sleep(pause_s)
                postgres.resume()
            case "restart" | "power":
                end = postgres.stop if fault == "restart" else postgres.kill
                await asyncio.to_thread(end)
                await asyncio.sleep(pause_s / 2)
                await asyncio.to_thread(postgres.start)
            case "slow":
                postgres.delay_commits(COMMIT_DELAY_US)
                await asyncio.sleep(pause_s)
                postgres.delay_commits(0)
            case "sessions":
                await asyncio.to_thread(postgres.end_sessions)
            case _:
                self._faults[fault] -= 1

    def _settle_down(self, servers: list[WorkersServer]) -> None:
        """Wait until every worker serves again, and the dead are taken over."""
        for server in servers:
            wait_until(lambda s=server: len(s.workers()) == WORKERS, "workers")  # type: ignore[misc]
            wait_until(lambda s=server: s.get("/readyz").status == 200, "readiness")  # type: ignore[misc]
        wait_until(lambda: servers[0].open_holds() == set(), "the dead to be taken over")

    def _compare(self, budget: Budget, calls: int) -> None:
        """Compare what upstream, entries and meters say."""
        outcome = self._run.outcome
        settlements = [e for e in budget.server.entries() if isinstance(e, Settlement)]
        recovered = sum(each.recovered for each in settlements)
        sent = sum(each.attempts > 0 for each in settlements)
        spent = budget.cost()
        outcome.requests += len(settlements)
        outcome.calls += calls
        outcome.answered += budget.statuses[200]
        outcome.recovered += recovered
        outcome.expect(sent <= calls <= sent + recovered, f"{calls} calls, {sent} settled as sent")
        outcome.expect(
            spent == self._requests * COST_NANO, f"{spent} spent of {self._requests * COST_NANO}"
        )
        outcome.expect(budget.meters() == [(spent, 0)], f"the meter says {budget.meters()}")
        outcome.expect(budget.loans() == 0, "something is on loan at rest")
        outcome.expect(calls <= self._requests, "the upstream was asked more than was paid for")
        outcome.unsettled += len(budget.server.open_holds())
        sums = budget.server.cli("ledger", "verify", "--rollups")
        outcome.expect(sums.returncode == 0, f"the sums of usage: {sums.stderr.strip()}")
        with budget.server.opened() as database:
            for chain in chains(database):
                report, _ = verify(chain_rows(database, chain.number))
                outcome.verifications += 1
                outcome.unverified += len(report.problems)
                outcome.notes += report.problems[:3]
