"""What the caller sees of an answer: status and headers at once, the body as it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entente.domain.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from entente.net.exchange import Exchange


class Response:
    """An answer whose head is parsed. Read it to its end, or `aclose` it.

    `raw_headers` are the fields as they came, in order. Trailers are not kept.
    """

    __slots__ = ("_exchange", "_headers", "raw_headers", "sends", "status")

    def __init__(self, exchange: Exchange, *, sends: int = 1) -> None:
        """Show an exchange whose head is done, for a request that was sent `sends` times."""
        self.sends = sends
        self._exchange = exchange
        self._headers: dict[str, str] | None = None
        self.status = exchange.status
        self.raw_headers = exchange.raw_headers

    @property
    def headers(self) -> dict[str, str]:
        """Header fields by lower-case name; repeated ones are joined with a comma."""
        headers = self._headers
        if headers is None:
            headers = self._headers = {}
            for raw_name, raw_value in self.raw_headers:
                name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    async def chunk(self) -> bytes:
        """Return the next piece of the body, all that has arrived; `b""` at its clean end.

        Raises `UpstreamClosed` when the body stops short, `UpstreamTimeout` (idle or total)
        and `UpstreamProtocolError`. Cancelling it abandons the answer.
        """
        return await self._exchange.chunk()

    async def read(self, bytes_max: int) -> bytes:
        """Return the rest of the body; more than `bytes_max` is an `UpstreamProtocolError`.

        Past the bound the connection is closed. Otherwise it raises what `chunk` does.
        """
        exchange = self._exchange
        pieces: list[bytes] = []
        size = 0
        while piece := await exchange.chunk():
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
