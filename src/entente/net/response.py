"""What the caller sees of an answer: status and headers at once, the body as it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entente.domain.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from entente.net.exchange import Exchange


class Response:
    """An answer whose head is parsed. Read it to its end, or `aclose` it.

    `headers` are its fields by lower-case name, repeated ones joined with a comma.
    Trailers are not kept.
    """

    __slots__ = ("_exchange", "headers", "sends", "status")

    def __init__(self, exchange: Exchange, *, sends: int = 1) -> None:
        """Show an exchange whose head is done, for a request that was sent `sends` times."""
        self.sends = sends
        self._exchange = exchange
        self.status = exchange.status
        self.headers = dict(exchange.fields)
        if len(self.headers) < len(exchange.fields):
            self.headers = _joined(exchange.fields)

    def chunk(self) -> Coroutine[Any, Any, bytes]:
        """Return the next piece of the body, all that has arrived; `b""` at its clean end.

        Raises `UpstreamClosed` when the body stops short, `UpstreamTimeout` (idle or total)
        and `UpstreamProtocolError`. Cancelling it abandons the answer.
        """
        return self._exchange.chunk()

    def pour(self, take: Callable[[bytes], bool]) -> Coroutine[Any, Any, bool]:
        """Hand pieces of the body to `take` in the turn in which they arrive, until it says False.

        Gives False at the clean end, True where `take` wanted no more for now. Raises what
        `chunk` does, and what `take` raises.
        """
        return self._exchange.pour(take)

    async def read(self, bytes_max: int) -> bytes:
        """Return the rest of the body; more than `bytes_max` is an `UpstreamProtocolError`.

        Past the bound the connection is closed. Otherwise it raises what `chunk` does.
        """
        exchange = self._exchange
        pieces: list[bytes] = []
        size = 0
        while not pieces or exchange.pieces or not exchange.complete:
            piece = exchange.take() if exchange.complete else await exchange.chunk()
            size += len(piece)
            if size > bytes_max:
                exchange.abandon()
                msg = (
                    f"The provider's answer is longer than {bytes_max} bytes. "
                    "Ask for less, or raise the bound."
                )
                raise UpstreamProtocolError(msg)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def aclose(self) -> None:
        """Want no more of it: unless the answer was complete its connection is closed."""
        self._exchange.abandon()


def _joined(fields: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Give fields by name, where some names stand more than once."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    return {name: b", ".join(several) for name, several in values.items()}
