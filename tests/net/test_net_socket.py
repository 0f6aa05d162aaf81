"""WebSockets to providers: by TLS and proxies, with codes and bounds; every end is told."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from entente.domain.errors import (
    UpstreamBusy,
    UpstreamClosed,
    UpstreamConnectError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
)
from entente.net import Client, ClientOptions, Declined, Message, Socket, Timeouts, TlsOptions
from entente.net.socket import Ending, passed_on
from tests.net.test_net_tls import Authority
from tests.support.loops import LOOPS, run
from tests.support.proxy import HttpProxy
from tests.support.rawserver import Peer, RawServer

if TYPE_CHECKING:
    from pathlib import Path

BYTES_MAX = 100_000
both_loops = pytest.mark.parametrize("loop", LOOPS)


async def echo(socket: ServerConnection) -> None:
    """Send everything back; `bye` closes."""
    async for message in socket:
        if message == "bye":
            await socket.close(4000, "so long")
            return
        await socket.send(message)


def a_client(base_url: str, **options: Any) -> Client:
    """Make a client."""
    return Client(ClientOptions(base_url=base_url, **options))


async def opened(client: Client, target: str = "/talk?model=a%20b") -> Socket:
    """Open a socket that is meant to open."""
    socket = await client.websocket(target, [("x-key", "k")], message_bytes_max=BYTES_MAX)
    assert isinstance(socket, Socket)
    return socket


async def exchange(socket: Socket) -> None:
    """Send text and bytes, and get them back."""
    for message in (Message(b"hello"), Message(bytes(range(256)) * 300, text=False)):
        await socket.send(message)
        assert await socket.receive() == message


@both_loops
def test_messages_and_the_end(loop: str) -> None:
    """Text stays text, bytes bytes; the other side's code and reason are known."""

    async def drill() -> None:
        async with serve(echo, "127.0.0.1", 0, compression=None) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            client = a_client(f"http://127.0.0.1:{port}/prefix")
            socket = await opened(client)
            (connection,) = server.connections
            assert connection.request is not None
            assert connection.request.path == "/prefix/talk?model=a%20b"
            assert connection.request.headers["x-key"] == "k"
            assert "sec-websocket-extensions" not in connection.request.headers
            await exchange(socket)
            await socket.send(Message(b"bye"))
            assert await socket.receive() is None
            assert socket.ending == Ending(4000, "so long")
            await socket.send(Message(b"to nobody"))
            await socket.closed()
            await client.aclose()

    run(drill(), loop)


@both_loops
def test_tls_and_tunnels(loop: str, tmp_path: Path) -> None:
    """Through a proxy, plain or secured, it is always a tunnel that is asked for."""

    async def drill() -> None:
        authority = Authority(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.cert_file, authority.key_file)
        async with (
            serve(echo, "127.0.0.1", 0, ssl=context) as secured,
            serve(echo, "127.0.0.1", 0) as plain,
            HttpProxy() as proxy,
        ):
            for server, scheme in ((secured, "https"), (plain, "http")):
                port = next(iter(server.sockets)).getsockname()[1]
                for proxy_url in (None, proxy.base_url):
                    client = a_client(
                        f"{scheme}://localhost:{port}",
                        tls=TlsOptions(ca_file=authority.ca_file),
                        proxy_url=proxy_url,
                    )
                    socket = await opened(client)
                    await exchange(socket)
                    socket.close(1000)
                    await socket.closed()
                    await client.aclose()
            assert [line.split(" ")[0] for line in proxy.seen] == ["CONNECT", "CONNECT"]

    run(drill(), loop)


ACCEPT = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", UpstreamClosed),
        (b"nonsense\r\n\r\n", UpstreamProtocolError),
        (ACCEPT + b"Sec-WebSocket-Accept: bm8=\r\n\r\n", UpstreamProtocolError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, UpstreamProtocolError),
    ],
)
def test_handshakes_that_fail(answer: bytes, error: type[UpstreamError]) -> None:
    """Each with the error that says what it was."""

    async def handler(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer)

    async def drill() -> None:
        async with RawServer(handler) as server:
            client = a_client(server.base_url)
            with pytest.raises(error):
                await opened(client)
            await client.aclose()

    run(drill())


def test_a_server_that_declines() -> None:
    """Its answer is given as it is."""

    async def handler(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 404 No\r\nX-Why: so\r\nContent-Length: 4\r\n\r\ngone")

    async def drill() -> None:
        async with RawServer(handler) as server:
            client = a_client(server.base_url)
            declined = await client.websocket("/", [], message_bytes_max=BYTES_MAX)
            assert isinstance(declined, Declined)
            assert (declined.status, declined.body) == (404, b"gone")
            assert declined.headers[b"x-why"] == b"so"
            await client.aclose()

    run(drill())


def test_bounds() -> None:
    """Of sockets, of time for the handshake, and of what a handshake may hold."""

    async def silent(peer: Peer) -> None:
        await peer.reader.read()

    async def drill() -> None:
        async with serve(echo, "127.0.0.1", 0) as server, RawServer(silent) as mute:
            port = next(iter(server.sockets)).getsockname()[1]
            client = a_client(f"http://127.0.0.1:{port}", connections_max=1)
            socket = await opened(client)
            with pytest.raises(UpstreamBusy):
                await opened(client)
            socket.abort()
            await socket.closed()
            await exchange(await opened(client))
            await client.aclose()
            slow = a_client(mute.base_url, timeouts=Timeouts(first_byte_s=0.2))
            with pytest.raises(UpstreamTimeout) as late:
                await opened(slow)
            assert late.value.phase == "first_byte"
            for target, headers in (("/a\r\nb", []), ("/", [("x", "y\r\nz: 1")])):
                with pytest.raises(ValueError, match="printable"):
                    await slow.websocket(target, headers, message_bytes_max=1)
            await slow.aclose()
            gone = a_client("http://127.0.0.1:9")
            with pytest.raises(UpstreamConnectError):
                await opened(gone)

    run(drill())


def test_a_reader_that_is_slow() -> None:
    """What is not read is not taken: the other side has to wait."""

    async def drill() -> None:
        sent = 0
        done = asyncio.Event()

        async def flood(connection: ServerConnection) -> None:
            nonlocal sent
            for _ in range(400):
                await connection.send(b"x" * 90_000)
                sent += 1
            done.set()
            await connection.wait_closed()

        async with serve(flood, "127.0.0.1", 0, compression=None) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            client = a_client(f"http://127.0.0.1:{port}")
            socket = await opened(client)
            other = await opened(client)
            for _ in range(400):
                assert await other.receive() is not None
            assert sent < 800
            for _ in range(400):
                message = await socket.receive()
                assert message is not None
                assert len(message.data) == 90_000
            await done.wait()
            await client.aclose()
            assert not socket.open

    run(drill())


def test_codes_that_say_that_nothing_was_said() -> None:
    """They may not be sent; all others go on as they came."""
    assert passed_on(Ending(1000, "a")) == (1000, "a")
    assert passed_on(Ending(4999, "b")) == (4999, "b")
    assert passed_on(Ending(1005, "")) == (None, "")
    assert passed_on(Ending(1006, ""))[0] == 1011
