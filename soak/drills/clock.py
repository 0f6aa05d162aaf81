"""The wall clock is stepped back and forth under load, and the server killed in between.

The server asks one function for the time of day, `time.time_ns`, and everything else
(timeouts, patience, polling) the monotonic clock, which a step does not touch. So before
it starts, that function is replaced by one that adds what a file says: each step is
seen by the whole process at once, as if the machine's clock had been set.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from soak.run import Run
from soak.stand import Stand, check_unbroken

NS_PER_S: Final = 10**9
STEPS_S: Final = (3_600, -3_600, 90, -1, -86_400, 86_400 * 30, 0, -59, 61, -86_400 * 365)
STEP_PAUSE_S_MAX: Final = 0.4
KILL_SHARE: Final = 0.25
_WIDTH: Final = 24
_PRELUDE: Final = """
import os, time
def _shift(name, fd=os.open({path!r}, os.O_RDONLY), real_ns=time.time_ns):
    def time_ns():
        return real_ns() + int(os.pread(fd, {width}, 0))
    def time_s():
        return time_ns() / 1e9
    return {{"time_ns": time_ns, "time": time_s}}[name]
time.time, time.time_ns = _shift("time"), _shift("time_ns")
"""


class _Clock:
    """A number in a file: how far the server's clock is off."""

    def __init__(self, path: Path) -> None:
        """Begin with the right time."""
        path.write_bytes(b"0".rjust(_WIDTH))
        self._fd = os.open(path, os.O_WRONLY)

    def step(self, offset_s: int) -> None:
        """Put the clock so far from the right time, at once."""
        os.pwrite(self._fd, b"%24d" % (offset_s * NS_PER_S), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


async def clock(run: Run) -> None:
    """Step the clock under load; no request may notice, nor a start after a kill."""
    chance = run.chance()
    path = run.folder / "clock"
    hands = _Clock(path)
    kills, starts_s = 0, [0.0]
    steps = run.plan.clock_steps
    async with Stand(run, prelude=_PRELUDE.format(path=str(path), width=_WIDTH)) as stand:
        await stand.start()
        load = stand.load()
        running = asyncio.create_task(load.run(stand.server))
        for number in range(steps):
            offset_s = STEPS_S[number % len(STEPS_S)]
            run.tell(number / steps, f"clock off by {offset_s} s")
            hands.step(offset_s)
            await asyncio.sleep(chance.uniform(0.1, STEP_PAUSE_S_MAX))
            if chance.random() < KILL_SHARE:
                kills += 1
                load.stopping = True
                await stand.kill()
                await running
                check_unbroken(load, killed=True)
                stand.take_in(load)
                starts_s.append(await stand.start())
                stand.take_in()
                stand.expect_rest()
                load = stand.load()
                running = asyncio.create_task(load.run(stand.server))
        load.stopping = True
        await running
        check_unbroken(load, killed=False)
        stand.take_in(load)
        await stand.finish()
    hands.close()
    outcome = run.outcome
    outcome.durability = "full"
    outcome.facts = {
        "steps": steps,
        "longest step, days": max(abs(s) for s in STEPS_S) / 86_400,
        "kills in between": kills,
        "longest start after a kill, s": round(max(starts_s), 2),
    }
