"""A small real HTTP proxy: CONNECT and absolute-form requests, with optional Basic auth."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.rawserver import RawServer

if TYPE_CHECKING:
    from tests.support.rawserver import Peer


class HttpProxy(RawServer):
    """Forwards to loopback whatever host is asked for, so that tests need no DNS.

    `seen` has the request line of every request it was sent.
    """

    def __init__(self, *, credentials: str | None = None, refuse_status: int | None = None) -> None:
        """Demand `user:password`, or refuse every CONNECT with a status."""
        super().__init__(self._handle)
        self.seen: list[str] = []
        self._credentials = credentials
        self._refuse_status = refuse_status

    async def _handle(self, peer: Peer) -> None:
        """Serve one connection: a tunnel, or one forwarded request."""
        head = await peer.head()
        line = head.split(b"\r\n")[0].decode()
        self.seen.append(line)
        method, target, _ = line.split(" ")
        if not self._allowed(head):
            await peer.send(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
            )
        elif self._refuse_status is not None:
            await peer.send(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % self._refuse_status)
        elif method == "CONNECT":
            await self._tunnel(peer, int(target.rpartition(":")[2]))
        else:
            await self._forward(peer, head, target)

    def _allowed(self, head: bytes) -> bool:
        """Check the credentials as a proxy does."""
        if self._credentials is None:
            return True
        token = base64.b64encode(self._credentials.encode())
        return b"\r\nProxy-Authorization: Basic " + token + b"\r\n" in head

    async def _tunnel(self, peer: Peer, port: int) -> None:
        """Copy bytes both ways until one side ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await peer.send(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")
        await _copy_both(peer, reader, writer)

    async def _forward(self, peer: Peer, head: bytes, target: str) -> None:
        """Send an absolute-form request on in origin form."""
        parts = urlsplit(target)
        reader, writer = await asyncio.open_connection("127.0.0.1", parts.port or 80)
        origin_form = target.removeprefix(f"{parts.scheme}://{parts.netloc}").encode()
        writer.write(head.replace(target.encode(), origin_form, 1))
        await _copy_both(peer, reader, writer)


async def _copy_both(
    peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Pump both directions; the first end closes both."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Copy one direction."""
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    pumps = [
        asyncio.ensure_future(pump(peer.reader, writer)),
        asyncio.ensure_future(pump(reader, peer.writer)),
    ]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        writer.close()
