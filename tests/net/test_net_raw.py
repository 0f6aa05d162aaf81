"""What nginx would never send: torn, late, doubled and broken answers, from raw sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from entente.domain.errors import (
    UpstreamClosed,
    UpstreamConnectError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
)
from entente.net import Client, ClientOptions, Timeouts
from tests.support.loops import LOOPS, run, until
from tests.support.rawserver import RawServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.rawserver import Handler, Peer

BYTES_MAX = 10_000_000
both_loops = pytest.mark.parametrize("loop", LOOPS)


def says(data: bytes) -> Handler:
    """Return a handler that answers each connection's first request with `data`, then closes."""

    async def handler(peer: Peer) -> None:
        """Read, say, close."""
        await peer.request()
        await peer.send(data)

    return handler


async def fetch(data: bytes, method: bytes = b"POST") -> tuple[int, bytes, dict[bytes, bytes]]:
    """Ask a server that answers with `data`; assert that nothing is left of it."""
    async with RawServer(says(data)) as server:
        client = Client(ClientOptions(server.base_url))
        try:
            response = await client.request(method, b"/", b"", b"{}")
            return response.status, await response.read(BYTES_MAX), response.headers
        finally:
            await client.aclose()
            assert client.stats().open == 0


@both_loops
@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
            b"ok",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
        (b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 H\r\nL: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx", b"x"),
        (b"HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nzip", b"zip"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 500 Two\r\n\r\n", b"x"),
    ],
)
def test_answers_are_read_to_their_end(data: bytes, body: bytes, loop: str) -> None:
    """Each form of framing gives the body and nothing else; interim answers are skipped."""
    _, got, _ = run(fetch(data), loop)
    assert got == body


@both_loops
@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nha\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"",
    ],
)
def test_an_end_in_the_middle_is_never_a_clean_end(data: bytes, loop: str) -> None:
    """EOF inside a head, a body or a chunk is `UpstreamClosed`."""
    with pytest.raises(UpstreamClosed, match=r"127\.0\.0\.1:\d+ closed the connection"):
        run(fetch(data), loop)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: \0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 20 Short\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 700_000,
        b"HTTP/1.1 200 OK\r\n" + b"A: a\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 100 C\r\n\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: " + b"a" * 700_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=" + b"a" * 700_000,
    ],
)
def test_what_is_not_http_is_refused(data: bytes) -> None:
    """Garbage, smuggling forms and unbounded heads are `UpstreamProtocolError`."""
    with pytest.raises(UpstreamProtocolError, match=r"The answer of 127\.0\.0\.1:\d+ was refused"):
        run(fetch(data))


def test_a_large_body_behind_a_small_head_is_not_a_large_head() -> None:
    """The bound is on the head, whatever comes in the same segment."""
    body = b"x" * 200_000
    _, got, headers = run(
        fetch(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 200000\r\n\r\n" + body)
    )
    assert got == body
    assert headers[b"x-a"] == b"1, 2"


def test_head_has_no_body() -> None:
    """The length of an answer to HEAD is not waited for."""
    status, body, headers = run(fetch(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", b"HEAD"))
    assert (status, body, headers[b"content-length"]) == (200, b"", b"500")


@both_loops
def test_single_byte_writes_make_the_same_answer(loop: str) -> None:
    """However the bytes are cut, what is read is the same."""

    async def drip(peer: Peer) -> None:
        """Send byte by byte, each in its own turn of the loop."""
        while True:
            await peer.request()
            for byte in (
                b"HTTP/1.1 200 OK\r\nX-Name: value\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3\r\nabc\r\n2;e=1\r\nde\r\n0\r\nT: t\r\n\r\n"
            ):
                await peer.send(bytes([byte]))
                await asyncio.sleep(0)

    async def main() -> None:
        """Ask twice on one connection."""
        async with RawServer(drip) as server:
            client = Client(ClientOptions(server.base_url))
            for _ in range(2):
                response = await client.request(b"POST", b"/", b"", b"x")
                assert response.headers[b"x-name"] == b"value"
                assert await response.read(BYTES_MAX) == b"abcde"
            assert server.accepted == 1
            await client.aclose()

    run(main(), loop)


@pytest.mark.usefixtures("patient")
@both_loops
@pytest.mark.parametrize("how", ["close", "reset", "408"])
def test_a_connection_closed_while_idle_is_not_used(loop: str, how: str) -> None:
    """A server that ends a kept connection costs the next request nothing, 200 times."""

    async def handler(peer: Peer) -> None:
        """Answer once, then end the idle connection in one of three ways."""
        await peer.request()
        await peer.answer(b"%d" % peer.number)
        if how == "408":
            await peer.send(b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n")
            await peer.reader.read()
        elif how == "reset":
            peer.reset()

    async def main() -> None:
        """Wait for the end each second time, so that both sides of the race are run."""
        async with RawServer(handler) as server:
            client = Client(ClientOptions(server.base_url))
            for number in range(1, 201):
                response = await client.request(b"POST", b"/", b"", b"x")
                assert await response.read(BYTES_MAX) == b"%d" % number
                if number % 2 or how == "408":
                    await until(lambda: client.stats().open == 0)
            await client.aclose()

    run(main(), loop)


@pytest.mark.usefixtures("patient")
@both_loops
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_stale_connection_is_retried_once_on_a_fresh_one(loop: str, how: str) -> None:
    """The server closes as the request arrives: the retry dials, others are not touched."""
    requests: list[int] = []

    async def handler(peer: Peer) -> None:
        """Answer one request; end at the second, having read it or not."""
        await peer.request()
        await peer.answer(b"ok")
        await peer.request()
        requests.append(peer.number)
        if how == "reset":
            peer.reset()

    async def main() -> None:
        """Every request succeeds although every reuse fails."""
        async with RawServer(handler) as server:
            client = Client(ClientOptions(server.base_url, connections_max=1))
            for _ in range(50):
                response = await client.request(b"POST", b"/", b"", b"x")
                assert await response.read(BYTES_MAX) == b"ok"
            assert server.accepted == 50
            assert len(requests) == 49
            await client.aclose()

    run(main(), loop)


def test_nothing_else_is_ever_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on a fresh connection, not a streamed body, not after a byte, not after a while."""
    seen: list[bytes] = []

    async def handler(peer: Peer) -> None:
        """`/keep` is answered; everything else is read and the connection closed."""
        while True:
            head, _ = await peer.request()
            if not head.startswith(b"POST /keep"):
                break
            await peer.answer(b"ok")
        seen.append(head.split(b" ")[1])
        if b"/byte" in head:
            await peer.send(b"H")

    async def stream() -> AsyncIterator[bytes]:
        """Yield one piece."""
        yield b"x"

    async def main() -> None:
        """Four ways to fail, each seen once by the server."""
        async with RawServer(handler) as server:
            client = Client(ClientOptions(server.base_url))

            async def keep() -> None:
                """Leave a reusable connection behind."""
                await (await client.request(b"POST", b"/keep", b"", b"x")).read(BYTES_MAX)

            with pytest.raises(UpstreamClosed):
                await client.request(b"POST", b"/fresh", b"", b"x")
            await keep()
            with pytest.raises(UpstreamClosed):
                await client.request(b"POST", b"/stream", b"", stream())
            await keep()
            with pytest.raises(UpstreamClosed):
                await client.request(b"POST", b"/byte", b"", b"x")
            await keep()
            monkeypatch.setattr("entente.net.connection.STALE_CLOSE_S_MAX", -1.0)
            with pytest.raises(UpstreamClosed):
                await client.request(b"POST", b"/late", b"", b"x")
            await client.aclose()
            assert seen == [b"/fresh", b"/stream", b"/byte", b"/late"]

    run(main())


@pytest.mark.parametrize(
    "surplus",
    [b"X", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", b"\0" * 100],
)
def test_bytes_behind_an_answer_spoil_the_connection(surplus: bytes) -> None:
    """Whether in the same segment or later, they never become the next answer."""

    async def handler(peer: Peer) -> None:
        """Answer with the connection's number and something nobody asked for."""
        while True:
            await peer.request()
            await peer.send(
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % peer.number + surplus
            )

    async def main() -> None:
        """Three requests come over three connections."""
        async with RawServer(handler) as server:
            client = Client(ClientOptions(server.base_url))
            for number in range(1, 4):
                response = await client.request(b"POST", b"/", b"", b"x")
                assert await response.read(BYTES_MAX) == b"%d" % number
            await client.aclose()

    run(main())


@both_loops
@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_before_the_end_of_the_request_stops_the_upload(
    loop: str, *, streamed: bool
) -> None:
    """A 413 is delivered at once, no more of the source is read, the connection is closed."""

    async def handler(peer: Peer) -> None:
        """Refuse by the head alone, and read on so that nothing is reset."""
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Large\r\nContent-Length: 5\r\n\r\nlarge")
        while await peer.reader.read(65536):
            pass

    async def endless() -> AsyncIterator[bytes]:
        """Give without end, then wait without end."""
        try:
            for _ in range(50):
                yield b"x" * 1000
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    closed: list[bool] = []

    async def main() -> None:
        """The answer arrives although the request never ends."""
        async with RawServer(handler) as server:
            client = Client(ClientOptions(server.base_url))
            body = endless() if streamed else b"x" * 50_000_000
            response = await client.request(b"POST", b"/", b"", body)
            assert response.status == 413
            assert closed == [True] * streamed
            assert await response.read(BYTES_MAX) == b"large"
            await until(lambda: client.stats().open == 0)
            await client.aclose()

    run(main(), loop)


def test_a_failing_source_fails_the_request_with_its_own_error() -> None:
    """The server never sees the end of such a body, and the connection is closed."""
    bodies: list[bytes] = []

    async def handler(peer: Peer) -> None:
        """Would note a complete body."""
        bodies.append((await peer.request())[1])

    async def broken() -> AsyncIterator[bytes]:
        """Give a piece, then fail."""
        yield b"half"
        raise LookupError

    async def main() -> None:
        """The caller gets its own error back."""
        async with RawServer(handler) as server:
            client = Client(ClientOptions(server.base_url))
            with pytest.raises(LookupError):
                await client.request(b"POST", b"/", b"", broken())
            await until(lambda: client.stats().open == 0)
            await client.aclose()
        assert bodies == []

    run(main())


@both_loops
@pytest.mark.parametrize(
    ("sent", "limits", "phase"),
    [
        (b"", Timeouts(first_byte_s=0.05), "first_byte"),
        (b"HTTP/1.1 200 OK\r\nA:", Timeouts(first_byte_s=0.05), "first_byte"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", Timeouts(idle_s=0.05), "idle"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", Timeouts(total_s=0.05), "total"),
        (b"", Timeouts(total_s=0.05), "total"),
    ],
)
def test_each_phase_has_its_timeout(sent: bytes, limits: Timeouts, phase: str, loop: str) -> None:
    """A server that stops is named with the phase, and the connection is closed."""

    async def handler(peer: Peer) -> None:
        """Send a part, then nothing."""
        await peer.request()
        await peer.send(sent)
        await peer.reader.read()

    async def main() -> None:
        """The error tells which limit it was."""
        async with RawServer(handler) as server:
            client = Client(ClientOptions(server.base_url, timeouts=limits))
            with pytest.raises(UpstreamTimeout, match=f"{phase}_s") as caught:
                await (await client.request(b"POST", b"/", b"", b"x")).read(BYTES_MAX)
            assert caught.value.phase == phase
            await until(lambda: client.stats().open == 0)
            await client.aclose()

    run(main(), loop)


def test_a_server_that_takes_nothing_is_idle() -> None:
    """An upload that does not move ends by `idle_s`, in slices and in chunks."""

    async def handler(peer: Peer) -> None:
        """Never read the body."""
        await peer.head()
        await asyncio.Event().wait()

    async def stream() -> AsyncIterator[bytes]:
        """Give much more than sockets buffer."""
        for _ in range(1000):
            yield b"x" * 100_000

    async def main() -> None:
        """Both kinds of body."""
        async with RawServer(handler) as server:
            client = Client(ClientOptions(server.base_url, timeouts=Timeouts(idle_s=0.1)))
            for body in (b"x" * 100_000_000, stream()):
                with pytest.raises(UpstreamTimeout) as caught:
                    await client.request(b"POST", b"/", b"", body)
                assert caught.value.phase == "idle"
            await client.aclose()

    run(main())


@both_loops
def test_a_reader_that_stops_holds_little(loop: str) -> None:
    """Reading stops above the high-water mark, and goes on with the reader to the end."""
    size = 50_000_000
    taken = 0

    async def handler(peer: Peer) -> None:
        """Send much, counting what the client takes."""
        nonlocal taken
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 100_000):
            await peer.send(b"x" * 100_000)
            taken += 100_000
        await peer.reader.read()

    async def main() -> None:
        """Let it run until the server has stood still, then read everything."""
        async with RawServer(handler) as server:
            client = Client(ClientOptions(server.base_url))
            response = await client.request(b"POST", b"/", b"", b"x")
            before = -1
            while taken != before:
                before = taken
                await asyncio.sleep(0.05)
            assert taken < size
            total = 0
            while piece := await response.chunk():
                assert len(piece) <= 1_000_000
                total += len(piece)
            assert total == size
            assert client.stats().idle == 1
            await client.aclose()

    run(main(), loop)


def test_a_closed_client_connects_no_more() -> None:
    """`aclose` ends running exchanges, is idempotent, and later requests fail."""
    asked = asyncio.Event()

    async def handler(peer: Peer) -> None:
        """Never answer."""
        await peer.request()
        asked.set()
        await asyncio.Event().wait()

    async def main() -> None:
        """Close in the middle of a request."""
        async with RawServer(handler) as server:
            client = Client(ClientOptions(server.base_url, connections_max=1))
            tasks = [
                asyncio.ensure_future(client.request(b"POST", b"/", b"", b"x")) for _ in range(3)
            ]
            await until(lambda: client.stats().waiting == 2)
            await asked.wait()
            await client.aclose()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(result) for result in results] == [
                UpstreamClosed,
                UpstreamConnectError,
                UpstreamConnectError,
            ]
            with pytest.raises(UpstreamConnectError, match="is closed"):
                await client.request(b"POST", b"/", b"", b"x")
            await client.aclose()
            assert client.stats().open == 0
            assert all(isinstance(result, UpstreamError) for result in results)

    run(main())
