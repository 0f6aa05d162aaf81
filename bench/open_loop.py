"""Open-loop load: requests at a constant rate, whether or not the ones before are answered.

    echo '{"port": …}' | python -m bench.open_loop

A closed loop waits while the server is slow, and so leaves out the very requests that
would have waited longest (coordinated omission). Here each request has its intended
time, and its latency counts from then, including the wait for a free connection and any
lateness of this program itself.
"""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import sys
import time
from collections import deque
from typing import Final

import httptools
import msgspec

from bench.numbers import percentile
from bench.traffic import SUCCESS, Target, chat_body

READ_BYTES: Final = 65_536
CONNECTIONS_MAX: Final = 256
NS_PER_S: Final = 1_000_000_000
NS_PER_US: Final = 1000
OVER_S: Final = 5.0
"""How long after the last request answers may still come."""


class Order(msgspec.Struct, frozen=True):
    """What to do."""

    target: Target
    per_s: float
    seconds: float
    body_bytes: int


class Outcome(msgspec.Struct, frozen=True):
    """What was seen. Latencies in microseconds from the intended start."""

    intended: int
    answered: int
    """Successfully; the latencies are of these."""
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    max_us: float


class Connection:
    """A connection with at most one request under way."""

    __slots__ = ("_parser", "answered", "intended_ns", "socket", "waiting")

    def __init__(self, port: int) -> None:
        """Connect."""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)  # noqa: FBT003  (socket's)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.intended_ns = 0
        self.waiting = False
        self.answered = False
        self._parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes, intended_ns: int) -> None:
        """Send a request. Raises OSError if the server has closed."""
        self.intended_ns = intended_ns
        self.waiting, self.answered = True, False
        self._parser = httptools.HttpResponseParser(self)
        sent = self.socket.send(request)
        if sent < len(request):
            self.socket.setblocking(True)  # noqa: FBT003  (socket's)
            self.socket.sendall(request[sent:])
            self.socket.setblocking(False)  # noqa: FBT003  (socket's)

    def read(self) -> bool:
        """Read; say whether the connection is still good. `waiting` ends with the answer."""
        try:
            data = self.socket.recv(READ_BYTES)
            if data:
                self._parser.feed_data(data)
        except BlockingIOError:
            return True
        except (OSError, httptools.HttpParserError):
            return False
        return bool(data)

    def on_message_complete(self) -> None:
        """Note the end of an answer, and whether it was a success."""
        self.waiting = False
        self.answered = self._parser.get_status_code() == SUCCESS


class Generator:
    """The requests of one order."""

    def __init__(self, order: Order) -> None:
        """Prepare; nothing is sent yet."""
        self._order = order
        self._request = order.target.request(chat_body(order.body_bytes))
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._free: list[Connection] = []
        self._pending: deque[int] = deque()
        self._latencies_us: list[float] = []

    def run(self) -> Outcome:
        """Send every request at its time; wait for the answers, within a bound."""
        count = int(self._order.per_s * self._order.seconds)
        step_ns = NS_PER_S / self._order.per_s
        start_ns = time.monotonic_ns()
        until_ns = start_ns + int((self._order.seconds + OVER_S) * NS_PER_S)
        due = 0
        while due < count or self._pending or len(self._free) < len(self._connections):
            now_ns = time.monotonic_ns()
            if now_ns > until_ns:
                break
            while due < count and start_ns + int(due * step_ns) <= now_ns:
                self._pending.append(start_ns + int(due * step_ns))
                due += 1
            self._send_pending()
            next_ns = start_ns + int(due * step_ns) if due < count else until_ns
            wait_s = max((next_ns - time.monotonic_ns()) / NS_PER_S, 0.0)
            select.select((self._epoll,), (), (), wait_s)
            for number, _ in self._epoll.poll(0):
                self._read(self._connections[number])
        return self._outcome(count)

    def _send_pending(self) -> None:
        """Send what is due, as far as there are connections."""
        while self._pending:
            if not self._free and len(self._connections) >= CONNECTIONS_MAX:
                return
            intended_ns = self._pending.popleft()
            try:
                connection = self._free.pop() if self._free else self._connect()
            except OSError:  # refused: not answered
                continue
            try:
                connection.send(self._request, intended_ns)
            except OSError:
                self._drop(connection)

    def _connect(self) -> Connection:
        """Open another connection. Raises OSError."""
        connection = Connection(self._order.target.port)
        self._connections[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket, select.EPOLLIN)
        return connection

    def _read(self, connection: Connection) -> None:
        """Take what came on a connection."""
        good = connection.read()
        if connection.answered:
            taken_ns = time.monotonic_ns() - connection.intended_ns
            self._latencies_us.append(taken_ns / NS_PER_US)
            connection.answered = False
            if good:
                self._free.append(connection)
        elif good and not connection.waiting and connection not in self._free:
            self._free.append(connection)
        if not good:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        """Close a connection; what it was asked is not answered."""
        with contextlib.suppress(ValueError):
            self._free.remove(connection)
        self._connections.pop(connection.socket.fileno(), None)
        connection.socket.close()

    def _outcome(self, count: int) -> Outcome:
        """Summarise."""
        values = self._latencies_us
        p50, p90, p99, p999, most = (percentile(values, p) for p in (50, 90, 99, 99.9, 100))
        return Outcome(count, len(values), p50, p90, p99, p999, most)


def main() -> None:
    """Read the order, write the outcome."""
    gc.disable()  # a collection would be a late request
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    sys.stdout.buffer.write(msgspec.json.encode(Generator(order).run()))


if __name__ == "__main__":
    main()
