"""The provider of streams: one thread on epoll, so that it takes little of the two cores.

    python -m bench.stream_server PORT

It answers each chat request with as many chunks as the request's `max_tokens` says, one
every `seed` microseconds, or as fast as they are taken when that is 0. Like an engine, which
computes a token for all its streams in one step, it sends what is due a millisecond at a
time. A request that has
crossed from another dialect says both in other words: the bound by its newer name, and
`every N us` in its text. Each chunk is a
write of its own and carries the time at which it was sent, by the clock that all
processes of a machine share.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import itertools
import os
import re
import select
import socket
import sys
import time
from typing import Final

BACKLOG: Final = 4096
READ_BYTES: Final = 65_536
BURST_CHUNKS: Final = 16
"""Chunks that an unpaced stream sends before the next stream has its turn."""
NS_PER_US: Final = 1000
NS_PER_S: Final = 1_000_000_000
STEP_NS: Final = 1_000_000
"""What falls due meanwhile is sent at the end of it."""
IDLE_S: Final = 1.0
STAMP_CHARS: Final = 19

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
_COMMON: Final = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795289284,'
    b'"model":"s","system_fingerprint":"fp_1","choices":['
)
_LENGTH: Final = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_CHUNKS: Final = re.compile(rb'"max_(?:completion_)?tokens"\s*:\s*(\d+)')
_INTERVAL: Final = re.compile(rb'(?:"seed"\s*:\s*|every )(\d+)')
_USAGE: Final = re.compile(rb'"include_usage"\s*:\s*true')


def framed(event: bytes) -> bytes:
    """Write an event as a chunk of HTTP's chunked encoding."""
    return b"%x\r\n%s\r\n" % (len(event), event)


def _ending(chunks: int, *, usage: bool) -> bytes:
    """Write what follows the last chunk of text."""
    events = [_COMMON + b'{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n']
    if usage:
        counts = (chunks, chunks + 9)
        events.append(
            _COMMON + b'],"usage":{"prompt_tokens":9,"completion_tokens":%d,'
            b'"total_tokens":%d}}\n\n' % counts
        )
    events.append(b"data: [DONE]\n\n")
    return b"".join(framed(event) for event in events) + b"0\r\n\r\n"


_STAMPED: Final = framed(
    _COMMON
    + b'{"index":0,"delta":{"content":"T'
    + b"#" * STAMP_CHARS
    + b'"},"finish_reason":null}]}\n\n'
).replace(b"#" * STAMP_CHARS, b"%019d")


class Stream:
    """A connection and the stream that it is being sent."""

    __slots__ = ("chunks", "due_ns", "end", "head", "interval_ns", "received", "socket", "unsent")

    def __init__(self, client: socket.socket) -> None:
        """Wait for a request."""
        self.socket = client
        self.received = b""
        self.unsent = b""
        self.head = b""
        self.chunks = 0
        self.end = b""
        """What follows the chunks; empty when nothing is being sent."""
        self.due_ns = 0
        self.interval_ns = 0

    def read(self) -> bool:
        """Take what has come; say whether a request is whole. Raises OSError at the end."""
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise ConnectionResetError
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or length is None or len(body) < int(length[1]):
            return False
        self.received = b""
        chunks, interval = _CHUNKS.search(body), _INTERVAL.search(body)
        self.chunks = int(chunks[1]) if chunks else 1
        self.interval_ns = int(interval[1]) * NS_PER_US if interval else 0
        self.head = _HEAD
        self.end = _ending(self.chunks, usage=_USAGE.search(body) is not None)
        self.due_ns = time.monotonic_ns()
        return True

    def send(self, data: bytes) -> bool:
        """Send; say whether all of it went out. What did not is kept."""
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self.unsent = data[sent:] if sent < len(data) else b""
        return not self.unsent

    def send_next(self) -> bool:
        """Send the next chunk, or the end; say whether all of it went out."""
        if self.chunks:
            self.chunks -= 1
            data = _STAMPED % time.monotonic_ns()
        else:
            data, self.end = self.end, b""
        if self.head:
            data, self.head = self.head + data, b""
        return self.send(data)


class Server:
    """All streams, and what is due when."""

    def __init__(self, port: int) -> None:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        self._listener.setblocking(False)  # noqa: FBT003  (socket's)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._streams: dict[int, Stream] = {}
        self._due: list[tuple[int, int, Stream]] = []
        self._eager: list[Stream] = []
        self._count = itertools.count()

    def run(self) -> None:
        """Serve for ever."""
        while True:
            self._wait()
            for number, events in self._epoll.poll(0):
                stream = self._streams.get(number)
                if stream is None:
                    self._accept()
                else:
                    self._serve(stream, readable=not events & select.EPOLLOUT)
            now_ns = time.monotonic_ns()
            while self._due and self._due[0][0] <= now_ns:
                self._emit(heapq.heappop(self._due)[2])
            eager, self._eager = self._eager, []
            for stream in eager:
                self._emit(stream)

    def _wait(self) -> None:
        """Wait for a socket or the next chunk, to the microsecond, which epoll cannot."""
        if self._eager:
            return
        wait_s = IDLE_S
        if self._due:
            wait_s = max((self._due[0][0] - time.monotonic_ns()) / NS_PER_S, 0.0)
        select.select((self._epoll,), (), (), min(wait_s, IDLE_S))

    def _accept(self) -> None:
        """Let in all who wait."""
        with contextlib.suppress(BlockingIOError):
            while True:
                client, _ = self._listener.accept()
                client.setblocking(False)  # noqa: FBT003  (socket's)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._streams[client.fileno()] = Stream(client)
                self._epoll.register(client, select.EPOLLIN)

    def _serve(self, stream: Stream, *, readable: bool) -> None:
        """Read a request and begin its stream, or go on with one that was not taken."""
        try:
            if not readable:
                self._go_on(stream)
            elif stream.read():
                self._emit(stream)
        except BlockingIOError:
            pass
        except OSError:
            self._forget(stream)

    def _emit(self, stream: Stream) -> None:
        """Send what is due of a stream."""
        if stream.socket.fileno() < 0:
            return
        try:
            for _ in range(1 if stream.interval_ns else BURST_CHUNKS):
                if not stream.send_next():
                    self._epoll.modify(stream.socket, select.EPOLLOUT)
                    return
                if not stream.end:
                    return
        except OSError:
            self._forget(stream)
        else:
            self._schedule(stream)

    def _go_on(self, stream: Stream) -> None:
        """Send what the client did not take before. Raises OSError when it has left."""
        if not stream.send(stream.unsent):
            return
        self._epoll.modify(stream.socket, select.EPOLLIN)
        if stream.end:
            self._schedule(stream)

    def _schedule(self, stream: Stream) -> None:
        """Note when a stream is next looked at. A late one catches up."""
        if stream.interval_ns:
            stream.due_ns += stream.interval_ns
            step_ns = -(-stream.due_ns // STEP_NS) * STEP_NS
            heapq.heappush(self._due, (step_ns, next(self._count), stream))
        else:
            self._eager.append(stream)

    def _forget(self, stream: Stream) -> None:
        """Drop a connection whose client has left."""
        self._streams.pop(stream.socket.fileno(), None)
        stream.socket.close()


def stay_on_the_last_core() -> None:
    """Leave the other one to who is measured, who may use both.

    Else all depends on which of three the system puts together on a core, for seconds.
    """
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main() -> None:
    """Serve on the port that is given."""
    stay_on_the_last_core()
    gc.disable()  # nothing here makes cycles, and a collection would be a late chunk
    Server(int(sys.argv[1])).run()


if __name__ == "__main__":
    main()
