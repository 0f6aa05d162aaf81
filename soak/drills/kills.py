"""The server is killed at random instants, under load and while it starts, on one ledger."""

from __future__ import annotations

import asyncio
from typing import Final

from bench.numbers import percentile
from soak.run import Run
from soak.stand import DURABILITIES, Stand, check_unbroken

LOAD_S_MAX: Final = 1.2
"""How long the load lasts at most before the kill."""
START_KILLED_SHARE: Final = 0.2
"""How often the start after a kill is killed as well, and so on."""
START_S_MAX: Final = 0.6
WHOLE_SHARE: Final = 0.5
"""How often the journal's writer is killed with the server, not left to end by itself."""


async def kills(run: Run) -> None:
    """Kill under load, all durabilities in turn; account for everything after each start."""
    chance = run.chance()
    starts_s: list[float] = []
    answered_before = in_starts = 0
    async with Stand(run) as stand:
        for number in range(run.plan.kills):
            durability = DURABILITIES[number % len(DURABILITIES)]
            run.tell(number / run.plan.kills, f"kill {number + 1}, durability {durability}")
            stand.configure(durability)
            starts_s.append(await stand.start())
            stand.take_in()
            stand.expect_rest()
            if number and number % run.plan.kills_between_verifications == 0:
                await stand.verify()
            load = stand.load()
            running = asyncio.create_task(load.run(stand.server))
            await asyncio.sleep(chance.uniform(0, LOAD_S_MAX))
            load.stopping = True
            await stand.kill(whole=chance.random() < WHOLE_SHARE)
            await running
            check_unbroken(load, killed=True)
            answered_before += sum(one.answered for one in load.sent)
            stand.take_in(load)
            while chance.random() < START_KILLED_SHARE:
                stand.server.launch()
                await asyncio.sleep(chance.uniform(0, START_S_MAX))
                await stand.kill()
                in_starts += 1
        starts_s.append(await stand.start())
        await stand.finish()
    outcome = run.outcome
    outcome.durability = "in turn"
    outcome.facts = {
        "kills under load": run.plan.kills,
        "kills of a start": in_starts,
        "start after a kill, p50, s": round(percentile(starts_s, 50), 2),
        "start after a kill, longest, s": round(max(starts_s), 2),
    }
    outcome.expect(answered_before > 0, "nothing was answered before any kill")
