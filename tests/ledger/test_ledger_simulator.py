"""A seeded simulator: random clients, cancellations, grants and a disk that fails at random.

At every entry the journal must verify; at rest nothing may be held.
"""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest

from entente.domain.errors import BudgetExceeded, LedgerUnavailable, RateLimited
from entente.ledger.books import Books
from entente.ledger.journal import verify
from entente.ledger.ledger import Ledger
from entente.ledger.memory import MemoryJournal
from entente.ledger.meters import Draw
from tests.kit.entries import KEY, USD, granted, held, now_ns, settled
from tests.kit.journals import SlowJournal
from tests.kit.run import run, turns

CLIENTS = 40
STEPS = 400
BUDGETS = ("spend|r1|all|organization:", "spend|r2|all|project:alpha")
AT_ONCE = "concurrency|r3|all|key:key_a"


class Simulation:
    """One run: everything that happens comes from one seed."""

    def __init__(self, seed: int) -> None:
        """Start with a budget of 100."""
        self.source = random.Random(seed)  # noqa: S311
        self.journal = SlowJournal()
        self.ledger = Ledger(
            self.journal,
            Books(),
            now_ns=now_ns,
            budget_wait_s=self.source.choice([0.0, 0.001, 1000.0]),
        )
        self.outcomes: dict[str, int] = {"served": 0, "refused": 0, "cancelled": 0, "failed": 0}
        self.outcomes["limited"] = 0
        self.ruled = self.source.choice([0.0, 0.3, 0.9])
        """How often a request is under each rule."""
        self.refused_though_it_fits = 0
        self._grant(100)

    def _grant(self, nano: int) -> None:
        """Change the budget as another process does: in the journal first, then seen."""
        if self.journal.line:
            return  # a cut that comes between admission and writing is the journal's business
        entry = granted(f"g{len(self.journal.rows)}", nano)
        MemoryJournal.append(self.journal, entry)
        self.ledger.see([entry])

    async def _client(self, number: int) -> None:
        """Hold, run a while, settle; or go away at any point."""
        nano = self.source.choice([0, 1, 5, 20, 60])
        draws = [Draw(meter, nano, 100) for meter in BUDGETS if self.source.random() < self.ruled]
        if self.source.random() < self.ruled:
            draws.append(Draw(AT_ONCE, 1, 4))
        opened = msgspec.structs.replace(held(f"r{number}", nano), draws=tuple(draws))
        books = self.ledger.books
        try:
            await self.ledger.hold(opened)
        except BudgetExceeded as error:
            self.outcomes["refused"] += 1
            left = books.available(KEY, USD)
            if not error.retry_after_ms:
                left += books.held(KEY, USD)
            meters = books.meters
            money = [draw for draw in draws if draw.meter in BUDGETS]
            if error.retry_after_ms:
                fits = not meters.full(money)
            else:
                fits = all(meters.can_ever_fit(draw) for draw in money)
            self.refused_though_it_fits += nano <= left and fits
            return
        except RateLimited:
            self.outcomes["limited"] += 1
            self.refused_though_it_fits += books.meters.of(AT_ONCE).pending < 4
            return
        except LedgerUnavailable:
            self.outcomes["failed"] += 1
            return
        except asyncio.CancelledError:
            self.outcomes["cancelled"] += 1
            raise
        cost = self.source.randint(0, nano)
        try:
            await turns(self.source.randrange(20))
        finally:
            written = self.ledger.settle(settled(opened, cost))
        try:
            await written
        except LedgerUnavailable:
            self.outcomes["failed"] += 1
        else:
            self.outcomes["served"] += 1

    async def play(self) -> None:
        """Take random steps, then come to rest."""
        tasks: list[asyncio.Task[None]] = []
        for _ in range(STEPS):
            match self.source.choices(
                ["client", "cancel", "write", "fail", "turn", "grant"], [3, 1, 8, 1, 12, 1]
            )[0]:
                case "client" if len(tasks) < CLIENTS:
                    tasks.append(asyncio.create_task(self._client(len(tasks))))
                case "cancel" if tasks:
                    self.source.choice(tasks).cancel()
                case "write":
                    self.journal.write(works=True)
                case "fail":
                    self.journal.write(works=False)
                case "grant":
                    self._grant(self.source.choice([1, 30]))
                case _:
                    await asyncio.sleep(0)
        while not all(task.done() for task in tasks) or self.journal.line:
            self.journal.write(works=True)
            lines = self.ledger._queue.lines.values()
            waiting = [each for line in lines for each in line if not each.turn.done()]
            assert not waiting or self.ledger.books.open_holds, "it waits for nobody"
            await asyncio.sleep(0)
        await turns()
        self.journal.write(works=True)
        await turns()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError), result


@pytest.mark.parametrize("seed", range(30))
def test_any_course_of_events_keeps_the_budget(seed: int) -> None:
    """Settled and held never exceed the budget at any entry, and at rest nothing is held."""

    async def scenario() -> None:
        simulation = Simulation(seed)
        await simulation.play()
        assert simulation.refused_though_it_fits == 0
        report, books = verify(simulation.journal.rows)
        assert report.problems == []
        assert report.open_holds == 0
        ledger = simulation.ledger
        assert ledger.books.open_holds == {}
        assert ledger.books.held(KEY, USD) == 0
        assert ledger.books.available(KEY, USD) == books.available(KEY, USD)
        assert not ledger._queue.lines
        assert ledger.books.meters == books.meters
        assert all(not counter.pending for counter in books.meters.counters.values())
        assert ledger._abandoned == set()

    run(scenario())


def test_the_simulator_reaches_every_outcome() -> None:
    """Else the seeds above would prove little."""

    async def scenario() -> dict[str, int]:
        total: dict[str, int] = {}
        for seed in range(10):
            simulation = Simulation(seed)
            await simulation.play()
            for name, count in simulation.outcomes.items():
                total[name] = total.get(name, 0) + count
        return total

    total = run(scenario())
    assert min(total.values()) > 5, total
