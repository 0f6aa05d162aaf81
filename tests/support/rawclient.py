"""A client that sees every byte, keeps what it got of a broken answer, and can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

READ_BYTES = 65536


class Reply(NamedTuple):
    """What came back; `status` is 0 where not even a head did.

    `whole` says whether the answer ended as HTTP says: by its length or the last chunk.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def done(self) -> bool:
        """Whether a stream came in full: up to its end marker and the end of HTTP."""
        return self.whole and self.body.endswith(b"data: [DONE]\n\n")


NOTHING = Reply(0, {}, b"", whole=False)


def post(
    body: bytes, key: str, *, path: str = "/v1/chat/completions", headers: bytes = b""
) -> bytes:
    """Write a POST request."""
    return (
        b"POST %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
        % (path.encode(), key.encode(), headers, len(body), body)
    )


@contextlib.asynccontextmanager
async def connection(
    port: int, *, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect, and close whatever happens."""
    reader, writer = await asyncio.open_connection(host, port, limit=READ_BYTES)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def exchange(
    port: int, request: bytes, *, leave_when: Callable[[bytes], bool] | None = None
) -> Reply:
    """Send a request and read its answer; a broken connection is an answer cut short.

    `leave_when` is asked after each piece of the body: True hangs up.
    """
    try:
        async with connection(port) as (reader, writer):
            writer.write(request)
            return await read_reply(reader, leave_when=leave_when)
    except OSError:
        return NOTHING


async def read_reply(
    reader: asyncio.StreamReader, *, leave_when: Callable[[bytes], bool] | None = None
) -> Reply:
    """Read one answer by its length or its chunks."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, asyncio.IncompleteReadError):
        return NOTHING
    lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines[1:] if line)
    }
    body = bytearray()
    whole = False
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        if "content-length" in headers:
            body += await reader.readexactly(int(headers["content-length"]))
            whole = True
        else:
            whole = await _read_chunks(reader, body, leave_when)
    return Reply(int(lines[0].split(" ")[1]), headers, bytes(body), whole)


async def _read_chunks(
    reader: asyncio.StreamReader,
    body: bytearray,
    leave_when: Callable[[bytes], bool] | None,
) -> bool:
    """Read chunks into `body`; say whether the last one came."""
    while not (leave_when and leave_when(bytes(body))):
        size = int(await reader.readuntil(b"\r\n"), 16)
        data = await reader.readexactly(size + 2)
        if size == 0:
            return True
        body += data[:-2]
    return False
