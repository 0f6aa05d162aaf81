"""Hold, then settle: the books in memory, in step with the journal behind them.

A hold is admitted and a settlement applied in memory first, on the event loop, where
nothing can come between a check and its reservation; both then go to the journal in that
same order. So what the journal says after each entry is what was true when it was
decided, and a budget that holds in memory holds at every entry.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Final

from entente.domain.chat import Status
from entente.domain.errors import BudgetExceeded, LedgerError
from entente.domain.ids import NowNs
from entente.domain.money import format_nano
from entente.domain.usage import NOTHING, Usage
from entente.ledger.books import Books
from entente.ledger.model import AnyEntry, Hold, Settlement, settlement
from entente.ledger.store import Journal

RETRY_AFTER_MS: Final = 1_000
"""Hint to a client that waited for its turn in vain."""


class _Waiter:
    """A hold that waits for the holds of others to be settled."""

    __slots__ = ("hold", "turn")

    def __init__(self, hold: Hold, turn: asyncio.Future[None]) -> None:
        self.hold = hold
        self.turn = turn

    @property
    def admitted(self) -> bool:
        """Whether its hold has been applied, seen or not by who waits."""
        return self.turn.done() and not self.turn.cancelled() and self.turn.exception() is None


class Ledger:
    """The ledger of one process, on its event loop."""

    def __init__(
        self, journal: Journal, books: Books, *, now_ns: NowNs, budget_wait_s: float
    ) -> None:
        """Continue `books`, which the journal adds up to."""
        self.journal = journal
        self.books = books
        self._now_ns = now_ns
        self._budget_wait_s = budget_wait_s
        self._waiting: dict[str, deque[_Waiter]] = {}
        self._abandoned: set[asyncio.Future[None]] = set()

    async def hold(self, hold: Hold) -> None:
        """Set the amount aside, durably, before anything is sent to a provider.

        Where only other requests' open holds stand in the way, it waits for them, first
        come first served. Raises BudgetExceeded when the amount does not fit what is left,
        and LedgerUnavailable when it cannot be written; then nothing is held.
        """
        if hold.bounded:
            await self._make_room(hold)
        else:
            self.books.apply(hold)
        written = self.journal.append(hold)
        word = written.get_loop().create_future()
        written.add_done_callback(partial(_pass_on, word))
        try:
            await word
        except LedgerError:
            self._retract(hold)
            raise
        except asyncio.CancelledError:
            self._abandoned.add(written)
            written.add_done_callback(partial(self._abandon, hold))
            raise

    def settle(self, entry: Settlement) -> asyncio.Future[None]:
        """Close a hold. Nothing can come between the call and its place in the journal.

        The future is done when the settlement is durable. Cancelling who waits for it
        takes nothing back.
        """
        self.books.apply(entry)
        written = self.journal.append(entry)
        if self._waiting:
            self._admit(entry.key)
        return written

    def see(self, entries: Iterable[AnyEntry]) -> None:
        """Apply entries that another process wrote: a grant, most often."""
        keys = set()
        for entry in entries:
            self.books.apply(entry)
            keys.add(entry.key)
        for key in keys:
            self._admit(key)

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
            self.settle(
                settlement(
                    opened,
                    at_ns=self._now_ns(),
                    status=Status.TRUNCATED,
                    usage=Usage(input=opened.input_tokens, output=opened.output_tokens),
                    cost_nano=opened.nano if opened.priced else None,
                    provider="unknown",
                    estimated=True,
                    recovered=True,
                )
            )
            for opened in list(self.books.open_holds.values())
        ]
        await asyncio.gather(*closings)
        return len(closings)

    async def _make_room(self, hold: Hold) -> None:
        """Apply a bounded hold, now or when it is its turn."""
        waiting = self._waiting.get(hold.key)
        if not waiting and self._fits(hold):
            self.books.apply(hold)
            return
        if not self._can_ever_fit(hold):
            raise self._refusal(hold)
        waiter = _Waiter(hold, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(hold.key, deque()).append(waiter)
        try:
            async with asyncio.timeout(self._budget_wait_s):
                await waiter.turn
        except TimeoutError:
            # Who stood before it in line has waited at least as long, and is gone too.
            if not waiter.admitted and not self._fits(hold):
                raise self._refusal(hold, retry_after_ms=RETRY_AFTER_MS) from None
            if not waiter.admitted:
                self.books.apply(hold)
        except asyncio.CancelledError:
            if waiter.admitted:
                self._retract(hold)
            raise
        finally:
            self._forget(waiter)

    def _fits(self, hold: Hold) -> bool:
        """Say whether there is room for it now."""
        return hold.nano <= self.books.available(hold.key, hold.asset)

    def _can_ever_fit(self, hold: Hold) -> bool:
        """Say whether it fits once every open hold of the key has come back whole."""
        books = self.books
        return hold.nano <= books.available(hold.key, hold.asset) + books.held(hold.key, hold.asset)

    def _admit(self, key: str) -> None:
        """Let waiting holds in, in order, as far as there is room."""
        waiting = self._waiting.get(key)
        while waiting:
            waiter = waiting[0]
            if waiter.turn.done():
                waiting.popleft()
            elif self._fits(waiter.hold):
                self.books.apply(waiter.hold)
                waiter.turn.set_result(None)
                waiting.popleft()
            elif not self._can_ever_fit(waiter.hold):
                waiter.turn.set_exception(self._refusal(waiter.hold))
                waiting.popleft()
            else:
                return

    def _forget(self, waiter: _Waiter) -> None:
        """Take a waiter out of its line, and the line away when it is empty."""
        key = waiter.hold.key
        waiting = self._waiting.get(key)
        if waiting is None:
            return
        if waiter in waiting:
            waiting.remove(waiter)
            self._admit(key)
        if not waiting:
            self._waiting.pop(key, None)

    def _retract(self, hold: Hold) -> None:
        """Take back a hold that is not in the journal."""
        self.books.retract(hold)
        self._admit(hold.key)

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

    def _refusal(self, hold: Hold, *, retry_after_ms: int | None = None) -> BudgetExceeded:
        """Say what is missing."""
        left = self.books.available(hold.key, hold.asset)
        pending = self.books.held(hold.key, hold.asset)
        return BudgetExceeded(
            f"This key's budget has {format_nano(left)} {hold.asset} left"
            f"{f' and {format_nano(pending)} held by running requests' if pending else ''}; "
            f"this request can cost up to {format_nano(hold.nano)} {hold.asset}. "
            "Lower max_completion_tokens, or ask an administrator to raise the budget "
            "(entente budgets grant).",
            retry_after_ms=retry_after_ms,
        )


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
