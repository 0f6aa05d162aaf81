"""Cancelling a request at every await: one settlement, or no hold at all."""

from __future__ import annotations

import asyncio

import pytest

from entente.domain.chat import Status
from entente.ledger.journal import verify
from entente.ledger.meters import Counter
from entente.ledger.model import Settlement
from tests.kit.gateways import Bench, RecordingClient
from tests.kit.journals import TickJournal
from tests.kit.run import run, turns

PIECES = '[[replies]]\npieces = ["a", "b", "c"]\npiece_delay_ms = 1\nfirst_delay_ms = 1\n'
STALL = '[[replies]]\npieces = ["a", "b"]\nbreak = { kind = "stall", after = 1 }\n'
BUSY = "[[replies]]\nerror = { status = 503 }\nfirst_delay_ms = 1\n"


async def _cancel_after(bench: Bench, steps: int, *, stream: bool) -> bool:
    """Cancel a request after so many turns of the loop; say whether it had ended before."""
    await bench.ready()
    task = asyncio.create_task(bench.chat(RecordingClient(), stream=stream))
    for _ in range(steps):
        await asyncio.sleep(0)
    over = task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await turns()
    return over


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("budget", [None, 10**9])
@pytest.mark.parametrize(
    "scripts", [(PIECES,), (STALL,), (BUSY, PIECES)], ids=["whole", "stall", "next"]
)
def test_cancelled_at_every_step(
    scripts: tuple[str, ...], budget: int | None, stream: bool
) -> None:
    """From before the first await to after the last; every upstream call has an entry."""
    ends: set[str] = set()
    for steps in range(80):
        bench = Bench(*scripts, journal=TickJournal(), budget=budget, rpm=1000)
        over = run(_cancel_after(bench, steps, stream=stream))
        entries = bench.settled()
        called = sum(provider.attempts_total for provider in bench.providers.values())
        assert len(entries) <= 1
        if called:
            assert len(entries) == 1
        ends.update(str(entry.status) for entry in entries)
        if not entries:
            ends.add("nothing")
            assert all(counter == Counter() for counter in bench.counters())
        for entry in entries:
            if entry.attempts and entry.status is Status.CANCELLED:
                assert entry.usage.total > 0 or entry.upstream_status == 503
        if over:
            break
    else:
        assert STALL in scripts, "every other request ends within the steps"
    assert "nothing" in ends
    assert str(Status.CANCELLED) in ends
    if STALL not in scripts:
        assert str(Status.COMPLETE) in ends


@pytest.mark.parametrize("steps", range(0, 40, 3))
def test_cancelled_while_settlements_cannot_be_written(steps: int) -> None:
    """The entry is in line all the same: a journal on disk keeps it until it can be written."""
    journal = TickJournal(broken=(Settlement,))
    bench = Bench(PIECES, journal=journal, budget=10**9)
    run(_cancel_after(bench, steps, stream=True))
    assert bench.ledger.books.open_holds == {}
    report, _ = verify(journal.rows)
    assert report.problems == []
    assert report.requests == 0


def test_waiting_for_budget_can_be_cancelled() -> None:
    """A request in line has no hold, no entry, and gives its place back."""

    async def scenario() -> None:
        bench = Bench(PIECES, STALL, journal=TickJournal(), budget=250_000, rpm=10)
        await bench.ready()
        slow = asyncio.create_task(bench.chat(RecordingClient(), "r1", max_tokens=100))
        await turns(4)
        waiting = asyncio.create_task(bench.chat(RecordingClient(), "r2", max_tokens=100))
        await turns(1)
        assert bench.ledger._queue.lines
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await slow is None
        await turns()
        assert [entry.id for entry in bench.settled()] == ["r1"]
        assert bench.counters() == [Counter(1)]

    run(scenario())
