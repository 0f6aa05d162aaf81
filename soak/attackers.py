"""Clients that mean harm, each going on until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final, NamedTuple

from tests.support.rawclient import connection, post, read_reply
from tests.support.server import ADMIN_KEY, chat_body
from tests.support.upstream import chunk

BODY_BYTES_MAX: Final = 1_000_000
"""The setting of the server that is attacked."""
DRIP_S: Final = 0.2
PAUSE_S: Final = 0.1
_HEAD: Final = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing sends RST."""


class Attack(NamedTuple):
    """What an attacker is given."""

    port: int
    chance: random.Random
    numbers: Iterator[int]
    """For requests that may reach the upstream."""
    seen: Counter[str]
    """What happened, by its words."""


async def slow_head(attack: Attack) -> None:
    """Send a head byte by byte and never end it."""
    async with connection(attack.port) as (reader, writer):
        writer.write(_HEAD + b"X-Slow: ")
        closed = asyncio.create_task(reader.read())
        while not closed.done():
            writer.write(b"x")
            await asyncio.sleep(DRIP_S)
        attack.seen["slow heads closed"] += 1


async def slow_body(attack: Attack) -> None:
    """Announce a body and send it byte by byte."""
    async with connection(attack.port) as (reader, writer):
        writer.write(post(b"x" * 1000, ADMIN_KEY).removesuffix(b"x" * 1000))
        closed = asyncio.create_task(reader.read())
        while not closed.done():
            writer.write(b"x")
            await asyncio.sleep(DRIP_S)
        attack.seen["slow bodies closed"] += 1


async def half_open(attack: Attack) -> None:
    """Connect, say nothing or half of a request, and wait to be closed."""
    request = post(chat_body(), ADMIN_KEY)
    async with connection(attack.port) as (reader, writer):
        writer.write(request[: attack.chance.choice((0, 10, len(request) - 5))])
        await reader.read()
        attack.seen["half-open ones closed"] += 1


async def reset(attack: Attack) -> None:
    """Ask, and break the connection without a goodbye at some point of the answer."""
    body = chat_body(max_tokens=next(attack.numbers), stream=attack.chance.random() < 0.5)
    async with connection(attack.port) as (_, writer):
        writer.write(post(body, ADMIN_KEY))
        await asyncio.sleep(attack.chance.uniform(0, 0.03))
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
        attack.seen["connections reset"] += 1
    await asyncio.sleep(PAUSE_S)


async def too_large(attack: Attack) -> None:
    """Send more than is allowed: an announced body, one in chunks, or a head."""
    bare = post(b"", ADMIN_KEY)
    kind = attack.chance.randrange(3)
    async with connection(attack.port) as (reader, writer):
        answer = asyncio.create_task(read_reply(reader))
        if kind == 0:
            writer.write(bare.replace(b"Content-Length: 0", b"Content-Length: 999999999"))
        elif kind == 1:
            writer.write(bare.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
            await _flood(writer, chunk(b"x" * 50_000), answer)
        else:
            writer.write(_HEAD)
            await _flood(writer, b"X-Filler: " + b"x" * 10_000 + b"\r\n", answer)
        reply = await answer
        name = ("announced bodies", "chunked bodies", "heads")[kind]
        attack.seen[f"too large {name} answered {reply.status or 'by closing'}"] += 1
        assert reply.status < 500, f"too large: {reply.status}"
    await asyncio.sleep(PAUSE_S)


async def _flood(writer: asyncio.StreamWriter, data: bytes, answer: asyncio.Task[object]) -> None:
    """Send the same again and again, until there is an answer."""
    sent = 0
    while not answer.done() and sent < 10 * BODY_BYTES_MAX:
        writer.write(data)
        await writer.drain()
        sent += len(data)


CROWD: Final[tuple[tuple[Callable[[Attack], Awaitable[None]], int], ...]] = (
    (slow_head, 40),
    (slow_body, 20),
    (half_open, 40),
    (reset, 6),
    (too_large, 3),
)
"""Each kind of attacker, and how many there are at once."""


@contextlib.asynccontextmanager
async def attacked(attack: Attack) -> AsyncIterator[None]:
    """Attack while the context is open."""
    tasks = [
        asyncio.create_task(_again(kind, attack)) for kind, count in CROWD for _ in range(count)
    ]
    try:
        yield
    finally:
        failed = [task.exception() for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for error in failed:
            if error is not None:
                raise error


async def _again(kind: Callable[[Attack], Awaitable[None]], attack: Attack) -> None:
    """Attack again whenever the server has got rid of us."""
    while True:
        with contextlib.suppress(ConnectionError):
            await kind(attack)
        await asyncio.sleep(0)
