"""Clients that leave their streams at random points: each stream has one account of its use."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from soak.run import Run
from soak.stand import Stand
from tests.support.load import Sent
from tests.support.loops import until
from tests.support.rawclient import connection, exchange, post
from tests.support.server import ADMIN_KEY, chat_body

AT_ONCE: Final = 50
WORDS: Final = 40
BODY_BYTES: Final = 3_400
"""A little more than a stream of so many words has, so that some are read to their end."""
SILENT_SHARE: Final = 0.1
"""How many leave before the first byte of the answer."""
SILENT_S_MAX: Final = 0.05


async def _leave(stand: Stand, chance: random.Random) -> None:
    """Ask for a stream and leave it."""
    number = next(stand.numbers)
    request = post(chat_body(stream=True, max_tokens=number), ADMIN_KEY)
    if chance.random() < SILENT_SHARE:
        async with connection(stand.server.port) as (_, writer):
            writer.write(request)
            await asyncio.sleep(chance.uniform(0, SILENT_S_MAX))
        return
    point = chance.randrange(BODY_BYTES)
    reply = await exchange(stand.server.port, request, leave_when=lambda body: len(body) >= point)
    assert reply.status == 200, f"{number}: status {reply.status}"
    stand.accounts.clients([Sent(number, stream=True, reply=reply)])


async def leavers(run: Run) -> None:
    """Leave so many streams, some at a time; nobody may be charged a guess."""
    chance = run.chance()
    async with Stand(run, words=WORDS) as stand:
        await stand.start()
        for left in range(0, run.plan.leavers, AT_ONCE):
            run.tell(left / run.plan.leavers, f"{left} streams left")
            async with asyncio.TaskGroup() as group:
                for _ in range(min(AT_ONCE, run.plan.leavers - left)):
                    group.create_task(_leave(stand, chance))

        def at_rest() -> bool:
            stand.take_in()
            return stand.accounts.open_holds == 0

        async with asyncio.timeout(30):
            await until(at_rest)
        await stand.finish()
    outcome = run.outcome
    outcome.durability = "full"
    outcome.facts = {
        "streams left": run.plan.leavers,
        "of them settled as cancelled": outcome.statuses.get("cancelled", 0),
    }
    # The upstream came to its end each time, so its own count is known and no guess.
    outcome.expect(outcome.estimated == 0, f"{outcome.estimated} are settled at a guess")
    odd = set(outcome.statuses) - {"complete", "cancelled"}
    outcome.expect(not odd, f"streams ended as {sorted(odd)}")
