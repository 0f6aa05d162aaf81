"""The bounded set of connections to one origin, and the one clock that watches them.

A slot is the right to have one socket; `connections_max` slots exist. Whoever takes a slot
dials, and the slot comes back when the socket is closed. Idle connections are lent last in,
first out, so that surplus ones grow old and are closed. Who finds neither a connection nor
a slot queues first in, first out. Instead of a timer per operation, one sweep compares
deadlines every `SWEEP_S` while there is anything to watch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from entente.domain.errors import UpstreamBusy, UpstreamClosed, UpstreamConnectError
from entente.net.faults import Phase, connect_fault, timeout_fault

if TYPE_CHECKING:
    from entente.net.connect import Dialler
    from entente.net.connection import Connection
    from entente.net.options import ClientOptions, Timeouts

SWEEP_S: Final = 0.1
"""How often deadlines are compared, and so how late a timeout may be noticed."""


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Counts at one instant. `open` = `idle` + `busy`; dialling counts as busy."""

    open: int
    idle: int
    busy: int
    waiting: int


class _Waiter:
    """A request in the queue. Its future gets a connection, or None for a slot to dial in."""

    __slots__ = ("deadline", "future")

    def __init__(self, future: asyncio.Future[Connection | None], deadline: float) -> None:
        """Keep the future and the time of the loop's clock at which waiting ends."""
        self.future = future
        self.deadline = deadline


class Pool:
    """Connections to one origin. Bound to the event loop that first uses it."""

    def __init__(self, options: ClientOptions, dialler: Dialler) -> None:
        """Begin empty; nothing is opened before the first request."""
        self._connections_max = options.connections_max
        self._waiters_max = options.waiters_max
        self._wait_s = options.pool_wait_s
        self._keepalive_s = options.keepalive_s
        self._dialler = dialler
        self._slots_used = 0
        self._connections: set[Connection] = set()
        self._idle: deque[Connection] = deque()
        self._waiters: deque[_Waiter] = deque()
        self._dials: set[asyncio.Timeout] = set()
        self._sweep_handle: asyncio.TimerHandle | None = None
        self._closed = False
        self._emptied: asyncio.Future[None] | None = None

    def stats(self) -> PoolStats:
        """Count."""
        idle = len(self._idle)
        return PoolStats(self._slots_used, idle, self._slots_used - idle, len(self._waiters))

    def take(self, now: float) -> Connection | None:
        """Lend the idle connection that was used last, if one is young and silent."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.idle_since + self._keepalive_s >= now and connection.usable():
                return connection
            connection.discard()
        return None

    async def acquire(
        self, timeouts: Timeouts, total_at: float, *, fresh: bool = False
    ) -> Connection:
        """Lend an idle connection, or dial; wait in the queue when there is no slot.

        `fresh` never lends a used one, and waits at the front of the queue. Raises
        `UpstreamBusy`, `UpstreamTimeout` (connect or total) and `UpstreamConnectError`.
        """
        loop = asyncio.get_running_loop()
        while True:
            if self._closed:
                raise self._closed_fault()
            lent = None if fresh else self.take(loop.time())
            if lent is not None:
                return lent
            if self._slots_used < self._connections_max:
                self._slots_used += 1
                break
            evict = fresh and bool(self._idle)
            offered = (
                self._idle.popleft() if evict else await self._wait(loop, total_at, front=fresh)
            )
            if offered is None or (fresh and _took_slot_of(offered)):
                break
            if not fresh and offered.usable():
                return offered
            offered.discard()
        return await self._dial(loop, timeouts, total_at)

    async def _wait(
        self, loop: asyncio.AbstractEventLoop, total_at: float, *, front: bool
    ) -> Connection | None:
        """Queue for a connection, or for the slot of one that is gone (None)."""
        if len(self._waiters) >= self._waiters_max:
            msg = (
                f"{self._waiters_max} requests already wait for a connection to "
                f"{self._dialler.peer}. Try again later, or raise connections_max."
            )
            raise UpstreamBusy(msg)
        waiter = _Waiter(loop.create_future(), min(loop.time() + self._wait_s, total_at))
        if front:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        self._watch(loop)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if not waiter.future.cancelled() and waiter.future.exception() is None:
                self.pass_on(waiter.future.result())
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    async def _dial(
        self, loop: asyncio.AbstractEventLoop, timeouts: Timeouts, total_at: float
    ) -> Connection:
        """Connect in a slot that the caller owns; without success the slot goes on."""
        now = loop.time()
        connect_at = now + timeouts.connect_s
        deadline = asyncio.timeout_at(min(connect_at, total_at))
        connection: Connection | None = None
        try:
            async with deadline:
                self._dials.add(deadline)
                connection = await self._dialler.dial(self)
        except TimeoutError as error:
            if self._closed:
                raise self._closed_fault() from error
            first = connect_at <= total_at
            limit_s = timeouts.connect_s if first else timeouts.total_s
            phase: Phase = "connect" if first else "total"
            raise timeout_fault(phase, limit_s, self._dialler.peer) from error
        finally:
            self._dials.discard(deadline)
            if connection is None:
                self._slot_freed()
        if self._closed:
            connection.discard()
            self._slot_freed()
            raise self._closed_fault()
        if connection.closing:
            self._slot_freed()
            raise connect_fault(ConnectionResetError(), self._dialler.peer)
        connection.holds_slot = True
        self._connections.add(connection)
        self._watch(loop)
        return connection

    # What connections report.

    def lost(self, connection: Connection) -> None:
        """Take back the slot of a closed connection."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if connection.holds_slot:
            connection.holds_slot = False
            self._slot_freed()

    # Slots

    def pass_on(self, offer: Connection | None) -> None:
        """Give a clean connection, or a slot (None), to the first in the queue, or keep it."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_result(offer)
                return
        if offer is None:
            self._slots_used -= 1
            if self._emptied is not None and not self._slots_used and not self._emptied.done():
                self._emptied.set_result(None)
        elif self._closed:
            offer.discard()
        elif not offer.closing:
            self._idle.append(offer)

    def _slot_freed(self) -> None:
        """Give a slot to the first in the queue, or count it as free."""
        self.pass_on(None)

    # The clock

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Sweep from now on, if it is not so already."""
        if self._sweep_handle is None:
            self._sweep_handle = loop.call_later(SWEEP_S, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what is past its deadline, and close what was idle for too long."""
        now = loop.time()
        self._sweep_handle = None
        for connection in tuple(self._connections):
            exchange = connection.exchange
            if exchange is not None and (failure := exchange.expired(now)) is not None:
                connection.fail(failure)
        while self._idle and self._idle[0].idle_since + self._keepalive_s < now:
            self._idle.popleft().discard()
        for waiter in tuple(self._waiters):
            if now >= waiter.deadline and not waiter.future.done():
                waiter.future.set_exception(self._waited_too_long())
        if self._connections or self._waiters:
            self._watch(loop)

    def _waited_too_long(self) -> UpstreamBusy:
        """No connection came free in time."""
        return UpstreamBusy(
            f"All {self._connections_max} connections to {self._dialler.peer} stayed busy. "
            "Try again later, or raise connections_max or pool_wait_s."
        )

    # The end

    def _closed_fault(self) -> UpstreamConnectError:
        """Say that the client was closed before the request."""
        return UpstreamConnectError(
            f"The client of {self._dialler.peer} is closed. The request was not sent."
        )

    async def aclose(self) -> None:
        """Close every connection, fail every waiter and dial, wait until no socket is left."""
        loop = asyncio.get_running_loop()
        self._closed = True
        for waiter in tuple(self._waiters):
            if not waiter.future.done():
                waiter.future.set_exception(self._closed_fault())
        for deadline in tuple(self._dials):
            deadline.reschedule(loop.time())
        for connection in tuple(self._connections):
            connection.fail(
                UpstreamClosed(f"The client closed its connection to {self._dialler.peer}.")
            )
        self._idle.clear()
        if self._slots_used:
            if self._emptied is None:
                self._emptied = loop.create_future()
            await asyncio.shield(self._emptied)
        if self._sweep_handle is not None:
            self._sweep_handle.cancel()
            self._sweep_handle = None


def _took_slot_of(connection: Connection) -> bool:
    """Close a connection but keep its slot; False when it was lost, slot and all."""
    held = connection.holds_slot
    connection.holds_slot = False
    connection.discard()
    return held
