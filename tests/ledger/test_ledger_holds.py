"""Hold and settle: refusals to the nano-unit, lines first come first served, nothing left."""

from __future__ import annotations

import asyncio
import random

import pytest

from entente.domain.chat import Status
from entente.domain.errors import BudgetExceeded, EntenteError, LedgerUnavailable
from entente.domain.usage import NOTHING, Usage
from entente.ledger.books import Books
from entente.ledger.journal import decode, verify
from entente.ledger.ledger import Ledger
from entente.ledger.memory import MemoryJournal
from entente.ledger.model import AnyEntry, Hold, Settlement
from entente.ledger.refusals import RETRY_AFTER_MS
from tests.kit.entries import AT_NS, KEY, USD, granted, held, now_ns, settled
from tests.kit.journals import SlowJournal
from tests.kit.run import run, run_stepping, turns

FOREVER_S = 1_000.0


def _ledger(
    budget: int, *, wait_s: float = FOREVER_S, journal: MemoryJournal | None = None
) -> Ledger:
    """Make a ledger in memory whose key may spend `budget`."""
    ledger = Ledger(journal or MemoryJournal(), Books(), now_ns=now_ns, budget_wait_s=wait_s)
    grant = granted("g", budget)
    ledger.books.apply(grant)
    ledger.journal.append(grant)
    return ledger


def _entries(ledger: Ledger) -> list[str]:
    assert isinstance(ledger.journal, MemoryJournal)
    return [row.idempotency_key for row in ledger.journal.rows]


def _assert_at_rest(ledger: Ledger) -> None:
    """Nothing held, nothing in line, and a journal that verifies and says the same."""
    assert isinstance(ledger.journal, MemoryJournal)
    report, books = verify(ledger.journal.rows)
    assert report.problems == []
    assert report.open_holds == 0
    assert ledger.books.open_holds == {}
    assert ledger.books.held(KEY, USD) == books.held(KEY, USD) == 0
    assert ledger.books.available(KEY, USD) == books.available(KEY, USD)
    assert not ledger._queue.lines
    assert ledger._abandoned == set()


async def _refused(error: asyncio.Task[None]) -> BudgetExceeded:
    with pytest.raises(BudgetExceeded) as caught:
        await error
    return caught.value


@pytest.mark.parametrize(("nano", "pass_"), [(1, 100), (10, 91)])
@pytest.mark.parametrize("seed", range(8))
def test_exactly_as_many_pass_as_fit(nano: int, pass_: int, seed: int) -> None:
    """Budget 100, cost 1: holds of 1 let 100 pass; holds of 10 let 91, in any interleaving.

    256 clients at once; each request lasts a random number of turns of the loop.
    """
    source = random.Random(seed)  # noqa: S311

    async def client(ledger: Ledger, number: int, before: int, during: int) -> bool:
        await turns(before)
        opened = held(f"r{number}", nano)
        try:
            await ledger.hold(opened)
        except BudgetExceeded:
            return False
        await turns(during)
        await ledger.settle(settled(opened, 1))
        return True

    async def scenario() -> None:
        ledger = _ledger(100)
        passed = await asyncio.gather(
            *(client(ledger, n, source.randrange(30), source.randrange(30)) for n in range(256))
        )
        assert sum(passed) == pass_
        _assert_at_rest(ledger)
        top_up = granted("g2", nano)
        ledger.journal.append(top_up)
        ledger.see([top_up])
        assert await client(ledger, 1000, 0, 0)
        _assert_at_rest(ledger)

    run(scenario())


def test_first_come_first_served() -> None:
    """A small request does not overtake a large one that waits, or the large one starves."""

    async def scenario() -> None:
        ledger = _ledger(10)
        first, large, small = held("first", 6), held("large", 9), held("small", 1)
        await ledger.hold(first)
        waits = [asyncio.create_task(ledger.hold(each)) for each in (large, small)]
        await turns()
        assert not any(task.done() for task in waits)
        await ledger.settle(settled(first, 1))
        await waits[0]
        await turns()
        assert not waits[1].done()
        await ledger.settle(settled(large, 0))
        await waits[1]
        await ledger.settle(settled(small, 0))
        assert [name for name in _entries(ledger) if name.startswith("hold")] == [
            "hold:first",
            "hold:large",
            "hold:small",
        ]
        _assert_at_rest(ledger)

    run(scenario())


@pytest.mark.parametrize("cancelled", [False, True])
def test_who_leaves_the_line_lets_the_next_one_in(cancelled: bool) -> None:
    """The large request at its head was all that the small one waited for."""

    async def scenario() -> None:
        ledger = _ledger(10, wait_s=FOREVER_S if cancelled else 0.02)
        first, small = held("first", 6), held("small", 3)
        await ledger.hold(first)
        large = asyncio.create_task(ledger.hold(held("large", 9)))
        await turns()
        ledger._budget_wait_s = FOREVER_S
        behind = asyncio.create_task(ledger.hold(small))
        await turns()
        assert not behind.done()
        if cancelled:
            large.cancel()
        await asyncio.gather(large, return_exceptions=True)
        await behind
        for each in (first, small):
            await ledger.settle(settled(each, 0))
        _assert_at_rest(ledger)

    run_stepping(scenario())


def test_a_request_that_can_never_fit_is_refused_at_once() -> None:
    """Even while others run: what is left and all that is held together would not do."""

    async def scenario() -> None:
        ledger = _ledger(10)
        first = held("first", 6)
        await ledger.hold(first)
        with pytest.raises(BudgetExceeded, match=r"0.000000004 USD left and 0.000000006 held"):
            await ledger.hold(held("over", 11))
        await ledger.settle(settled(first, 6))
        with pytest.raises(BudgetExceeded, match=r"0.000000004 USD left; this request"):
            await ledger.hold(held("over", 5))
        await ledger.hold(held("fits", 4))
        await ledger.settle(settled(held("fits", 4), 4))
        _assert_at_rest(ledger)

    run(scenario())


def test_a_request_in_line_is_refused_once_it_cannot_fit_any_more() -> None:
    """The settlement before it cost so much that waiting has become useless."""

    async def scenario() -> None:
        ledger = _ledger(10)
        first = held("first", 6)
        await ledger.hold(first)
        large = asyncio.create_task(ledger.hold(held("large", 9)))
        small = asyncio.create_task(ledger.hold(held("small", 4)))
        await turns()
        await ledger.settle(settled(first, 6))
        assert (await _refused(large)).retry_after_ms is None
        await small
        await ledger.settle(settled(held("small", 4), 4))
        _assert_at_rest(ledger)

    run(scenario())


def test_waiting_ends_with_a_hint_to_try_again() -> None:
    """Holds of others stood in the way all the time; the next in line then gets its turn."""

    async def scenario() -> None:
        ledger = _ledger(10, wait_s=0.02)
        first = held("first", 6)
        await ledger.hold(first)
        large = asyncio.create_task(ledger.hold(held("large", 9)))
        assert (await _refused(large)).retry_after_ms == RETRY_AFTER_MS
        await ledger.settle(settled(first, 0))
        _assert_at_rest(ledger)

    run(scenario())


def test_what_fits_is_not_refused_because_another_gave_up_at_the_same_moment() -> None:
    """Both waits end in one turn of the loop: the large one is refused, the small one fits."""

    async def scenario() -> None:
        ledger = _ledger(10, wait_s=0)
        first = held("first", 5)
        await ledger.hold(first)
        large = asyncio.create_task(ledger.hold(held("large", 8)))
        small = asyncio.create_task(ledger.hold(held("small", 5)))
        assert (await _refused(large)).retry_after_ms == RETRY_AFTER_MS
        await small
        await ledger.settle(settled(held("small", 5), 0))
        await ledger.settle(settled(first, 0))
        _assert_at_rest(ledger)

    run(scenario())


@pytest.mark.parametrize("after", range(14))
@pytest.mark.parametrize("in_line", [False, True])
@pytest.mark.parametrize("works", [False, True])
def test_cancelling_a_hold_leaves_nothing(after: int, in_line: bool, works: bool) -> None:
    """Whatever turn of the loop it comes in: in line, just admitted, being written, written.

    The disk takes what is in line every third turn, or fails once after the cancellation.
    """

    async def scenario() -> None:
        journal = SlowJournal()
        ledger = _ledger(10, journal=journal)
        first, cut = held("first", 6), held("cut", 9)
        journal.write(works=True)
        if in_line:
            hold = asyncio.create_task(ledger.hold(first))
            await turns()
            journal.write(works=True)
            await hold
        task = asyncio.create_task(ledger.hold(cut))
        for turn in range(after):
            if in_line and turn == 3:
                ledger.settle(settled(first, 1))
            if turn % 3 == 2:
                journal.write(works=True)
            await asyncio.sleep(0)
        task.cancel()
        await turns()
        journal.write(works=works)
        if not (await asyncio.gather(task, return_exceptions=True))[0]:
            ledger.settle(settled(cut, 0))
        if "first" in ledger.books.open_holds:
            ledger.settle(settled(first, 1))
        await turns()
        journal.write(works=True)
        _assert_at_rest(ledger)
        assert ledger.books.available(KEY, USD) == (9 if in_line else 10)

    run(scenario())


def test_a_hold_that_was_written_for_nobody_is_settled_as_cancelled() -> None:
    """Its entry says that nothing was used: no provider was asked.

    The ledger closes only when that entry is in line, or the checkpoint that is taken next
    would not agree with the journal.
    """

    async def scenario() -> None:
        journal = SlowJournal()
        ledger = _ledger(10, journal=journal)
        task = asyncio.create_task(ledger.hold(held("cut", 9)))
        await turns()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        closing = asyncio.create_task(ledger.aclose())
        await turns()
        assert not closing.done()
        journal.write(works=True)
        await closing
        assert [entry.idempotency_key for entry, _ in journal.line] == ["settle:cut"]
        journal.write(works=True)
        last = decode(journal.rows[-1].line)
        assert isinstance(last, Settlement)
        assert (last.status, last.usage, last.cost_nano) == (Status.CANCELLED, NOTHING, 0)
        _assert_at_rest(ledger)

    run(scenario())


def test_a_hold_that_cannot_be_written_holds_nothing() -> None:
    """And whoever waited behind it gets its place."""

    async def scenario() -> None:
        journal = SlowJournal()
        ledger = _ledger(10, journal=journal)
        first = asyncio.create_task(ledger.hold(held("first", 9)))
        second = asyncio.create_task(ledger.hold(held("second", 9)))
        await turns()
        journal.write(works=False)
        with pytest.raises(LedgerUnavailable):
            await first
        await turns()
        journal.write(works=True)
        await second
        ledger.settle(settled(held("second", 9), 0))
        journal.write(works=True)
        ledger.journal.append(granted("g", 10))
        assert ledger.books.available(KEY, USD) == 10
        assert ledger.books.open_holds == {}

    run(scenario())


def test_keys_do_not_wait_for_each_other() -> None:
    """A line belongs to one key; an unbounded hold never stands in one."""

    async def scenario() -> None:
        ledger = _ledger(10)
        await ledger.hold(held("first", 10))
        waiting = asyncio.create_task(ledger.hold(held("second", 1)))
        await turns()
        await ledger.hold(held("free", 10**6, "key_b", bounded=False))
        with pytest.raises(BudgetExceeded):
            await ledger.hold(held("none", 1, "key_c"))
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    run(scenario())


def test_a_foreign_grant_admits_who_waits_and_a_cut_refuses() -> None:
    """Budgets change while the server runs: the command line writes, the ledger sees."""

    async def scenario() -> None:
        ledger = _ledger(10)
        first = held("first", 10)
        await ledger.hold(first)
        waits = [asyncio.create_task(ledger.hold(held(f"w{n}", 5))) for n in range(3)]
        await turns()
        ledger.see([granted("more", 5)])
        await waits[0]
        assert not waits[1].done()
        ledger.see([granted("less", -13)])
        await _refused(waits[1])
        await _refused(waits[2])

    run(scenario())


@pytest.mark.parametrize(("priced", "cost"), [(True, 7), (False, None)])
def test_recovery_settles_open_holds_at_their_bound(priced: bool, cost: int | None) -> None:
    """What a crash cut off is charged in full and marked; without a price it stays unknown."""

    async def scenario() -> None:
        ledger = _ledger(10)
        opened = Hold(
            id="open",
            at_ns=AT_NS,
            key=KEY,
            asset=USD,
            model="m",
            nano=cost or 0,
            priced=priced,
            input_tokens=3,
            output_tokens=4,
            postings=held("open", cost or 0).postings,
        )
        ledger.books.apply(opened)
        ledger.journal.append(opened)
        assert await ledger.recover() == 1
        assert await ledger.recover() == 0
        assert isinstance(ledger.journal, MemoryJournal)
        entry = decode(ledger.journal.rows[-1].line)
        assert isinstance(entry, Settlement)
        assert entry.recovered
        assert entry.estimated
        assert entry.status is Status.TRUNCATED
        assert entry.usage == Usage(input=3, output=4)
        assert entry.cost_nano == cost
        _assert_at_rest(ledger)

    run(scenario())


def test_refusals_are_errors_of_the_one_tree() -> None:
    """Nothing else can leave the ledger."""
    assert issubclass(BudgetExceeded, EntenteError)


def test_what_is_let_in_stands_before_what_is_settled_next() -> None:
    """Else a settlement above its hold would make the journal say that another did not fit."""

    async def scenario() -> None:
        ledger = _ledger(100)
        await asyncio.gather(ledger.hold(held("a", 90)), ledger.hold(held("b", 10)))
        waiting = asyncio.create_task(ledger.hold(held("w", 90)))
        await turns(1)
        ledger.settle(settled(held("a", 90), 0))
        ledger.settle(settled(held("b", 10), 15))
        await waiting
        await ledger.settle(settled(held("w", 90), 0))
        _assert_at_rest(ledger)

    run(scenario())


@pytest.mark.parametrize("works", [True, False])
def test_cancelled_in_the_turn_in_which_it_is_let_in(*, works: bool) -> None:
    """Its hold is on its way to the disk: if it comes there, it is closed at nothing."""

    async def scenario() -> None:
        journal = SlowJournal()
        ledger = _ledger(100, journal=journal)
        journal.write(works=True)
        first = asyncio.create_task(ledger.hold(held("a", 90)))
        await turns(1)
        journal.write(works=True)
        await first
        waiting = asyncio.create_task(ledger.hold(held("w", 90)))
        await turns(1)
        ledger.settle(settled(held("a", 90), 0))
        waiting.cancel()
        await turns(1)
        assert waiting.cancelled()
        journal.write(works=works)
        await turns(2)
        journal.write(works=True)
        await turns(2)
        _assert_at_rest(ledger)
        assert ("hold:w" in _entries(ledger)) is works

    run(scenario())


class ReloadingJournal(MemoryJournal):
    """Refuses entries while books are read anew, as the one on PostgreSQL does."""

    reloads = False

    def append(self, entry: AnyEntry) -> asyncio.Future[None]:
        """Write an entry, or refuse it."""
        if not self.reloads:
            return super().append(entry)
        refused = asyncio.get_running_loop().create_future()
        refused.set_exception(LedgerUnavailable("It was taken over."))
        return refused


def test_who_waited_goes_on_with_the_books_that_were_read_anew() -> None:
    """It is let in once the journal takes entries again."""

    async def scenario() -> None:
        journal = ReloadingJournal()
        ledger = _ledger(100, journal=journal)
        await ledger.hold(held("a", 90))
        waiting = asyncio.create_task(ledger.hold(held("w", 90)))
        await turns(1)
        books = Books()
        books.apply(granted("g", 100))
        journal.reloads = True
        ledger.restart(books)
        journal.reloads = False
        await waiting
        assert ledger.books.open_holds.keys() == {"w"}

    run(scenario())
