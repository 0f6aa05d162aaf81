"""Dialling: TCP to the origin or its proxy, CONNECT, TLS. The caller sets the time limit.

Host names are verified and sent as SNI in every TLS handshake. All resolved addresses are
tried, one after the other within the time limit. Not side by side: uvloop does not offer it,
and asyncio's `happy_eyeballs_delay` leaks a socket when the caller is cancelled.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from entente.net.connection import Connection
from entente.net.faults import FOREIGN, connect_fault, tls_files_fault
from entente.net.tunnel import Tunnel

if TYPE_CHECKING:
    from entente.net.connection import Owner
    from entente.net.options import ClientOptions, Origin, TlsOptions
    from entente.net.proxies import Proxy


class Dialler:
    """Makes connections to one origin. `peer` is how messages name it."""

    def __init__(self, options: ClientOptions, origin: Origin, proxy: Proxy | None) -> None:
        """Keep what is needed; certificates are read at the first dial."""
        self.peer = origin.authority
        self._origin = origin
        self._proxy = proxy
        self._tls = options.tls
        self._address = options.address
        self._header_bytes_max = options.header_bytes_max
        self._context: ssl.SSLContext | None = None

    async def dial(self, owner: Owner) -> Connection:
        """Return an open connection. Raises `UpstreamConnectError` or `UpstreamTimeout`."""
        loop = asyncio.get_running_loop()
        connection = Connection(loop, owner, self.peer, self._header_bytes_max)
        await self.connect(connection, tunnelled=self._origin.scheme == "https")
        return connection

    async def connect(self, protocol: asyncio.Protocol, *, tunnelled: bool) -> None:
        """Connect a protocol to the origin, or to its proxy; `tunnelled`, through its proxy.

        Raises as `dial` does.
        """
        loop = asyncio.get_running_loop()
        context = await self._ready_context() if self._origin.scheme == "https" else None
        if self._proxy is not None and tunnelled:
            await self._connect_tunnel(loop, protocol, self._proxy, context)
            return
        where = self._origin if self._proxy is None else self._proxy
        host = where.host if self._proxy is not None else self._address or where.host
        peer = self.peer if self._proxy is None else f"The proxy {self._proxy.authority}"
        try:
            await loop.create_connection(
                lambda: protocol,
                host,
                where.port,
                ssl=context,
                server_hostname=self._origin.host if context is not None else None,
            )
        except FOREIGN as error:
            raise connect_fault(error, peer) from error

    async def _connect_tunnel(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.Protocol,
        proxy: Proxy,
        context: ssl.SSLContext | None,
    ) -> None:
        """Ask the proxy for a tunnel; inside, run TLS to the origin if it wants that."""
        tunnel = Tunnel(loop, proxy, self._origin.authority)
        try:
            transport, _ = await loop.create_connection(lambda: tunnel, proxy.host, proxy.port)
        except FOREIGN as error:
            raise connect_fault(error, f"The proxy {proxy.authority}") from error
        inside: asyncio.Transport | None = None
        try:
            await tunnel.established
            inside = await self._inside(loop, transport, protocol, context)
        except FOREIGN as error:
            raise connect_fault(error, self.peer) from error
        finally:
            if inside is None:
                transport.abort()
        protocol.connection_made(inside)

    async def _inside(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        context: ssl.SSLContext | None,
    ) -> asyncio.Transport:
        """Give what a protocol runs on inside a tunnel."""
        if context is None:
            transport.set_protocol(protocol)
            return transport
        secured = await loop.start_tls(
            transport, protocol, context, server_hostname=self._origin.host
        )
        if secured is None:
            raise ConnectionAbortedError
        return secured

    async def _ready_context(self) -> ssl.SSLContext:
        """Read certificates once, off the loop: the system's store is large."""
        if self._context is None:
            try:
                self._context = await asyncio.to_thread(_make_context, self._tls)
            except FOREIGN as error:
                raise tls_files_fault(error, self.peer) from error
        return self._context


def _make_context(tls: TlsOptions) -> ssl.SSLContext:
    """Verify chain and host name, offer HTTP/1.1 only."""
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if tls.cert_file is not None:
        # Without a password callback OpenSSL would ask for one on the terminal.
        context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: b"")
    return context
