"""What a worker follows in PostgreSQL besides its own chain: news, and chains of the dead.

Changes of keys, prices and rules, and entries that are written beside the servers, are told
by a notice; a number for each topic, read twice a second, finds what a notice did not reach.
The session is its own, so that nothing here stands in the way of the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from entente.db.address import Address
from entente.db.postgres_async import FAILURES, close_session, open_session, said_by
from entente.db.postgres_schema import NEWS_CHANNEL
from entente.domain.errors import EntenteError
from entente.telemetry.trouble import Trouble

if TYPE_CHECKING:
    from entente.db.postgres_async import Session

POLL_S: Final = 0.5
ANSWER_S_MAX: Final = 3.0
RETRY_S: Final = 0.5

OnNews: TypeAlias = Callable[[frozenset[str]], Awaitable[None]]
"""Told which topics have changed since it was last told; all that there are at first."""
Chore: TypeAlias = Callable[[], Awaitable[None]]

_log = logging.getLogger("entente.ledger")


class Watch:
    """Follows the news, and does chores from time to time; `start` and `aclose` it."""

    def __init__(self, address: Address, on_news: OnNews, chores: Mapping[float, Chore]) -> None:
        """Tell `on_news`; do each chore every so many seconds."""
        self._address = address
        self._on_news = on_news
        self._chores = chores
        self._seen: dict[str, int] = {}
        self._notice = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._outage = Trouble(
            _log,
            "news of the database are not heard: %s",
            "news of the database are heard again",
        )

    def start(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow())]
        self._tasks += [loop.create_task(self._do(s, chore)) for s, chore in self._chores.items()]

    async def aclose(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        """Listen, over one session after another."""
        session: Session | None = None
        while True:
            try:
                session = await open_session(self._address)
                await session.add_listener(NEWS_CHANNEL, self._heard)
                while True:
                    await self._look(session)
                    self._outage.end()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(POLL_S):
                            await self._notice.wait()
            except FAILURES as error:
                self._outage.begin(said_by(self._address, error))
            except EntenteError as error:
                self._outage.begin(error.message)
            finally:
                await close_session(session)
            await asyncio.sleep(RETRY_S)

    def _heard(self, *_: object) -> None:
        """Look at once."""
        self._notice.set()

    async def _look(self, session: Session) -> None:
        """See which topics have changed, and tell."""
        self._notice.clear()
        rows = await session.fetch("SELECT topic, generation FROM news", timeout=ANSWER_S_MAX)
        found = {row[0]: row[1] for row in rows}
        changed = frozenset(topic for topic, n in found.items() if self._seen.get(topic) != n)
        if changed:
            await self._on_news(changed)
        self._seen = found

    async def _do(self, every_s: float, chore: Chore) -> None:
        """Do a chore again and again; what fails now is done the next time."""
        outage = Trouble(
            _log, "a chore of the database is put off: %s", "a chore of the database is done again"
        )
        while True:
            await asyncio.sleep(every_s)
            try:
                await chore()
            except EntenteError as error:
                outage.begin(error.message)
            else:
                outage.end()
