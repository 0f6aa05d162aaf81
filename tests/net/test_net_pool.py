"""Bounds, queue, idle expiry and cancellation: nothing over the bound, nothing left behind."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from entente.domain.errors import UpstreamBusy, UpstreamClosed, UpstreamTimeout
from entente.net import Client, ClientOptions, Timeouts
from tests.support.loops import LOOPS, run, until
from tests.support.rawserver import RawServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.rawserver import Peer

BYTES_MAX = 1_000_000
both_loops = pytest.mark.parametrize("loop", LOOPS)


class Gate:
    """A server that counts what it has, and answers when it is told to."""

    def __init__(self) -> None:
        """Begin closed."""
        self.open = asyncio.Event()
        self.order: list[bytes] = []
        self.sockets = 0
        self.sockets_max = 0

    async def handle(self, peer: Peer) -> None:
        """Note each request, wait for the gate, echo the body."""
        self.sockets += 1
        self.sockets_max = max(self.sockets_max, self.sockets)
        try:
            while True:
                _, body = await peer.request()
                self.order.append(body)
                await self.open.wait()
                await peer.answer(body)
        finally:
            self.sockets -= 1


def is_dialling(client: Client) -> bool:
    """Tell whether one request is on its way."""
    return client.stats().busy == 1


async def ask(client: Client, body: bytes) -> bytes:
    """Send a body and return what comes back."""
    response = await client.request(b"POST", b"/", b"", body)
    return await response.read(BYTES_MAX)


@both_loops
def test_the_bound_holds_and_waiters_are_served_in_order(loop: str) -> None:
    """20 requests over 2 sockets, first come first served."""

    async def main() -> None:
        """Queue up, open the gate, look at the order."""
        gate = Gate()
        async with RawServer(gate.handle) as server:
            client = Client(ClientOptions(server.base_url, connections_max=2))
            bodies = [b"%02d" % number for number in range(20)]
            tasks = [asyncio.ensure_future(ask(client, body)) for body in bodies]
            await until(lambda: len(gate.order) == 2 and client.stats().waiting == 18)
            assert client.stats().open == client.stats().busy == 2
            gate.open.set()
            assert await asyncio.gather(*tasks) == bodies
            assert gate.sockets_max == 2
            await client.aclose()
            assert client.stats().open == 0

    run(main(), loop)


def test_the_queue_is_first_in_first_out() -> None:
    """With one socket the order of the requests is the order of the calls."""

    async def main() -> None:
        """Ten calls, one after another."""
        gate = Gate()
        gate.open.set()
        async with RawServer(gate.handle) as server:
            client = Client(ClientOptions(server.base_url, connections_max=1))
            bodies = [b"%d" % number for number in range(10)]
            assert await asyncio.gather(*(ask(client, body) for body in bodies)) == bodies
            assert gate.order == bodies
            await client.aclose()

    run(main())


@both_loops
def test_a_full_queue_is_busy(loop: str) -> None:
    """One waiter too many fails at once; those who wait are served."""

    async def main() -> None:
        """One socket, one place in the queue."""
        gate = Gate()
        async with RawServer(gate.handle) as server:
            client = Client(ClientOptions(server.base_url, connections_max=1, waiters_max=1))
            running = asyncio.ensure_future(ask(client, b"1"))
            await until(lambda: gate.order == [b"1"])
            waiting = asyncio.ensure_future(ask(client, b"2"))
            await until(lambda: client.stats().waiting == 1)
            with pytest.raises(UpstreamBusy, match="already wait"):
                await ask(client, b"3")
            gate.open.set()
            assert (await running, await waiting) == (b"1", b"2")
            assert client.stats().waiting == 0
            await client.aclose()

    run(main(), loop)


@both_loops
def test_a_long_wait_is_busy(loop: str) -> None:
    """Who waits too long fails then, and leaves the queue."""

    async def main() -> None:
        """One socket, which stays busy."""
        gate = Gate()
        async with RawServer(gate.handle) as server:
            options = ClientOptions(server.base_url, connections_max=1, pool_wait_s=0.05)
            client = Client(options)
            running = asyncio.ensure_future(ask(client, b"1"))
            await until(lambda: gate.order == [b"1"])
            with pytest.raises(UpstreamBusy, match="stayed busy"):
                await ask(client, b"2")
            gate.open.set()
            assert await running == b"1"
            assert client.stats().idle == 1
            assert client.stats().waiting == 0
            await client.aclose()

    run(main(), loop)


@both_loops
def test_an_old_idle_connection_is_closed(loop: str) -> None:
    """The sweep closes it without a request; `take` never lends it either."""

    async def main() -> None:
        """Keep idle connections for a blink."""
        gate = Gate()
        gate.open.set()
        async with RawServer(gate.handle) as server:
            client = Client(ClientOptions(server.base_url, keepalive_s=0.0))
            for _ in range(3):
                assert await ask(client, b"x") == b"x"
                await until(lambda: client.stats().open == 0)
            assert server.accepted == 3
            await client.aclose()

    run(main(), loop)


def test_the_connection_used_last_is_used_next() -> None:
    """So that a burst's surplus grows old."""

    async def main() -> None:
        """Three at once, then one at a time."""
        gate = Gate()
        async with RawServer(gate.handle) as server:
            client = Client(ClientOptions(server.base_url))
            tasks = [asyncio.ensure_future(ask(client, b"x")) for _ in range(3)]
            await until(lambda: len(gate.order) == 3)
            gate.open.set()
            await asyncio.gather(*tasks)
            last = client._pool._idle[-1]
            for _ in range(3):
                await ask(client, b"x")
                assert client._pool._idle[-1] is last
            assert client.stats().idle == 3
            await client.aclose()

    run(main())


@both_loops
def test_a_connection_that_is_not_accepted_times_out(loop: str) -> None:
    """`connect_s` covers the TLS handshake: a server that never answers it."""

    async def silent(peer: Peer) -> None:
        """Read the hello and say nothing."""
        await peer.reader.read(100)
        await asyncio.Event().wait()

    async def main() -> None:
        """First the connect limit, then the total one."""
        async with RawServer(silent) as server:
            url = f"https://127.0.0.1:{server.port}"
            for limits, phase in (
                (Timeouts(connect_s=0.05), "connect"),
                (Timeouts(total_s=0.05), "total"),
            ):
                client = Client(ClientOptions(url, timeouts=limits))
                with pytest.raises(UpstreamTimeout) as caught:
                    await client.request(b"GET", b"/", b"")
                assert caught.value.phase == phase
                assert client.stats().open == 0
                task = asyncio.ensure_future(
                    client.request(b"GET", b"/", b"", timeouts=Timeouts(connect_s=60))
                )
                await until(partial(is_dialling, client))
                await client.aclose()
                with pytest.raises(Exception, match="is closed"):
                    await task

    run(main(), loop)


@both_loops
@pytest.mark.parametrize("steps", range(12))
def test_cancelling_at_any_step_leaves_nothing(loop: str, steps: int) -> None:
    """Dial, queue, head, body, upload: wherever it is cut, slot and waiter come back."""

    async def stream() -> AsyncIterator[bytes]:
        """Give a piece now and then."""
        for _ in range(5):
            yield b"x"
            await asyncio.sleep(0)

    async def main() -> None:
        """Cancel a pair of requests after so many turns of the loop, then use the client."""
        gate = Gate()
        gate.open.set()
        async with RawServer(gate.handle) as server:
            client = Client(ClientOptions(server.base_url, connections_max=1))
            for body in (b"x", b"x" * 1_000_000, stream()):
                first = asyncio.ensure_future(client.request(b"POST", b"/", b"", body))
                second = asyncio.ensure_future(ask(client, b"y"))
                for _ in range(steps):
                    await asyncio.sleep(0)
                first.cancel()
                if steps % 2:
                    second.cancel()
                (result,) = await asyncio.gather(first, return_exceptions=True)
                if not isinstance(result, BaseException):
                    await result.aclose()  # it came before the cancellation; others wait for it
                (answer,) = await asyncio.gather(second, return_exceptions=True)
                assert answer == b"y" or isinstance(answer, asyncio.CancelledError)
                await until(lambda: client.stats().busy == 0)
                assert client.stats().waiting == 0
                assert await ask(client, b"z") == b"z"
            await client.aclose()
            assert client.stats().open == 0

    run(main(), loop)


def test_a_cancelled_or_closed_read_abandons_the_answer() -> None:
    """The connection is closed, and reading on is an error, never a clean end."""

    async def half(peer: Peer) -> None:
        """Send a part and wait."""
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        await peer.reader.read()

    async def main() -> None:
        """Cancel a waiting read."""
        async with RawServer(half) as server:
            client = Client(ClientOptions(server.base_url))
            response = await client.request(b"POST", b"/", b"", b"x")
            assert await response.chunk() == b"x"
            reading = asyncio.ensure_future(response.chunk())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="Two tasks"):
                await response.chunk()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            with pytest.raises(UpstreamClosed):
                await response.chunk()
            await until(lambda: client.stats().open == 0)
            await client.aclose()

    run(main())
