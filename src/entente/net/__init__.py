"""The upstream HTTP/1.1 client: pool, TLS, proxies, timeouts, streamed bodies both ways.

    options ─▶ Client ─▶ Pool ─▶ Dialler ─▶ Connection ─▶ Exchange ─▶ Response

It follows no redirects, keeps no cookies and decodes no content codings.
"""

from entente.net.client import Client
from entente.net.options import ClientOptions, Origin, Timeouts, TlsOptions
from entente.net.pool import PoolStats
from entente.net.proxies import proxy_for
from entente.net.response import Response

__all__ = [
    "Client",
    "ClientOptions",
    "Origin",
    "PoolStats",
    "Response",
    "Timeouts",
    "TlsOptions",
    "proxy_for",
]
