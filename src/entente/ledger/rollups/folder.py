"""Folding while the server runs, in a thread of its own, about once a second.

Who asks for sums has what is settled folded first, so that a request whose answer has come
is counted in the next report. A fold that is far behind is not waited for: until it has
caught up there is no sum to give, and that is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from entente.domain.errors import LedgerError, StorageUnavailable
from entente.ledger.rollups.fold import STEP_ENTRIES, Folding
from entente.ledger.rollups.table import Rollups
from entente.ledger.rollups.tally import HOUR_S
from entente.telemetry.trouble import Trouble

FOLD_EVERY_S: Final = 1.0
STEPS_AWAITED_MAX: Final = 20
"""Steps that who asks waits for: a second or two."""

ANSWER_S_MAX: Final = 30.0
"""A database that has not answered after that is taken for lost."""
CLOSE_S_MAX: Final = 3.0
"""The same when the server stops."""

T = TypeVar("T")
_log = logging.getLogger("entente.ledger.rollups")


class Folder:
    """Keeps rollups up to the journal, and answers questions about them.

    `make` opens both, in the thread that uses them; where it cannot, it is tried again.
    """

    def __init__(self, make: Callable[[], Folding], now_s: Callable[[], int]) -> None:
        """Open nothing yet."""
        self._make = make
        self._now_s = now_s
        self._thread = ThreadPoolExecutor(1, "entente-rollups")
        self._folding: Folding | None = None
        self._whole_s: float | None = None
        """When the rollups had every entry last, by the loop's clock; at first when it began."""
        self._outage = Trouble(
            _log,
            "the sums of usage stay behind for now: %s",
            "the sums of usage go on",
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to fold in the background."""
        loop = asyncio.get_running_loop()
        self._whole_s = loop.time()
        self._task = loop.create_task(self._run())

    def behind_s(self) -> float:
        """Give the seconds since the rollups had every entry that there was."""
        if self._whole_s is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._whole_s

    async def ask(self, question: Callable[[Rollups], T]) -> T:
        """Put a question to rollups that have all that is settled now.

        Raises LedgerError, and StorageUnavailable while the fold is far behind.
        """
        for _ in range(STEPS_AWAITED_MAX):
            if await self._do(self._step) < STEP_ENTRIES:
                return await self._do(lambda folding: question(folding.rollups))
        behind = await self._do(Folding.behind)
        message = (
            f"The sums of usage are being made; {behind} entries are left. Try again in a moment."
        )
        raise StorageUnavailable(message)

    async def aclose(self) -> None:
        """Stop, after the step that runs."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        late = asyncio.get_running_loop().call_later(CLOSE_S_MAX, self._interrupt)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        late.cancel()
        self._thread.shutdown()

    async def _run(self) -> None:
        """Fold what is new, again and again; once an hour forget old minutes."""
        forgotten_s = 0
        while True:
            try:
                while await self._do(self._step) >= STEP_ENTRIES:
                    pass
                self._whole_s = asyncio.get_running_loop().time()
                if self._now_s() - forgotten_s >= HOUR_S:
                    await self._do(lambda folding: folding.forget(self._now_s()))
                    forgotten_s = self._now_s()
                self._outage.end()
            except LedgerError as error:
                self._outage.begin(error.message)
            await asyncio.sleep(FOLD_EVERY_S)

    def _step(self, folding: Folding) -> int:
        return folding.step(self._now_s())

    async def _do(self, work: Callable[[Folding], T]) -> T:
        """Do something in the thread, with what it has open; it is not let wait for ever."""
        loop = asyncio.get_running_loop()
        late = loop.call_later(ANSWER_S_MAX, self._interrupt)
        try:
            return await loop.run_in_executor(self._thread, lambda: work(self._opened()))
        finally:
            late.cancel()

    def _interrupt(self) -> None:
        if self._folding is not None:
            self._folding.interrupt()

    def _opened(self) -> Folding:
        if self._folding is None:
            made = self._make()
            if not made.check():
                _log.warning("the sums of usage are of another journal, and are made anew")
            self._folding = made
        return self._folding

    def _close(self) -> None:
        if self._folding is not None:
            self._folding.close()
