"""Several workers under one limit, each on its leases: in memory, and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

import psycopg
import pytest

from entente.db.address import Address, address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import migrate_postgres
from entente.domain.errors import LedgerUnavailable
from entente.domain.secret import Secret
from entente.ledger import postgres_leases
from entente.ledger.leases import FORGOTTEN_MS, Claim, Heard, Leases, Refused, Terms
from entente.ledger.lending.borrower import IDLE_MS, Borrower
from entente.ledger.lending.messages import Verdict, Word
from entente.ledger.meters import grant_meter
from entente.ledger.postgres_leases import PostgresAuthority
from entente.ledger.postgres_loans import end_loans, prune_meters
from tests.kit.authorities import Lenders, MemoryAuthority
from tests.kit.run import run, turns, until
from tests.support.postgres import postgres_server
from tests.support.postgres_line import PostgresLine, postgres_line

SPEND: Final = "spend|rule_1|all|organization:"
OWN: Final = "spend|rule_0|all|key:k"
AT_ONCE: Final = "concurrency|rule_2|all|project:default"
TOKENS: Final = "tokens|rule_3|2026-11-22T04:15|key:k"
WAIT_S: Final = 60.0
WORKERS: Final = 4


def now_ms() -> int:
    """Give milliseconds that never go back."""
    return time.monotonic_ns() // 1_000_000


class Site:
    """Workers that share an authority."""

    def __init__(self, address: Address | None) -> None:
        """Keep lenders in memory, or in the database at `address`."""
        self.address = address
        self.lenders = Lenders()
        self.workers: list[Leases] = []
        self.chains: list[int] = []
        self.database = PostgresDatabase(address) if address else None

    def add(self) -> Leases:
        """Start a worker."""
        if self.database is None:
            name = f"w{len(self.workers)}"
            leases = Leases(
                MemoryAuthority(self.lenders, name), name, now_ms=now_ms, now_ns=time.time_ns
            )
            self.lenders.workers[name] = leases.hear
        else:
            (chain,) = self.database.execute(
                "INSERT INTO chains (name, opened_ns) VALUES ('w', 1) RETURNING id"
            ).fetchone()
            self.chains.append(chain)
            assert self.address is not None
            authority = PostgresAuthority(self.address, lambda: chain)
            leases = Leases(authority, str(chain), now_ms=now_ms, now_ns=time.time_ns)
            authority.on_heard = leases.hear
        self.workers.append(leases)
        return leases

    @contextlib.asynccontextmanager
    async def open(self, workers: int = WORKERS) -> AsyncIterator[Site]:
        """Start workers, and stop them at the end."""
        try:
            for _ in range(workers):
                self.add()
            yield self
        finally:
            for worker in self.workers:
                await worker.aclose()
            if self.database is not None:
                self.database.close()


@pytest.fixture(params=["memory", "postgres"])
def site(request: pytest.FixtureRequest) -> Site:
    """Give an authority of either kind."""
    if request.param == "memory":
        return Site(None)
    return postgres_site(request.getfixturevalue("postgres_url"))


def postgres_site(url: str) -> Site:
    """Give one on a real database."""
    address = address_of(Secret(url))
    with contextlib.closing(PostgresDatabase(address)) as database:
        migrate_postgres(database, time.time_ns())
    return Site(address)


async def serve(
    worker: Leases,
    id: str,
    claims: list[Claim],
    costs: list[int],
    *,
    running: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> str:
    """Take, run, settle, and have it written; give how it ended."""
    try:
        await worker.take(id, claims, wait_s=WAIT_S)
    except Refused as refused:
        return str(refused.verdict)
    if running is not None:
        await running()
    worker.settle(id, {claim.meter: cost for claim, cost in zip(claims, costs, strict=True)})
    await asyncio.sleep(0)
    worker.written(id)
    return "served"


def claim(meter: str, amount: int, limit: int, revision: int = 0) -> Claim:
    """Claim an amount of a meter."""
    return Claim(meter, amount, Terms(limit, revision))


def test_a_budget_for_a_thousand_serves_a_thousand(site: Site) -> None:
    """Of three thousand requests at four workers, whichever they reach."""

    async def scenario() -> None:
        async with site.open():
            ends = await asyncio.gather(
                *(
                    serve(site.workers[n % WORKERS], f"r{n}", [claim(SPEND, 7, 7_000)], [7])
                    for n in range(3_000)
                )
            )
            assert Counter(ends) == {"served": 1_000, "never": 2_000}

    run(scenario())


def test_nobody_is_refused_for_what_others_hold_and_do_not_use(site: Site) -> None:
    """Holds ten times the cost, and a budget for the costs alone: all wait, and all fit."""

    async def scenario() -> None:
        async with site.open():
            ends = await asyncio.gather(
                *(
                    serve(site.workers[n % WORKERS], f"r{n}", [claim(SPEND, 10, 209)], [1])
                    for n in range(200)
                )
            )
            assert Counter(ends) == {"served": 200}

    run(scenario())


def test_who_may_not_wait_is_refused_when_all_places_run(site: Site) -> None:
    """And finds a place again once one is free, whichever worker had it."""

    async def scenario() -> None:
        async with site.open():
            for n in range(5):
                await site.workers[n % WORKERS].take(f"r{n}", [claim(AT_ONCE, 1, 5)], wait_s=WAIT_S)
            for n, worker in enumerate(site.workers):
                with pytest.raises(Refused) as refused:
                    await worker.take(f"late{n}", [claim(AT_ONCE, 1, 5)], wait_s=WAIT_S)
                assert refused.value.verdict is Verdict.FULL
            site.workers[0].settle("r4", {AT_ONCE: 0})
            site.workers[0].written("r4")
            await until_taken(site.workers[3], "again", claim(AT_ONCE, 1, 5))

    run(scenario())


async def until_taken(worker: Leases, id: str, wanted: Claim) -> None:
    """Try until there is a place: word of it takes a moment."""
    for n in itertools.count():  # the bound is that of `run`
        with contextlib.suppress(Refused):
            await worker.take(f"{id}{n}", [wanted], wait_s=WAIT_S)
            return
        await asyncio.sleep(0.001)


def test_requests_under_several_limits_take_from_all_or_none(site: Site) -> None:
    """In any order of claims, at all workers at once; at the end each limit is used up exactly."""

    async def scenario() -> None:
        async with site.open():
            spends, tokens = claim(SPEND, 3, 600), claim(TOKENS, 20, 3_000)
            ends = await asyncio.gather(
                *(
                    serve(
                        site.workers[n % WORKERS],
                        f"r{n}",
                        [spends, tokens] if n % 2 else [tokens, spends],
                        [3, 20] if n % 2 else [20, 3],
                    )
                    for n in range(400)
                )
            )
            assert ends.count("served") == 150, Counter(ends)

    run(scenario())


def test_a_lower_limit_holds_at_once_where_it_is_known(site: Site) -> None:
    """What is on loan under the old one is not taken any more."""

    async def scenario() -> None:
        async with site.open(2):
            one, other = site.workers
            assert await serve(one, "a", [claim(SPEND, 10, 10_000)], [10]) == "served"
            assert one.capacity(SPEND) > 10
            assert await serve(one, "b", [claim(SPEND, 10, 15, revision=1)], [10]) == "never"
            assert await serve(other, "c", [claim(SPEND, 5, 15, revision=1)], [5]) == "served"
            assert await serve(other, "d", [claim(SPEND, 1, 10_000)], [1]) == "never", "it is older"
            assert await serve(one, "e", [claim(SPEND, 1, 20, revision=2)], [1]) == "served"

    run(scenario())


def test_without_the_authority_only_what_is_on_loan_is_served() -> None:
    """The rest is refused with the reason, and served again by itself afterwards."""
    site = Site(None)

    async def scenario() -> None:
        async with site.open(1):
            (worker,) = site.workers
            assert await serve(worker, "a", [claim(SPEND, 1, 1_000)], [1]) == "served"
            site.lenders.broken = True
            assert await serve(worker, "b", [claim(SPEND, 1, 1_000)], [1]) == "served"
            with pytest.raises(LedgerUnavailable, match="away"):
                await worker.take("c", [claim(SPEND, 999, 1_000)], wait_s=WAIT_S)
            assert worker.trouble is not None
            with pytest.raises(LedgerUnavailable, match="away"):
                await worker.take("d", [claim(SPEND, 999, 1_000)], wait_s=WAIT_S)
            site.lenders.broken = False
            await until(lambda: worker.trouble is None)
            assert await serve(worker, "e", [claim(SPEND, 998, 1_000)], [998]) == "served"

    run(scenario())


def test_what_one_gives_back_when_it_is_refused_is_given_once() -> None:
    """The authority is away: who waited behind it has that now, and keeps it to itself."""

    async def scenario() -> None:
        async with Site(None).open(1) as site:
            (worker,) = site.workers
            await worker.take("all", [claim(SPEND, 100, 100)], wait_s=WAIT_S)
            await worker.take("own", [claim(OWN, 10, 10)], wait_s=WAIT_S)
            worker.cancel("own")
            site.lenders.broken = True
            ended = await asyncio.gather(
                worker.take("first", [claim(OWN, 10, 10), claim(SPEND, 5, 100)], wait_s=WAIT_S),
                worker.take("second", [claim(OWN, 10, 10)], wait_s=WAIT_S),
                return_exceptions=True,
            )
            assert isinstance(ended[0], LedgerUnavailable)
            assert ended[1] is None
            with pytest.raises(LedgerUnavailable):
                await worker.take("third", [claim(OWN, 10, 10)], wait_s=WAIT_S)

    run(scenario())


def test_who_begins_anew_finds_the_authority_by_itself() -> None:
    """Without a request: what there was to say went with the chain, and readiness waits for it."""

    async def scenario() -> None:
        lenders = Lenders()
        leases = Leases(MemoryAuthority(lenders, "w"), "w", now_ms=now_ms, now_ns=time.time_ns)
        lenders.broken = True
        with pytest.raises(LedgerUnavailable, match="on loan"):
            await leases.take("a", [Claim(SPEND, 1, Terms(1_000, 1))], wait_s=WAIT_S)
        assert leases.trouble is not None
        leases.restart("anew")
        lenders.broken = False
        await until(lambda: leases.trouble is None)
        await leases.aclose()

    run(scenario())


@pytest.mark.parametrize("is_known", [True, False])
def test_what_is_idle_is_kept_while_nobody_can_take_it_back(is_known: bool) -> None:
    """Where it is known that the authority is away; else it is given back, heard or not."""

    async def scenario() -> None:
        lenders, at_ms = Lenders(), [0]
        leases = Leases(
            MemoryAuthority(lenders, "w"),
            "w",
            now_ms=lambda: at_ms[0],
            now_ns=time.time_ns,
            away=lambda: "It is away." if is_known and lenders.broken else None,
        )
        claim = [Claim(SPEND, 1, Terms(1_000, 1))]
        await leases.take("a", claim, wait_s=WAIT_S)
        leases.settle("a", {SPEND: 1})
        leases.written("a")
        lenders.broken = True
        at_ms[0] += IDLE_MS
        await until(lambda: leases._outage.text is not None)
        if is_known:
            with pytest.raises(LedgerUnavailable, match=r"on loan.*away"):
                await leases.take("much", [Claim(SPEND, 999, Terms(1_000, 1))], wait_s=WAIT_S)
            await leases.take("b", claim, wait_s=WAIT_S)
        else:
            with pytest.raises(LedgerUnavailable, match=r"more than this worker has on loan.*away"):
                await leases.take("b", claim, wait_s=WAIT_S)
        await leases.aclose()

    run(scenario())


def test_a_wait_ends_with_patience_and_leaves_nothing_behind(site: Site) -> None:
    """So does one that is cancelled; who comes after has all that is left."""

    async def scenario() -> None:
        async with site.open(2):
            one, other = site.workers
            await one.take("held", [claim(SPEND, 60, 100)], wait_s=WAIT_S)
            with pytest.raises(Refused) as refused:
                await other.take("big", [claim(SPEND, 50, 100)], wait_s=0.05)
            assert refused.value.verdict is Verdict.FULL
            waiting = asyncio.create_task(other.take("gone", [claim(SPEND, 50, 100)], wait_s=60))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await other.take("small", [claim(SPEND, 40, 100)], wait_s=WAIT_S)

    run(scenario())


def test_what_was_taken_beyond_a_loan_is_told_at_once() -> None:
    """The lender would lend it to others; a cost within the loan can wait."""
    borrower = Borrower("w", patient=True)
    borrower.request("a", 5, now_ms=0)
    assert borrower.statement(0) is not None
    borrower.hear(word_of("w", granted=10, limit=100, number=1), 1)
    borrower.settle(5, 4, 1_000)
    borrower.written(5, 4)
    assert borrower.statement(1_000) is None
    borrower.request("b", 5, now_ms=1_000)
    borrower.settle(5, 9, 3_000)
    said = borrower.statement(3_000)
    assert said is not None
    assert (said.used, said.overdrawn) == (4, 3)  # what is not written yet is not told as used


def test_what_took_nothing_ahead_is_counted_however_long_it_runs() -> None:
    """Its window has long been over and at rest; it may cost something all the same."""

    async def scenario() -> None:
        lenders, at_ms = Lenders(), 0
        worker = Leases(
            MemoryAuthority(lenders, "w"), "w", now_ms=lambda: at_ms, now_ns=lambda: at_ms * 10**6
        )
        lenders.workers["w"] = worker.hear
        await worker.take("r", [Claim(SPEND, 0, Terms(100, 0, ends_ns=60 * 10**9))], wait_s=WAIT_S)
        for minutes in (2, 20, 21):
            at_ms = minutes * 60_000
            worker.hear([])
            await turns()
        worker.settle("r", {SPEND: 5})
        worker.written("r")
        await turns()
        assert lenders.lenders[SPEND].used == 5
        await worker.aclose()

    run(scenario())


@pytest.mark.parametrize("comes", ["room", "refusal", "restart"])
def test_an_answer_in_the_moment_in_which_patience_ends(comes: str) -> None:
    """The time is up and the answer there in one turn of the loop: nothing stays taken."""

    async def scenario() -> None:
        async with Site(None).open(1) as site:
            (worker,) = site.workers
            await worker.take("held", [claim(SPEND, 100, 100)], wait_s=WAIT_S)
            waiting = asyncio.create_task(worker.take("late", [claim(SPEND, 60, 100)], wait_s=0.01))
            await asyncio.sleep(0)
            said = {
                "room": lambda: worker.settle("held", {SPEND: 0}),
                "refusal": lambda: worker.hear([_never(worker)]),
                "restart": lambda: worker.restart("another"),
            }
            asyncio.get_running_loop().call_later(0.02, said[comes])
            time.sleep(0.05)  # noqa: ASYNC251  (both are due in the turn that follows)
            (ended,) = await asyncio.gather(waiting, return_exceptions=True)
            if comes == "restart":
                assert isinstance(ended, LedgerUnavailable)
                return
            if comes == "room":
                assert ended is None
                worker.settle("late", {SPEND: 0})
            else:
                assert isinstance(ended, Refused)
                worker.settle("held", {SPEND: 0})
            assert worker.standing(SPEND).pending == 0

    run(scenario())


def _never(worker: Leases) -> Heard:
    """Say that nothing more of the budget is left for anybody."""
    (borrower,) = worker._desk.borrowers.values()
    return Heard(SPEND, word_of(borrower.name, granted=100, limit=100, used=100))


def word_of(to: str, *, granted: int, limit: int, used: int = 0, number: int = 1_000) -> Word:
    """Say how a lender stands that knows all that was said."""
    return Word(
        to=to,
        version=1_000,
        number=number,
        granted=granted,
        verdict=Verdict.NEVER if used else Verdict.SERVED,
        round=0,
        scarce=False,
        free=0,
        limit=limit,
        used=used,
        own=0,
        left=limit - granted,
    )


def test_the_loans_of_a_closed_chain_come_back(postgres_url: str) -> None:
    """Less what the chain has used; and a worker that was taken for dead is not heard."""
    site = postgres_site(postgres_url)

    async def scenario() -> None:
        async with site.open(2):
            dead, other = site.workers
            await dead.take("lost", [claim(SPEND, 30, 100)], wait_s=WAIT_S)
            waiting = asyncio.create_task(
                other.take("next", [claim(SPEND, 70, 100)], wait_s=WAIT_S)
            )
            await asyncio.sleep(0)
            await asyncio.to_thread(_close, site, site.chains[0], 30)
            await waiting
            with pytest.raises(LedgerUnavailable, match="taken for dead"):
                await dead.take("more", [claim(TOKENS, 1, 100)], wait_s=WAIT_S)
            with pytest.raises(Refused):
                await other.take("over", [claim(SPEND, 1, 100)], wait_s=0.05)

    run(scenario())
    assert _meter(postgres_url, SPEND) == (30, 70)


def _close(site: Site, chain: int, used: int) -> None:
    """Close a chain as its taking over does."""
    assert site.address is not None
    database = PostgresDatabase(site.address)
    with contextlib.closing(database), database.transaction():
        database.execute("UPDATE chains SET closed_ns = 2 WHERE id = ?", (chain,))
        database.execute("INSERT INTO balances VALUES (?, 'meter', ?)", (SPEND, used))
        end_loans(database, chain)


def _meter(url: str, name: str) -> tuple[int, int]:
    """Read what is used of a meter, and lent."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT used, lent FROM meters WHERE name = %s", (name,)
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def test_answers_lost_and_notices_twice_move_nothing(postgres_url: str) -> None:
    """What is said again, by either side, counts once: totals are said, not steps."""

    async def scenario(line: PostgresLine) -> None:
        async with postgres_site(line.through(postgres_url)).open(2) as site:
            ends: Counter[str] = Counter()

            async def client(worker: Leases, name: str) -> None:
                for number in itertools.count():
                    try:
                        end = await serve(worker, f"{name}-{number}", [claim(SPEND, 7, 2_100)], [7])
                    except LedgerUnavailable:
                        end = "away"
                        await asyncio.sleep(0.01)
                    ends[end] += 1
                    if end == "never":
                        return

            clients = [
                client(worker, f"w{n}-{m}") for n, worker in enumerate(site.workers) for m in (1, 2)
            ]
            load = asyncio.gather(*clients)
            for served in (20, 100, 200):
                await until(lambda served=served: ends["served"] >= served)  # type: ignore[misc]
                line.lose("loans")
            await load
            await until(lambda: line.doubled > 0)
            assert line.lost["loans"] >= 1
            assert (ends["served"], ends["never"]) == (300, 4)
            used, _ = await asyncio.to_thread(_meter, postgres_url, SPEND)
            assert used == 2_100

    chance = random.Random(1)  # noqa: S311 - no secret
    with postgres_line(postgres_server().port, host="127.0.0.2", chance=chance) as line:
        run(scenario(line))


def test_windows_that_are_over_leave_nothing() -> None:
    """What was used of them is remembered for a day, and not longer: new ones never end."""
    site, clock_ms = Site(None), itertools.count(0, 60_000)
    at_ms = [0]

    async def scenario() -> None:
        worker = Leases(
            MemoryAuthority(site.lenders, "w"),
            "w",
            now_ms=lambda: at_ms[0],
            now_ns=lambda: at_ms[0] * 1_000_000,
        )
        ended = Claim(TOKENS, 5, Terms(100, 0, ends_ns=1_000_000_000))
        assert await serve(worker, "a", [ended], [5]) == "served"
        while TOKENS in worker.meters:
            at_ms[0] = next(clock_ms)
            worker.hear([])
            await asyncio.sleep(0.001)
        assert worker.capacity(TOKENS) == 5
        at_ms[0] += FORGOTTEN_MS
        worker.hear([])
        await until(lambda: worker.capacity(TOKENS) == 0)
        await worker.aclose()

    run(scenario())


def test_rows_that_were_made_are_not_all_remembered(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each window and each user has one; what is remembered of them is bounded, and no matter."""
    monkeypatch.setattr(postgres_leases, "MADE_KEPT_MAX", 2)
    site = postgres_site(postgres_url)

    async def scenario() -> None:
        async with site.open(1):
            (worker,) = site.workers
            for n in (*range(6), *range(6)):
                meter = f"requests|rule_1|all|end_user:{n}"
                assert await serve(worker, f"{n}", [claim(meter, 1, 9)], [1]) == "served"
            authority = worker._authority
            sets = [each for each in vars(authority).values() if isinstance(each, set)]
            assert sets
            assert max(map(len, sets)) <= 2

    run(scenario())


def test_a_granted_budget_is_a_meter(postgres_url: str) -> None:
    """Its limit is what stands on the key's accounts, whatever terms a worker names."""
    site = postgres_site(postgres_url)
    granted = grant_meter("key_a", "USD")

    async def scenario() -> None:
        async with site.open(2):
            assert site.database is not None
            for account, nano in (("available:key_a", 10**21), ("available:key_b", 5)):
                site.database.execute("INSERT INTO balances VALUES (?, 'USD', ?)", (account, nano))
            one, other = site.workers
            half = 10**21 // 2
            assert await serve(one, "a", [claim(granted, half, 0)], [half]) == "served"
            assert await serve(other, "b", [claim(granted, half, 0)], [half]) == "served"
            assert await serve(one, "c", [claim(granted, 1, 0)], [1]) == "never"
            site.database.execute("UPDATE balances SET nano = nano + 7 WHERE asset = 'USD'")
            assert await serve(other, "d", [claim(granted, 7, 0)], [7]) == "served"

    run(scenario())


def test_meters_of_windows_long_over_are_dropped(postgres_url: str) -> None:
    """Unless something of them is still on loan."""
    site = postgres_site(postgres_url)

    async def scenario() -> None:
        async with site.open(1):
            (worker,) = site.workers
            ended = Claim(TOKENS, 5, Terms(100, 0, ends_ns=1_000))
            assert await serve(worker, "a", [ended, claim(SPEND, 5, 100)], [5, 5]) == "served"
            assert site.database is not None
            assert prune_meters(site.database, 2_000) == 0
            await until(lambda: _meter(postgres_url, TOKENS) == (5, 0))
            assert prune_meters(site.database, time.time_ns()) == 1

    run(scenario())
