"""Bodies that are read piece by piece: in bounded memory, at the pace of who takes them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Final, cast

import pytest

from entente.domain.errors import BodyTooLarge, EntenteError
from entente.http.exchange import Exchange
from entente.http.server import Server
from tests.support.loops import run, until
from tests.support.rawclient import Reply, exchange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from entente.http.protocol import Connection

BOUND: Final = 8 * 1024 * 1024
KEPT_MAX: Final = 1024 * 1024
"""The buffer, and what one read of the socket may bring above it."""


@contextlib.asynccontextmanager
async def _serving(service: Callable[[Exchange], Awaitable[None]]) -> AsyncIterator[Server]:
    async def serve(one: Exchange) -> None:
        try:
            await service(one)
        except EntenteError as error:
            await one.answer(413, (), error.message.encode())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)  # noqa: FBT003
        server = Server(serve, listener, body_bytes_max=1000, connections_max=10, drain_s=5)
        await server.start()
        try:
            yield server
        finally:
            await server.stop(0)


async def _ask(server: Server, request: bytes) -> Reply:
    return await exchange(server._socket.getsockname()[1], request)


def _chunked(body: bytes, size: int) -> bytes:
    cut = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in cut) + b"0\r\n\r\n"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_is_taken_in_pieces_and_memory_stays_bounded(framing: str) -> None:
    """Eight megabytes go through a server whose bound of whole bodies is a thousand bytes."""
    body = bytes(range(256)) * (BOUND // 256)
    kept = []

    async def service(one: Exchange) -> None:
        got = []
        async for piece in one.pieces(BOUND, "files.x"):
            got.append(piece)
            kept.append(cast("Connection", one._wire)._shared.body_bytes + len(piece))
            await asyncio.sleep(0)
        await one.answer(200, (), b"same" if b"".join(got) == body else b"other")

    async def drill() -> None:
        async with _serving(service) as server:
            head = b"POST / HTTP/1.1\r\nhost: x\r\n"
            if framing == "length":
                request = head + b"content-length: %d\r\n\r\n%b" % (len(body), body)
            else:
                coded = _chunked(body, 50_000)
                request = head + b"transfer-encoding: chunked\r\n\r\n" + coded
            reply = await _ask(server, request)
            assert (reply.status, reply.body) == (200, b"same")
            assert server._shared.body_bytes == 0

    run(drill())
    assert max(kept) <= KEPT_MAX
    assert len(kept) >= BOUND // KEPT_MAX


def test_nothing_is_read_ahead_while_nobody_takes() -> None:
    """Before anybody asks for the body, no more of it than the buffer is in memory."""

    async def service(one: Exchange) -> None:
        await held.wait()
        got = 0
        async for piece in one.pieces(BOUND, "files.x"):
            got += len(piece)
        await one.answer(200, (), b"%d" % got)

    async def drill() -> None:
        async with _serving(service) as server:
            head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % BOUND
            asked = asyncio.create_task(_ask(server, head + bytes(BOUND)))
            shared = server._shared
            await until(lambda: any(c.current and c.current._held for c in shared.connections))
            for _ in range(1000):
                await asyncio.sleep(0)
            assert shared.body_bytes <= KEPT_MAX
            held.set()
            assert (await asked).body == b"%d" % BOUND

    held = asyncio.Event()
    run(drill())


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_bound_of_a_body_in_pieces_is_its_own(framing: str) -> None:
    """One byte too many is refused, with the name of the setting."""

    async def service(one: Exchange) -> None:
        with pytest.raises(BodyTooLarge):
            async for _ in one.pieces(5000, "files.x"):
                pass
        async for _ in one.pieces(5000, "files.x"):
            pass

    async def drill() -> None:
        async with _serving(service) as server:
            head, body = b"POST / HTTP/1.1\r\nhost: x\r\n", bytes(5001)
            if framing == "length":
                request = head + b"content-length: 5001\r\n\r\n" + body
            else:
                request = head + b"transfer-encoding: chunked\r\n\r\n" + _chunked(body, 999)
            reply = await _ask(server, request)
            assert reply.status == 413
            assert reply.body.endswith(b"bound of 5000 bytes (files.x).")

    run(drill())


def test_pipelined_requests_wait_for_their_turn() -> None:
    """What is sent behind a body in pieces is served after it, each whole."""

    async def service(one: Exchange) -> None:
        got = 0
        if one.path == "/pieces":
            async for piece in one.pieces(BOUND, "files.x"):
                got += len(piece)
        else:
            got = len(await one.body())
        await one.answer(200, (), b"%d;" % got)

    async def drill() -> None:
        async with _serving(service) as server:
            large = b"POST /pieces HTTP/1.1\r\nhost: x\r\ncontent-length: 700000\r\n\r\n"
            small = b"POST /whole HTTP/1.1\r\nhost: x\r\ncontent-length: 7\r\n"
            sent = large + bytes(700_000) + small + b"\r\n1234567" + large + bytes(700_000)
            sent += small + b"connection: close\r\n\r\n1234567"
            port = server._socket.getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            said = await reader.read(-1)
            writer.close()
            bodies = [part.partition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200")[1:]]
            assert bodies == [b"700000;", b"7;", b"700000;", b"7;"]

    run(drill())
