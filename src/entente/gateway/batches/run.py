"""One batch from its validation to its files, at whatever point it is taken up.

    validating -> in_progress -> finalizing -> completed | expired | cancelled
               -> failed

Each state is durable before what it stands for is done, and each step can be done again,
so that a batch whose server died is simply run once more from the state that it was in.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec

from entente.domain.batches import CANCELLABLE, Batch, Counts, Ending, Fault, Result, State
from entente.domain.errors import BodyTooLarge, StorageUnavailable
from entente.domain.principal import Principal
from entente.domain.usage import NOTHING, Usage
from entente.gateway.batches.asking import Asking
from entente.gateway.batches.book import CLOSING, Book, Progress
from entente.gateway.batches.forms import BATCH, FORMS
from entente.gateway.batches.lines import Lines
from entente.gateway.batches.slots import Places, Slot
from entente.gateway.files import NS_PER_S, FileStore
from entente.wire import openai_batches
from entente.wire.openai_files import Wish

BEGUN_MAX: Final = 2
"""A line is begun so often at most, however often the server dies."""
CANCEL_S: Final = 600.0
"""Requests that run when their batch is cancelled may go on for so long."""
STORAGE_RETRY_S: Final = 1.0
PURPOSE: Final = "batch_output"
INPUT: Final = "in"
RESULTS: Final = "results"
"""Suffixes of a batch's own blobs."""


class Shop(NamedTuple):
    """What all batches share."""

    files: FileStore
    asking: Asking
    slots: Places
    """One for each request of a batch that may run at once."""
    give_way: Callable[[], Awaitable[None]]
    """Waits while other requests need the room."""
    may_use: Callable[[str, str], bool]
    """Whether a key, by its id, has a model."""
    requests_max: int
    line_bytes_max: int


class _Left(Exception):
    """A line that waits to be asked again is left to the next server."""


class Run:
    """A batch that is being run."""

    def __init__(self, shop: Shop, book: Book) -> None:
        """Take up a batch where its record says."""
        self._shop = shop
        self.book = book
        blobs = shop.files.blobs
        self._lines = Lines(blobs, f"{book.batch.id}.{INPUT}")
        self._progress = Progress()
        self._pending: deque[int] = deque()
        self._halt = asyncio.Event()
        """No more lines are begun: the batch is cancelled, or the server stops."""
        self._stopping = False
        self.running = 0
        """Lines that are being asked."""
        self.counts = book.batch.counts
        """As far as it has come; the record has them once it has ended."""

    def now_s(self) -> int:
        """Give the time, in seconds since 1970."""
        return self._shop.files.now_ns() // NS_PER_S

    async def cancel(self) -> bool:
        """Begin no more lines, and end as cancelled; False if it is too late for that."""

        def edit(batch: Batch) -> Batch | None:
            if batch.state not in CANCELLABLE:
                return None
            return msgspec.structs.replace(
                batch, state=State.CANCELLING, ending=State.CANCELLED, cancelling_s=self.now_s()
            )

        done = await self.book.change(edit)
        if done:
            self._halt.set()
        return done

    def stop(self) -> None:
        """Begin no more lines, and leave the batch to the next server."""
        self._stopping = True
        self._halt.set()

    async def go(self) -> None:
        """Run the batch to its end, or until the server stops."""
        if self.book.batch.ended_s is None:
            await self._index()
        if self.book.batch.state is State.VALIDATING and not self._stopping:
            await self._persist(self._begin)
        if self.book.batch.state in (State.IN_PROGRESS, State.CANCELLING):
            await self._ask_all()
            if self._stopping:
                return
            await self._persist(self._reserve)
        if self.book.batch.state is State.FINALIZING:
            await self._persist(self._finalise)
        if self.book.batch.ended_s is not None:
            await self._persist(self._clean)

    async def _persist(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step that the disk may not allow now, as often as it takes."""
        while True:
            try:
                await step()
            except StorageUnavailable:
                if self._stopping:
                    raise
                await asyncio.sleep(STORAGE_RETRY_S)
            else:
                return

    # ---- the input ----

    async def _index(self) -> None:
        """Find the lines; look at them as well where that was not done to its end."""
        batch = self.book.batch
        inspects = batch.kind == BATCH and batch.in_progress_s is None
        inspection = openai_batches.Inspection(batch)

        def look(line: bytes, number: int) -> bool:
            if inspects:
                inspection.look(line, number)
            return not inspection.hopeless

        try:
            await self._lines.find(look, self._shop.line_bytes_max if inspects else None)
        except BodyTooLarge as error:
            fault = Fault("invalid_request", error.message, None, len(self._lines) + 1)
            inspection.faults.append(fault)
        if inspects:
            inspection.close()
            await self._judge(inspection)
        self.counts = msgspec.structs.replace(self.counts, total=len(self._lines))
        self._progress = await self.book.progress()

    async def _judge(self, inspection: openai_batches.Inspection) -> None:
        """End a batch whose input is wrong. One that was cancelled meanwhile has no lines then."""
        faults = inspection.faults
        if not faults and not self._shop.may_use(self.book.key, inspection.model):
            faults.append(openai_batches.no_model(inspection.model))

        def fail(batch: Batch) -> Batch | None:
            if batch.state is not State.VALIDATING:
                return None
            return msgspec.structs.replace(
                batch,
                state=State.FAILED,
                faults=tuple(faults[: openai_batches.FAULTS_MAX]),
                ended_s=self.now_s(),
            )

        def name(batch: Batch) -> Batch:
            return msgspec.structs.replace(batch, model=inspection.model)

        if faults:
            if not await self.book.change(fail, searched=CLOSING):
                self._lines.drop()
        else:
            await self.book.change(name)

    async def _begin(self) -> None:
        def edit(batch: Batch) -> Batch | None:
            if batch.state is not State.VALIDATING:
                return None
            return msgspec.structs.replace(
                batch, state=State.IN_PROGRESS, in_progress_s=self.now_s()
            )

        await self.book.change(edit)

    # ---- the requests ----

    async def _ask_all(self) -> None:
        """Ask what has no result yet, until all have one or nothing more is begun."""
        done = self._progress.done
        self._pending.extend(n for n in range(len(self._lines)) if n not in done)
        async for _, result in self.book.results(sorted(done)):
            if result is not None:
                self._count(result.ending)
        if self.book.batch.state is State.CANCELLING:
            self._halt.set()
        count = min(self._shop.requests_max, len(self._pending))
        workers = [asyncio.create_task(self._work()) for _ in range(count)]
        try:
            await self._wait_for(workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _wait_for(self, workers: list[asyncio.Task[None]]) -> None:
        """Wait for the workers; those of a batch that is cancelled have so long to finish."""
        halted = asyncio.create_task(self._halt.wait())
        waiting: set[asyncio.Task[Any]] = set(workers)
        try:
            while waiting and not halted.done():
                done, rest = await asyncio.wait(
                    (*waiting, halted), return_when=asyncio.FIRST_COMPLETED
                )
                waiting = rest - {halted}
                for worker in done:
                    worker.result()
            if waiting:
                done, _ = await asyncio.wait(waiting, timeout=CANCEL_S)
                for worker in done:
                    worker.result()
        finally:
            halted.cancel()

    async def _work(self) -> None:
        """Take one line after the other."""
        while self._pending and not self._over():
            async with Slot(self._shop.slots, self.book.who.project) as slot:
                await self._shop.give_way()
                if self._over() or not self._pending:
                    return
                await self._line(self._pending.popleft(), slot)

    def _over(self) -> bool:
        """Say whether nothing more is to be begun."""
        return self._halt.is_set() or self.now_s() >= self.book.batch.expires_s

    async def _line(self, number: int, slot: Slot) -> None:
        """Ask one line, and note its result; both ends are durable."""
        times = self._progress.begun.get(number, 0) + 1
        raw = await self._lines.read(number)
        line = FORMS[self.book.batch.kind].read_line(raw)
        if times > BEGUN_MAX:
            result = Result(ending=Ending.INTERRUPTED, custom_id=line[0], times=BEGUN_MAX)
        else:
            await self._persist(lambda: self.book.begin(number, times))
            self._progress.begun[number] = times
            self.running += 1
            try:
                batch, key = self.book.batch, self.book.key
                result = await self._shop.asking.ask(
                    batch, key, line, lambda seconds: slot.without(self._pause(seconds))
                )
            except _Left:
                self._pending.appendleft(number)
                await self.book.leave(number, times)
                return
            finally:
                self.running -= 1
            result = msgspec.structs.replace(result, times=times)
        await self._persist(lambda: self.book.end(number, result))
        self._count(result.ending)

    async def _pause(self, seconds: float) -> bool:
        """Wait before a line is asked again; False if there is no time for that.

        Raises _Left if the server stops: then the next one asks again.
        """
        if self.now_s() + seconds >= self.book.batch.expires_s:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._halt.wait()
        if self._stopping:
            raise _Left
        return not self._halt.is_set()

    def _count(self, ending: Ending) -> None:
        done = self.counts
        if ending is Ending.COMPLETED:
            self.counts = msgspec.structs.replace(done, completed=done.completed + 1)
        else:
            self.counts = msgspec.structs.replace(done, failed=done.failed + 1)

    # ---- the results ----

    async def _reserve(self) -> None:
        """Decide how the batch ends, and the names of its files."""
        files = self._shop.files
        has_files = self.book.batch.kind == BATCH
        ids = (files.new_id(), files.new_id()) if has_files else ("", "")

        def edit(batch: Batch) -> Batch:
            expired = batch.ending is State.COMPLETED and self._pending
            return msgspec.structs.replace(
                batch,
                state=State.FINALIZING,
                ending=State.EXPIRED if expired else batch.ending,
                finalizing_s=self.now_s(),
                output_id=ids[0],
                error_id=ids[1],
            )

        await self.book.change(edit)

    async def _finalise(self) -> None:
        """Write the results as files; then the batch has ended."""
        batch = self.book.batch
        written = Written()
        own_bytes = 0
        if batch.kind == BATCH:
            await self._write(written, batch.output_id, batch.error_id)
            who, kept_s = self.book.who, batch.output_kept_s
            output = await self._keep(who, batch.output_id, written.output_bytes, kept_s)
            error = await self._keep(who, batch.error_id, written.error_bytes, kept_s)
        else:
            await self._write(written, f"{batch.id}.{RESULTS}", "")
            output = error = ""
            own_bytes = written.output_bytes
        self.counts = written.counts

        def edit(batch: Batch) -> Batch:
            return msgspec.structs.replace(
                batch,
                state=batch.ending,
                ended_s=self.now_s(),
                counts=written.counts,
                usage=written.usage,
                output_id=output,
                error_id=error,
            )

        await self.book.change(edit, searched=CLOSING, blob_bytes=own_bytes)

    async def _clean(self) -> None:
        """Delete what a batch that has ended needs no more."""
        await self._shop.files.blobs.delete_suffix(self.book.batch.id, INPUT)
        await self.book.close()

    async def _keep(self, who: Principal, id: str, size: int, kept_s: int | None) -> str:
        """Make the file of results; an empty one is none."""
        if not size:
            await self._shop.files.blobs.delete(id)
            return ""
        await self._shop.files.keep(who, id, size, Wish(PURPOSE, kept_s), f"{id}.jsonl")
        return id

    async def _write(self, written: Written, output: str, error: str) -> None:
        """Write every line's result, in the order of the input; failures apart if `error`."""
        batch, blobs = self.book.batch, self._shop.files.blobs
        form = FORMS[batch.kind]
        without = Ending.CANCELLED if batch.ending is State.CANCELLED else Ending.EXPIRED
        async with contextlib.AsyncExitStack() as stack:
            good = await stack.enter_async_context(blobs.writing(output))
            bad = await stack.enter_async_context(blobs.writing(error)) if error else good
            async for number, found in self.book.results(range(len(self._lines))):
                result = found
                if result is None:
                    custom_id, _ = form.read_line(await self._lines.read(number))
                    result = Result(ending=without, custom_id=custom_id)
                written.count(result)
                line = form.write_result(result, self._shop.files.ids.new("batch_req"))
                await (good if result.ending is Ending.COMPLETED else bad).write(line)
            for file in {good, bad}:
                await file.seal()
            written.output_bytes = good.bytes
            written.error_bytes = bad.bytes if error else 0


class Written(msgspec.Struct):
    """What was written: how many of each, what they used, and how long the files are."""

    counts: Counts = Counts()
    usage: Usage = NOTHING
    output_bytes: int = 0
    error_bytes: int = 0

    def count(self, result: Result) -> None:
        """Add one."""
        c, ending = self.counts, result.ending
        failed = ending in (Ending.FAILED, Ending.INTERRUPTED)
        self.counts = Counts(
            total=c.total + 1,
            completed=c.completed + (ending is Ending.COMPLETED),
            failed=c.failed + failed,
            cancelled=c.cancelled + (ending is Ending.CANCELLED),
            expired=c.expired + (ending is Ending.EXPIRED),
        )
        pairs = zip(self.usage.counts(), result.usage.counts(), strict=True)
        self.usage = Usage(*(one + other for one, other in pairs))
