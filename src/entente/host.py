"""What a server has of the machine that it runs on: its port, its files, its local runtime.

A server runs alone on a data folder, or as one of several workers of one parent, which then
holds what there can only be one of.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from entente.config import Config, ProviderKind
from entente.domain.errors import StartError
from entente.domain.ids import Ids
from entente.engine import Endpoint, Runtime, RuntimeOptions, builtin_model_path
from entente.gateway.running import Running
from entente.http.neighbours import Neighbours
from entente.news import News
from entente.telemetry.metrics import Monitor

RUNTIME_LOG_NAME: Final = "runtime.log"
FREE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Free memory at the end of the heap that is kept."""
HEAP_BLOCK_BYTES_MAX: Final = 4 * 1024 * 1024
"""A larger block of memory is mapped by itself, and goes back whole."""

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Of glibc's `mallopt`."""


class LocalRuntime(Protocol):
    """The runtime of local models, in a process that this one or its parent has started."""

    @property
    def endpoint(self) -> Endpoint | None:
        """Where it serves now, or None while it does not."""

    @property
    def trouble(self) -> str | None:
        """Why it does not serve, None where it does."""

    async def ready(self, timeout_s: float) -> Endpoint:
        """Wait for it to serve. Raises UpstreamConnectError when it does not in time."""


class Host(NamedTuple):
    """Which process of a host this is."""

    lock: int
    """Descriptor of the data folder's lock."""
    number: int = 0
    """Of a worker, from 1; 0 for a server that is alone."""
    workers: int = 1
    is_first: bool = True
    """Nobody has served from the data folder since it was locked."""
    runtime: LocalRuntime | None = None
    """The parent's."""
    folder: Path | None = None
    """Where the doors of the workers are."""
    door: int | None = None
    """Descriptor of our own."""
    program: str = ""
    """What the parent was begun by; nothing where there is none."""

    @property
    def is_alone(self) -> bool:
        """There is no other process that serves."""
        return self.number == 0

    @property
    def is_chief(self) -> bool:
        """This process does what is done once per host."""
        return self.number <= 1


class Around(NamedTuple):
    """What the parts of a process have in common."""

    host: Host
    monitor: Monitor
    running: Running
    news: News
    neighbours: Neighbours
    ids: Ids


def allow_open_files() -> None:
    """Take as many open files as the system lets us have; a running request takes two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def leave_alone_what_stays() -> None:
    """Look for garbage no more among what starting has made; it will stay as long as we do.

    A full collection halts every stream while it lasts: with all of it some 50 ms, without
    at most a sixth of that.
    """
    gc.collect()
    gc.freeze()


def keep_freed_memory() -> None:
    """Have what a body leaves free taken by the next, instead of going to the system and back.

    The C library gives back whatever is free at the end of its heap, and what it mapped for one
    block of memory; each page of it is then made anew for the next. Of the time of a request of
    100 KB that was a third. Where the library knows no such bounds, nothing changes.
    """
    library = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):
        library.mallopt(_TRIM_THRESHOLD, FREE_BYTES_MAX)
        library.mallopt(_MMAP_THRESHOLD, HEAP_BLOCK_BYTES_MAX)


async def start_runtime(config: Config, stack: contextlib.AsyncExitStack) -> Runtime | None:
    """Start the local runtime if a provider needs it; it loads while the rest is made."""
    if not any(p.kind is ProviderKind.LOCAL for p in config.providers.values()):
        return None
    runtime = Runtime(
        RuntimeOptions(
            model_path=builtin_model_path(),
            log_path=config.server.data_dir / RUNTIME_LOG_NAME,
        )
    )
    stack.push_async_callback(runtime.aclose)
    await runtime.start()
    return runtime


@contextlib.contextmanager
def listener(
    config: Config, *, port: int | None = None, is_shared: bool = False
) -> Iterator[socket.socket]:
    """Bind the port before anything else is started. Raises StartError.

    A port that `is_shared` can be bound again by who says so as well.
    """
    host, port = config.server.host, config.server.port if port is None else port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            bound.bind((host, port))
        except OSError as error:
            raise StartError(_cannot_listen(host, port, error)) from error
        bound.setblocking(False)  # noqa: FBT003
        yield bound


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    """Say why a port cannot be had, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is in use. Stop what listens there, or choose another port: "
            f"entente serve --port {port + 1}"
        )
    if error.errno == errno.EACCES:
        return f"Not allowed to listen on port {port}. Choose a port above 1023: --port 8080"
    return f"Cannot listen on {host} port {port}: {error.strerror or error}. Check server.host."
