"""Hold, then settle: the books in memory, in step with the journal behind them.

A hold is admitted and a settlement applied in memory first, on the event loop, where
nothing can come between a check and its reservation; both then go to the journal in that
same order. So what the journal says after each entry is what was true when it was
decided, and a budget that holds in memory holds at every entry.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple, Protocol

import msgspec

from entente.domain.chat import Status
from entente.domain.errors import LedgerError, LimitError
from entente.domain.ids import NowNs
from entente.domain.usage import NOTHING, Usage
from entente.ledger.books import Books
from entente.ledger.meters import SPEND, Counter, Draw, Taken
from entente.ledger.model import (
    AnyEntry,
    Hold,
    Settlement,
    available,
    recovery,
    settlement,
)
from entente.ledger.queue import Queue, Waiter
from entente.ledger.refusals import RETRY_AFTER_MS, budget_refusal, draw_refusal
from entente.ledger.store import Journal

COUNTERS_KEPT: Final = 1024
"""Counters of meters below which nobody looks for those whose window is over."""


class Watcher(Protocol):
    """Hears what comes of holds, on the event loop."""

    def settled(self, draws: Iterable[Draw], standing: Callable[[str], Counter]) -> None:
        """A request that drew so was settled; `standing` says where a meter stands now."""

    def refused(self, hold: Hold, draw: Draw | None, counter: Counter | None) -> None:
        """A hold did not fit into a meter, or, where that is None, its key's granted budget."""

    def unpriced(self, model: str) -> None:
        """A request was settled whose cost is not known."""


class _Obstacle(NamedTuple):
    """What a hold does not fit into: a meter, or the budget of its key."""

    draw: Draw | None
    passes: bool
    """It may fit once others' holds are settled."""


class Place(NamedTuple):
    """What was taken from meters for what has no hold of its own."""

    draws: tuple[Draw, ...] = ()
    id: str = ""


class Ledger:
    """The ledger of one process, on its event loop."""

    def __init__(
        self,
        journal: Journal,
        books: Books,
        *,
        now_ns: NowNs,
        budget_wait_s: float,
        watcher: Watcher | None = None,
    ) -> None:
        """Continue `books`, which the journal adds up to; `watcher` hears of what comes."""
        self.journal = journal
        self.books = books
        self._now_ns = now_ns
        self._budget_wait_s = budget_wait_s
        self.watcher = watcher
        self._queue = Queue()
        self._prune_at = COUNTERS_KEPT
        self._abandoned: set[asyncio.Future[None]] = set()
        self._settled_elsewhere: set[str] = set()

    @property
    def trouble(self) -> str | None:
        """Why no hold can be made now, None where one can."""
        return self.journal.trouble

    async def hold(self, hold: Hold, *, beyond: bool = False) -> None:
        """Set the amount aside, durably, before anything is sent to a provider.

        Where only money that other requests hold stands in the way, it waits for them, first
        come first served. Raises LimitError where it does not fit what is left, of money or of
        what else a rule counts, and LedgerUnavailable when it cannot be written; then nothing
        is held. `beyond` is for what runs already: it is held though it does not fit.
        """
        written: asyncio.Future[None] | None = None
        if beyond:
            hold = await self._take_beyond(hold)
        elif hold.bounded or hold.draws:
            hold, written = await self._make_room(hold)
        else:
            self.books.apply(hold)
        if written is None:
            written = self.journal.append(hold)
        word = written.get_loop().create_future()
        written.add_done_callback(partial(_pass_on, word))
        try:
            await word
        except LedgerError:
            self._retract(hold)
            raise
        except asyncio.CancelledError:
            self._leave(hold, written)
            raise

    def settle(self, entry: Settlement) -> asyncio.Future[None]:
        """Close a hold. Nothing can come between the call and its place in the journal.

        The future is done when the settlement is durable. Cancelling who waits for it
        takes nothing back.
        """
        if entry.id in self._settled_elsewhere:
            self._settled_elsewhere.discard(entry.id)
            return _done()
        opened = self.books.open_holds.get(entry.id)
        self.books.apply(entry)
        written = self.journal.append(entry)
        if opened is not None:
            self._closed(opened, entry)
            if self._queue.lines:
                self._admit(_waits_for(opened))
            if self.watcher is not None:
                self._tell(self.watcher, opened, entry)
        return written

    def _closed(self, opened: Hold, entry: Settlement) -> None:
        """Do what else belongs to the end of a hold; here nothing does."""

    def unpriced(self, model: str) -> None:
        """Tell of a request that is refused because its model has no price."""
        if self.watcher is not None:
            self.watcher.unpriced(model)

    def _tell(self, watcher: Watcher, opened: Hold, entry: Settlement) -> None:
        """Tell of a settlement."""
        if opened.draws:
            watcher.settled(opened.draws, self.standing)
        if entry.cost_nano is None:
            watcher.unpriced(entry.model)

    async def admit(self, draws: tuple[Draw, ...], model: str, at_ns: int) -> Place:
        """Take a place on meters for what has no hold of its own. Raises LimitError.

        Nothing of it is written: it is given back with `release`, or ended with `used`.
        """
        self.check(draws, model, at_ns)
        self.books.meters.hold(draws)
        return Place(draws)

    def check(self, draws: tuple[Draw, ...], model: str, at_ns: int) -> None:
        """Refuse what would be refused a place now, as far as that is known. Raises LimitError."""
        meters = self.books.meters
        for draw in meters.full(draws):
            counter = meters.of(draw.meter)
            raise draw_refusal(draw, counter, model=model, asset="", at_ns=at_ns)

    def release(self, place: Place) -> None:
        """Give back a place that was taken with `admit`."""
        self.books.meters.release(place.draws)

    def used(self, place: Place, usage: Usage) -> None:
        """Put what was used in the place of what was taken with `admit`."""
        self.books.meters.settle(place.draws, Taken(0, usage))

    def standing(self, meter: str) -> Counter:
        """Say where a meter stands, as far as is known here."""
        return self.books.meters.of(meter)

    def see(self, entries: Iterable[AnyEntry]) -> None:
        """Apply entries that another process wrote: a grant, most often."""
        keys = set()
        for entry in entries:
            self.books.apply(entry)
            keys.add(entry.key)
        self._admit(available(key) for key in keys)

    def restart(self, books: Books) -> None:
        """Go on with other books: what was held here, another worker has settled meanwhile."""
        former = self.books
        self._settled_elsewhere |= former.open_holds.keys()
        for opened in former.open_holds.values():
            former.meters.release(opened.draws)
        books.meters.take_pending(former.meters)  # of places, which have no hold
        self.books = books
        # The journal takes entries again only when whoever called us has returned to it.
        asyncio.get_running_loop().call_soon(lambda: self._admit(self._queue.names()))

    async def aclose(self) -> None:
        """Close the holds of requests that were cancelled, then the journal behind them."""
        while self._abandoned:
            await asyncio.wait(self._abandoned)
        await self.journal.aclose()

    async def recover(self) -> int:
        """Settle every hold that an earlier process left open, at its upper bound, marked.

        Gives the number of holds settled. Call it before the first request.
        """
        closings = [
            self.settle(recovery(opened, self._now_ns()))
            for opened in list(self.books.open_holds.values())
        ]
        await asyncio.gather(*closings)
        return len(closings)

    # ---- room ----

    async def _make_room(self, hold: Hold) -> tuple[Hold, asyncio.Future[None] | None]:
        """Apply a hold that something limits, now or when it is its turn.

        Gives what is applied, and the word of the journal where it is in line there already:
        what is settled between a turn and whoever wakes to it must not come before it.
        """
        obstacle = self._obstacle(hold)
        if obstacle is None and not self._queue.lines:
            self._apply(hold)
            return hold, None
        names = _waits_for(hold)
        if obstacle is None and not self._queue.is_taken(names):
            self._apply(hold)
            return hold, None
        if obstacle is not None and not obstacle.passes:
            raise self._refusal(hold, obstacle)
        waiter = Waiter(hold, names, asyncio.get_running_loop().create_future())
        self._queue.join(waiter)
        try:
            async with asyncio.timeout(self._budget_wait_s):
                return hold, await waiter.turn
        except TimeoutError:
            if waiter.admitted:
                return hold, waiter.turn.result()
            # Who stood before it in line has waited at least as long, and is gone too.
            obstacle = self._obstacle(hold)
            if obstacle is not None:
                raise self._refusal(hold, obstacle, waited=True) from None
            self._apply(hold)
            return hold, self.journal.append(hold)
        except asyncio.CancelledError:
            if waiter.admitted:
                self._leave(hold, waiter.turn.result())
            raise
        finally:
            if self._queue.leave(waiter):
                self._admit(names)

    async def _take_beyond(self, hold: Hold) -> Hold:
        """Apply a hold that nothing limits any more; give what is applied."""
        draws = tuple(Draw(draw.meter, draw.amount) for draw in hold.draws)
        taken = msgspec.structs.replace(hold, bounded=False, draws=draws)
        self._apply(taken)
        return taken

    def _apply(self, hold: Hold) -> None:
        """Take what a hold sets aside."""
        self.books.apply(hold)
        meters = self.books.meters
        if len(meters.counters) >= self._prune_at:
            meters.prune(hold.at_ns)
            self._prune_at = max(COUNTERS_KEPT, 2 * len(meters.counters))

    def _obstacle(self, hold: Hold) -> _Obstacle | None:
        """Say what stands in the way of a hold now, first of all what no waiting helps against."""
        found: _Obstacle | None = None
        books = self.books
        if hold.bounded:
            left = books.available(hold.key, hold.asset)
            if hold.nano > left:
                passes = hold.nano <= left + books.held(hold.key, hold.asset)
                found = _Obstacle(None, passes=passes)
        for draw in books.meters.full(hold.draws):
            if found is None or found.passes:
                passes = draw.meter.startswith(SPEND) and books.meters.can_ever_fit(draw)
                found = _Obstacle(draw, passes=passes)
        return found

    def _admit(self, names: Iterable[str]) -> None:
        """Let waiting holds in, in order, as far as there is room on what these name."""
        todo = deque(names)
        while todo:
            waiter = self._queue.first(todo[0])
            if waiter is None:
                todo.popleft()
                continue
            if not waiter.turn.done():
                obstacle = self._obstacle(waiter.hold)
                if obstacle is None:
                    self._apply(waiter.hold)
                    waiter.turn.set_result(self.journal.append(waiter.hold))
                elif obstacle.passes:
                    todo.popleft()
                    continue
                else:
                    waiter.turn.set_exception(self._refusal(waiter.hold, obstacle))
            self._queue.leave(waiter)
            todo.extend(waiter.names)

    def _retract(self, hold: Hold) -> None:
        """Take back a hold that is not in the journal."""
        self.books.retract(hold)
        self._admit(_waits_for(hold))

    def _leave(self, hold: Hold, written: asyncio.Future[None]) -> None:
        """Have a hold closed, once it is known whether it was written, for which nobody waits."""
        self._abandoned.add(written)
        written.add_done_callback(partial(self._abandon, hold))

    def _abandon(self, hold: Hold, written: asyncio.Future[None]) -> None:
        """Close the hold of a request that was cancelled while its hold was written."""
        self._abandoned.discard(written)
        if written.cancelled() or written.exception() is not None:
            self._retract(hold)
            return
        self.settle(
            settlement(
                hold, at_ns=self._now_ns(), status=Status.CANCELLED, usage=NOTHING, cost_nano=0
            )
        )

    def _refusal(self, hold: Hold, obstacle: _Obstacle, *, waited: bool = False) -> LimitError:
        """Say what is missing."""
        retry_after_ms = RETRY_AFTER_MS if waited else None
        draw = obstacle.draw
        counter = None if draw is None else self.standing(draw.meter)
        if self.watcher is not None:
            self.watcher.refused(hold, draw, counter)
        if draw is None or counter is None:
            left = self.books.available(hold.key, hold.asset)
            pending = self.books.held(hold.key, hold.asset)
            return budget_refusal(hold, left, pending, retry_after_ms=retry_after_ms)
        return draw_refusal(
            draw,
            counter,
            model=hold.model,
            asset=hold.asset,
            at_ns=hold.at_ns,
            retry_after_ms=retry_after_ms,
        )


def _waits_for(hold: Hold) -> tuple[str, ...]:
    """Name what a hold may have to wait for: money that others hold and may not need."""
    names = (available(hold.key),) if hold.bounded else ()
    if not hold.draws:
        return names
    return names + tuple(
        [
            draw.meter
            for draw in hold.draws
            if draw.limit is not None and draw.meter.startswith(SPEND)
        ]
    )


def _done() -> asyncio.Future[None]:
    """Give the future of what needs no waiting."""
    done = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done


def _pass_on(word: asyncio.Future[None], written: asyncio.Future[None]) -> None:
    """Tell who waits for its own word, so that cancelling it leaves the journal's alone."""
    if word.done():
        return
    if written.cancelled():
        word.cancel()
    elif (error := written.exception()) is not None:
        word.set_exception(error)
    else:
        word.set_result(None)
