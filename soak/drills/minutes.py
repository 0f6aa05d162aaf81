"""Tokens per minute over four workers on PostgreSQL: never more than the limit, and hardly less.

Clients ask for several times as much as the limit allows, for whole minutes of the clock. How
much each minute gave is read from the entries: the meter that each hold drew on, and what its
settlement says was used.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from functools import partial
from typing import Final

from entente.ledger.meters import read_meter
from entente.ledger.model import AnyEntry, Hold, Settlement
from soak.run import Run
from tests.support.budgets import CONFIG, WORDS
from tests.support.hosts import WorkersServer
from tests.support.postgres import PostgresServer
from tests.support.rawclient import connection, post, read_reply
from tests.support.server import Key, chat_body
from tests.support.upstream import UpstreamThread, play_words

LIMIT: Final = 24_000
"""Three thousand requests: half a minute's work for a small machine."""
LEAST_SHARE: Final = 0.98
CONNECTIONS: Final = 48
PAUSE_S: Final = 0.005
"""Of the provider before each answer."""
BACK_S: Final = 0.05
"""After which a client that was refused asks again; what it is told to wait it does not."""
MINUTE_S: Final = 60
OK: Final = 200


async def minutes(run: Run) -> None:
    """Ask for whole minutes, then add up what each of them gave."""
    run.outcome.durability = "full"
    postgres = await asyncio.to_thread(PostgresServer)
    with UpstreamThread() as upstream, contextlib.ExitStack() as stack:
        upstream.upstream.play = partial(play_words, pause_s=PAUSE_S)
        stack.callback(postgres.remove)
        await asyncio.to_thread(postgres.start)
        config = CONFIG.format(upstream.upstream.base_url)
        server = WorkersServer(run.folder, config, postgres.new_database())
        key = await asyncio.to_thread(partial(server.make_key, tokens_per_minute=LIMIT))
        stack.callback(lambda: server.kill() if server.running else None)
        await asyncio.to_thread(server.start)
        statuses = await _ask(run, server, key)
        await asyncio.to_thread(server.stop)
        _add_up(run, server.entries(), statuses, upstream.upstream.calls)


async def _ask(run: Run, server: WorkersServer, key: Key) -> Counter[int]:
    """Ask from one turn of a minute to another; count the answers by their status."""
    statuses: Counter[int] = Counter()
    sent = post(chat_body(max_completion_tokens=WORDS), key.secret)
    await asyncio.sleep(MINUTE_S - time.time() % MINUTE_S)
    began_s = time.monotonic()
    length_s = run.plan.minutes * MINUTE_S

    async def client() -> None:
        async with connection(server.port) as (reader, writer):
            while (passed_s := time.monotonic() - began_s) < length_s:
                writer.write(sent)
                status = (await read_reply(reader)).status
                statuses[status] += 1
                if status != OK:
                    run.tell(passed_s / length_s, f"{statuses[OK]} served")
                    await asyncio.sleep(BACK_S)

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return statuses


def _add_up(run: Run, entries: list[AnyEntry], statuses: Counter[int], calls: int) -> None:
    """Compare what minutes gave with the limit."""
    outcome = run.outcome
    drawn = {
        entry.id: draw.meter
        for entry in entries
        if isinstance(entry, Hold)
        for draw in entry.draws
        if draw.meter.startswith("tokens|")
    }
    used: Counter[str] = Counter()
    for entry in entries:
        if isinstance(entry, Settlement):
            outcome.requests += 1
            used[read_meter(drawn[entry.id]).window] += entry.usage.total
    outcome.calls, outcome.answered = calls, statuses[OK]
    outcome.expect(calls == outcome.requests == outcome.answered, "requests are not as many")
    whole = sorted(used)[: run.plan.minutes]
    outcome.expect(len(whole) == run.plan.minutes, f"tokens were used in {len(whole)} minutes")
    for window in whole:
        share = used[window] / LIMIT
        outcome.facts[f"tokens in {window}"] = used[window]
        outcome.expect(LEAST_SHARE <= share <= 1, f"{window} gave {share:.3f} of the limit")
