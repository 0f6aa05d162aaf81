"""Looks, turn after turn, at what no settlement of this worker's tells of.

At the start it looks at every meter of a window that is not over: a crash may have kept
something from being told. Then at the ledger's trouble, and, where workers share meters, at
what all of them have used together.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from entente.domain.errors import LedgerError
from entente.domain.windows import end_ns
from entente.ledger.meters import read_meter
from entente.ledger.standings import standings
from entente.telemetry.trouble import Trouble

if TYPE_CHECKING:
    from entente.control.desk import Clerk
    from entente.control.watching import Watch
    from entente.domain.ids import NowNs
    from entente.ledger.ledger import Ledger
    from entente.ledger.meters import Counter

LOOK_S: Final = 1.0
RULES_MAX: Final = 1_000
"""Rules whose shared meters are looked at."""

_log = logging.getLogger("entente.webhooks")


class Look:
    """The task of one worker that looks. One of several `asks_for_others`."""

    def __init__(
        self, watch: Watch, clerk: Clerk, ledger: Ledger, *, now_ns: NowNs, asks_for_others: bool
    ) -> None:
        """Take the parts; `start` begins."""
        self._watch = watch
        self._clerk = clerk
        self._ledger = ledger
        self._now_ns = now_ns
        self._asks_for_others = asks_for_others
        self._outage = Trouble(
            _log, "shared budgets are not looked at: %s", "shared budgets are looked at again"
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look at what is known already, then begin to look."""
        now_ns = self._now_ns()
        for name, counter in self._ledger.books.meters.counters.items():
            ends_ns = end_ns(read_meter(name).window)
            if ends_ns is None or ends_ns > now_ns:
                self._watch.used(name, counter)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._watch.trouble(self._ledger.journal.trouble)
            if self._asks_for_others:
                for name, counter in await self._shared():
                    self._watch.used(name, counter)
            await asyncio.sleep(LOOK_S)

    async def _shared(self) -> list[tuple[str, Counter]]:
        """Give where shared meters stand; nothing while the database cannot be asked."""
        rules = self._watch.telling()[:RULES_MAX]
        if not rules:
            return []
        now_ns = self._now_ns()
        try:
            found = await self._clerk.do(lambda desk: standings(desk.base.database, rules, now_ns))
        except LedgerError as error:
            self._outage.begin(error.message)
            return []
        self._outage.end()
        return found
