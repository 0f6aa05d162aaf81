"""One request and its answer: the state which the connection fills and the caller drains.

An exchange outlives its use of the connection: as soon as the answer is parsed to its end
the connection is let go, and what was received waits here for its reader. A failure is
kept too, and raised after what arrived before it was read.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, Protocol

from entente.domain.errors import UpstreamClosed, UpstreamError, UpstreamTimeout
from entente.net.faults import Phase, timeout_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from entente.net.options import Timeouts

HELD_BYTES_HIGH: Final = 256 * 1024
"""Body bytes held for a reader above which the connection stops reading."""

PIECE_BYTES_OVERHEAD: Final = 64
"""What a held piece costs beside its bytes, so that many tiny chunks are bounded as well."""

_LIMIT_NAMES: Final[dict[Phase, str]] = {
    "connect": "connect_s",
    "first_byte": "first_byte_s",
    "idle": "idle_s",
    "total": "total_s",
}


class Link(Protocol):
    """What an exchange asks of the connection that carries it."""

    peer: str

    def resume(self) -> None:
        """Read again after the high-water mark was passed."""

    def discard(self) -> None:
        """Close now; nothing that comes is wanted."""


class Exchange:
    """State of one request and its answer. One task waits for the answer at a time."""

    __slots__ = (
        "complete",
        "deadline",
        "failure",
        "fields",
        "head_done",
        "head_only",
        "held_bytes",
        "link",
        "loop",
        "phase",
        "pieces",
        "sent",
        "stale",
        "status",
        "taker",
        "timeouts",
        "total_at",
        "waiter",
        "writable",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeouts: Timeouts,
        total_at: float,
        *,
        head_only: bool,
    ) -> None:
        """Begin with nothing sent and nothing received. Times are of `loop.time()`."""
        self.loop = loop
        self.timeouts = timeouts
        self.total_at = total_at
        self.head_only = head_only
        self.link: Link | None = None
        self.status = 0
        self.fields: list[tuple[bytes, bytes]] = []
        """Of the head, in order, names in lower case."""
        self.pieces: list[bytes] = []
        self.held_bytes = 0
        self.head_done = False
        self.complete = False
        self.sent = False
        self.stale = False
        self.failure: UpstreamError | None = None
        self.phase: Phase = "first_byte"
        self.deadline = math.inf
        self.taker: Callable[[bytes], bool] | None = None
        """Gets pieces as they arrive, in the connection's own turn."""
        self.waiter: asyncio.Future[None] | None = None
        self.writable: asyncio.Future[None] | None = None

    async def head(self) -> None:
        """Wait until the answer's head is parsed. A cancelled reader abandons the exchange."""
        while not self.head_done:
            if self.failure is not None:
                raise self.failure
            try:
                await self._news()
            except asyncio.CancelledError:
                self.abandon()
                raise

    async def chunk(self) -> bytes:
        """Return what has arrived, or wait for more; `b""` at the clean end.

        A cancelled reader abandons the exchange.
        """
        while not self.pieces:
            if self.failure is not None:
                raise self.failure
            if self.complete:
                return b""
            self.phase = "idle"
            self.deadline = self.loop.time() + self.timeouts.idle_s
            try:
                await self._news()
            except asyncio.CancelledError:
                self.abandon()
                raise
            self.deadline = math.inf
        return self.take()

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Hand on what has arrived and what arrives; see `Response.pour`."""
        while True:
            if self.pieces:
                if not take(self.take()):
                    return True
            elif self.failure is not None:
                raise self.failure
            elif self.complete:
                return False
            else:
                self.phase = "idle"
                self.deadline = self.loop.time() + self.timeouts.idle_s
                self.taker = take
                try:
                    await self._news()
                except asyncio.CancelledError:
                    self.abandon()
                    raise
                finally:
                    self.deadline = math.inf
                if self._sated():
                    return True
                self.taker = None

    def _sated(self) -> bool:
        """Say whether who takes the pieces wants no more for now."""
        return self.taker is None

    def arrived(self) -> None:
        """Hand on the pieces that came, or wake who waits for them."""
        take = self.taker
        if take is not None:
            self.deadline = self.loop.time() + self.timeouts.idle_s
            try:
                if take(self.take()):
                    return
            except Exception as fault:  # noqa: BLE001  (raised where the answer is waited for)
                waiter = self.waiter
                if waiter is not None and not waiter.done():
                    self.waiter = None
                    waiter.set_exception(fault)
            self.taker = None
        self.wake()

    def take(self) -> bytes:
        """Give what has arrived and was not read, `b""` for nothing."""
        pieces, self.pieces = self.pieces, []
        if self.held_bytes > HELD_BYTES_HIGH and self.link is not None:
            self.link.resume()
        self.held_bytes = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _news(self) -> asyncio.Future[None]:
        """Give what is done when the connection has news."""
        if self.waiter is not None:
            msg = "Two tasks read the same response."
            raise RuntimeError(msg)
        waiter = self.waiter = self.loop.create_future()
        return waiter

    async def until_writable(self) -> None:
        """Wait until the server has taken what was written, or the exchange is over."""
        self.phase = "idle"
        self.deadline = self.loop.time() + self.timeouts.idle_s
        writable = self.writable = self.loop.create_future()
        try:
            await writable
        finally:
            self.writable = None
            self.deadline = math.inf

    def mark_sent(self) -> None:
        """Note that the request is written whole: from now on the answer is due."""
        self.sent = True
        self.phase = "first_byte"
        self.deadline = self.loop.time() + self.timeouts.first_byte_s

    def over(self) -> bool:
        """Tell whether sending more of the request is of no use."""
        return self.head_done or self.failure is not None

    def wake(self) -> None:
        """Let whoever waits look again."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if self.writable is not None:
            self.wake_writer()

    def wake_writer(self) -> None:
        """Let the upload go on, or see that it is over."""
        writable = self.writable
        if writable is not None and not writable.done():
            writable.set_result(None)

    def fail(self, failure: UpstreamError) -> None:
        """End with a failure; the first one stands."""
        if self.failure is None and not self.complete:
            self.failure = failure
        self.wake()

    def expired(self, now: float) -> UpstreamTimeout | None:
        """Return the timeout that has passed by `now`, if any."""
        if now < self.deadline and now < self.total_at:
            return None
        phase = "total" if now >= self.total_at else self.phase
        peer = self.link.peer if self.link is not None else "the provider"
        return timeout_fault(phase, getattr(self.timeouts, _LIMIT_NAMES[phase]), peer)

    def abandon(self) -> None:
        """Want nothing more. The connection is closed unless the answer was complete."""
        link = self.link
        if link is not None:
            self.fail(UpstreamClosed(f"The answer of {link.peer} was closed by its reader."))
            link.discard()
