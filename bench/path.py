"""CPU time of the request path in one process, without sockets.

    python -m bench.path                    a small request and its whole answer
    python -m bench.path --stream           a streamed answer, per chunk
    python -m bench.path --body-bytes N     a request with a body of N bytes
    python -m bench.path --client messages  a small request that crosses dialects; or --provider
    python -m bench.path --profile          where the time goes, by part of the path
    python -m bench.path --agreement        the small request without and with an agreement
    python -m bench.path --budgets          the small request without and with five budgets

Everything between the bytes of a client and the bytes of a provider is the product's own
and is put together as `app` does. Transports on both sides are stand-ins that answer at
the loop's next turn, and the journal is one that takes note two turns later, as a writer
that needs no time would. What is left out is what the kernel and the disk do.

The figure is the least of several rounds of the thread's CPU time: what disturbs a round
only ever adds to it. Compare figures of one machine in one hour.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from bench.nginx import MESSAGE
from bench.path_beside import budgets, compare, enforcer
from bench.path_profile import profiled
from bench.traffic import KEY, MESSAGES_MODEL, MODEL, chat_body, stream_body
from bench.translation import PATHS, SAME, Way, paced_body, whole_body
from entente.auth import KeyRing
from entente.auth.keys import digest_of
from entente.domain.ids import Ids
from entente.domain.principal import Principal, Role
from entente.domain.rules import Rule
from entente.domain.secret import Secret
from entente.gateway.agreed import Agreed
from entente.gateway.counting import Counting
from entente.gateway.keeping.keeping import keeping_for
from entente.gateway.pipeline import Gateway
from entente.gateway.pricing import Pricing
from entente.gateway.running import Running
from entente.host import keep_freed_memory
from entente.http.data_plane import DataPlane
from entente.http.inference import Inference
from entente.http.protocol import Connection, Shared
from entente.http.responses import Responses
from entente.http.routes import Router
from entente.ledger.books import Books
from entente.ledger.journal import encode
from entente.ledger.ledger import Ledger
from entente.ledger.model import AnyEntry
from entente.metering.prices import compile_price, price_book
from entente.net import Client, ClientOptions
from entente.objects import OBJECTS_NAME, Objects, open_objects
from entente.policy.rules import RuleBook
from entente.providers.anthropic import AnthropicProvider
from entente.providers.openai import OpenAIProvider
from entente.routing.catalog import Model, Target
from entente.telemetry.metrics import Monitor

CONNECTIONS: Final = 32
ROUNDS: Final = 7
REQUESTS: Final = 6_000
"""Of one round."""
STREAMS: Final = 200
BODIES: Final = 600
CHUNKS: Final = 50
BODY_BYTES: Final = 1_000
READ_BYTES: Final = 128 * 1024
"""How much of a request comes in one read."""
US_PER_S: Final = 1_000_000

_ANSWER: Final = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1795289284,"model":"m","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"Hello to you, dear friend. How can I '
    b'help you today?","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":12,"completion_tokens":12,"total_tokens":24,'
    b'"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
    b'"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},'
    b'"service_tier":"default","system_fingerprint":"fp_x"}'
)
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 20:00:00 GMT\r\n"
    b"Connection: keep-alive\r\n"
)
_EVENT: Final = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795289284,"model":"m",'
    b'"choices":[{"index":0,"delta":{%s},"logprobs":null,"finish_reason":%s}],"usage":null}\n\n'
)
_USAGE: Final = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795289284,"model":"m",'
    b'"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":50,"total_tokens":62}}\n\n'
    b"data: [DONE]\n\n"
)


def unary_answer(body: bytes = _ANSWER) -> list[bytes]:
    """Write a whole answer, which comes in one read."""
    head = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return [_HEAD + head + body]


def streamed_answer(chunks: int) -> list[bytes]:
    """Write a streamed answer of so many chunks with text, each in a read of its own."""
    texts = [_EVENT % (b'"content":" word%d"' % number, b"null") for number in range(chunks)]
    framed = [b"%x\r\n%b\r\n" % (len(event), event) for event in texts]
    end = _EVENT % (b"", b'"stop"') + _USAGE
    framed.append(b"%x\r\n%b\r\n0\r\n\r\n" % (len(end), end))
    head = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [_HEAD + head + framed[0], *framed[1:]]


class _Upstream(asyncio.Transport):
    """A provider: takes a request of a known size and answers in so many reads."""

    def __init__(self, loop: _Loop, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._taken = 0
        self._socket, self._other = socket.socketpair()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._socket if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._taken += len(data)
        if self._taken > self._loop.body_bytes:  # there is a head as well
            self._taken = 0
            self._loop.call_soon(self._answer, 0)

    def _answer(self, number: int) -> None:
        pieces = self._loop.answer
        self._protocol.data_received(pieces[number])
        if number + 1 < len(pieces):  # behind whoever that has woken
            self._loop.call_soon(self._answer, number + 1)

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        message = "a reader that is always at once has nothing to pause for"
        raise RuntimeError(message)

    def abort(self) -> None:
        self._socket.close()
        self._other.close()
        self._loop.call_soon(self._protocol.connection_lost, None)


class _Loop(uvloop.Loop):
    """An event loop whose connections lead to the stand-in of the provider."""

    body_bytes = 0
    answer: list[bytes]
    agreed: Agreed | None = None
    rules: tuple[Rule, ...] = ()
    """What decides where requests may go, where that is measured, too."""

    async def create_connection(  # type: ignore[override]
        self, factory: Callable[[], asyncio.Protocol], *_: object, **__: object
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        protocol = factory()
        transport = _Upstream(self, protocol)
        protocol.connection_made(transport)
        return transport, protocol


class _Round:
    """So many requests, one after the other on each connection."""

    def __init__(self, loop: _Loop, requests: int, pieces: list[bytes], end: bytes) -> None:
        self.loop = loop
        self.left = requests
        self.pieces = pieces
        self.end = end
        """What the last write of an answer ends with."""
        self.over = loop.create_future()

    def begin(self, protocol: asyncio.Protocol) -> None:
        """Send a request, in as many reads as it takes."""
        for piece in self.pieces:
            self.loop.call_soon(protocol.data_received, piece)


class _Downstream(asyncio.Transport):
    """A client: sends the next request when it has the answer."""

    def __init__(self, round_: _Round, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._round = round_
        self._protocol = protocol
        self._begun = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._begun and not bytes(data).startswith(b"HTTP/1.1 200"):
            sys.exit(f"Not an answer: {bytes(data)[:500]!r}")
        self._begun = True
        this = self._round
        if bytes(data).endswith(this.end):
            self._begun = False
            this.left -= 1
            if this.left >= CONNECTIONS:
                this.begin(self._protocol)
            elif not this.left:
                this.over.set_result(None)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Journal:
    """Takes note of everything in line two turns of the loop later, and keeps nothing."""

    trouble: str | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._line: list[asyncio.Future[None]] = []

    def append(self, entry: AnyEntry) -> asyncio.Future[None]:
        encode(entry)
        if not self._line:
            self._loop.call_soon(self._loop.call_soon, self._written)
        done = self._loop.create_future()
        self._line.append(done)
        return done

    def _written(self) -> None:
        line, self._line = self._line, []
        for done in line:
            if not done.done():
                done.set_result(None)

    async def aclose(self) -> None:
        """Nothing to close."""


def _plane(loop: _Loop, objects: Objects) -> DataPlane:
    """Put the parts together as `app` does, on a store that is on the disk as it is there."""
    monitor = Monitor()
    catalog = {
        name: Model(name=name, targets=(Target("main", name),), output_tokens_max=4096)
        for name in (MODEL, "s")
    }
    messages = Target("messages", MESSAGES_MODEL)
    catalog[MESSAGES_MODEL] = Model(
        name=MESSAGES_MODEL, targets=(messages,), output_tokens_max=4096
    )
    rates = {"input": Fraction("0.15"), "output": Fraction("0.60")}
    price = compile_price("USD", rates, US_PER_S)
    client = Client(ClientOptions(base_url="http://127.0.0.1:1/v1"))
    book = RuleBook(loop.rules)
    gateway = Gateway(
        catalog=catalog,
        providers={
            "main": OpenAIProvider("main", client, Secret("sk-provider")),
            "messages": AnthropicProvider("messages", client, Secret("sk-provider")),
        },
        prices=Pricing(price_book(dict.fromkeys(catalog, price))),
        rules=lambda: book,
        ledger=Ledger(_Journal(loop), Books(), now_ns=time.time_ns, budget_wait_s=30.0),
        monitor=monitor,
        now_ns=time.time_ns,
        agreed=loop.agreed,
    )
    ids = Ids(time.time_ns, random.Random(1).getrandbits)  # noqa: S311
    counting = Counting(gateway, {})
    running = Running()
    keeping = keeping_for(
        gateway, objects, ids, time.time_ns, running, answers_days=1, drain_s=30.0
    )
    who = Principal(key_id="key_0193f0c7a1b2", name="bench", role=Role.MEMBER, tags=("bench",))
    ring = KeyRing({digest_of(KEY.encode()): who}, 1)
    return DataPlane(
        router=Router(),
        handlers={
            **Inference(gateway).handlers(),
            **Responses(gateway, keeping, counting).handlers(),
        },
        ring=lambda: ring,
        bearer=None,
        monitor=monitor,
        ids=ids,
        running=running,
        inflight_max=8192,
    )


def _request(client: str, body: bytes) -> list[bytes]:
    """Write a request as a client does, cut into reads."""
    data = (
        b"POST %b HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
        b"Authorization: Bearer %b\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (PATHS[client].encode(), KEY.encode(), len(body), body)
    )
    return [data[at : at + READ_BYTES] for at in range(0, len(data), READ_BYTES)]


async def _measure(
    requests: int, body: bytes, answer: list[bytes], end: bytes, rounds: int, way: Way
) -> float:
    """Give the microseconds of CPU time per request of the best round."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_objects(Path(folder) / OBJECTS_NAME, time.time_ns) as objects,
    ):
        return await _measured(objects, requests, body, answer, end, rounds, way)


async def _measured(
    objects: Objects,
    requests: int,
    body: bytes,
    answer: list[bytes],
    end: bytes,
    rounds: int,
    way: Way,
) -> float:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, _Loop):
        message = "the stand-ins belong to a loop of their own"
        raise TypeError(message)
    # What crosses is of another size, and small enough to come in one write.
    loop.body_bytes, loop.answer = len(body) if way == SAME else 0, answer
    plane = _plane(loop, objects)
    best_s = float("inf")
    for _ in range(rounds):
        shared = Shared(loop, plane, body_bytes_max=1 << 26, connections_max=CONNECTIONS)
        this = _Round(loop, requests, _request(way.client, body), end)
        gc.collect()
        began_s = time.thread_time()
        for _ in range(CONNECTIONS):
            connection = Connection(shared)
            connection.connection_made(_Downstream(this, connection))
            this.begin(connection)
        await this.over
        best_s = min(best_s, time.thread_time() - began_s)
        await asyncio.sleep(0)
    return best_s / requests * US_PER_S


def _run(
    requests: int, body: bytes, answer: list[bytes], end: bytes, rounds: int, way: Way = SAME
) -> float:
    """Measure on a loop of its own."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(_measure(requests, body, answer, end, rounds, way))


def unary(body_bytes: int, rounds: int = ROUNDS) -> float:
    """Give the microseconds per request with a whole answer."""
    requests = REQUESTS if body_bytes < READ_BYTES // 2 else BODIES
    return _run(requests, chat_body(body_bytes), unary_answer(), _ANSWER, rounds)


def crossing(way: Way, rounds: int = ROUNDS) -> float:
    """Give the microseconds per request of a kilobyte that crosses, and its whole answer."""
    answer = unary_answer(MESSAGE.encode() if way.provider == "messages" else _ANSWER)
    return _run(REQUESTS, whole_body(way), answer, b"}", rounds, way)


def stream(chunks: int, rounds: int = ROUNDS, way: Way = SAME) -> float:
    """Give the microseconds per streamed answer of so many chunks, from a provider of chat."""
    body = stream_body(chunks, 0) if way == SAME else paced_body(way.client)
    return _run(STREAMS, body, streamed_answer(chunks), b"0\r\n\r\n", rounds, way)


def main() -> None:
    """Measure and print one line, or a profile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stream", action="store_true", help="a streamed answer, per chunk")
    parser.add_argument("--body-bytes", type=int, default=BODY_BYTES, metavar="N")
    parser.add_argument("--profile", action="store_true", help="where the time goes")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--client", choices=PATHS, default=SAME.client, help="its dialect")
    parser.add_argument(
        "--provider", choices=("chat", "messages"), default=SAME.provider, help="its dialect"
    )
    parser.add_argument("--agreement", action="store_true", help="what deciding costs")
    parser.add_argument("--budgets", action="store_true", help="what five budgets cost")
    options = parser.parse_args()
    keep_freed_memory()
    way = Way(options.client, options.provider)
    if options.stream and way.provider != SAME.provider:
        parser.error("streams come from a provider of chat")

    def whole(rounds: int) -> float:
        return unary(options.body_bytes, rounds) if way == SAME else crossing(way, rounds)

    if options.agreement:
        agreement = enforcer()

        def agree(used: bool) -> None:
            _Loop.agreed = agreement if used else None

        compare("an agreement", agree, partial(whole, 1), options.rounds)
    elif options.budgets:
        rules = budgets()

        def rule(used: bool) -> None:
            _Loop.rules = rules if used else ()

        compare("five budgets", rule, partial(whole, 1), options.rounds)
    elif options.profile:
        profiled(partial(stream, CHUNKS, 1, way) if options.stream else partial(whole, 1))
    elif options.stream:
        one = stream(1, options.rounds, way)
        many = stream(1 + CHUNKS, options.rounds, way)
        print(f"{(many - one) / CHUNKS:.2f} µs per chunk; {one:.1f} µs for a stream of one")
    else:
        print(f"{whole(options.rounds):.1f} µs per request")


if __name__ == "__main__":
    main()
