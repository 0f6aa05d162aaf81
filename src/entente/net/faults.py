"""The one place where foreign errors become ours.

Foreign are: the socket module's and the kernel's (`OSError`), TLS (`ssl`), name encoding
(`UnicodeError`), asyncio's timeouts and short reads, and the parser's (`httptools`).
`FOREIGN` names them all; `connect_fault` speaks for a connection that was never made,
`exchange_fault` for one that ended inside an exchange, `parse_fault` for what is not HTTP.
Each message is a sentence with host and port and what to do next; none has a credential,
because none is made from a URL.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final, Literal

from httptools import HttpParserError, HttpParserUpgrade

from entente.domain.errors import (
    UpstreamClosed,
    UpstreamConnectError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
)

Phase = Literal["connect", "first_byte", "idle", "total"]

FOREIGN: Final[tuple[type[Exception], ...]] = (
    OSError,
    EOFError,
    UnicodeError,
    HttpParserError,
    HttpParserUpgrade,
)
"""What sockets, TLS, asyncio and the parser raise, by their roots.

`TimeoutError`, `ConnectionError`, `socket.gaierror` and `ssl.SSLError` are `OSError`s.
"""

_REMEDY: Final[dict[Phase, str]] = {
    "connect": "Check that it is up and reachable, or raise connect_s.",
    "first_byte": "It may be overloaded; try again, or raise first_byte_s.",
    "idle": "It may be stuck; try again, or raise idle_s.",
    "total": "Ask for less, or raise total_s.",
}
_DOING: Final[dict[Phase, str]] = {
    "connect": "No connection to {peer} was made",
    "first_byte": "{peer} did not begin to answer",
    "idle": "{peer} neither sent nor took anything",
    "total": "The exchange with {peer} did not end",
}


def timeout_fault(phase: Phase, limit_s: float, peer: str) -> UpstreamTimeout:
    """Tell which phase took longer than its limit."""
    doing = _DOING[phase].format(peer=peer)
    return UpstreamTimeout(f"{doing} within {limit_s:g} s. {_REMEDY[phase]}", phase=phase)


def connect_fault(error: Exception, peer: str) -> UpstreamError:
    """Name the reason why there is no connection to `peer`."""
    if isinstance(error, TimeoutError):
        doing = _DOING["connect"].format(peer=peer)
        return UpstreamTimeout(
            f"{doing}: the network gave up. {_REMEDY['connect']}", phase="connect"
        )
    return UpstreamConnectError(f"{_why_no_connection(error, peer)} The request was not sent.")


def _why_no_connection(error: Exception, peer: str) -> str:
    """Sentence and next step; the most special class first."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = getattr(error, "verify_message", "") or _tls_reason(error)
        return (
            f"The certificate of {peer} was refused: {reason}. "
            "Check the host name, or name its authority in ca_file."
        )
    if isinstance(error, ssl.SSLError):
        return (
            f"The TLS handshake with {peer} failed: {_tls_reason(error)}. "
            "Check that the port speaks TLS and that cert_file is what it asks for."
        )
    if isinstance(error, socket.gaierror | socket.herror | UnicodeError):
        return f"The host name of {peer} could not be resolved. Check base_url and the DNS."
    if isinstance(error, ConnectionRefusedError):
        return (
            f"{peer} refused the connection. Check that it is running and that the port is right."
        )
    if isinstance(error, ConnectionError | EOFError):
        return f"{peer} closed the connection while it was being made. Check what listens there."
    reason = _os_reason(error)
    return f"No connection to {peer} could be made: {reason}. Check the network and base_url."


def tls_files_fault(error: Exception, peer: str) -> UpstreamConnectError:
    """Say that our own TLS files cannot be used; `ssl` does not tell which one."""
    reason = _tls_reason(error) if isinstance(error, ssl.SSLError) else _os_reason(error)
    return UpstreamConnectError(
        f"The TLS files for {peer} cannot be used: {reason}. "
        "Check ca_file, cert_file and key_file. The request was not sent."
    )


def exchange_fault(error: Exception | None, peer: str) -> UpstreamError:
    """Name the reason why a connection ended inside an exchange; None is a plain EOF."""
    if isinstance(error, HttpParserError | HttpParserUpgrade):
        return parse_fault(error, peer)
    if isinstance(error, TimeoutError):
        return UpstreamTimeout(f"The network lost {peer}. {_REMEDY['idle']}", phase="idle")
    if isinstance(error, ssl.SSLError):
        how = f"ended TLS with {_tls_reason(error)}"
    elif error is None or isinstance(error, EOFError):
        how = "closed the connection"
    else:
        how = f"broke the connection ({_os_reason(error)})"
    return UpstreamClosed(f"{peer} {how} before its answer was complete. Try again.")


def parse_fault(error: Exception, peer: str) -> UpstreamProtocolError:
    """Say that what came is not HTTP/1.1. The parser's words never quote what the server sent."""
    if isinstance(error, HttpParserUpgrade):
        return protocol_fault("it switched protocols, which nobody asked for", peer)
    return protocol_fault(str(error).rstrip(".") or "it cannot be parsed", peer)


def protocol_fault(reason: str, peer: str) -> UpstreamProtocolError:
    """Say how the answer breaks the protocol or one of our bounds."""
    return UpstreamProtocolError(
        f"The answer of {peer} was refused: {reason}. Check that base_url is an HTTP/1.1 API."
    )


def _tls_reason(error: ssl.SSLError) -> str:
    """Give OpenSSL's word for the reason; errors not made by OpenSSL have none."""
    return getattr(error, "reason", None) or "no reason given"


def _os_reason(error: Exception) -> str:
    """Give the kernel's words for an error number, never the text of the exception."""
    strerror = getattr(error, "strerror", None)
    return str(strerror) if strerror else type(error).__name__
