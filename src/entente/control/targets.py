"""Where a webhook may be: its address as it is written, and as it resolves.

An address is checked twice. When it is written, for what can be seen then; and before each
delivery, when its name has become addresses, one of which is then the one that is connected
to. Between the check and the connection nothing is looked up again.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from entente.domain.errors import InvalidParameter
from entente.net.public import is_public

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Never

URL_CHARS_MAX: Final = 2048
PORTS: Final = {"http": 80, "https": 443}


class Target(NamedTuple):
    """Where a delivery goes."""

    origin: str
    """Scheme, host and port."""
    host: str
    port: int
    path: bytes
    """With its query."""


def check_url(url: str, *, allow_private: bool) -> Target:
    """Read an address. Raises InvalidParameter that says what is wrong with it."""
    if len(url) > URL_CHARS_MAX or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        _refuse(f"must be at most {URL_CHARS_MAX} characters of ASCII, without spaces")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        _refuse(_NO_ADDRESS)
    if parts.scheme not in PORTS or not host or port == 0 or not _may_be_found(host):
        _refuse(_NO_ADDRESS)
    if parts.username is not None or parts.password is not None or parts.fragment:
        _refuse("must not have a user, a password or a fragment")
    if not allow_private:
        _check_open(parts.scheme, host)
    port = port or PORTS[parts.scheme]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    shown = f"[{host}]" if ":" in host else host
    return Target(f"{parts.scheme}://{shown}:{port}", host, port, path.encode())


def _may_be_found(host: str) -> bool:
    """Say whether a host can be looked up: an IP address, or labels that a name can have."""
    if ":" in host:
        return True  # within brackets, which the URL's reader has checked
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        return False
    return all(sign.isalnum() or sign in "-._" for sign in name)


def _check_open(scheme: str, host: str) -> None:
    """Refuse what can be seen to be no place out in the world."""
    if scheme != "https":
        _refuse(f"must be https. {_PRIVATE}")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if "." not in host.rstrip(".") or host.rstrip(".").endswith(".localhost"):
            _refuse(f"is on this machine or its network. {_PRIVATE}")
    else:
        if not is_public(host):
            _refuse(f"is not a public address. {_PRIVATE}")


def chosen(addresses: Iterable[str], *, allow_private: bool) -> str | None:
    """Give the address to connect to; None where one of them is not to be reached from here.

    One that is private among public ones is as bad as all: whoever owns the name decides.
    """
    found = list(addresses)
    if not found or not (allow_private or all(map(is_public, found))):
        return None
    return found[0]


def _refuse(text: str) -> Never:
    message = f"`url` {text}."
    raise InvalidParameter(message, param="url", code="invalid_url")


_NO_ADDRESS: Final = "is no address: write one such as https://example.com/hooks"
_PRIVATE: Final = "Set webhooks.allow_private where one's own network is meant"
