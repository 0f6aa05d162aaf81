"""Streams in a closed loop: on each connection one after the other, and how many chunks come.

    echo '{"port": …}' | python -m bench.stream_loop

It counts the chunks of unfinished streams too, so that a slow subject is not made slower
by what it was still at when the time was over.
"""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import sys
import time
from typing import Final

import msgspec

from bench.traffic import Target, stream_body

READ_BYTES: Final = 262_144
POLL_S: Final = 0.05
_MARK: Final = b'"T0000'
"""Stands in each chunk once: the beginning of its time."""
_OVER: Final = b"0\r\n\r\n"


class Order(msgspec.Struct, frozen=True):
    """What to do."""

    target: Target
    connections: int
    chunks: int
    """Of each stream."""
    seconds: float


class Outcome(msgspec.Struct, frozen=True):
    """What was seen."""

    seconds: float
    chunks: int
    streams: int
    """That came to their end."""
    failed: int
    """Connections that ended in the middle of a stream."""

    @property
    def per_s(self) -> float:
        """Chunks per second."""
        return self.chunks / self.seconds if self.seconds else 0.0


def run(order: Order) -> Outcome:
    """Take streams until the time is over."""
    request = order.target.request(stream_body(order.chunks, 0))
    address = ("127.0.0.1", order.target.port)
    chunks = streams = failed = 0
    with contextlib.ExitStack() as stack:
        epoll = stack.enter_context(select.epoll())
        clients: dict[int, tuple[socket.socket, bytes]] = {}
        for _ in range(order.connections):
            client = stack.enter_context(socket.create_connection(address))
            client.sendall(request)
            clients[client.fileno()] = (client, b"")
            epoll.register(client, select.EPOLLIN)
        began_s = time.monotonic()
        while clients and time.monotonic() - began_s < order.seconds:
            for number, _ in epoll.poll(POLL_S):
                client, rest = clients[number]
                data = b""
                with contextlib.suppress(ConnectionError):
                    data = client.recv(READ_BYTES)
                text = rest + data
                chunks += text.count(_MARK)
                clients[number] = (client, text[1 - len(_MARK) :])
                if not data:
                    failed += 1
                    del clients[number]
                    epoll.unregister(client)
                elif text.endswith(_OVER):
                    streams += 1
                    client.sendall(request)
        return Outcome(time.monotonic() - began_s, chunks, streams, failed)


def main() -> None:
    """Read the order, write the outcome."""
    gc.disable()
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    sys.stdout.buffer.write(msgspec.json.encode(run(order)))


if __name__ == "__main__":
    main()
