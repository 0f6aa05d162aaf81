"""Clients that mean harm or know no better: no 5xx, no hang, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.loops import run
from tests.support.rawclient import NOTHING, Reply, connection, exchange, post, read_reply
from tests.support.server import ADMIN_KEY, EntenteServer, Key, chat_body, wait_until
from tests.support.upstream import EVENTS_HEAD, UpstreamThread, chunk, completion, config, piece

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.rawserver import Peer

GOOD: Final = chat_body()
BODY_MAX: Final = 200_000
"""As the shared server is configured."""
MEMORY_BYTES_MAX: Final = 200 * 1024 * 1024
"""Far less than what the upstream would send into the buffer of a client that never reads."""
_SHORT_PATIENCE: Final = """
import entente.http.protocol as p
import entente.http.server as s
s.SWEEP_S = 0.05
p.BODY_IDLE_S = 1.5
for name in ("HEAD", "BODY", "IDLE", "READER"):
    setattr(p, name, getattr(p, name)._replace(patience_s=1.5))
"""
"""Patience lasts as long as the sweep's clock tells, which has to be finer than it: a connection
that begins to wait just before a tick would have none."""


def send(server: EntenteServer, data: bytes) -> Reply:
    """Send bytes; give the answer, or NOTHING where the connection was just closed."""
    return run(exchange(server.port, data))


def members(text: bytes) -> bytes:
    """Write a request with one odd member in front of good ones."""
    return b'{%b,"model":"m","messages":[{"role":"user","content":"hi"}]}' % text


GARBAGE: Final = {
    "nonsense": b"\x00\x01\x02\xff" * 10 + b"\r\n\r\n",
    "tls hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 50 + b"\r\n\r\n",
    "http 2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http 0.9": b"GET /\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "null in a header": b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "bare line feed in a header": b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
    "length that is no number": b"POST / HTTP/1.1\r\nContent-Length: abc\r\n\r\n",
    "negative length": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "length past 64 bits": b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "length and chunks": (
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 3\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "unknown coding": b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    "bad chunk size": (
        b"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer "
        + ADMIN_KEY.encode()
        + b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    ),
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "path of percents": b"GET /%ff%00%0d%0aX:y HTTP/1.1\r\nHost: x\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_refused(server: EntenteServer, name: str) -> None:
    """What is not a good request is a 4xx or a closed connection, never a 5xx."""
    reply = send(server, GARBAGE[name])
    assert reply == NOTHING or 400 <= reply.status < 500
    assert b"x-injected" not in reply.body
    assert "x" not in reply.headers  # nothing of the path became a header
    assert server.get("/healthz").status == 200


ODD_JSON: Final = {
    "invalid utf-8 in the model": (b'{"model":"\xff\xfe","messages":[{}]}', 400),
    "invalid utf-8 in n": (members(b'"n":"\xff"'), 400),
    "invalid utf-8 in stream": (members(b'"stream":"\xff"'), 400),
    "invalid utf-8 in stream_options": (
        members(b'"stream":true,"stream_options":{"include_usage":"\xff"}'),
        400,
    ),
    "invalid utf-8 in messages": (b'{"model":"m","messages":"\xff"}', 400),
    "invalid utf-8 in a name": (members(b'"\xff":1'), 400),
    "lone surrogate": (members(b'"user":"\\ud800"'), 0),
    "lone surrogate as the model": (b'{"model":"\\ud800","messages":[{}]}', 400),
    "nested a hundred thousand deep": (members(b'"x":' + b"[" * 90_000 + b"]" * 90_000), 400),
    "nested one level too deep": (members(b'"x":' + b"[" * 128 + b"]" * 128), 400),
    "nested as deep as may be": (members(b'"x":' + b"[" * 127 + b"]" * 127), 200),
    "nested where an integer is": (members(b'"n":' + b"[" * 900 + b"]" * 900), 400),
    "nested and never closed": (b'{"model":' + b"[" * 90_000, 400),
    "an integer of 5000 digits": (members(b'"n":' + b"9" * 5000), 400),
    "a number past all floats": (members(b'"max_tokens":1e400'), 400),
    "a decimal": (members(b'"max_tokens":1.5'), 400),
    "a boolean": (members(b'"max_tokens":true'), 400),
    "not a number": (members(b'"temperature":NaN'), 400),
    "null byte": (b'{"model":"m\\u0000","messages":[{}]}', 404),
    "model twice": (members(b'"model":"nope"'), 200),
    "model twice, the last unknown": (b'{"model":"m","messages":[{}],"model":"nope"}', 404),
    "tokens twice, the last too few": (members(b'"max_tokens":5,"max_tokens":0'), 400),
    "a second spelling": (members(b'"Max_Tokens":99999999'), 400),
    "two documents": (GOOD + GOOD, 400),
    "comment": (b"/* x */" + GOOD, 400),
}


@pytest.mark.parametrize("name", ODD_JSON)
def test_odd_json(server: EntenteServer, key: Key, name: str) -> None:
    """JSON at its edges is served or refused, with OpenAI's envelope, and never breaks us."""
    body, status = ODD_JSON[name]
    reply = send(server, post(body, key.secret))
    assert reply.status == status or (status == 0 and reply.status in (200, 400)), reply.body
    if reply.status != 200:
        assert set(json.loads(reply.body)["error"]) == {"message", "type", "param", "code"}
    for entry in server.settlements(key):
        assert entry.usage.output <= 1000


def test_huge_head(server: EntenteServer) -> None:
    """A head past its bound is 431, whether it comes at once or never ends."""
    for filler in (b"X-%d: %b\r\n", b"X: y\r\n%d%b"):
        lines = b"".join(filler % (n, b"a" * 1000) for n in range(100))
        reply = send(server, b"GET /healthz HTTP/1.1\r\n" + lines)
        assert reply.status in (431, 400)
    fine = b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 60_000 + b"\r\n\r\n"
    assert send(server, fine).status == 200


def test_body_over_the_bound_in_chunks(server: EntenteServer, key: Key) -> None:
    """A body without a length is cut off at the bound, and the client can read why."""
    head = post(b"", key.secret).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")

    async def flood() -> Reply:
        async with connection(server.port) as (reader, writer):
            writer.write(head)
            for _ in range(BODY_MAX // 10_000 + 5):
                writer.write(chunk(b"x" * 10_000))
                await asyncio.sleep(0)
            return await read_reply(reader)

    reply = run(flood())
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (413, "request_too_large")
    assert reply.headers["connection"] == "close"
    assert server.settlements(key) == []


@pytest.mark.parametrize("tail", [b"0\r\nX: ", b"5;"], ids=["trailers", "extensions"])
def test_what_surrounds_a_body_is_bounded(server: EntenteServer, key: Key, tail: bytes) -> None:
    """Trailers and extensions of chunks that never end are no way around the bounds."""
    head = post(b"", key.secret).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")

    async def flood() -> Reply:
        async with connection(server.port) as (reader, writer):
            writer.write(head + chunk(b"hello") + tail)
            answer = asyncio.create_task(read_reply(reader))
            while not answer.done():
                writer.write(b"y" * 10_000)
                await asyncio.sleep(0)
            return await answer

    assert run(flood()).status == 400


def test_chunks_of_one_byte_are_a_body(server: EntenteServer, key: Key) -> None:
    """The dearest coding of a good body, and trailers behind it, are served."""
    head = post(b"", key.secret).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    body = b"".join(chunk(bytes([byte])) for byte in chat_body(text="x" * 60_000))
    trailers = b"0\r\nX-Sum: 7\r\nAuthorization: Bearer nobody\r\n\r\n"
    assert send(server, head + body + trailers).status == 200


@pytest.mark.parametrize(
    ("framing", "status"),
    [
        (b"Content-Length: " + b"0" * 5_000 + b"%d\r\n" % len(GOOD), 200),
        (b"Content-Length: " + b"0" * 5_000 + b"999999999\r\n", 413),
        (b"Content-Length: 0 \t\r\n", 400),
        (b"Transfer-Encoding: gzip, chunked\r\n", 400),
        (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"Transfer-Encoding: Chunked \r\n", 200),
    ],
)
def test_odd_framing(server: EntenteServer, key: Key, framing: bytes, status: int) -> None:
    """A length is a number, however it is written; a coding that we do not undo is refused."""
    head = post(b"", key.secret).replace(b"Content-Length: 0\r\n", framing)
    coded = chunk(GOOD) + b"0\r\n\r\n" if b"Transfer" in framing else GOOD
    assert send(server, head + coded).status == status


def test_chunks_of_an_old_client_are_its_last_request(server: EntenteServer, key: Key) -> None:
    """HTTP/1.0 has no chunks: what passed them on may see another request behind them."""
    head = post(b"", key.secret, headers=b"Connection: keep-alive\r\n").replace(b"/1.1", b"/1.0")
    chunked = head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    reply = send(server, chunked + chunk(GOOD) + b"0\r\n\r\n")
    assert (reply.status, reply.headers["connection"]) == (200, "close")


def test_body_over_the_bound_is_refused_before_it_comes(server: EntenteServer, key: Key) -> None:
    """`Expect: 100-continue` with a length past the bound is refused without the body."""
    head = post(b"", key.secret, headers=b"Expect: 100-continue\r\n")
    big = head.replace(b"Content-Length: 0", b"Content-Length: 999999999")
    assert send(server, big).status == 413
    unknown = post(b"", "sk-wrong", headers=b"Expect: 100-continue\r\n")
    assert send(server, unknown.replace(b"Content-Length: 0", b"Content-Length: 9")).status == 401


def test_expected_continue_comes(server: EntenteServer, key: Key) -> None:
    """A good request that waits for 100 gets it, and then its answer."""

    async def ask() -> tuple[bytes, Reply]:
        async with connection(server.port) as (reader, writer):
            request = post(GOOD, key.secret, headers=b"Expect: 100-continue\r\n")
            writer.write(request.removesuffix(GOOD))
            interim = await reader.readuntil(b"\r\n\r\n")
            writer.write(GOOD)
            return interim, await read_reply(reader)

    interim, reply = run(ask())
    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert reply.status == 200


@pytest.mark.parametrize("streams", [(False, False, False), (True, False, True)])
def test_pipelined_requests_are_answered_in_order(
    server: EntenteServer, key: Key, streams: tuple[bool, ...]
) -> None:
    """Requests sent without waiting get their answers in their order, none mixed up."""

    async def ask() -> list[Reply]:
        async with connection(server.port) as (reader, writer):
            requests = [
                post(chat_body(text=f"number {n}", stream=stream), key.secret)
                for n, stream in enumerate(streams)
            ]
            writer.write(b"".join(requests))
            return [await read_reply(reader) for _ in requests]

    for number, reply in enumerate(run(ask())):
        assert reply.status == 200
        assert reply.whole
        assert str(number).encode() in reply.body
    assert len(server.settlements(key)) == len(streams)


def test_asking_without_reading_is_bounded(server: EntenteServer) -> None:
    """Answers that nobody reads pile up to a bound; then no more questions are taken."""
    before = server.memory_bytes_peak()
    many = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 20_000

    async def ask() -> None:
        async with connection(server.port) as (_, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a real socket
            for _number in range(30):
                writer.write(many)
                while writer.transport.get_write_buffer_size() > len(many):
                    before_s = writer.transport.get_write_buffer_size()
                    await asyncio.to_thread(server.get, "/healthz")
                    if writer.transport.get_write_buffer_size() == before_s:
                        return  # it takes no more

    run(ask())
    assert server.memory_bytes_peak() - before < 100 * 1024 * 1024


def test_pipelined_behind_a_large_body(server: EntenteServer, key: Key) -> None:
    """The bytes of a body do not count to the head of the request behind it."""
    large = post(chat_body(text="x" * 150_000), key.secret)
    second = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

    async def ask() -> list[Reply]:
        async with connection(server.port) as (reader, writer):
            writer.write(large + second[:20])
            first = await read_reply(reader)
            writer.write(second[20:])
            return [first, await read_reply(reader)]

    assert [reply.status for reply in run(ask())] == [200, 200]


def test_upgrade_that_is_not_spoken(server: EntenteServer, key: Key) -> None:
    """Java's client offers h2c on its first request: it gets its answer in HTTP/1.1."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
    reply = send(server, post(GOOD, key.secret, headers=upgrade))
    assert (reply.status, reply.whole) == (200, True)


def test_whole_address_as_the_target(server: EntenteServer, key: Key) -> None:
    """A client that takes us for a proxy names the whole address: the path in it counts."""
    request = post(GOOD, key.secret, path="http://example.org:1/v1/chat/completions?a=b")
    assert send(server, request).status == 200
    assert send(server, b"GET http://example.org HTTP/1.1\r\nHost: x\r\n\r\n").status == 404


def test_http_1_0(server: EntenteServer, key: Key) -> None:
    """An old client gets a stream that ends with the connection, without chunks."""

    async def ask() -> bytes:
        async with connection(server.port) as (reader, writer):
            request = post(chat_body(stream=True), key.secret).replace(b"HTTP/1.1", b"HTTP/1.0")
            writer.write(request)
            return await reader.read(-1)

    answer = run(ask())
    assert b"transfer-encoding" not in answer.lower()
    assert answer.endswith(b"data: [DONE]\n\n")


# ---- clients that are slow, and one that never reads ----


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[EntenteServer, UpstreamThread]]:
    """Run a server with little patience in front of an upstream that never ends."""
    with UpstreamThread() as thread:
        folder = tmp_path_factory.mktemp("hostile")
        text = config(thread.upstream.base_url)
        server = EntenteServer(folder, text, server="drain_s = 0.5", prelude=_SHORT_PATIENCE)
        with server:
            yield server, thread
            assert server.stop() == 0
            server.verify_at_rest()


def open_connections(server: EntenteServer) -> int:
    """Ask the server itself; the asking connection counts too."""
    text = server.get("/metrics", key=ADMIN_KEY).body.decode()
    line = next(x for x in text.splitlines() if x.startswith("entente_connections "))
    return int(float(line.split(" ")[1]))


SLOW: Final = {
    "silent from the start": b"",
    "stops in the head": b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n",
    "stops in the body": post(b"x" * 50, ADMIN_KEY).removesuffix(b"x" * 40),
    "stops in a body that is refused": post(b"x" * 50, "sk-wrong").removesuffix(b"x" * 40),
    "idle after an answer": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize(
    ("name", "drip"),
    [
        (name, drip)
        for name in SLOW
        for drip in (False, True)
        # A body that comes slowly is a body: each byte renews the patience.
        if not (drip and name == "stops in the body")
    ],
)
def test_slow_clients_are_let_go(
    bench: tuple[EntenteServer, UpstreamThread], name: str, drip: bool
) -> None:
    """A client that does not get on is closed, drop by drop or silent, and others are served."""
    server, _ = bench

    async def trickle(writer: asyncio.StreamWriter) -> None:
        while drip:
            writer.write(b"X")
            await asyncio.sleep(0.2)

    async def dawdle() -> bytes:
        async with connection(server.port) as (reader, writer):
            writer.write(SLOW[name])
            drops = asyncio.create_task(trickle(writer))
            try:
                health = await asyncio.to_thread(server.get, "/healthz")
                assert health.status == 200
                return await reader.read(-1)  # ends when the server closes
            except (ConnectionResetError, BrokenPipeError):
                return b""
            finally:
                drops.cancel()

    answer = run(dawdle())
    if name == "stops in the body":
        assert b" 408 " in answer
        assert b"request_timeout" in answer
    if name == "stops in a body that is refused":
        assert b" 401 " in answer
    wait_until(lambda: open_connections(server) == 1, "the connection to be gone")


def test_a_client_that_never_reads(bench: tuple[EntenteServer, UpstreamThread]) -> None:
    """It costs a bounded buffer for a bounded time; its neighbours do not notice."""
    server, thread = bench

    async def play(peer: Peer, request: dict[str, Any]) -> None:
        await peer.send(EVENTS_HEAD)
        if not request.get("max_tokens"):
            await peer.send(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
            return
        while True:
            await peer.send(chunk(piece("x" * 65_536)))

    thread.upstream.play = play

    async def stare() -> None:
        async with connection(server.port) as (_, writer):
            writer.write(post(chat_body(stream=True, max_tokens=7), ADMIN_KEY))
            for _ in range(20):
                good = await exchange(server.port, post(chat_body(stream=True), ADMIN_KEY))
                assert good.status == 200
            await asyncio.to_thread(wait_until, lambda: bool(cancelled()), "the cut")

    def cancelled() -> list[object]:
        return [e for e in server.settlements() if e.status == "cancelled"]

    run(stare())
    assert len(cancelled()) == 1
    assert server.memory_bytes_peak() < MEMORY_BYTES_MAX
    wait_until(lambda: open_connections(server) == 1, "the connection to be gone")


@pytest.mark.parametrize("status", [b"204 No Content", b"205 Reset Content", b"304 Not Modified"])
@pytest.mark.parametrize("kind", [b"application/json", b"text/event-stream"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_provider_that_answers_nothing(
    bench: tuple[EntenteServer, UpstreamThread], path: str, kind: bytes, status: bytes
) -> None:
    """Its status is not passed on: a body of ours behind it would be the next answer's head."""
    server, thread = bench

    async def play(peer: Peer, _: dict[str, Any]) -> None:
        length = b"Content-Length: 0\r\n" if status.startswith(b"205") else b""
        await peer.send(b"HTTP/1.1 %b\r\nContent-Type: %b\r\n%b\r\n" % (status, kind, length))

    thread.upstream.play = play
    body = chat_body(max_tokens=5, stream=kind != b"application/json")
    reply = send(server, post(body, ADMIN_KEY, path=path))
    assert (reply.status, reply.whole) == (502, True)


def test_a_slow_reader_gets_its_whole_answer(
    bench: tuple[EntenteServer, UpstreamThread],
) -> None:
    """Patience is for clients that stop: one that reads on, however slowly, is not cut off."""
    server, thread = bench
    text = "x" * (16 * 1024 * 1024)

    async def play(peer: Peer, _: dict[str, Any]) -> None:
        await peer.answer(completion(text, prompt_tokens=1, completion_tokens=1))

    thread.upstream.play = play

    async def sip() -> int:
        """Take little by little, for more than twice as long as the patience lasts."""
        size = 0
        async with connection(server.port) as (reader, writer):
            writer.write(post(chat_body(), ADMIN_KEY))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            while size < length:
                size += len(await reader.readexactly(min(2**18, length - size)))
                await asyncio.sleep(0.06)
        return size

    assert run(sip()) > len(text)


def test_a_client_that_reads_late_misses_nothing(server: EntenteServer) -> None:
    """Thousands of requests sent ahead are all answered once their client begins to read."""
    count = 20_000
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

    async def ask() -> int:
        async with connection(server.port) as (reader, writer):
            writer.write(request * count)
            good = 0
            for _ in range(count):
                good += (await read_reply(reader)).status == 200
            return good

    assert run(ask()) == count
