"""Opening a WebSocket to a provider: the handshake, or what it answered in its stead."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

from websockets.client import ClientProtocol
from websockets.uri import WebSocketURI

from entente.domain.errors import UpstreamBusy, UpstreamClosed
from entente.net.faults import protocol_fault, timeout_fault
from entente.net.socket import QUIET, Socket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.http11 import Response

    from entente.net.connect import Dialler
    from entente.net.options import Origin, Timeouts

ANSWER_S_MAX: Final = 30.0
"""From the connection to the answer: a handshake is no inference."""
_SWITCHING_PROTOCOLS: Final = 101


class Declined(NamedTuple):
    """The answer of a server that did not change to WebSocket."""

    status: int
    headers: dict[bytes, bytes]
    """By lower-case name."""
    body: bytes


class Sockets:
    """The WebSockets to one origin: at most so many, and closed together."""

    def __init__(
        self, dialler: Dialler, origin: Origin, prefix: bytes, *, sockets_max: int
    ) -> None:
        """Begin with none; `prefix` is the path before each target."""
        self._dialler = dialler
        self._origin = origin
        self._prefix = prefix.decode("ascii")
        self._sockets_max = sockets_max
        self._open: set[Socket] = set()

    async def open(
        self,
        target: str,
        headers: Sequence[tuple[str, str]],
        *,
        message_bytes_max: int,
        timeouts: Timeouts,
    ) -> Socket | Declined:
        """Open one. Raises an UpstreamError; nothing was asked of a model then, or can have been.

        `target` is path and query; `headers` go with the handshake. Both must be ASCII
        without control signs, or ValueError is raised.
        """
        if len(self._open) >= self._sockets_max:
            message = (
                f"All {self._sockets_max} WebSockets to {self._dialler.peer} are in use. "
                "Try again later, or raise connections_max."
            )
            raise UpstreamBusy(message)
        protocol = self._protocol(target, headers, message_bytes_max)
        owner = _Listed(self._open)
        socket = Socket(asyncio.get_running_loop(), protocol, owner)
        owner.socket = socket
        self._open.add(socket)
        try:
            return await self._opened(socket, timeouts)
        except BaseException:
            self._open.discard(socket)
            socket.abort()
            raise

    def _protocol(
        self, target: str, headers: Sequence[tuple[str, str]], message_bytes_max: int
    ) -> ClientProtocol:
        """Write the handshake."""
        fields = "".join([target, *(part for header in headers for part in header)])
        if not fields.isascii() or not fields.isprintable():
            raise ValueError("The target and headers of a handshake are printable ASCII.")
        path, _, query = target.partition("?")
        origin = self._origin
        where = WebSocketURI(
            origin.scheme == "https", origin.host, origin.port, self._prefix + path, query
        )
        protocol = ClientProtocol(where, max_size=message_bytes_max, logger=QUIET)
        request = protocol.connect()
        for name, value in headers:
            request.headers[name] = value
        protocol.send_request(request)
        return protocol

    async def _opened(self, socket: Socket, timeouts: Timeouts) -> Socket | Declined:
        """Connect, and wait for the answer."""
        peer = self._dialler.peer
        try:
            async with asyncio.timeout(timeouts.connect_s):
                await self._dialler.connect(socket, tunnelled=True)
        except TimeoutError as error:
            raise timeout_fault("connect", timeouts.connect_s, peer) from error
        wait_s = min(timeouts.first_byte_s, ANSWER_S_MAX)
        try:
            async with asyncio.timeout(wait_s):
                answer = await socket.answered()
        except TimeoutError as error:
            raise timeout_fault("first_byte", wait_s, peer) from error
        except EOFError as error:
            reason = "closed the connection before it had answered"
            raise UpstreamClosed(f"{peer} {reason} a WebSocket's handshake. Try again.") from error
        except ValueError as error:
            reason = "it is no answer to a WebSocket's handshake"
            raise protocol_fault(reason, peer) from error
        if answer.status_code != _SWITCHING_PROTOCOLS:
            socket.abort()
            return _declined(answer)
        if not socket.open:
            reason = "it changed to a protocol that is not the WebSocket that was asked for"
            raise protocol_fault(reason, peer)
        return socket

    async def aclose(self) -> None:
        """Drop all of them, and wait until they are gone."""
        for socket in tuple(self._open):
            socket.abort()
            with contextlib.suppress(TimeoutError):
                await socket.closed()


class _Listed:
    """Takes a socket that is gone off the list of those that are open."""

    def __init__(self, sockets: set[Socket]) -> None:
        self.socket: Socket | None = None
        self._sockets = sockets

    def keep(self, _: int) -> bool:
        """Count nothing: what providers send is bounded by each socket."""
        return True

    def pause_writing(self) -> None:
        """Leave it to the socket."""

    def resume_writing(self) -> None:
        """Leave it to the socket."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget it."""
        if self.socket is not None:
            self._sockets.discard(self.socket)


def _declined(answer: Response) -> Declined:
    """Keep what an answer says."""
    headers = {
        name.lower().encode("latin-1"): value.encode("latin-1")
        for name, value in answer.headers.raw_items()
    }
    return Declined(answer.status_code, headers, bytes(answer.body))
