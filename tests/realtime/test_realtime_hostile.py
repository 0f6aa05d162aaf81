"""Clients that break the protocol, and providers: each bound holds, and nothing stays open."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.loops import run, until
from tests.support.rawclient import connection
from tests.support.realtime import HOLD_NANO, SPEECH, ask, dial, until_type
from tests.support.server import ADMIN_KEY

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    from tests.realtime.conftest import Stage

MASK = b"\x01\x02\x03\x04"
DEEP: Final = '{"type":"session.update","session":{"a":' + "[" * 127 + "]" * 127 + "}}"


def frame(
    opcode: int, data: bytes, *, fin: bool = True, masked: bool = True, says: int | None = None
) -> bytes:
    """Write a frame, right or wrong; `says` is the length that it claims to have."""
    length = len(data) if says is None else says
    head = bytes([opcode | (0x80 if fin else 0)])
    bit = 0x80 if masked else 0
    if length < 126:
        head += bytes([bit | length])
    elif length < 2**16:
        head += bytes([bit | 126]) + struct.pack("!H", length)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", length)
    if not masked:
        return head + data
    return head + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(data))


async def upgrade(reader: StreamReader, writer: StreamWriter, behind: bytes = b"") -> bytes:
    """Shake hands by hand; give the head of the answer."""
    writer.write(
        b"GET /v1/realtime?model=rt HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
        b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n%b" % (ADMIN_KEY.encode(), behind)
    )
    return await reader.readuntil(b"\r\n\r\n")


async def close_code(reader: StreamReader) -> int:
    """Read frames up to a close; give its code, 0 where the connection ends without one."""
    while True:
        try:
            first, second = await reader.readexactly(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await reader.readexactly(8))
            data = await reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0
        if first & 0x0F == 8:
            return int(struct.unpack("!H", data[:2])[0]) if data else 1005


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(1, b'{"type":"x"}', masked=False), 1002),
        (frame(1, b"\xff\xfe"), 1007),
        (frame(1, b"\xe2\x82", fin=False) + frame(0, b"\x28"), 1007),
        (frame(1, b"", says=2**40), 1009),
        (frame(1, b"x" * 9000, fin=False) + frame(0, b"y" * 9000), 1009),
        (frame(3, b"x"), 1002),
        (frame(0, b"x"), 1002),
        (frame(1, b"a", fin=False) + frame(1, b"b"), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(9, b"x", fin=False), 1002),
        (bytes([0xC1]) + frame(1, b"x")[1:], 1002),
        (frame(8, struct.pack("!H", 1005)), 1002),
        (frame(8, struct.pack("!H", 1000) + b"\xff"), 1007),
        (frame(8, b""), 1005),
    ],
)
def test_frames_that_break_the_protocol(stage: Stage, sent: bytes, code: int) -> None:
    """The session ends with the code of the defect, on both sides, and is settled."""

    async def drill() -> None:
        async with stage(extra="[realtime]\nmessage_bytes_max = 16384") as (server, vendor):
            async with connection(server.port) as (reader, writer):
                assert b" 101 " in await upgrade(reader, writer)
                writer.write(sent)
                assert await close_code(reader) == code
            await vendor.sittings[0].closed.wait()
            await until(lambda: server.verify().open_holds == 0)

    run(drill())


def test_fragments_without_an_end(stage: Stage) -> None:
    """Empty ones take no room; pings between them are answered."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            async with connection(server.port) as (reader, writer):
                await upgrade(reader, writer)
                writer.write(frame(1, b"", fin=False))
                for _ in range(200):
                    writer.write(frame(0, b"", fin=False) * 50 + frame(9, b"ping"))
                    await writer.drain()
                writer.write(frame(0, b'{"type":"x.y"}'))
                await until(lambda: vendor.sittings[0].heard == [{"type": "x.y"}])
            before = server.memory_bytes_peak()
            assert before < 512 * 1024**2

    run(drill())


def test_bytes_behind_the_handshake(stage: Stage) -> None:
    """A client has to wait for the answer; what it sends before is no HTTP and ends it."""

    async def drill() -> None:
        async with stage() as (server, _):
            async with connection(server.port) as (reader, writer):
                writer.write(b"")
                early = frame(1, b'{"type":"response.create"}')
                head = b""
                try:
                    head = await upgrade(reader, writer, early)
                except asyncio.IncompleteReadError as ended:
                    head = bytes(ended.partial)
                assert b" 101 " not in head
            await until(lambda: server.verify().open_holds == 0)

    run(drill())


def test_a_client_that_does_not_read(stage: Stage) -> None:
    """The provider is read no faster than the client reads; all of it arrives in the end."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key()
            async with dial(server, key.secret, max_queue=1) as socket:
                await until_type(socket, "session.created")
                (sitting,) = vendor.sittings
                event = json.dumps({"type": "x.y", "filling": "z" * 1_000_000})
                count = 64
                sent = 0

                async def flood() -> None:
                    nonlocal sent
                    for _ in range(count):
                        await sitting.socket.send(event)
                        sent += 1

                flooding = asyncio.create_task(flood())
                seen = -1
                while seen != sent:  # until nothing more is taken for as long as a round trip
                    seen = sent
                    for _ in range(20):
                        await asyncio.to_thread(server.get, "/healthz")
                assert sent < count, "somewhere in between it waits"
                for _ in range(count):
                    assert len(await socket.recv()) == len(event)
                await flooding
            assert server.memory_bytes_peak() < 512 * 1024**2

    run(drill())


def test_errors_for_what_is_no_event(stage: Stage) -> None:
    """Each is answered with an event of the vendor's form; the provider hears nothing of it."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key()
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                for sent, code in (
                    ("", "invalid_json"),
                    ("[1]", "invalid_event"),
                    ("{}", "invalid_event"),
                    ('{"type":7}', "invalid_event"),
                    ('{"type":"x","a":' + "[" * 5000, "invalid_json"),
                    (DEEP, "invalid_json"),
                    (bytes(range(128, 228)), "invalid_json"),
                    ('{"Type":"response.create","type":"x"}', "unknown_parameter"),
                ):
                    await socket.send(sent)
                    error = await until_type(socket, "error")
                    assert error["error"]["type"] == "invalid_request_error"
                    assert error["error"]["code"] == code, sent
            assert vendor.sittings[0].heard == []

    run(drill())


def test_a_response_cannot_be_hidden(stage: Stage) -> None:
    """Of two types the last counts, here and at the provider."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(budget_nano=HOLD_NANO)
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                await socket.send('{"type":"response.create","type":"x.y"}')
                await socket.send('{"type":"x.y","\\u0074ype":"response.create"}')
                await until_type(socket, "response.done")
            first, second = vendor.sittings[0].raw[1:3]
            assert json.loads(first) == {"type": "x.y"}
            assert "response.create" not in str(first)
            assert str(second).count("type") == 1
            assert vendor.begun == 1
            await until(lambda: server.verify().open_holds == 0)

    run(drill())


def test_a_provider_that_begins_more_than_it_may(stage: Stage) -> None:
    """It is cancelled, recorded past the budget, and the session ends."""

    async def drill() -> None:
        extra = "[limits]\nbudget_wait_s = 0.1"
        async with stage(extra=extra) as (server, vendor):
            key = server.make_key(budget_nano=HOLD_NANO)
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                await ask(socket, "wait")
                await until_type(socket, "response.created")
                (sitting,) = vendor.sittings
                await sitting._listen(SPEECH)
                error = await until_type(socket, "error")
                assert error["error"]["code"] == "insufficient_quota"
                await socket.wait_closed()
            await sitting.closed.wait()
            await until(lambda: server.verify().open_holds == 0)
            assert len([e for e in server.settlements(key) if e.attempts]) == 2

    run(drill())


def test_a_provider_that_sends_too_much(stage: Stage) -> None:
    """A message past the bound ends the session, as a break."""

    async def drill() -> None:
        extra = "[realtime]\nmessage_bytes_max = 16384"
        async with stage(extra=extra) as (server, vendor), dial(server, ADMIN_KEY) as socket:
            await until_type(socket, "session.created")
            await vendor.sittings[0].socket.send("x" * 20_000)
            await socket.wait_closed()
            assert socket.close_code == 1011

    run(drill())
