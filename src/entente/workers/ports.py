"""Binding a port for several processes: one socket each, among which the system spreads.

Measured with 512 connections to 4 workers: a socket that all accept from gave the workers
24, 83, 177 and 228 of them (another time 4, 34, 104 and 370), because whoever wakes first
takes all that wait; a socket each gave 118, 120, 135 and 139.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from entente.config import WORKERS_MAX, Config
from entente.host import listener
from entente.http.neighbours import door_of
from entente.http.server import BACKLOG

FOLDER_NAME: Final = "workers"
PATH_BYTES_MAX: Final = 100
"""Of a socket's path; systems allow 104 or 108."""


class Port:
    """One of the sockets of the port: a worker's, for as long as it is worth waiting for it.

    The system gives it connections from when it listens, which is when a worker serves from it.
    When that worker dies, connections wait in its line; once it is closed the system gives them
    to the others.
    """

    def __init__(self, config: Config, number: int) -> None:
        """Begin without a socket; `number` is that of the port."""
        self._config = config
        self._number = number
        self._stack = contextlib.ExitStack()
        self._socket: socket.socket | None = None

    def open(self) -> socket.socket:
        """Give the socket, bound; its worker makes it listen. Raises StartError."""
        if self._socket is None:
            shared = listener(self._config, port=self._number, is_shared=True)
            self._socket = self._stack.enter_context(shared)
        return self._socket

    def close(self) -> None:
        """Let go of the socket; who has inherited it keeps it."""
        self._stack.close()
        self._socket = None


class Sockets(NamedTuple):
    """What workers inherit of their parent, each its own port and door."""

    ports: list[Port]
    doors: list[socket.socket]
    folder: Path
    """Of the doors."""
    lock: int
    """Descriptor of the data folder's lock."""


@contextlib.contextmanager
def port_of(config: Config, count: int) -> Iterator[list[Port]]:
    """Bind the port `count` times. Raises StartError where it is in use.

    Sockets of ours can share a port with those of another process that does the same, so it
    is bound alone first. The first worker's listens at once: then nobody else can have the port,
    and connections wait for that worker, which is the first to serve.
    """
    with listener(config) as alone:
        number = alone.getsockname()[1]
    ports = [Port(config, number) for _ in range(count)]
    try:
        for port in ports:
            port.open()
        ports[0].open().listen(BACKLOG)
        yield ports
    finally:
        for port in ports:
            port.close()


@contextlib.contextmanager
def doors(data_dir: Path, count: int) -> Iterator[tuple[Path, list[socket.socket]]]:
    """Make sockets by which the workers of this host reach each other, for this user only.

    They are in the data folder, whose lock has to be held, or in a temporary one where that
    has a longer path than a socket can have. What an earlier parent left there goes.
    """
    folder = data_dir.absolute() / FOLDER_NAME
    if len(str(door_of(folder, WORKERS_MAX)).encode()) > PATH_BYTES_MAX:
        folder = Path(tempfile.mkdtemp(prefix="entente-"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        with contextlib.ExitStack() as stack:
            opened = []
            for number in range(1, count + 1):
                door = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                door.bind(str(door_of(folder, number)))
                door.listen(BACKLOG)
                opened.append(door)
            yield folder, opened
    finally:
        shutil.rmtree(folder, ignore_errors=True)
