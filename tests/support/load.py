"""Load whose every request can be found again: at the upstream, in the ledger, at its client.

A request's `max_tokens` is its number, so that its body at the upstream and its hold in
the ledger name it, whatever becomes of the server in between.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from typing import TYPE_CHECKING, Final, NamedTuple

from entente.ledger.model import Hold, Settlement
from tests.support.loops import until
from tests.support.rawclient import Reply, exchange, post
from tests.support.server import ADMIN_KEY, EntenteServer, chat_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.support.upstream import Upstream

WORKERS: Final = 24
FIRST_NUMBER: Final = 1_000


class Sent(NamedTuple):
    """A request and what its client got."""

    number: int
    stream: bool
    reply: Reply

    @property
    def answered(self) -> bool:
        """Whether the client has an answer in full."""
        return self.reply.done if self.stream else self.reply.status == 200 and self.reply.whole


class Load:
    """Clients that ask one request after the other until they are told to stop."""

    def __init__(
        self, seed: int | str, *, numbers: Iterator[int] | None = None, workers: int = WORKERS
    ) -> None:
        """Draw the mixture of streaming and unary requests from a seed.

        Loads on one ledger share their `numbers`.
        """
        self.sent: list[Sent] = []
        self.stopping = False
        self._chance = random.Random(seed)  # noqa: S311 - a drill wants the same numbers again
        self._numbers = numbers or itertools.count(FIRST_NUMBER)
        self._workers = workers

    async def run(self, server: EntenteServer) -> None:
        """Ask until `stopping`, or until a server that was killed refuses connections."""
        await asyncio.gather(*(self._worker(server.port) for _ in range(self._workers)))

    async def _worker(self, port: int) -> None:
        """Be one client."""
        while not self.stopping:
            await self.one(port)

    async def one(self, port: int) -> Sent:
        """Ask once."""
        number, stream = next(self._numbers), self._chance.random() < 0.5
        body = chat_body(max_tokens=number, stream=stream)
        sent = Sent(number, stream, await exchange(port, post(body, ADMIN_KEY)))
        self.sent.append(sent)
        return sent


async def until_calls(upstream: Upstream, count: int) -> None:
    """Wait until the upstream has had so many calls."""
    await until(lambda: upstream.calls >= count)


def assert_nothing_is_lost(
    server: EntenteServer, sent: Iterable[Sent], upstream_bodies: Iterable[bytes]
) -> None:
    """Check a ledger at rest against what the clients got and what the upstream was asked."""
    server.verify_at_rest()
    holds: dict[int, Hold] = {}
    settled: dict[str, Settlement] = {}
    for entry in server.entries():
        match entry:
            case Hold():
                assert entry.output_tokens not in holds, "a request was held twice"
                holds[entry.output_tokens] = entry
            case Settlement():
                settled[entry.id] = entry
    for body in upstream_bodies:
        number = json.loads(body)["max_tokens"]
        assert number in holds, f"the upstream was called for {number} without an entry"
        assert settled[holds[number].id].attempts >= 1 or settled[holds[number].id].recovered
    for one in sent:
        if not one.answered:
            continue
        entry = settled[one.reply.headers["x-request-id"]]
        assert entry.id == holds[one.number].id
        assert (entry.status, entry.recovered, entry.estimated) == ("complete", False, False)
        assert (entry.usage.input, entry.usage.output) == (3, 5)
