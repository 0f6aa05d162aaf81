"""The upstream dies by `kill -9` in the middle of its answers and comes back."""

from __future__ import annotations

import asyncio
from typing import Final

from soak.run import Run
from soak.stand import Stand, check_refusals

BEFORE_S_MAX: Final = 0.5
GONE_S_MAX: Final = 0.7
REFUSED: Final = frozenset({502, 503, 504})


async def upstream(run: Run) -> None:
    """Kill the upstream under load, leave it dead for a moment, start it, and so on."""
    chance = run.chance()
    refused = 0
    rounds = run.plan.upstream_kills
    async with Stand(run) as stand:
        await stand.start()
        for number in range(rounds):
            run.tell(number / rounds, f"kill {number + 1} of the upstream")
            load = stand.load()
            running = asyncio.create_task(load.run(stand.server))
            await asyncio.sleep(chance.uniform(0, BEFORE_S_MAX))
            stand.upstream.kill()
            await asyncio.sleep(chance.uniform(0, GONE_S_MAX))
            await asyncio.to_thread(stand.upstream.start)
            spare = stand.load()
            await stand.until_served(spare)
            load.stopping = True
            await running
            refused += check_refusals(load, allowed=REFUSED)
            stand.take_in(load)
            stand.take_in(spare)
            stand.expect_rest()
        await stand.finish()
    outcome = run.outcome
    outcome.durability = "full"
    outcome.expect(outcome.recovered == 0, "settled by a start, but nothing was killed")
    outcome.facts = {"kills of the upstream": rounds, "requests failed or refused": refused}
