"""Many streams at once, and how long each chunk was on its way.

    echo '{"port": …}' | python -m bench.stream_client

One thread on epoll. While streams run it only notes when which bytes came; the times that
the provider stamped into the chunks are read out of them afterwards. Streams begin evenly
over the first seconds; the time to the first event counts from when a stream should have
begun, so a client that is kept waiting cannot hide it.
"""

from __future__ import annotations

import contextlib
import gc
import re
import select
import socket
import sys
import time
from typing import Final

import msgspec

from bench.numbers import percentile
from bench.stream_server import STAMP_CHARS, stay_on_the_last_core
from bench.traffic import Target, stream_body

READ_BYTES: Final = 65_536
NS_PER_S: Final = 1_000_000_000
NS_PER_US: Final = 1000
SETTLED_NS: Final = 100_000_000
"""How long after the last stream was due chunks begin to count."""

_STAMP: Final = re.compile(rb"T(\d{%d})" % STAMP_CHARS)


class Order(msgspec.Struct, frozen=True):
    """What to do."""

    target: Target
    streams: int
    chunks: int
    interval_us: int
    ramp_s: float
    grace_s: float
    """How long after its due end the last stream may come to its end."""
    body: str = ""
    """The request, in another dialect than chat's; "" is one of chat's."""
    done: str = "[DONE]"
    """What stands in the end of a whole stream."""


class Outcome(msgspec.Struct, frozen=True):
    """What was seen. Times in microseconds."""

    served: int
    """Streams that came whole, to their end marker."""
    chunks: int
    """Chunks that counted: sent after the last stream was due and before the first was over."""
    first_p50_us: float
    first_p99_us: float
    chunk_p50_us: float
    chunk_p99_us: float
    pace_p99_us: float
    """How much later than its pace the provider itself sent."""


class Stream:
    """One stream: its socket and all that came, with the time."""

    __slots__ = ("began_ns", "blocks", "ended", "socket")

    def __init__(self, began_ns: int) -> None:
        """Begin now; `began_ns` is when it should have begun."""
        self.began_ns = began_ns
        self.blocks: list[tuple[int, bytes]] = []
        self.ended = False
        self.socket = socket.socket()
        self.socket.setblocking(False)  # noqa: FBT003  (socket's)

    def stamps(self) -> list[tuple[int, int]]:
        """Give (sent, arrived) of each chunk, by the machine's clock in nanoseconds."""
        found: dict[int, int] = {}
        rest = b""
        for arrived_ns, block in self.blocks:
            text = rest + block
            end = 0
            for match in _STAMP.finditer(text):
                found.setdefault(int(match[1]), arrived_ns)  # some dialects say all again
                end = match.end()
            rest = text[end:][-STAMP_CHARS - 1 :]
        return list(found.items())

    def whole(self, chunks: int, done: bytes) -> bool:
        """Say whether all chunks and the end marker came."""
        tail = b"".join(block for _, block in self.blocks[-4:])
        return done in tail and len(self.stamps()) == chunks


def run(order: Order) -> Outcome:
    """Take the streams and read out what came."""
    streams = _take(order)
    stamps = [(stream, found) for stream in streams if (found := stream.stamps())]
    firsts = [(found[0][1] - stream.began_ns) / NS_PER_US for stream, found in stamps]
    if not firsts:
        return Outcome(0, 0, 0, 0, 0, 0, 0)
    interval_ns = order.interval_us * NS_PER_US
    settled_ns = streams[-1].began_ns + SETTLED_NS
    over_ns = streams[0].began_ns + order.chunks * interval_ns
    transits, lates = [], []
    for _, found in stamps:
        for number, (sent_ns, arrived_ns) in enumerate(found):
            if settled_ns <= sent_ns <= over_ns:
                transits.append((arrived_ns - sent_ns) / NS_PER_US)
                lates.append((sent_ns - found[0][0] - number * interval_ns) / NS_PER_US)
    return Outcome(
        served=sum(stream.whole(order.chunks, order.done.encode()) for stream in streams),
        chunks=len(transits),
        first_p50_us=percentile(firsts, 50),
        first_p99_us=percentile(firsts, 99),
        chunk_p50_us=percentile(transits, 50),
        chunk_p99_us=percentile(transits, 99),
        pace_p99_us=percentile(lates, 99),
    )


def _take(order: Order) -> list[Stream]:
    """Begin each stream when it is due and note what comes, until all have ended."""
    body = order.body.encode() or stream_body(order.chunks, order.interval_us)
    request = order.target.request(body)
    address = ("127.0.0.1", order.target.port)
    epoll = select.epoll()
    open_streams: dict[int, Stream] = {}
    streams: list[Stream] = []
    start_ns = time.monotonic_ns()
    step_ns = int(order.ramp_s * NS_PER_S / order.streams)
    length_s = order.chunks * order.interval_us / 1e6
    until_ns = start_ns + int((order.ramp_s + length_s + order.grace_s) * NS_PER_S)
    while len(streams) < order.streams or open_streams:
        now_ns = time.monotonic_ns()
        if now_ns > until_ns:
            break
        while len(streams) < order.streams and start_ns + len(streams) * step_ns <= now_ns:
            stream = Stream(start_ns + len(streams) * step_ns)
            streams.append(stream)
            stream.socket.connect_ex(address)
            open_streams[stream.socket.fileno()] = stream
            epoll.register(stream.socket, select.EPOLLOUT)
        next_ns = start_ns + len(streams) * step_ns if len(streams) < order.streams else until_ns
        for number, events in epoll.poll(max((next_ns - time.monotonic_ns()) / NS_PER_S, 0.0)):
            stream = open_streams[number]
            with contextlib.suppress(BlockingIOError):
                if events & select.EPOLLOUT:
                    _send(stream, request)
                    epoll.modify(number, select.EPOLLIN)
                else:
                    _read(stream)
            if stream.ended:
                del open_streams[number]
                stream.socket.close()
    for stream in open_streams.values():
        stream.socket.close()
    return streams


def _send(stream: Stream, request: bytes) -> None:
    """Send the request on a connection that has just come about, or not."""
    try:
        stream.socket.send(request)
    except BlockingIOError:
        raise
    except OSError:
        stream.ended = True


def _read(stream: Stream) -> None:
    """Note what has come, and whether it was the last."""
    try:
        data = stream.socket.recv(READ_BYTES)
    except BlockingIOError:
        raise
    except OSError:
        data = b""
    stream.blocks.append((time.monotonic_ns(), data))
    stream.ended = not data or data.endswith(b"0\r\n\r\n")


def main() -> None:
    """Read the order, write the outcome."""
    stay_on_the_last_core()
    gc.disable()  # a collection would be a late chunk
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    sys.stdout.buffer.write(msgspec.json.encode(run(order)))


if __name__ == "__main__":
    main()
