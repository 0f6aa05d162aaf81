"""A server that answers with exactly the bytes a test gives, however wrong they are."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    Handler = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One accepted connection, from the server's side."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        """Keep both directions; `number` counts the server's connections from 1."""
        self.reader = reader
        self.writer = writer
        self.number = number

    async def head(self) -> bytes:
        """Read a request's head."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def request(self) -> tuple[bytes, bytes]:
        """Read a request whole: its head, and its body by Content-Length or chunks."""
        head = await self.head()
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            body = bytearray()
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
            return head, bytes(body)
        _, found, rest = lower.partition(b"content-length: ")
        size = int(rest.split(b"\r\n")[0]) if found else 0
        return head, await self.reader.readexactly(size)

    async def send(self, data: bytes) -> None:
        """Write and let it go out."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes, extra: bytes = b"") -> None:
        """Send a plain 200 with its length."""
        head = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (extra, len(body))
        await self.send(head + body)

    def reset(self) -> None:
        """Break the connection without a goodbye."""
        self.writer.transport.abort()


class RawServer:
    """Runs `handler` for each connection, and closes the connection when it returns."""

    def __init__(
        self,
        handler: Handler,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Keep the handler; use as an async context manager. Port 0 is any free one."""
        self.accepted = 0
        self.host, self.port = host, port
        self._handler = handler
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsent: list[asyncio.WriteTransport] = []
        self._server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        """Base URL without a path."""
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen on loopback."""
        self._server = await asyncio.start_server(
            self._serve, self.host, self.port, ssl=self._tls, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, then end what still runs; what nobody has read yet is dropped."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
        for transport in self._unsent:
            transport.abort()
        await asyncio.sleep(0)  # the loop closes them

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run the handler; a client that goes away ends it."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        with contextlib.suppress(
            OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ValueError
        ):
            try:
                await self._handler(Peer(reader, writer, self.accepted))
            finally:
                if writer.transport.get_write_buffer_size():
                    self._unsent.append(writer.transport)
                writer.close()
