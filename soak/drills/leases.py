"""Two hosts of two workers each on one PostgreSQL: killed, held still, cut off, minutes apart.

Each run has a budget of its own, and every kind of fault at random instants while clients spend
it. Each host has an address of its own, and a line to the database that loses answers and says
notices twice; one of them has a spool, and goes on without its database. Then everything is
mended, and clients ask for three times as much again. What the upstream was asked, what the
entries say, what reports add up to and what the meter has used must be the same, to the
nano-unit; at no instant may more have been spent and held than there was, nobody may have been
refused before all of it was spent, and nothing may be held or on loan.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import Counter
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final

import psycopg

from entente.domain.money import NANO_PER_UNIT, format_nano
from entente.ledger.journal import decode, verify
from entente.ledger.model import Settlement
from entente.ledger.postgres_reader import chain_rows, chains
from soak.run import Run
from soak.spending import OK, REFUSED, Budgeted, Stood, compare
from tests.support.budgets import CONFIG, COST_NANO, UNAVAILABLE, Budget
from tests.support.hosts import WorkersServer, kill_process
from tests.support.postgres import PostgresServer
from tests.support.postgres_line import PostgresLine, postgres_line
from tests.support.server import ADMIN_KEY, Key, wait_until
from tests.support.upstream import UpstreamThread, play_words

HOSTS: Final = ("127.0.0.1", "127.0.0.2")
WORKERS: Final = 2
SKEWS_S: Final = (-300, 300)
"""Of the clocks of the two hosts: ten minutes lie between them."""
CREATED: Final = 201
CONNECTIONS: Final = 48
SPOOL: Final = "spool_s = 600\n"
TIMES: Final = 3
ASKED_MAX: Final = 1_000_000
"""While things break: who is told that the database is away asks again."""
FAULTS: Final = ("kill", "hold", "pause", "restart", "power", "sessions", "slow", "answer")
LOST: Final = {"entries": "batch of entries", "loans": "word about loans", "sums": "fold of sums"}
"""What the database has written when its answer is lost, and how that is called."""
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
_STOOD: Final = (
    "SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint AS at_us, line"
    " FROM entries ORDER BY at_us, chain, seq"
)
"""By the database's clock, the only one that all share."""
_ADDRESSES: Final = (
    "SELECT DISTINCT host(client_addr) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'entente'"
)


async def leases(run: Run) -> None:
    """Play as many runs as the plan says."""
    faults: Counter[str] = Counter()
    outcome = run.outcome
    outcome.durability = "full"
    with UpstreamThread() as upstream:
        for number in range(run.plan.lease_runs):
            run.tell(number / run.plan.lease_runs, f"run {number + 1}")
            folder = run.folder / f"run-{number}"
            folder.mkdir()
            postgres = await asyncio.to_thread(PostgresServer)
            try:
                await asyncio.to_thread(postgres.start)
                one = _Once(run, number, folder, postgres, upstream)
                faults.update(await one.play())
            finally:
                await asyncio.to_thread(postgres.remove)
    outcome.facts |= {"runs": run.plan.lease_runs}
    for name, count in sorted((+faults).items()):
        outcome.facts[f"faults: {name}"] = count


def _end(server: WorkersServer) -> None:
    """End a server, however its run ended."""
    if server.running:
        server.kill()


class _Once:
    """One run: a database, two hosts, a budget."""

    def __init__(
        self,
        run: Run,
        number: int,
        folder: Path,
        postgres: PostgresServer,
        upstream: UpstreamThread,
    ) -> None:
        self._run, self._number, self._folder = run, number, folder
        self._chance = run.chance(str(number))
        self._postgres, self._upstream = postgres, upstream
        self._requests = self._chance.choice(run.plan.lease_requests)
        # The provider is so slow that the budget lasts: there is time for something to happen.
        pause_s = run.plan.lease_s * CONNECTIONS / self._requests
        upstream.upstream.play = partial(play_words, pause_s=pause_s)
        self._faults: Counter[str] = Counter()
        self._lines: list[PostgresLine] = []

    async def play(self) -> Counter[str]:
        """Ask among faults, mend, ask for the rest, and compare; give the faults."""
        url = self._postgres.new_database()
        calls_before = self._upstream.upstream.calls
        with contextlib.ExitStack() as stack:
            servers = [self._server(n, url, stack) for n in range(len(HOSTS))]
            for server in servers:
                await asyncio.to_thread(server.start)
            budget = Budget(url, *servers)
            key = await asyncio.to_thread(self._limit, servers, url)
            over = asyncio.Event()
            breaking = asyncio.create_task(self._break(servers, over))
            await budget.ask(
                key, ASKED_MAX, CONNECTIONS, until=lambda: budget.statuses[REFUSED] >= CONNECTIONS
            )
            over.set()
            await breaking
            await asyncio.to_thread(self._settle_down, servers)
            await budget.ask(key, TIMES * self._requests, CONNECTIONS)
            self._count_lines()
            for server in servers:
                status = await asyncio.to_thread(server.stop)
                self._run.outcome.expect(status == 0, f"a server stopped with {status}")
            bodies = self._upstream.upstream.bodies[calls_before:]
            self._compare(budget, [json.loads(body)["user"] for body in bodies])
        return self._faults

    def _server(self, number: int, url: str, stack: contextlib.ExitStack) -> WorkersServer:
        """Prepare a host: its clock is off, and its line to the database is bad."""
        host = HOSTS[number]
        chance = self._run.chance(f"{self._number} {host}")
        line = stack.enter_context(postgres_line(self._postgres.port, host=host, chance=chance))
        self._lines.append(line)
        folder = self._folder / f"host-{number}"
        folder.mkdir()
        shifted = folder / "shifted"
        shifted.mkdir()
        text = _SHIFTED.format(offset_s=SKEWS_S[number])
        (shifted / "sitecustomize.py").write_text(text)
        config = CONFIG.format(self._upstream.upstream.base_url)
        ledger = SPOOL if (number + self._number) % len(HOSTS) else ""
        server = WorkersServer(
            *(folder, config, line.through(url)),
            host=host,
            workers=WORKERS,
            before=shifted,
            ledger=ledger,
        )
        stack.callback(_end, server)
        return server

    def _limit(self, servers: list[WorkersServer], url: str) -> Key:
        """Make the budget, and a key. Who makes it gets no answer, and asks twice more."""
        outcome = self._run.outcome
        amount = format_nano(self._requests * COST_NANO)
        wish = {"level": "organization", "unit": "spend", "amount": amount}
        self._lines[0].lose("rules")
        answers = [
            server.ask(
                *("POST", "/admin/v1/rules"),
                key=ADMIN_KEY,
                body=json.dumps(wish).encode(),
                headers={"Idempotency-Key": "the budget"},
            )
            for server in (servers[0], *servers)
        ]
        statuses = [answer.status for answer in answers]
        outcome.expect(
            statuses == [UNAVAILABLE, CREATED, CREATED], f"the budget was made with {statuses}"
        )
        same = len({answer.json["id"] for answer in answers[1:]}) == 1
        outcome.expect(same, "the budget was made twice")
        key = servers[0].make_key()
        for server in servers:
            wait_until(lambda s=server: s.everywhere(key, OK), "the key to work")  # type: ignore[misc]
        with psycopg.connect(url) as connection:
            addresses = {row[0] for row in connection.execute(_ADDRESSES)}
        outcome.expect(addresses == set(HOSTS), f"the database is asked from {addresses}")
        return key

    async def _break(self, servers: list[WorkersServer], over: asyncio.Event) -> None:
        """Break something again and again, until everybody has asked, or enough is broken."""
        # In each run, whatever else happens, a batch and a word about loans come twice.
        self._lines[0].lose("entries")
        self._lines[1].lose("loans")
        faults = self._chance.sample(FAULTS, len(FAULTS))
        faults += self._chance.choices(FAULTS, k=FAULTS_MAX - len(FAULTS))
        for fault in faults:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._chance.uniform(0.05, FAULT_PAUSE_S_MAX)):
                    await over.wait()
            if over.is_set():
                return
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
            case "answer":
                # What is lost is counted by the line, when there was something to lose.
                self._faults[fault] -= 1
                self._chance.choice(self._lines).lose(self._chance.choice(tuple(LOST)))
            case _:
                self._faults[fault] -= 1

    def _settle_down(self, servers: list[WorkersServer]) -> None:
        """Wait until every worker serves again, and the dead are taken over."""
        for server in servers:
            wait_until(lambda s=server: len(s.workers()) == WORKERS, "workers")  # type: ignore[misc]
            wait_until(lambda s=server: s.get("/readyz").status == OK, "readiness")  # type: ignore[misc]
        wait_until(lambda: servers[0].open_holds() == set(), "the dead to be taken over")

    def _count_lines(self) -> None:
        """Lose nothing any more; count what was lost, and what came twice."""
        for line in self._lines:
            line.lose(None)
            self._faults["notice delivered twice"] += line.doubled
            self._faults["answer to a request for a budget lost"] += line.lost["rules"]
            for write, called in LOST.items():
                self._faults[f"answer to a {called} lost"] += line.lost[write]
        for twice in ("entries", "loans"):
            came = sum(line.lost[twice] for line in self._lines)
            self._run.outcome.expect(came > 0, f"no answer to a {LOST[twice]} was lost")
        doubled = sum(line.doubled for line in self._lines)
        self._run.outcome.expect(doubled > 0, "no notice was delivered twice")

    def _compare(self, budget: Budget, calls: list[str]) -> None:
        """Compare what upstream, entries, clients, reports and meters say."""
        outcome = self._run.outcome
        with psycopg.connect(budget.url) as connection:
            stood = [Stood(row[0], decode(row[1])) for row in connection.execute(_STOOD)]
        settlements = [each.entry for each in stood if isinstance(each.entry, Settlement)]
        folded = budget.server.cli("ledger", "verify", "--rollups")
        outcome.expect(folded.returncode == 0, f"the sums of usage: {folded.stderr.strip()}")
        limit = self._requests * COST_NANO
        found = compare(Budgeted(limit, COST_NANO), stood, calls, budget.asked, _summed(budget))
        for problem in found.problems:
            outcome.expect(False, problem)  # noqa: FBT003
        outcome.expect(found.spent_nano == limit, f"{found.spent_nano} spent of {limit}")
        meters = budget.meters()
        outcome.expect(meters == [(found.spent_nano, 0)], f"the meter says {meters}")
        outcome.expect(budget.loans() == 0, "something is on loan at rest")
        outcome.requests += len(settlements)
        outcome.entries += len(stood)
        outcome.calls += len(calls)
        outcome.answered += budget.statuses[OK]
        outcome.recovered += sum(each.recovered for each in settlements)
        outcome.unsettled += len(budget.server.open_holds())
        said = {
            "settled at their bounds, never sent": found.unsent,
            "held though their client was refused, and given back": sum(
                not (each.attempts or each.recovered) for each in settlements
            ),
            "refused, all after the budget was spent": budget.statuses[REFUSED],
            "told that the database is away": budget.statuses[UNAVAILABLE],
        }
        for name, count in said.items():
            outcome.facts[name] = outcome.facts.get(name, 0) + count
        with budget.server.opened() as database:
            for chain in chains(database):
                report, _ = verify(chain_rows(database, chain.number))
                outcome.verifications += 1
                outcome.unverified += len(report.problems)
                outcome.notes += report.problems[:3]


def _summed(budget: Budget) -> int:
    """Give what the reports of usage add up to, in nano-units."""
    told = budget.server.cli("usage", "--group-by", "model", "--json")
    dollars = sum(Fraction(line["cost"].get("USD", "0")) for line in json.loads(told.stdout))
    return int(dollars * NANO_PER_UNIT)
