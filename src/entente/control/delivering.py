"""Delivers what is in the outbox: at least once, a few at a time, until it arrives or is too old.

A receiver that answers with any 2xx has it. Everything else is tried again, later and later;
no redirect is followed, because it would lead past the check of the address.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from typing import TYPE_CHECKING, Final

from entente import __version__
from entente.auth.model import OPERATOR
from entente.control.events import EventType
from entente.control.key_forms import view
from entente.control.outbox import DAY_NS
from entente.control.signing import signature
from entente.control.targets import check_url, chosen
from entente.control.times import NS_PER_S
from entente.domain.errors import EntenteError, LedgerError, UpstreamConnectError
from entente.net import Client, ClientOptions, Timeouts
from entente.telemetry.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from entente.control.desk import Clerk, Desk
    from entente.control.queue import Due
    from entente.control.targets import Target
    from entente.domain.ids import NowNs

POLL_S: Final = 1.0
SWEEP_S: Final = 600.0
AT_ONCE_MAX: Final = 16
EACH_AT_ONCE_MAX: Final = 4
"""Deliveries to one webhook at once, so that a slow one does not hold up the others."""
TIMEOUTS: Final = Timeouts(connect_s=10.0, first_byte_s=15.0, idle_s=15.0, total_s=20.0)
GONE: Final = 410
_SUCCESS: Final = range(200, 300)
_NOT_REACHABLE: Final = (
    "The name {} has an address in a private network, or none at all, and is not connected to. "
    "Set webhooks.allow_private where one's own network is meant."
)

_log = logging.getLogger("entente.webhooks")


class Deliverer:
    """The task of one worker that delivers. `spread` gives a number from 0 to 1 at random."""

    def __init__(
        self, clerk: Clerk, *, allow_private: bool, now_ns: NowNs, spread: Callable[[], float]
    ) -> None:
        """Take the parts; `start` begins."""
        self._clerk = clerk
        self._allow_private = allow_private
        self._now_ns = now_ns
        self._spread = spread
        self._news = asyncio.Event()
        self._running: dict[asyncio.Task[None], Due] = {}
        self._task: asyncio.Task[None] | None = None
        self._swept_s = 0.0
        self._outage = Trouble(_log, "webhooks wait: %s", "webhooks are delivered again")
        self._expired_to_ns = now_ns() - DAY_NS
        """Of keys that ended before, it was told; or it is too long ago."""

    def start(self) -> None:
        """Begin to deliver."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """Look for what is due now, and not only at the next turn."""
        self._news.set()

    async def aclose(self) -> None:
        """Stop; what was on its way is delivered again later."""
        tasks = [*([self._task] if self._task is not None else []), *self._running]
        cut = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(LedgerError):
            await self._clerk.do(lambda desk: desk.queue.release(cut))

    async def _run(self) -> None:
        """Take what is due, turn after turn."""
        while True:
            try:
                await self._turn()
            except LedgerError as error:
                self._outage.begin(error.message)
            else:
                self._outage.end()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._news.wait()
            self._news.clear()

    async def _turn(self) -> None:
        """Tell of keys that have ended, sweep now and then, and begin what is due."""
        loop = asyncio.get_running_loop()
        now_ns = self._now_ns()
        await self._clerk.do(lambda desk: _tell_expired(desk, self._expired_to_ns, now_ns))
        self._expired_to_ns = now_ns
        if loop.time() - self._swept_s >= SWEEP_S:
            self._swept_s = loop.time()
            has_more = True
            while has_more:
                has_more = await self._clerk.do(_sweep)
        room = AT_ONCE_MAX - len(self._running)
        if not room:
            return
        busy = Counter(due.webhook for due in self._running.values())
        for due in await self._clerk.do(lambda desk: desk.queue.take(room, busy, EACH_AT_ONCE_MAX)):
            task = loop.create_task(self._deliver(due))
            self._running[task] = due
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Make room for the next."""
        del self._running[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("a delivery could not be noted, and is made again: %s", error)
        self._news.set()

    async def _deliver(self, due: Due) -> None:
        """Make one attempt, and note what came of it."""
        status: int | None = None
        try:
            status = await self._send(due, check_url(due.url, allow_private=self._allow_private))
            trouble = f"The webhook answered with status {status}."
        except (EntenteError, OSError) as error:
            trouble = error.message if isinstance(error, EntenteError) else str(error)
        if status == GONE:
            await self._clerk.do(lambda desk: desk.queue.gone(due, GONE))
        elif status is not None and status in _SUCCESS:
            arrived = status
            await self._clerk.do(lambda desk: desk.queue.delivered(due, arrived))
        else:
            spread = self._spread()
            await self._clerk.do(
                lambda desk: desk.queue.failed(due, status, trouble, spread=spread)
            )

    async def _send(self, due: Due, target: Target) -> int:
        """Send an event; give the status of the answer. Raises UpstreamError, OSError."""
        options = ClientOptions(
            base_url=target.origin,
            address=await self._resolve(target),
            connections_max=1,
            timeouts=TIMEOUTS,
        )
        at_s = self._now_ns() // NS_PER_S
        signed = signature(due.secret, due.event, at_s, due.body)
        headers = (
            (b"content-type", b"application/json"),
            (b"user-agent", f"entente/{__version__}".encode()),
            (b"webhook-id", due.event.encode()),
            (b"webhook-timestamp", b"%d" % at_s),
            (b"webhook-signature", signed.encode()),
        )
        client = Client(options)
        try:
            answer = await client.request(b"POST", target.path, headers, due.body)
            await answer.aclose()
            return answer.status
        finally:
            await client.aclose()

    async def _resolve(self, target: Target) -> str:
        """Look a name up once; the address that is checked is the one that is connected to."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(TIMEOUTS.connect_s):
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        addresses = [str(place[0]) for *_, place in found]
        address = chosen(addresses, allow_private=self._allow_private)
        if address is None:
            raise UpstreamConnectError(_NOT_REACHABLE.format(target.host))
        return address


def _tell_expired(desk: Desk, since_ns: int, now_ns: int) -> None:
    """Tell, once each, of keys whose end has come meanwhile."""
    for record in desk.store.expired(OPERATOR, since_ns, now_ns):
        who = record.principal
        once = f"{EventType.KEY_EXPIRED}/{who.key_id}/{who.expires_ns}"
        desk.outbox.tell(EventType.KEY_EXPIRED, {"key": view(record)}, once=once)


def _sweep(desk: Desk) -> bool:
    """End what is too old, and forget some of what nobody needs; say if there is more."""
    desk.queue.give_up()
    desk.creations.sweep()
    return desk.outbox.sweep()
