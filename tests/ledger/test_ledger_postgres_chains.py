"""Chains of several writers in one PostgreSQL: who may write, who ends whose, what is verified."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest
from msgspec.structs import replace

from entente.db import postgres_async
from entente.db.address import Address, address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import migrate_postgres
from entente.domain.errors import LedgerUnavailable, StartError
from entente.domain.secret import Secret
from entente.ledger import postgres_session
from entente.ledger.appending import append_now
from entente.ledger.model import AnyEntry, payable
from entente.ledger.places import verify
from entente.ledger.postgres import LINGER_TURNS
from entente.ledger.postgres_ending import end_chain, take_over, take_over_dead
from entente.ledger.postgres_months import months
from entente.ledger.postgres_reader import chains, save_checkpoint, side_entries, start_books
from entente.ledger.store import Durability
from tests.kit.desks import Desk, desk
from tests.kit.entries import AT_NS, KEY, USD, granted, held, settled
from tests.kit.run import run, until

MONTH_NS = 31 * 86_400 * 1_000_000_000


def test_one_that_is_alone_stays_alone(postgres_url: str) -> None:
    """A second server is refused with what to do; others beside it are not asked."""

    async def scenario() -> None:
        async with desk(postgres_url) as first:
            second = Desk(postgres_url, Durability.FULL, alone=True)
            with pytest.raises(StartError, match="Another entente serves from the database"):
                await second.journal.open()
            second.database.close()
            await first.serve("r")

    run(scenario())


def test_beside_others_a_batch_waits_a_moment_for_more(postgres_url: str) -> None:
    """What comes within a few turns of the event loop is committed together."""

    async def scenario() -> None:
        async with desk(postgres_url, alone=False) as open_desk:
            journal = open_desk.journal
            written = []
            for number in range(LINGER_TURNS - 1):
                written.append(journal.append(held(f"r{number}", 5, bounded=False)))
                await asyncio.sleep(0)
            await asyncio.gather(*written)
            commits = "SELECT count(DISTINCT xmin::text), count(*) FROM entries"
            assert open_desk.database.execute(commits).fetchone() == (1, LINGER_TURNS - 1)

    run(scenario())


def test_chains_of_several_are_verified_together(postgres_url: str) -> None:
    """Two servers and the command line, each with its own; nothing is fought over."""

    async def scenario() -> None:
        async with (
            desk(postgres_url, alone=False) as first,
            desk(postgres_url, alone=False) as second,
        ):
            append_now(first.database, [granted("g", 100)])
            await asyncio.gather(
                *(first.serve(f"a{number}") for number in range(30)),
                *(second.serve(f"b{number}") for number in range(30)),
            )
            report = verify(first.database)
            assert report.problems == []
            assert (report.grants, report.requests) == (1, 60)
            assert len(chains(first.database)) == 3
            assert side_entries(second.database, 0, second.journal.chain)[1] == [granted("g", 100)]

    run(scenario())


def test_a_living_chain_is_not_taken_over(postgres_url: str) -> None:
    """Its lock is held for as long as its session lives."""

    async def scenario() -> None:
        async with desk(postgres_url) as open_desk:
            await open_desk.ledger.hold(held("r", 5, bounded=False))
            assert take_over(open_desk.database, open_desk.journal.chain, AT_NS) is None
            assert take_over_dead(open_desk.database, AT_NS) == {}

    run(scenario())


def test_a_month_may_be_dropped_when_its_chains_are_closed(postgres_url: str) -> None:
    """Not before: then what was spent would go with it. Months to come are not told of."""
    later_ns = AT_NS + MONTH_NS

    def state(opened: PostgresDatabase, at_ns: int) -> list[tuple[str, bool, int]]:
        found = months(opened, at_ns)
        return [(each.table[8:], each.may_be_dropped, len(each.writers)) for each in found]

    async def scenario() -> None:
        async with desk(postgres_url) as first:
            await first.serve("r")
            assert state(first.database, AT_NS) == [("2023_11", False, 1)]
            assert state(first.database, later_ns)[0] == ("2023_11", False, 1)

    run(scenario())
    with closing(PostgresDatabase(address_of(Secret(postgres_url)))) as database:
        while not take_over_dead(database, AT_NS):
            pass
        assert state(database, AT_NS) == [("2023_11", False, 0)]
        assert state(database, later_ns) == [("2023_11", True, 0), ("2023_12", False, 0)]
        before = start_books(database, AT_NS).books.balances
        assert before
        database.execute("DROP TABLE entries_2023_11")
        assert start_books(database, AT_NS).books.balances == before


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_dead_chain_is_ended_once(postgres_url: str, checkpoint: bool) -> None:
    """Its holds are settled at their bound, what the provider has of that included.

    Its sums are the next start's.
    """

    async def scenario() -> None:
        dead = Desk(postgres_url, Durability.FULL, alone=True)
        migrate_postgres(dead.database, AT_NS)
        await dead.journal.open()
        await dead.serve("done")
        if checkpoint:
            save_checkpoint(dead.database, dead.journal.chain, dead.checkpoints.position())
        await dead.ledger.hold(replace(held("open", 10, bounded=False), price_factor="5/4"))
        dead.journal._task.cancel()  # type: ignore[union-attr]
        dead.end_session()
        with closing(dead.database) as other:
            while not (ended := take_over_dead(other, AT_NS)):
                pass
            assert ended == {dead.journal.chain: 1}
            assert take_over_dead(other, AT_NS) == {}
            assert verify(other).problems == []
            books = start_books(other, AT_NS).books
            assert books.balance(f"available:{KEY}", USD) == -11
            assert books.balance(payable("unknown"), USD) == 8
            assert books.held(KEY, USD) == 0
            # Late, as one that lives a moment longer might.
            end_chain(other, dead.journal.chain, dead.checkpoints.position(), AT_NS)
            save_checkpoint(other, dead.journal.chain, dead.checkpoints.position())
            assert verify(other).problems == []

    run(scenario())


def test_a_worker_that_was_held_for_dead_begins_anew(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chain is closed: what it held is settled there, and its books are read again."""
    connect, away = postgres_async.open_session, asyncio.Event()

    async def wait(address: Address) -> object:
        await away.wait()
        return await connect(address)

    async def scenario() -> None:
        async with desk(postgres_url) as open_desk:
            first = open_desk.journal.chain
            cut_off = held("cut-off", 5, bounded=False)
            await open_desk.ledger.hold(cut_off)
            monkeypatch.setattr(postgres_session, "open_session", wait)
            open_desk.end_session()
            await until(lambda: bool(take_over_dead(open_desk.database, AT_NS)))
            late = open_desk.ledger.settle(settled(cut_off, 1))
            away.set()
            with pytest.raises(LedgerUnavailable, match="cut off"):
                await late
            await until(lambda: open_desk.taken_over == 1)
            await open_desk.serve("after")
            assert open_desk.journal.chain != first
            assert open_desk.names() == [
                *("hold:cut-off", "settle:cut-off"),
                *("hold:after", "settle:after"),
            ]
            assert verify(open_desk.database).problems == []
            assert open_desk.ledger.books.balance(f"available:{KEY}", USD) == -6

    run(scenario())


# ---- what verification finds ----


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE entries SET line = '{}' WHERE seq = 1", "does not follow"),
        ("DELETE FROM entries WHERE seq = 2", "was closed at entry"),
        ("UPDATE balances SET nano = nano + 1", "add up to"),
        ("UPDATE chains SET seq = 1 WHERE id = 1", "was closed at entry 1"),
        ("DELETE FROM entries WHERE chain = 2", "is in no chain"),
        (
            "INSERT INTO entries SELECT 3, seq, at_ns, name, line, hash FROM entries LIMIT 2",
            "stands 2",
        ),
    ],
)
def test_damage_is_found(postgres_url: str, damage: str, found: str) -> None:
    """By somebody with the right to the tables, past the triggers."""

    async def fill() -> None:
        async with desk(postgres_url) as open_desk:
            await open_desk.serve("r")
            reached = open_desk.checkpoints.position()
            await open_desk.ledger.aclose()
            end_chain(open_desk.database, open_desk.journal.chain, reached, AT_NS)
            append_now(open_desk.database, [granted("g", 100)])

    run(fill())
    with closing(PostgresDatabase(address_of(Secret(postgres_url)))) as database:
        assert verify(database).problems == []
        database.execute("SET session_replication_role = replica")  # no triggers
        database.execute(damage)
        problems = verify(database).problems
        assert [problem for problem in problems if found in problem]


def test_a_budget_that_was_not_kept_is_found(postgres_url: str) -> None:
    """No chain by itself can say so: the grant stands in another one."""

    async def scenario() -> None:
        async with desk(postgres_url) as open_desk:
            append_now(open_desk.database, [granted("g", 10)])
            open_desk.ledger.see([granted("g", 100)])
            hold = held("r", 50)
            await open_desk.ledger.hold(hold)
            entries: list[AnyEntry] = [settled(hold, 50)]
            await asyncio.gather(*(open_desk.ledger.settle(entry) for entry in entries))  # type: ignore[arg-type]
            (problem,) = verify(open_desk.database).problems
            assert "has spent and held 0.00000004 USD more than it was granted" in problem

    run(scenario())
