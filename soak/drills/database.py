"""The ledger's file cannot be written for a while: locked by another process, or no room."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from typing import Final

from soak.run import Run
from soak.stand import Stand, check_refusals
from tests.support.disk import CannotMount, fill, small_disk
from tests.support.load import Load
from tests.support.loops import until

REFUSED: Final = frozenset({503})
DISK_BYTES: Final = 96 * 1024 * 1024
FULL_S_MAX: Final = 2.0
BETWEEN_S: Final = 0.5
_LOCK: Final = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""
"""Another process that begins to write and takes its time."""


async def _lock(stand: Stand, seconds: float) -> None:
    """Lock the database for so long."""
    command = [sys.executable, "-c", _LOCK, str(stand.database), str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"locked\n", "the lock was not to be had"
        assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def _end_of_round(stand: Stand, load: Load, running: asyncio.Task[None]) -> int:
    """Let the load end and the server come to itself; give how many were refused."""
    load.stopping = True
    await running
    await stand.until_ready()
    refused = check_refusals(load, allowed=REFUSED)
    await stand.until_served(load)
    stand.take_in(load)
    assert stand.server.running, "the server ended"
    stand.expect_rest()
    return refused


async def locked(run: Run) -> None:
    """Lock the database under load, again and again for other times."""
    refused = 0
    locks_s = run.plan.locks_s
    async with Stand(run) as stand:
        await stand.start()
        for number, seconds in enumerate(locks_s):
            run.tell(number / len(locks_s), f"locked for {seconds:g} s")
            load = stand.load()
            running = asyncio.create_task(load.run(stand.server))
            await asyncio.sleep(BETWEEN_S)
            await _lock(stand, seconds)
            await asyncio.sleep(BETWEEN_S)
            refused += await _end_of_round(stand, load, running)
        await stand.finish()
    outcome = run.outcome
    outcome.durability = "full"
    outcome.expect(outcome.recovered == 0, "settled by a start, but nothing was killed")
    outcome.facts = {
        "locks": len(locks_s),
        "longest lock, s": max(locks_s),
        "requests refused with 503": refused,
    }


async def disk(run: Run) -> None:
    """Fill the disk under load, free it again, and so on."""
    folder = run.folder / "data"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(small_disk(folder, DISK_BYTES))
        except CannotMount as reason:
            run.outcome.skipped = str(reason)
            return
        await _disk(run)


async def _disk(run: Run) -> None:
    """Do it on a disk of our own."""
    chance = run.chance()
    refused, ready_s = 0, [0.0]
    rounds = run.plan.disk_rounds
    async with Stand(run) as stand:
        await stand.start()
        filler = stand.database.with_name("filler")
        for number in range(rounds):
            run.tell(number / rounds, f"disk full, round {number + 1}")
            load = stand.load()
            running = asyncio.create_task(load.run(stand.server))
            await until(lambda load=load: any(one.answered for one in load.sent))  # type: ignore[misc]
            while not any(one.reply.status == 503 for one in load.sent):
                await asyncio.to_thread(fill, filler)  # again: a checkpoint may have made room
                await asyncio.sleep(0.001)
            await asyncio.sleep(chance.uniform(0, FULL_S_MAX))
            load.stopping = True
            await running
            filler.unlink()
            ready_s.append(await stand.until_ready())
            refused += await _end_of_round(stand, load, running)
        await stand.finish()
    outcome = run.outcome
    outcome.durability = "full"
    outcome.expect(outcome.recovered == 0, "settled by a start, but nothing was killed")
    outcome.facts = {
        "times full": rounds,
        "requests refused with 503": refused,
        "longest time from room to ready, s": round(max(ready_s), 2),
    }
