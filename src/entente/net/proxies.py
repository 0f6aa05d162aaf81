"""Proxies, purely: what the usual environment variables mean, and what a proxy URL says.

The variables are those of curl and Python: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and
`NO_PROXY`, lower case before upper case. Nothing here reads the environment; the caller
passes it.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from entente.domain.errors import ConfigError
from entente.net.options import bracketed

if TYPE_CHECKING:
    from collections.abc import Mapping

_PORTS: Final = {"http": 80, "https": 443}
_PROXY_PORT_DEFAULT: Final = 80
_SEPARATORS: Final = re.compile(r"[,\s]+")


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. `authorization` is the header's value, and never printed."""

    host: str
    port: int
    authorization: bytes | None = field(default=None, repr=False)

    @property
    def authority(self) -> str:
        """`host:port`, with brackets for IPv6."""
        return f"{bracketed(self.host)}:{self.port}"


def parse_proxy(proxy_url: str) -> Proxy:
    """Read `[http://][user:password@]host[:port]`; other schemes are refused."""
    text = proxy_url if "://" in proxy_url else f"http://{proxy_url}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None  # the error quotes the URL, which may have a password
    if parts.scheme != "http" or not parts.hostname or port == 0:
        msg = (
            "The proxy URL cannot be used: only http://[user:password@]host:port is supported. "
            "Check proxy_url, or the HTTP_PROXY, HTTPS_PROXY and ALL_PROXY variables."
        )
        raise ConfigError(msg)
    authorization = None
    if parts.username is not None:
        userinfo = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + base64.b64encode(userinfo.encode())
    return Proxy(parts.hostname, port or _PROXY_PORT_DEFAULT, authorization)


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy URL which `environ` sets for `url`, or None to connect directly."""
    parts = urlsplit(url)
    host = parts.hostname
    if host is None or parts.scheme not in _PORTS:
        return None
    proxy_url = _value(f"{parts.scheme}_proxy", environ) or _value("all_proxy", environ)
    if not proxy_url:
        return None
    if _is_exempt(host, parts.port or _PORTS[parts.scheme], _value("no_proxy", environ)):
        return None
    return proxy_url


def _value(name: str, environ: Mapping[str, str]) -> str:
    """Look up lower case first; a variable set to nothing switches the upper-case one off."""
    if name in environ:
        return environ[name].strip()
    return environ.get(name.upper(), "").strip()


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Tell whether one of the entries of `NO_PROXY` covers the host and port."""
    entries = (entry for entry in _SEPARATORS.split(no_proxy.lower()) if entry)
    return any(_covers(entry, host.rstrip("."), port) for entry in entries)


def _covers(entry: str, host: str, port: int) -> bool:
    """Match one entry: `*`, an address, a CIDR block, or a domain; each maybe with a port."""
    if entry == "*":
        return True
    pattern, entry_port = _split_port(entry)
    if entry_port is not None and entry_port != port:
        return False
    address = _address(host)
    if address is not None:
        return _covers_address(pattern, address)
    suffix = pattern.removeprefix("*").strip(".")
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))


def _covers_address(pattern: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Match an address against an address or a CIDR block; a name matches no address."""
    try:
        return address in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False


def _split_port(entry: str) -> tuple[str, int | None]:
    """Split `host:port` and `[v6]:port`; a bare IPv6 address has no port."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, _port(rest.removeprefix(":"))
    if entry.count(":") == 1:
        host, _, rest = entry.partition(":")
        return host, _port(rest)
    return entry, None


def _port(text: str) -> int | None:
    """Read a port; an entry with nothing behind the colon covers every port."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() else -1


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the host as an address, None when it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
