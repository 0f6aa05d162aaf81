"""Changing a client's connection from HTTP to WebSocket, once its request has been granted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from entente.domain.errors import InvalidParameter
from entente.http.exchange import Exchange
from entente.http.handler import KEY_PROTOCOL
from entente.net.socket import QUIET, Socket

_SWITCHING_PROTOCOLS: Final = 101
_READ: Final = frozenset(
    {
        b"connection",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
        b"upgrade",
    }
)


class Upgrade:
    """A client's wish to speak WebSocket, checked but not yet granted.

    `spoken` are subprotocols in order of preference. A client that offers others only gets
    the first of them that is no credential, because browsers want one of theirs.
    """

    def __init__(
        self, exchange: Exchange, *, spoken: Sequence[str], message_bytes_max: int
    ) -> None:
        """Read the handshake. Raises InvalidParameter for what is none."""

        def choose(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
            known = [name for name in spoken if name in offered]
            others = [name for name in offered if not name.encode().startswith(KEY_PROTOCOL)]
            return Subprotocol(next(iter([*known, *others]), "")) or None

        self._exchange = exchange
        self._protocol = ServerProtocol(
            select_subprotocol=choose, max_size=message_bytes_max, logger=QUIET
        )
        self._response = self._answer(Request("/", _headers(exchange), exchange.method))
        if self._response is None or self._response.status_code != _SWITCHING_PROTOCOLS:
            message = (
                "This endpoint speaks WebSocket (RFC 6455, version 13): connect with a WebSocket "
                "client, or through the realtime part of an SDK."
            )
            raise InvalidParameter(message, param=None, code="websocket_required")

    def _answer(self, request: Request) -> Response | None:
        """Answer a handshake, which the protocol wants to read for itself; None for none."""
        self._protocol.receive_data(request.serialize())
        read = self._protocol.events_received()
        return self._protocol.accept(read[0]) if read and isinstance(read[0], Request) else None

    def grant(self, headers: Sequence[tuple[str, str]] = ()) -> Socket:
        """Change over; give the client's socket. Raises ClientGone where it has left.

        `headers` go on the answer. `Exchange.abandon` has to be called in the end.
        """
        exchange, response = self._exchange, self._response
        if response is None:
            raise RuntimeError("a handshake that was refused is granted")
        for name, value in (("x-request-id", exchange.request_id), *headers):
            response.headers[name] = value
        connection = exchange.upgrade()
        socket = Socket(asyncio.get_running_loop(), self._protocol, connection)
        transport = connection.hand_over(socket)
        self._protocol.send_response(response)
        socket.attach(transport)
        return socket


def _headers(exchange: Exchange) -> Headers:
    """Give the headers of a handshake."""
    pairs = exchange.headers
    return Headers([(n.decode("latin-1"), v.decode("latin-1")) for n, v in pairs if n in _READ])
