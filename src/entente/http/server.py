"""The HTTP server: uvicorn's protocol on a socket of ours, with the bounds it lacks.

The protocol parses and writes HTTP; what is added here is a bound on a request's head in
bytes and seconds, on connections, and an orderly stop: no new connection, idle ones
closed, running requests awaited within a bound, then cancelled and awaited again, so
that each of them has put its settlement in line.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

HEAD_BYTES_MAX: Final = 64 * 1024
HEAD_S: Final = 30.0
"""From the connection, or the first byte of a request, to the end of the request's head."""
KEEP_ALIVE_S: Final = 75
SWEEP_S: Final = 1.0
BACKLOG: Final = 2048

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"content-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a bound on the head of each request."""

    connections_max = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Refuse a connection past the bound, and start the clock of the first head."""
        self.head_bytes = 0
        self.head_since_s: float | None = self.loop.time()
        super().connection_made(transport)
        if len(self.connections) > self.connections_max:
            transport.write(_FULL)
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head."""
        super().data_received(data)
        if self.head_since_s is not None:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """Start the clock of a head."""
        super().on_message_begin()
        self.head_since_s = self.loop.time()

    def on_headers_complete(self) -> None:
        """Stop the clock."""
        self.head_since_s = None
        self.head_bytes = 0
        super().on_headers_complete()


class Server:
    """Serves an ASGI callable on a bound socket until told to stop."""

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        listener: socket.socket,
        *,
        connections_max: int,
    ) -> None:
        """Take the application and its socket; nothing is accepted yet."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._socket = listener
        self._config = Config(
            app,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._config.load()
        self.state = ServerState()
        self._protocol = type("Protocol", (BoundedProtocol,), {"connections_max": connections_max})
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Accept connections from now on."""
        loop = asyncio.get_running_loop()

        def protocol() -> Any:
            return self._protocol(
                config=self._config, server_state=self.state, app_state={}, _loop=loop
            )

        self._server = await loop.create_server(protocol, sock=self._socket, backlog=BACKLOG)
        self._sweeper = loop.create_task(self._sweep())

    async def stop(self, within_s: float) -> None:
        """Stop accepting; let requests finish within `within_s` seconds, then cancel them."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections():
            connection.shutdown()
        tasks = list(self.state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=within_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in self._connections():
            connection.transport.close()

    def _connections(self) -> list[BoundedProtocol]:
        """Give the open connections, which are all of our own class."""
        return cast("list[BoundedProtocol]", list(self.state.connections))

    async def _sweep(self) -> None:
        """Close, once a second, the connections whose head does not come."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            oldest = loop.time() - HEAD_S
            for connection in self._connections():
                since = connection.head_since_s
                if since is not None and since < oldest:
                    connection.transport.close()
