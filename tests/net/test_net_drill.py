"""Chaos with a seed: many tasks, random cancellations, random closes, no mixed-up answer."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from entente.domain.errors import UpstreamError
from entente.net import Client, ClientOptions
from tests.support.loops import LOOPS, run, until
from tests.support.rawserver import RawServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.rawserver import Handler, Peer

TASKS = 64
REQUESTS_PER_TASK = 25
CONNECTIONS_MAX = 16
BYTES_MAX = 10_000_000
FDS = Path("/proc/self/fd")


def open_fds() -> int:
    """Count this process's file descriptors."""
    return len(list(FDS.iterdir()))


def echo_with_faults(dice: random.Random) -> Handler:
    """Return a server that echoes each body in a random way, and often closes somewhere."""

    async def handler(peer: Peer) -> None:
        """Answer until the dice end the connection."""
        while True:
            _, body = await peer.request()
            fault = dice.random()
            if fault < 0.04:
                return
            if dice.random() < 0.5:
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            else:
                cut = dice.randrange(1, len(body))
                parts = (body[:cut], body[cut:])
                chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
                answer = (
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks
                )
            if fault < 0.08:
                await peer.send(answer[: dice.randrange(len(answer))])
                return
            cut = dice.randrange(len(answer))
            await peer.send(answer[:cut])
            await asyncio.sleep(0)
            await peer.send(answer[cut:])
            if fault < 0.12:
                return
            if fault < 0.16:
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
            if fault < 0.20:
                peer.reset()
                return

    return handler


async def stream(body: bytes) -> AsyncIterator[bytes]:
    """Give a body in pieces, in several turns of the loop."""
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]
        await asyncio.sleep(0)


async def one_request(client: Client, dice: random.Random, token: bytes) -> int:
    """Send a token and compare what comes back; 1 when it came back whole."""
    body = token * dice.choice((1, 1, 1, 100, 20_000))
    sent: bytes | AsyncIterator[bytes] = stream(body) if dice.random() < 0.2 else body
    response = await client.request(b"POST", b"/", b"", sent)
    if dice.random() < 0.1:
        piece = await response.chunk()
        await response.aclose()
        assert body.startswith(piece)
        return 0
    assert await response.read(BYTES_MAX) == body
    return 1


async def worker(client: Client, seed: str) -> int:
    """Run requests, each maybe cancelled after some turns of the loop; count the whole ones."""
    dice = random.Random(seed)  # noqa: S311 - a drill, not a secret
    whole = 0
    for number in range(REQUESTS_PER_TASK):
        token = b"<%s/%d>" % (seed.encode(), number)
        request = asyncio.ensure_future(one_request(client, dice, token))
        if dice.random() < 0.2:
            for _ in range(dice.randrange(12)):
                await asyncio.sleep(0)
            request.cancel()
        try:
            whole += await request
        except UpstreamError:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            assert request.cancelled()
    return whole


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("seed", range(4))
def test_no_answer_is_mixed_up_and_nothing_leaks(loop: str, seed: int) -> None:
    """Every answer is the token's own, the pool is at rest afterwards, every fd is back."""

    async def main() -> None:
        """Run all workers on one small pool."""
        dice = random.Random(seed)  # noqa: S311 - a drill, not a secret
        async with RawServer(echo_with_faults(dice)) as server:
            before = open_fds()
            client = Client(ClientOptions(server.base_url, connections_max=CONNECTIONS_MAX))
            counts = await asyncio.gather(
                *(worker(client, f"{seed}-{number}") for number in range(TASKS))
            )
            assert sum(counts) > TASKS * REQUESTS_PER_TASK // 4
            await until(lambda: client.stats().busy == client.stats().waiting == 0)
            assert client.stats().open <= CONNECTIONS_MAX
            await client.aclose()
            assert client.stats().open == 0
            await until(lambda: open_fds() <= before)

    run(main(), loop)
