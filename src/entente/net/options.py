"""What a client of one provider is told: where to connect, how far to trust, how long to wait.

All values are frozen and checked when they are made; making them does no I/O. A wrong
value is a `ConfigError` with the remedy, because these come from the configuration.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from entente.domain.errors import ConfigError

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PORT_MAX: Final = 65_535


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the phases of an exchange may take, in seconds.

    `connect_s`: name resolution, TCP, proxy and TLS handshake together.
    `first_byte_s`: from the last byte of the request to the end of the response's head.
    `idle_s`: one wait for a piece of the body, or for the server to take more of ours.
    `total_s`: everything, from the call of `request` to the last byte of the body.
    They are enforced to `pool.SWEEP_S`, not to the millisecond.
    """

    connect_s: float = 5.0
    first_byte_s: float = 600.0
    idle_s: float = 120.0
    total_s: float = 900.0

    def __post_init__(self) -> None:
        """Refuse what would fire at once."""
        for name in ("connect_s", "first_byte_s", "idle_s", "total_s"):
            if not getattr(self, name) > 0:
                msg = f"Timeout {name} must be more than 0 seconds."
                raise ConfigError(msg)


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Whom to trust and who we are. Verification of chain and host name is always on.

    `ca_file`: PEM file with the only authorities trusted; None means the system's.
    `cert_file`: PEM file with our client certificate, None for none.
    `key_file`: its key, None when it is in `cert_file`.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        """Refuse a key alone: it identifies nobody."""
        if self.key_file is not None and self.cert_file is None:
            msg = "TLS key_file is set without cert_file; set both, or neither."
            raise ConfigError(msg)


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what one pool connects to. `host` is without brackets."""

    scheme: Literal["http", "https"]
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host:port`, with brackets for IPv6: for CONNECT and for messages."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def host_header(self) -> str:
        """The `Host` header's value: the port only where it is not the scheme's own."""
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return bracketed(self.host)
        return self.authority


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """One provider, as the client sees it.

    `base_url`: scheme, host, optional port and path prefix, e.g. `https://host/v1`.
    `connections_max`: sockets open to the origin at any time, being dialled included.
    `waiters_max`: requests which may queue for a connection; one more is `UpstreamBusy`.
    `pool_wait_s`: how long each of them waits before it is `UpstreamBusy`.
    `keepalive_s`: an idle connection older than this is closed, not reused.
    `proxy_url`: `http://[user:password@]host:port`; None connects directly.
    `header_bytes_max`: bound of a response's head, and of its trailers.
    `address`: where to connect, as an IP address, instead of looking the host's name up; the
    name is still what a certificate has to be for. It has no meaning behind a proxy.
    """

    base_url: str
    connections_max: int = 1024
    waiters_max: int = 4096
    pool_wait_s: float = 10.0
    keepalive_s: float = 30.0
    timeouts: Timeouts = field(default_factory=Timeouts)
    tls: TlsOptions = field(default_factory=TlsOptions)
    proxy_url: str | None = field(default=None, repr=False)
    header_bytes_max: int = 64 * 1024
    address: str | None = None

    def __post_init__(self) -> None:
        """Refuse bounds that make no sense."""
        if self.connections_max < 1 or self.waiters_max < 0 or self.header_bytes_max < 1:
            msg = "connections_max and header_bytes_max must be 1 or more, waiters_max 0 or more."
            raise ConfigError(msg)
        if self.pool_wait_s < 0 or self.keepalive_s < 0:
            msg = "pool_wait_s and keepalive_s must be 0 seconds or more."
            raise ConfigError(msg)


def bracketed(host: str) -> str:
    """Put an IPv6 address between brackets, leave every other host as it is."""
    return f"[{host}]" if ":" in host else host


def split_base_url(base_url: str) -> tuple[Origin, bytes]:
    """Read `base_url` into its origin and its path prefix (no trailing slash, maybe empty)."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(_not_a_base_url(base_url, str(error))) from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ConfigError(_not_a_base_url(base_url, "it needs http:// or https:// and a host"))
    if parts.username is not None or parts.password is not None:
        msg = "A base_url must not contain a user or password; give the key by api_key."
        raise ConfigError(msg)
    if parts.query or parts.fragment:
        raise ConfigError(_not_a_base_url(base_url, "it must not have a query or fragment"))
    if port is not None and not 0 < port <= _PORT_MAX:
        raise ConfigError(_not_a_base_url(base_url, "the port is out of range"))
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    host = _ascii_host(parts, base_url)
    origin = Origin(scheme, host, port or _DEFAULT_PORTS[scheme])
    return origin, _path_prefix(parts.path, base_url)


def _path_prefix(path: str, base_url: str) -> bytes:
    """Encode the prefix; anything which could break the request line is refused."""
    if not path.isascii() or any(ord(sign) <= ord(" ") or sign == "\x7f" for sign in path):
        raise ConfigError(_not_a_base_url(base_url, "its path has signs to be percent-encoded"))
    return path.rstrip("/").encode("ascii")


def _ascii_host(parts: SplitResult, base_url: str) -> str:
    """Lower-case ASCII form of the host, IDNA for names in other scripts."""
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return host
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ConfigError(_not_a_base_url(base_url, "the host is not a valid name")) from error
    if not all(sign.isalnum() or sign in "-._" for sign in name):
        raise ConfigError(_not_a_base_url(base_url, "the host is not a valid name"))
    return name


def _not_a_base_url(base_url: str, reason: str) -> str:
    """One sentence; what stands before an `@` may be a credential and is left out."""
    shown = base_url.rpartition("@")[2]
    return f"base_url {shown!r} cannot be used: {reason}; write e.g. https://api.example.com/v1."
