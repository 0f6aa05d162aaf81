"""The client of one provider: `request` in, `Response` out.

Errors are `UpstreamConnectError`, `UpstreamTimeout`, `UpstreamClosed`,
`UpstreamProtocolError` and `UpstreamBusy`. A target or header that would break the request
is a `ValueError`: a defect of the caller, found before anything is sent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from entente.domain.errors import UpstreamClosed, UpstreamError
from entente.net.connect import Dialler
from entente.net.encode import Encoder
from entente.net.exchange import Exchange
from entente.net.handshake import Declined, Sockets
from entente.net.options import split_base_url
from entente.net.pool import Pool, PoolStats
from entente.net.proxies import parse_proxy
from entente.net.response import Response
from entente.net.upload import send_chunks, send_slices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    from entente.net.connection import Connection
    from entente.net.options import ClientOptions, Timeouts
    from entente.net.socket import Socket

WRITE_ONCE_BYTES_MAX: Final = 64 * 1024
"""A body up to this size is joined to its head; a larger one is written in slices."""


class Client:
    """One provider's HTTP/1.1 client, owned for the lifetime of the configuration.

    Making it does no I/O. It belongs to the event loop of its first request.
    """

    def __init__(self, options: ClientOptions) -> None:
        """Check the URLs; raises `ConfigError`."""
        origin, prefix = split_base_url(options.base_url)
        path = prefix
        proxy = parse_proxy(options.proxy_url) if options.proxy_url is not None else None
        fixed = b""
        if proxy is not None and origin.scheme == "http":
            prefix = f"http://{origin.host_header}".encode("ascii") + prefix
            if proxy.authorization is not None:
                fixed = b"Proxy-Authorization: " + proxy.authorization + b"\r\n"
        self._encoder = Encoder(prefix, origin.host_header, fixed)
        self._timeouts = options.timeouts
        self._loop: asyncio.AbstractEventLoop | None = None
        dialler = Dialler(options, origin, proxy)
        self._pool = Pool(options, dialler)
        self._sockets = Sockets(dialler, origin, path, sockets_max=options.connections_max)

    async def request(
        self,
        method: bytes,
        target: bytes,
        headers: bytes | Sequence[tuple[bytes, bytes]],
        body: bytes | AsyncIterator[bytes] = b"",
        *,
        timeouts: Timeouts | None = None,
    ) -> Response:
        r"""Send a request and return when the head of its answer is parsed.

        `target` goes behind the path prefix of `base_url`. `headers` are pairs, or a block
        of `name: value\r\n` lines. A `bytes` body has its length announced; an iterator is
        sent in chunked coding as the server takes it, and what it raises comes out here.
        A request is sent twice in one case only: its body is `bytes` and the server closed
        a reused connection before one byte of an answer, within the moment in which both
        can have acted at once. `Response.sends`, or the error's, says so.
        """
        limits = timeouts if timeouts is not None else self._timeouts
        loop = self._loop
        if loop is None:  # looked for once: the search costs a system call
            loop = self._loop = asyncio.get_running_loop()
        now = loop.time()
        total_at = now + limits.total_s
        exchange = Exchange(loop, limits, total_at, head_only=method == b"HEAD")
        if not isinstance(body, bytes):
            head = self._encoder.head(method, target, headers, None)
            connection = self._pool.take(now) or await self._pool.acquire(limits, total_at)
            await _stream(connection, exchange, head, body)
            return Response(exchange)
        small = len(body) <= WRITE_ONCE_BYTES_MAX
        if small:
            data = self._encoder.whole(method, target, headers, body)
        else:
            data = self._encoder.head(method, target, headers, len(body))
        connection = self._pool.take(now) or await self._pool.acquire(limits, total_at)
        late = b"" if small else body
        try:
            await _send(connection, exchange, data, late)
        except UpstreamClosed as closed:
            if not exchange.stale:
                raise
            try:
                connection = await self._pool.acquire(limits, total_at, fresh=True)
            except UpstreamError:
                raise closed from None  # it was sent once, which a failed dial would deny
        else:
            return Response(exchange)
        exchange = Exchange(loop, limits, total_at, head_only=method == b"HEAD")
        try:
            await _send(connection, exchange, data, late)
        except UpstreamError as error:
            error.sends = 2
            raise
        return Response(exchange, sends=2)

    async def websocket(
        self, target: str, headers: Sequence[tuple[str, str]], *, message_bytes_max: int
    ) -> Socket | Declined:
        """Open a WebSocket, or give the answer of a server that would not.

        It is no connection of the pool: a proxy is always asked for a tunnel.
        """
        return await self._sockets.open(
            target, headers, message_bytes_max=message_bytes_max, timeouts=self._timeouts
        )

    async def aclose(self) -> None:
        """Close every connection; running exchanges and later requests fail. Idempotent."""
        await self._sockets.aclose()
        await self._pool.aclose()

    def stats(self) -> PoolStats:
        """Count connections and waiting requests."""
        return self._pool.stats()


def _send(
    connection: Connection, exchange: Exchange, data: bytes, late: bytes
) -> Coroutine[Any, Any, None]:
    """Write `data`, then `late` in slices; await it for the head of the answer."""
    connection.begin(exchange, data)
    if late:
        return _send_late(connection, exchange, late)
    exchange.mark_sent()
    return exchange.head()


async def _send_late(connection: Connection, exchange: Exchange, late: bytes) -> None:
    """Write the rest of a request in slices, and wait for the head of the answer."""
    try:
        await send_slices(connection, exchange, late)
    except asyncio.CancelledError:
        exchange.abandon()
        raise
    await exchange.head()


async def _stream(
    connection: Connection, exchange: Exchange, head: bytes, body: AsyncIterator[bytes]
) -> None:
    """Send a streamed body beside the wait for the answer, which may come first."""
    connection.begin(exchange, head)
    upload = exchange.loop.create_task(send_chunks(connection, exchange, body))
    upload.add_done_callback(lambda task: _upload_ended(task, exchange))
    try:
        await exchange.head()
    finally:
        upload.cancel()
        await asyncio.wait((upload,))
        if not upload.cancelled() and (error := upload.exception()) is not None:
            raise error


def _upload_ended(upload: asyncio.Task[None], exchange: Exchange) -> None:
    """Fail the exchange when the source failed: the server must not take it for the end."""
    if not upload.cancelled() and upload.exception() is not None:
        exchange.abandon()
