"""The upstream HTTP/1.1 client: pool, TLS, proxies, timeouts, streamed bodies both ways.

    options ─▶ Client ─▶ Pool ─▶ Dialler ─▶ Connection ─▶ Exchange ─▶ Response

    Client ─▶ Sockets ─▶ Dialler ─▶ Socket       for WebSockets

It follows no redirects, keeps no cookies and decodes no content codings.
"""

from entente.net.client import Client
from entente.net.handshake import Declined
from entente.net.options import ClientOptions, Origin, Timeouts, TlsOptions
from entente.net.pool import PoolStats
from entente.net.proxies import proxy_for
from entente.net.response import Response
from entente.net.socket import Ending, Message, Socket

__all__ = [
    "Client",
    "ClientOptions",
    "Declined",
    "Ending",
    "Message",
    "Origin",
    "PoolStats",
    "Response",
    "Socket",
    "Timeouts",
    "TlsOptions",
    "proxy_for",
]
