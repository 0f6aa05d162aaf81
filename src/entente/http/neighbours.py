"""The other workers of the host, and what has to be asked of one of them.

Some things are in one process: a response that is being made in the background, a batch that
is being run. A request about them may come to any worker; it is passed on as it came, key and
all, through that worker's door, a socket in a folder of the parent's. Whoever is behind the
door authorises it anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httptools
import msgspec

from entente.domain.errors import Overloaded
from entente.domain.principal import Principal
from entente.gateway.client import Headers
from entente.http.exchange import Exchange
from entente.http.handler import Handler
from entente.http.routes import Match

HEAD_S: Final = 15.0
"""A worker that does not begin to answer for so long is being started again, or is gone."""
READ_BYTES: Final = 64 * 1024
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of an answer that is read whole."""
CHIEF: Final = 1

_NOT_PASSED_ON: Final = frozenset(
    {b"connection", b"content-length", b"expect", b"transfer-encoding", b"upgrade"}
)
_OUR_OWN: Final = frozenset(
    {
        *(b"connection", b"content-length", b"keep-alive", b"transfer-encoding"),
        *(b"openai-processing-ms", b"x-request-id"),
    }
)
"""Headers that this worker's answer has of itself."""
_AWAY: Final = (
    "The server's process that has to answer this is being started again. Try again in a moment."
)


class Answer(msgspec.Struct, frozen=True):
    """A worker's whole answer."""

    status: int
    body: bytes


def door_of(folder: Path, number: int) -> Path:
    """Give where the door of a worker is."""
    return folder / f"{number}.sock"


class Neighbours:
    """The workers of a host, by their numbers; of one that is alone there are none."""

    def __init__(self, folder: Path | None, number: int, workers: int) -> None:
        """Take the folder of the doors, our own number, and how many workers there are."""
        self._folder = folder
        self._number = number
        self.others = [n for n in range(1, workers + 1) if n != number] if folder else []

    @property
    def is_chief(self) -> bool:
        """Whether this is the worker that does what is done once per host."""
        return self._number <= CHIEF

    def is_elsewhere(self, exchange: Exchange, number: int) -> bool:
        """Say whether a request is to be passed on to a worker; once passed on it stays."""
        return number in self.others and not exchange.is_passed_on

    def by_chief(self, handlers: Mapping[str, Handler]) -> dict[str, Handler]:
        """Have the first worker serve these."""
        if not self.others or self.is_chief:
            return dict(handlers)
        return {action: self._passing_on(handler) for action, handler in handlers.items()}

    def _passing_on(self, handler: Handler) -> Handler:
        async def handle(exchange: Exchange, who: Principal | None, match: Match) -> None:
            if self.is_elsewhere(exchange, CHIEF):
                await self.pass_on(exchange, CHIEF)
            else:
                await handler(exchange, who, match)

        return handle

    async def pass_on(self, exchange: Exchange, number: int) -> None:
        """Have another worker answer. Raises Overloaded where it does not."""
        async with self._asked(number, _head_of(exchange)) as link:
            if exchange.method not in ("GET", "DELETE"):
                async for piece in exchange.pieces(
                    exchange.body_bytes_max, "server.body_bytes_max"
                ):
                    await link.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                await link.send(b"0\r\n\r\n")
            status, headers = await link.head()
            length = next((int(v) for k, v in headers if k == b"content-length"), None)
            shown = tuple(header for header in headers if header[0] not in _OUR_OWN)
            await exchange.start(status, shown, length=length)
            async for piece in link.body():
                if not exchange.send(piece):
                    await exchange.caught_up()
                if exchange.gone:
                    break
            if link.is_whole:
                await exchange.finish(b"")
            else:
                exchange.abandon()

    async def fetch(self, number: int, path: str, headers: Headers) -> Answer | None:
        """Get something from another worker; None where it does not answer."""
        try:
            async with self._asked(number, _head("GET", path.encode(), headers)) as link:
                status, _ = await link.head()
                body = bytearray()
                async for piece in link.body():
                    body += piece
                    if len(body) > ANSWER_BYTES_MAX:
                        return None
                return Answer(status, bytes(body)) if link.is_whole else None
        except Overloaded:
            return None

    @contextlib.asynccontextmanager
    async def _asked(self, number: int, head: bytes) -> AsyncIterator[_Link]:
        """Open a door, and send the head of a request through it. Raises Overloaded."""
        if self._folder is None:
            raise Overloaded(_AWAY)
        try:
            path = door_of(self._folder, number)
            reader, writer = await asyncio.open_unix_connection(path, limit=READ_BYTES)
        except OSError as error:
            raise Overloaded(_AWAY) from error
        try:
            link = _Link(reader, writer)
            await link.send(head)
            yield link
        finally:
            writer.close()


ALONE: Final = Neighbours(None, 0, 1)


class _Link:
    """A request to another worker; see `httptools` for the methods that begin with `on_`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._has_head = False
        self.is_whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        self.is_whole = True

    async def send(self, data: bytes) -> None:
        """Send a part of the request. Raises Overloaded."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise Overloaded(_AWAY) from error

    async def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Wait for the head of the answer. Raises Overloaded."""
        try:
            async with asyncio.timeout(HEAD_S):
                while not self._has_head and await self._read():
                    pass
        except TimeoutError as error:
            raise Overloaded(_AWAY) from error
        if not self._has_head:
            raise Overloaded(_AWAY)
        return self._parser.get_status_code(), self._headers

    async def body(self) -> AsyncIterator[bytes]:
        """Give the body as it comes, to its end or to where it breaks off."""
        while True:
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece
            if (self.is_whole or not await self._read()) and not self._pieces:
                return

    async def _read(self) -> bool:
        """Read on; False where nothing more comes."""
        try:
            data = await self._reader.read(READ_BYTES)
            if data:
                self._parser.feed_data(data)
        except (OSError, httptools.HttpParserError):
            return False
        return bool(data)


def _head_of(exchange: Exchange) -> bytes:
    """Write the head of a request as it came, but for how its body is framed."""
    target = quote(exchange.path).encode() + (b"?" + exchange.query if exchange.query else b"")
    headers = [header for header in exchange.headers if header[0] not in _NOT_PASSED_ON]
    if exchange.method not in ("GET", "DELETE"):
        headers.append((b"transfer-encoding", b"chunked"))
    return _head(exchange.method, target, tuple(headers))


def _head(method: str, target: bytes, headers: Headers) -> bytes:
    lines = [b"%b %b HTTP/1.1\r\nhost: worker\r\nconnection: close" % (method.encode(), target)]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def key_headers(exchange: Exchange) -> Headers:
    """Give the headers by which whoever asks is known."""
    names = (b"authorization", b"api-key", b"x-api-key")
    return tuple(header for header in exchange.headers if header[0] in names)
