"""All batches of the platform: taken up at the start, run beside each other, left at a stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from entente.domain.batches import UNFINISHED, Batch
from entente.domain.errors import EntenteError, Overloaded
from entente.domain.principal import Principal
from entente.gateway.batches.book import CLOSING, Book, read_batch, stored_batch
from entente.gateway.batches.forms import FORMS
from entente.gateway.batches.run import Run, Shop
from entente.gateway.batches.slots import Places, Slot
from entente.objects import Order, StoredObject, Wanted
from entente.objects.model import PAGE_MAX

ACTIVE_MAX: Final = 64
"""Batches that are run beside each other; more of them wait as `validating`."""
RUNS_MAX: Final = 10_000
"""Batches that have not ended, those that wait among them."""
GIVE_WAY_S: Final = 0.05

_log = logging.getLogger("entente.batches")


class Executor:
    """Runs batches. One per process."""

    def __init__(self, shop: Shop) -> None:
        """Take what batches share; nothing runs yet."""
        self._shop = shop
        self._active = Places(ACTIVE_MAX)
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def batches(self) -> int:
        """Batches that have not ended."""
        return len(self._runs)

    @property
    def requests(self) -> int:
        """Requests of batches that are being served."""
        return sum(run.running for run in self._runs.values())

    async def start(self) -> None:
        """Take up what an earlier process left unfinished, oldest first."""
        objects = self._shop.files.objects
        for kind in FORMS:
            wanted = Wanted(
                limit=PAGE_MAX, order=Order.ASC, states=(*map(str, UNFINISHED), CLOSING)
            )
            while True:
                page = await objects.of_all(kind, wanted)
                for kept in page.found:
                    self._take_up(kept)
                if not page.has_more:
                    break
                wanted = msgspec.structs.replace(wanted, after=page.found[-1].id)

    async def add(
        self,
        who: Principal,
        batch: Batch,
        expires_ns: int | None = None,
        *,
        input_bytes: int = 0,
    ) -> None:
        """Keep a new batch, whose input is on the disk, and run it.

        `input_bytes` count for its project: those of an input that is no file of it.
        Raises StorageUnavailable, and Overloaded past the bound of batches.
        """
        files = self._shop.files
        if self._stopping or len(self._runs) >= RUNS_MAX:
            await files.blobs.delete(batch.id)
            raise Overloaded(_FULL)
        kept = stored_batch(who, batch, files.now_ns(), expires_ns, input_bytes)
        try:
            await files.objects.create(who, kept)
        except EntenteError:
            await files.blobs.delete(batch.id)
            raise
        self._take_up(kept)

    async def find(self, who: Principal, kind: str, id: str) -> Batch | None:
        """Find a batch of the principal's project as it is now."""
        kept = await self._shop.files.objects.get(who, kind, id)
        return None if kept is None else self.current(kept)

    def current(self, kept: StoredObject) -> Batch:
        """Give a batch with what its run knows beyond its record."""
        run = self._runs.get(kept.id)
        if run is None:
            return read_batch(kept)
        return msgspec.structs.replace(run.book.batch, counts=run.counts)

    async def cancel(self, id: str) -> Batch | None:
        """Cancel a batch; None if it is too late for that."""
        run = self._runs.get(id)
        if run is None or not await run.cancel():
            return None
        return msgspec.structs.replace(run.book.batch, counts=run.counts)

    async def stop(self, within_s: float) -> None:
        """Begin nothing more; let running requests finish, and cancel what takes longer."""
        self._stopping = True
        for run in self._runs.values():
            run.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _take_up(self, kept: StoredObject) -> None:
        """Run a batch in a task of its own."""
        if self._stopping:
            return
        run = Run(self._shop, Book(self._shop.files.objects, kept))
        self._runs[kept.id] = run
        task = asyncio.get_running_loop().create_task(self._go(run), name=kept.id)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Note the end of a batch's task, and what nobody has thought of."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            text = "batch %s failed inside the server and waits for the next start"
            _log.error(text, task.get_name(), exc_info=error)

    async def _go(self, run: Run) -> None:
        """Run a batch; what goes wrong with it is its own matter and no other's."""
        try:
            async with Slot(self._active, run.book.who.project):
                await run.go()
        except EntenteError as error:
            _log.warning("batch %s waits for the next start: %s", run.book.batch.id, error.message)
        finally:
            self._runs.pop(run.book.batch.id, None)


def gives_way(busy: Callable[[], int], at: int) -> Callable[[], Awaitable[None]]:
    """Make what requests of batches wait for: fewer than `at` other requests being served."""

    async def wait() -> None:
        while busy() >= at:  # noqa: ASYNC110  (a count that changes on the request path)
            await asyncio.sleep(GIVE_WAY_S)

    return wait


_FULL: Final = "The server has reached its bound of batches. Try again when some have ended."
