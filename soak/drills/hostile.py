"""Attackers beside good clients: the good ones are all served, and how long they wait."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from typing import Final

from bench.numbers import percentile
from soak.attackers import BODY_BYTES_MAX, Attack, attacked
from soak.run import Run
from soak.stand import Stand

GOOD_CLIENTS: Final = 8
ATTACK_FIRST: Final = 1_000_000
"""The attackers' numbers, apart from those of the good ones."""
SETTLE_S: Final = 0.5


async def _good(stand: Stand, seconds: float) -> list[float]:
    """Let good clients ask for a while; give their latencies, all of answers."""
    load = stand.load()
    until_s = time.monotonic() + seconds
    taken_ms: list[float] = []

    async def client() -> None:
        while time.monotonic() < until_s:
            began_s = time.perf_counter()
            one = await load.one(stand.server.port)
            taken_ms.append((time.perf_counter() - began_s) * 1000)
            assert one.answered, f"{one.number}: status {one.reply.status} for a good client"

    async with asyncio.TaskGroup() as group:
        for _ in range(GOOD_CLIENTS):
            group.create_task(client())
    stand.take_in(load)
    return taken_ms


async def hostile(run: Run) -> None:
    """Measure good clients alone, then among attackers."""
    attack_s = run.plan.attack_s
    async with Stand(run, server=f"body_bytes_max = {BODY_BYTES_MAX}") as stand:
        await stand.start()
        run.tell(0.0, "good clients alone")
        alone_ms = await _good(stand, attack_s)
        run.tell(0.5, "among attackers")
        seen: Counter[str] = Counter()
        attack = Attack(stand.server.port, run.chance(), itertools.count(ATTACK_FIRST), seen)
        async with attacked(attack):
            await asyncio.sleep(SETTLE_S)
            among_ms = await _good(stand, attack_s)
        await stand.finish()
    outcome = run.outcome
    outcome.durability = "full"
    outcome.facts = {
        "good requests alone": len(alone_ms),
        "good requests among attackers": len(among_ms),
        "p50 alone, ms": round(percentile(alone_ms, 50), 1),
        "p50 among attackers, ms": round(percentile(among_ms, 50), 1),
        "p99 alone, ms": round(percentile(alone_ms, 99), 1),
        "p99 among attackers, ms": round(percentile(among_ms, 99), 1),
        **dict(sorted(seen.items())),
    }
