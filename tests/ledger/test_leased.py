"""The ledgers of several workers on leases: what one ledger promises holds over all of them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Final

import pytest
from msgspec.structs import replace

from entente.domain.errors import (
    BudgetExceeded,
    LedgerUnavailable,
    LimitError,
    RateLimited,
    RequestTooLarge,
)
from entente.domain.usage import Usage
from entente.ledger.books import Books
from entente.ledger.journal import verify
from entente.ledger.leased import UNLIMITED, LeasedLedger
from entente.ledger.leases import Leases
from entente.ledger.meters import Draw, grant_meter
from entente.ledger.model import Hold
from tests.kit.authorities import Lenders, MemoryAuthority
from tests.kit.entries import AT_NS, KEY, USD, granted, held, settled
from tests.kit.journals import SlowJournal, TickJournal
from tests.kit.run import run, turns, until
from tests.ledger.test_leases import now_ms

ORG: Final = "spend|rule_1|all|organization:"
TOKENS: Final = "tokens|rule_2|2026-11-22T04:{:02}|key:k"
AT_ONCE: Final = "concurrency|rule_3|all|key:k"
GRANT: Final = grant_meter(KEY, USD)
WORKERS: Final = 4
MINUTE_NS: Final = 60 * 10**9


class Workers:
    """Ledgers that share lenders in memory. `at_ns` is the time of day for all of them."""

    def __init__(self, *, wait_s: float = 60.0) -> None:
        """Start with no worker."""
        self.lenders = Lenders()
        self.ledgers: list[LeasedLedger] = []
        self.leases: list[Leases] = []
        self.journals: list[TickJournal] = []
        self.revision = 0
        self.at_ns = AT_NS
        self._wait_s = wait_s

    def add(self, *, broken: tuple[type[Hold], ...] = ()) -> LeasedLedger:
        """Start one."""
        name = str(len(self.ledgers))
        journal = TickJournal(broken=broken)
        leases = Leases(
            MemoryAuthority(self.lenders, name),
            name,
            now_ms=now_ms,
            now_ns=lambda: self.at_ns,
        )
        self.lenders.workers[name] = leases.hear
        ledger = LeasedLedger(
            journal,
            Books(),
            leases,
            revision=lambda: self.revision,
            now_ns=lambda: self.at_ns,
            budget_wait_s=self._wait_s,
        )
        journal.on_written = ledger.wrote
        self.ledgers.append(ledger)
        self.leases.append(leases)
        self.journals.append(journal)
        return ledger

    @contextlib.asynccontextmanager
    async def open(self, workers: int = WORKERS) -> AsyncIterator[Workers]:
        """Start some, and see at the end that every chain verifies with nothing held."""
        for _ in range(workers):
            self.add()
        yield self
        await turns()
        for leases in self.leases:
            await leases.aclose()
        for journal in self.journals:
            report, books = verify(journal.rows)
            assert report.problems == []
            assert books.open_holds == {}


def drawing(id: str, *draws: Draw, nano: int = 0, bounded: bool = False) -> Hold:
    """Make a hold that draws on meters."""
    return replace(held(id, nano, bounded=bounded), draws=draws)


async def serve(ledger: LeasedLedger, opened: Hold, cost: int = 0) -> str:
    """Hold, run, settle; give how it ended."""
    try:
        await ledger.hold(opened)
    except LimitError as error:
        return type(error).__name__
    await asyncio.sleep(0)
    await ledger.settle(settled(opened, cost))
    return "served"


def test_a_rule_holds_over_all_workers() -> None:
    """As many are served as its amount pays for, and every chain proves its own part."""

    async def scenario() -> None:
        async with Workers().open() as workers:
            ends = await asyncio.gather(
                *(
                    serve(
                        workers.ledgers[n % WORKERS], drawing(f"r{n}", Draw(ORG, 5, 500), nano=5), 5
                    )
                    for n in range(300)
                )
            )
            assert Counter(ends) == {"served": 100, "BudgetExceeded": 200}

    run(scenario())


def test_nothing_is_on_loan_of_which_an_entry_says_too_much() -> None:
    """The limit that an entry names is what the worker has on loan, not what the rule allows."""

    async def scenario() -> None:
        async with Workers().open() as workers:
            ends = [
                await serve(ledger, drawing(f"r{n}", Draw(ORG, 5, 500), nano=5), 5)
                for n, ledger in enumerate(workers.ledgers)
            ]
            assert ends == ["served"] * WORKERS
            caps = [
                entry.draws[0].limit
                for ledger in workers.journals
                for entry in _holds(ledger)
                if entry.draws[0].limit is not None
            ]
            assert len(caps) == WORKERS
            assert sum(caps) <= 500

    run(scenario())


def _holds(journal: TickJournal) -> Iterator[Hold]:
    for row in journal.rows:
        entry = verify([row])[1].open_holds
        yield from entry.values()


def test_a_granted_budget_is_drawn_from_a_meter() -> None:
    """Its refusal is in the words that a single server has for it."""

    async def scenario() -> None:
        async with Workers().open() as workers:
            _grant(workers, 12)
            one, other = workers.ledgers[:2]
            assert await serve(one, held("a", 6), 6) == "served"
            assert await serve(other, held("b", 6), 1) == "served"
            with pytest.raises(BudgetExceeded, match=r"budget has 0\.000000005 USD"):
                await one.hold(held("c", 6))
            _grant(workers, 13)
            for ledger in workers.ledgers:
                ledger.see([granted("g", 1)])
            assert await serve(one, held("d", 6), 6) == "served"

    run(scenario())


def _grant(workers: Workers, limit: int) -> None:
    """Set what stands on the key's accounts, as the authority reads it."""
    workers.lenders.fixed[GRANT] = limit


def test_a_request_that_cannot_be_written_gives_everything_back() -> None:
    """So does one that is cancelled while it waits, or while it is written."""

    async def scenario() -> None:
        workers = Workers()
        async with workers.open(1):
            broken = workers.add(broken=(Hold,))
            whole = drawing("a", Draw(ORG, 10, 10), nano=10)
            with pytest.raises(LedgerUnavailable):
                await broken.hold(whole)
            (ledger, *_) = workers.ledgers
            writing = asyncio.create_task(ledger.hold(replace(whole, id="b")))
            while ORG not in ledger.books.meters.counters:  # noqa: ASYNC110 - not a turn too late
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            assert await serve(ledger, replace(whole, id="c"), 10) == "served"

    run(scenario())


def test_what_runs_already_is_held_beyond_every_limit() -> None:
    """It is counted when it is settled, so that nobody has what it took."""

    async def scenario() -> None:
        async with Workers().open(2) as workers:
            _grant(workers, 100)
            one, other = workers.ledgers
            assert await serve(one, drawing("a", Draw(ORG, 60, 100), nano=60, bounded=True), 60)
            whole = drawing("b", Draw(ORG, 60, 100), nano=60, bounded=True)
            with pytest.raises(BudgetExceeded):
                await one.hold(whole)
            await one.hold(held("free", 60, bounded=False), beyond=True)
            await one.settle(settled(held("free", 60, bounded=False), 1))
            await one.hold(whole, beyond=True)
            await one.settle(settled(replace(whole, bounded=False), 30))
            await turns()
            assert not workers.leases[0]._desk._baskets
            assert await serve(other, drawing("c", Draw(ORG, 11, 100), nano=11)) == "BudgetExceeded"
            await until(lambda: workers.lenders.lenders[GRANT].free == 10)
            assert await serve(other, held("d", 11)) == "BudgetExceeded"
            assert (
                await serve(other, drawing("e", Draw(ORG, 10, 100), nano=10, bounded=True), 10)
                == "served"
            )

    run(scenario())


def test_what_is_not_durable_goes_to_nobody_else() -> None:
    """A settlement frees what was held for other workers when it is written, and not before."""

    async def scenario() -> None:
        workers = Workers(wait_s=0.05)
        async with workers.open(2):
            one, other = workers.ledgers
            one.journal = slow = SlowJournal()
            opened = drawing("a", Draw(ORG, 10, 10), nano=10)
            holding = asyncio.create_task(one.hold(opened))
            await until(lambda: bool(slow.line))
            slow.write(works=True)
            await holding
            settling = one.settle(settled(opened, 1))
            slow.write(works=False)
            assert settling.exception() is not None
            with pytest.raises(BudgetExceeded) as refused:
                await other.hold(drawing("b", Draw(ORG, 9, 10), nano=9))
            assert refused.value.retry_after_ms
            slow.write(works=True)
            one.wrote([settled(opened, 1)])
            other._budget_wait_s = 60.0  # it was impatient for the refusal alone
            assert await serve(other, drawing("c", Draw(ORG, 9, 10), nano=9), 9) == "served"

    run(scenario())


def test_limits_that_nobody_waits_for_refuse_in_the_vendors_words() -> None:
    """Tokens of a minute, and requests at once."""

    async def scenario() -> None:
        async with Workers().open() as workers:
            tokens = TOKENS.format(15)
            one, other = workers.ledgers[:2]
            first = drawing("a", Draw(tokens, 60, 100), Draw(AT_ONCE, 1, 1))
            await one.hold(first)
            with pytest.raises(RateLimited, match="tokens per min"):
                await other.hold(drawing("b", Draw(tokens, 41, 100)))
            with pytest.raises(RequestTooLarge):
                await other.hold(drawing("c", Draw(tokens, 101, 100)))
            with pytest.raises(RateLimited, match="1 requests running"):
                await other.hold(drawing("d", Draw(AT_ONCE, 1, 1)))
            await one.settle(settled(first))
            assert one.standing(tokens).used == 3, "what was used, not what was held"
            assert await serve(other, drawing("e", Draw(tokens, 97, 100))) == "served"

    run(scenario())


def test_places_without_a_hold_count_with_all_workers() -> None:
    """Taken by one, they are missing to the others, until they are given back."""

    async def scenario() -> None:
        async with Workers().open() as workers:
            one, other = workers.ledgers[:2]
            draws = (Draw(TOKENS.format(15), 60, 100),)
            place = await one.admit(draws, "m", AT_NS)
            with pytest.raises(RateLimited):
                await other.admit(draws, "m", AT_NS)
            one.release(place)
            await turns(50)
            place = await other.admit(draws, "m", AT_NS)
            other.used(place, Usage(input=70))
            await turns(50)
            with pytest.raises(RateLimited):
                await one.admit((Draw(TOKENS.format(15), 31, 100),), "m", AT_NS)

    run(scenario())


def test_a_rule_that_only_tells_refuses_nobody_and_is_counted_over_all() -> None:
    """A meter without a limit has one that nobody reaches."""

    async def scenario() -> None:
        async with Workers().open() as workers:
            for n, ledger in enumerate(workers.ledgers):
                opened = drawing(f"r{n}", Draw(ORG, 10**20, None), nano=10**20)
                assert await serve(ledger, opened, 10**20) == "served"
            for ledger in workers.ledgers:
                ledger.revise({"rule_1": 1})
            await until(
                lambda: workers.lenders.lenders[ORG].used == WORKERS * 10**20,
            )
            assert workers.lenders.lenders[ORG].limit in (1, UNLIMITED)

    run(scenario())


def test_a_changed_rule_reaches_what_is_on_loan() -> None:
    """Each worker stops at once when it reads the lower amount, though it had more on loan."""

    async def scenario() -> None:
        async with Workers().open() as workers:
            for n, ledger in enumerate(workers.ledgers):
                assert await serve(ledger, drawing(f"r{n}", Draw(ORG, 1, 1000), nano=1), 1)
            workers.revision = 1
            for ledger in workers.ledgers:
                ledger.revise({"rule_1": 6})
            ends = [
                await serve(
                    workers.ledgers[n % WORKERS], drawing(f"s{n}", Draw(ORG, 1, 6), nano=1), 1
                )
                for n in range(8)
            ]
            assert ends.count("served") == 6 - WORKERS

    run(scenario())


@pytest.mark.parametrize("seed", range(3))
def test_tokens_per_minute_over_four_workers(seed: int) -> None:
    """Each minute lets through its limit and not a token more, less two percent at most."""
    limit, minutes = 30_000, 3

    async def scenario() -> None:
        chance = random.Random(seed)  # noqa: S311 - no secret
        numbers = count()
        async with Workers().open() as workers:
            for minute in range(minutes):
                meter = TOKENS.format(15 + minute)
                passed: Counter[str] = Counter()

                async def client(ledger: LeasedLedger, meter: str, passed: Counter[str]) -> None:
                    for _ in range(40):
                        most = chance.choice([100, 150, 400])
                        opened = drawing(f"q{next(numbers)}", Draw(meter, most, limit))
                        try:
                            await ledger.hold(opened)
                        except RateLimited:
                            passed["refused"] += 1
                            continue
                        used = chance.randint(most // 2, most)
                        entry = replace(settled(opened), usage=Usage(input=used))
                        passed["tokens"] += used
                        await turns(chance.randrange(4))
                        await ledger.settle(entry)

                await asyncio.gather(
                    *(client(workers.ledgers[n % WORKERS], meter, passed) for n in range(16))
                )
                assert passed["refused"] > 50
                assert 0.98 * limit <= passed["tokens"] <= limit, f"minute {minute}"
                workers.at_ns += MINUTE_NS

    run(scenario())


def test_a_worker_that_was_taken_for_dead_begins_anew() -> None:
    """What waits is refused with the reason; what runs is settled by whoever took it over."""

    async def scenario() -> None:
        async with Workers().open(2) as workers:
            one, other = workers.ledgers
            running = drawing("a", Draw(ORG, 10, 10), nano=10)
            await one.hold(running)
            waiting = asyncio.create_task(one.hold(drawing("b", Draw(ORG, 1, 10), nano=1)))
            await turns()
            lender = workers.lenders.lenders[ORG]
            lender.closed = 10
            words = lender.forfeit([name for name in lender.loans if name[0] == "0"], 0)
            assert words == []
            workers.lenders.workers["9"] = workers.leases[0].hear
            workers.leases[0].restart("9")
            one.restart(Books())
            with pytest.raises(LedgerUnavailable, match="cut off"):
                await waiting
            before = len(workers.journals[0].rows)
            await one.settle(settled(running, 10))
            assert len(workers.journals[0].rows) == before, "it is settled already"
            assert await serve(other, drawing("c", Draw(ORG, 1, 10), nano=1), 1) == "BudgetExceeded"
            workers.journals[0].rows.clear()

    run(scenario())
