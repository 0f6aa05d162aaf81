"""The listener: accepts, sweeps once a second, and stops in order.

An orderly stop takes no new connection and closes idle ones; running requests are
awaited within a bound, then cancelled and awaited again, so that each of them has put
its settlement in line.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from typing import Final

from entente.http.exchange import Exchange
from entente.http.protocol import Connection, Shared

SWEEP_S: Final = 1.0
FLUSH_S: Final = 1.0
"""At a stop, clients have so long at least to read their last bytes."""
BACKLOG: Final = 2048


class Server:
    """Serves exchanges on a bound socket until told to stop."""

    def __init__(
        self,
        service: Callable[[Exchange], Coroutine[None, None, None]],
        listener: socket.socket,
        *,
        body_bytes_max: int,
        connections_max: int,
        drain_s: float,
    ) -> None:
        """Take the application and its socket; nothing is accepted yet.

        `drain_s` is how long a request goes on after its client has left.
        """
        self._shared = Shared(
            asyncio.get_running_loop(),
            service,
            body_bytes_max=body_bytes_max,
            connections_max=connections_max,
        )
        self._socket = listener
        self._drain_s = drain_s
        self._listening: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._shared.connections)

    async def start(self) -> None:
        """Accept connections from now on."""
        shared = self._shared
        if self._socket.family == socket.AF_UNIX:
            self._listening = await shared.loop.create_unix_server(
                lambda: Connection(shared), sock=self._socket, backlog=BACKLOG
            )
        else:
            self._listening = await shared.loop.create_server(
                lambda: Connection(shared), sock=self._socket, backlog=BACKLOG
            )
        self._sweeper = shared.loop.create_task(self._sweep())

    async def stop(self, within_s: float) -> None:
        """Stop accepting; let requests finish within `within_s` seconds, then cancel them.

        An answer has arrived when its client has read it, so what is still in a buffer is
        waited for as well.
        """
        shared = self._shared
        give_up_s = shared.loop.time() + within_s
        shared.stopping = True
        if self._listening is not None:
            self._listening.close()
        for connection in list(shared.connections):
            connection.stop()
        if running := shared.tasks():
            _, late = await asyncio.wait(running, timeout=within_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(shared.connections):
            connection.close()
        give_up_s = max(give_up_s, shared.loop.time() + FLUSH_S)
        if shared.connections:
            shared.emptied.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(give_up_s):
                    await shared.emptied.wait()
        for connection in list(shared.connections):
            connection.abort()

    async def _sweep(self) -> None:
        """Once a second, end what nobody has patience for any more."""
        shared = self._shared
        left: dict[Exchange, float] = {}
        while True:
            await asyncio.sleep(SWEEP_S)
            shared.now_s = shared.loop.time()
            for connection in list(shared.connections):
                connection.sweep()
            left = {exchange: left.get(exchange, shared.now_s) for exchange in shared.orphans}
            for exchange, since_s in left.items():
                if shared.now_s - since_s >= self._drain_s:
                    exchange.cut_off()
