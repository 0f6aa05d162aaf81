"""A great many requests to one process, whose memory is sampled; then a kill, and its restart."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

from soak import line, memory
from soak.model import Sample
from soak.run import Run
from soak.stand import Stand
from tests.support.load import Sent
from tests.support.rawclient import connection, post, read_reply
from tests.support.server import ADMIN_KEY, chat_body

CONNECTIONS: Final = 32
STREAM_SHARE: Final = 0.2
SAMPLES: Final = 250
LOAD_BEFORE_KILL_S: Final = 0.5
CHECKPOINT_ENTRIES_MAX: Final = 150_000
"""Three times what lies between two checkpoints: one may be under way, and one be missed."""


class _Counter:
    """Hands out the requests, counts the answers, and samples memory on the way."""

    def __init__(self, run: Run, stand: Stand, pid: int) -> None:
        """Nothing is asked yet."""
        self._run, self._stand, self._pid = run, stand, pid
        self._every = max(run.plan.requests // SAMPLES, 1)
        self.asked = self.done = 0
        self.samples: list[Sample] = [memory.sample(pid, 0)]

    def next_number(self) -> int | None:
        """Give the number of the next request; None behind the last."""
        if self.asked == self._run.plan.requests:
            return None
        self.asked += 1
        return next(self._stand.numbers)

    def count(self, one: Sent) -> None:
        """Count an answer, which must be whole."""
        assert one.answered, f"{one.number}: status {one.reply.status}, whole {one.reply.whole}"
        self._stand.accounts.clients([one])
        self.done += 1
        if self.done % self._every == 0:
            self.samples.append(memory.sample(self._pid, self.done))
            mb = self.samples[-1].server_bytes / 1e6
            self._run.tell(
                0.9 * self.done / self._run.plan.requests, f"{self.done:,} answers, {mb:.1f} MB"
            )


async def _client(port: int, counter: _Counter, chance: random.Random) -> None:
    """Ask on one connection, one request after the other."""
    async with connection(port) as (reader, writer):
        while (number := counter.next_number()) is not None:
            stream = chance.random() < STREAM_SHARE
            writer.write(post(chat_body(max_tokens=number, stream=stream), ADMIN_KEY))
            counter.count(Sent(number, stream, await read_reply(reader)))


async def endurance(run: Run) -> None:
    """Send the requests; then kill under load and see how long the restart takes."""
    async with Stand(run, pause_s=0.0) as stand:
        empty_s = await stand.start()
        began_s = time.monotonic()
        counter = _Counter(run, stand, stand.server.pid)
        async with asyncio.TaskGroup() as group:
            for number in range(CONNECTIONS):
                client = _client(stand.server.port, counter, run.chance(f"client {number}"))
                group.create_task(client)
        took_s = time.monotonic() - began_s
        run.tell(0.9, "comparing the counts")
        stand.take_in()
        counts = (stand.accounts.requests, stand.accounts.calls, stand.accounts.attempts)
        assert counts == (run.plan.requests,) * 3, f"ledger, upstream, attempts: {counts}"

        load = stand.load()
        running = asyncio.create_task(load.run(stand.server))
        await asyncio.sleep(LOAD_BEFORE_KILL_S)
        load.stopping = True
        await stand.kill()
        await running
        lag = stand.checkpoint_lag()
        grown_s = await stand.start()
        stand.take_in(load)
        began_s = time.monotonic()
        await stand.finish()
        verify_s = time.monotonic() - began_s
    outcome = run.outcome
    outcome.durability = "full"
    outcome.samples = counter.samples
    outcome.facts = {
        "requests per second": round(run.plan.requests / took_s),
        "start on an empty ledger, s": round(empty_s, 2),
        "start on the grown ledger after a kill, s": round(grown_s, 2),
        "entries behind the last checkpoint at that kill": lag,
        "ledger, MB": round(stand.database.stat().st_size / 1e6),
        "verifying it, s": round(verify_s, 1),
    }
    outcome.expect(lag <= CHECKPOINT_ENTRIES_MAX, f"{lag} entries behind the last checkpoint")
    grown = line.growth(counter.samples)
    if grown is not None:
        outcome.facts["memory slope, bytes a request"] = round(grown.slope, 2)
        outcome.facts["± (95 %)"] = round(grown.margin, 2)
        said = f"{grown.slope:.1f} ± {grown.margin:.1f} bytes a request"
        outcome.expect(not grown.grows, f"memory grows by {said}")
        outcome.expect(grown.is_sure, f"the line of memory is too unsure: {said}")
