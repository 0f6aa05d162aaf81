"""CONNECT: ask an HTTP proxy for a tunnel, over which TLS to the origin runs."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, cast

from entente.domain.errors import UpstreamConnectError, UpstreamError
from entente.net.faults import connect_fault

if TYPE_CHECKING:
    from entente.net.proxies import Proxy

_ANSWER_BYTES_MAX: Final = 16 * 1024
_END: Final = b"\r\n\r\n"
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r\n)")
_STATUS_CLASS_OK: Final = 2
_PROXY_AUTHENTICATION_REQUIRED: Final = 407


class Tunnel(asyncio.Protocol):
    """The handshake with the proxy. `established` ends when the tunnel is there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, proxy: Proxy, authority: str) -> None:
        """Keep whom to ask and for what; `authority` is the origin's `host:port`."""
        self.established: asyncio.Future[None] = loop.create_future()
        self._proxy = proxy
        self._authority = authority
        self._answer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask at once."""
        authority = self._authority.encode("ascii")
        lines = [b"CONNECT " + authority + b" HTTP/1.1", b"Host: " + authority]
        if self._proxy.authorization is not None:
            lines.append(b"Proxy-Authorization: " + self._proxy.authorization)
        cast("asyncio.Transport", transport).write(b"\r\n".join(lines) + _END)

    def data_received(self, data: bytes) -> None:
        """Collect the answer's head. The origin does not speak before we do."""
        self._answer += data
        head, end, rest = self._answer.partition(_END)
        if not end:
            if len(self._answer) > _ANSWER_BYTES_MAX:
                self._fail(self._refusal("answered CONNECT with more than 16 KiB of headers"))
            return
        match = _STATUS_LINE.match(head + _END)
        if match is None:
            self._fail(self._refusal("did not answer CONNECT in HTTP/1.1"))
        elif (status := int(match[1])) // 100 != _STATUS_CLASS_OK:
            self._fail(self._refusal(f"refused CONNECT with status {status}", status))
        elif rest:
            self._fail(self._refusal("sent bytes before the origin could"))
        elif not self.established.done():
            self.established.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the handshake when the proxy goes away before it answered."""
        error = exc or ConnectionResetError()
        self._fail(connect_fault(error, f"The proxy {self._proxy.authority}"))

    def _refusal(self, what: str, status: int = 0) -> UpstreamConnectError:
        """One sentence with the next step."""
        step = "Check proxy_url and what the proxy allows."
        if status == _PROXY_AUTHENTICATION_REQUIRED:
            step = "Check the user and password in proxy_url."
        return UpstreamConnectError(
            f"The proxy {self._proxy.authority} {what}, asked for {self._authority}. "
            f"{step} The request was not sent."
        )

    def _fail(self, error: UpstreamError) -> None:
        """End the handshake once."""
        if not self.established.done():
            self.established.set_exception(error)
