"""Workers that share limits, in a simulated world: one seed after the other, no process at all."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from soak.run import Run
from tests.kit.lending import World
from tests.kit.lending_worker import Broken

TELL_SEEDS: Final = 25


async def lending(run: Run) -> None:
    """Play worlds of random faults; none may break a promise."""
    seeds = run.plan.lending_seeds
    ends: Counter[str] = Counter()
    requests = messages = taken_over = 0
    for number in range(seeds):
        if number % TELL_SEEDS == 0:
            run.tell(number / seeds, f"{number} of {seeds} worlds")
            await asyncio.sleep(0)
        seed = run.seed * seeds + number
        world = World(seed)
        try:
            world.play()
        except Broken as error:
            run.outcome.expect(False, f"world {seed}: {error}")  # noqa: FBT003
        ends.update(world.ends)
        requests += world.requests
        messages += world.messages
        taken_over += len(world.closed)
    outcome = run.outcome
    outcome.durability = "simulated"
    outcome.facts = {
        "worlds": seeds,
        "requests": requests,
        "messages to the authority": messages,
        "workers taken over": taken_over,
        "refused for good": ends["never"],
        "refused as full": ends["full"],
        "gave up waiting": ends["impatient"],
    }
