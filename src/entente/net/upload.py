"""Bodies that are not written at once: large ones in slices, streamed ones in chunks.

Both keep step with the server: while it does not take what was written, nothing more is
read from the source. Both stop as soon as it has answered: a server that answers before
it has the whole request does not want the rest, and the connection is not used again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from entente.net.connection import Connection
    from entente.net.exchange import Exchange

SLICE_BYTES: Final = 256 * 1024
"""How much of a large body is given to the transport at a time."""


async def send_slices(connection: Connection, exchange: Exchange, body: bytes) -> None:
    """Write a body whose length was announced, without copying it."""
    view = memoryview(body)
    for start in range(0, len(view), SLICE_BYTES):
        if exchange.over():
            return
        connection.write(view[start : start + SLICE_BYTES])
        if connection.write_paused and not exchange.over():
            await exchange.until_writable()
    if not exchange.over():
        exchange.mark_sent()


async def send_chunks(
    connection: Connection, exchange: Exchange, body: AsyncIterator[bytes]
) -> None:
    """Write a body of unknown length in chunked coding; a generator is closed in any case."""
    try:
        async for piece in body:
            if exchange.over():
                return
            if piece:
                connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if connection.write_paused and not exchange.over():
                await exchange.until_writable()
    finally:
        if isinstance(body, AsyncGenerator):
            await body.aclose()
    if not exchange.over():
        connection.write(b"0\r\n\r\n")
        exchange.mark_sent()
