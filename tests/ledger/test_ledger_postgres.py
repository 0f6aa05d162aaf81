"""The journal on PostgreSQL when sessions are lost, when the server is gone, when others write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing

import pytest

from entente.db import postgres_async
from entente.db.address import Address, address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import migrate_postgres
from entente.domain.errors import LedgerUnavailable, StartError
from entente.domain.secret import Secret
from entente.ledger import postgres
from entente.ledger.appending import append_now
from entente.ledger.books import Books
from entente.ledger.checkpoints import Checkpoints
from entente.ledger.journal import GENESIS
from entente.ledger.ledger import Ledger
from entente.ledger.model import AnyEntry, Hold
from entente.ledger.places import rows, verify
from entente.ledger.postgres import PostgresJournal
from entente.ledger.postgres_chain import CHAIN_LOCKS, Chain, Line
from entente.ledger.postgres_reader import (
    chains,
    end_chain,
    save_checkpoint,
    side_entries,
    start_books,
    take_over,
    take_over_dead,
)
from entente.ledger.reader import Position
from entente.ledger.store import Durability
from tests.kit.entries import AT_NS, KEY, USD, granted, held, now_ns, settled
from tests.kit.run import run, until
from tests.support.postgres import PostgresServer


class Desk:
    """A ledger on PostgreSQL, and what it was told."""

    def __init__(self, url: str, durability: Durability, *, alone: bool) -> None:
        """Put the parts together; nothing is connected yet."""
        self.address = address_of(Secret(url))
        self.database = PostgresDatabase(self.address)
        self.orphans: list[Hold] = []
        self.taken_over = 0
        self.checkpoints = Checkpoints(Position(0, GENESIS, Books()), lambda _: None)
        self.journal = PostgresJournal(
            self.address,
            name="test",
            durability=durability,
            now_ns=now_ns,
            on_written=self._written,
            on_orphan=self.orphans.append,
            on_taken_over=self._begin_anew,
            alone=alone,
        )
        self.ledger = Ledger(self.journal, Books(), now_ns=now_ns, budget_wait_s=1000.0)

    def _written(self, entries: Iterable[AnyEntry], seq: int, head: bytes) -> None:
        self.checkpoints.written(entries, seq, head)

    async def _begin_anew(self) -> None:
        self.taken_over += 1
        self.checkpoints = Checkpoints(Position(0, GENESIS, Books()), lambda _: None)
        self.ledger.restart(start_books(self.database, AT_NS).books)

    def names(self) -> list[str]:
        """List what is in the journal, chain by chain."""
        return [row.idempotency_key for row in rows(self.database)]

    def end_session(self) -> None:
        """End the journal's session as an administrator would."""
        self.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            " AND granted AND pid <> pg_backend_pid() AND"
            " ((classid::bigint << 32) | objid::bigint) = ?",
            (CHAIN_LOCKS + self.journal.chain,),
        )

    async def serve(self, name: str, nano: int = 5) -> None:
        """Hold and settle once."""
        hold = held(name, nano, bounded=False)
        await self.ledger.hold(hold)
        await self.ledger.settle(settled(hold, 1))


@asynccontextmanager
async def desk(
    url: str, durability: Durability = Durability.FULL, *, alone: bool = True
) -> AsyncIterator[Desk]:
    """Open a desk on a migrated database, and close it."""
    opened = Desk(url, durability, alone=alone)
    migrate_postgres(opened.database, AT_NS)
    await opened.journal.open()
    try:
        yield opened
    finally:
        await opened.ledger.aclose()
        opened.database.close()


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """Give a server that tests may stop and kill."""
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def own_url(own_server: PostgresServer) -> str:
    """Give an empty database on it."""
    return own_server.new_database()


def test_a_lost_session_is_not_noticed_by_those_who_wait(postgres_url: str) -> None:
    """Terminated again and again under load: every entry stands once, in one chain."""

    async def scenario() -> None:
        async with desk(postgres_url) as open_desk:
            served = 0

            async def serve(worker: int) -> None:
                nonlocal served
                for number in range(40):
                    await open_desk.serve(f"r{worker}-{number}")
                    served += 1

            load = asyncio.gather(*(serve(worker) for worker in range(8)))
            for reached in (20, 80, 160, 240):
                await until(lambda reached=reached: served >= reached)  # type: ignore[misc]
                await asyncio.to_thread(open_desk.end_session)
            await load
            assert (open_desk.taken_over, open_desk.orphans) == (0, [])
            report = verify(open_desk.database)
            assert report.problems == []
            assert (report.requests, report.open_holds) == (320, 0)
            assert len(chains(open_desk.database)) == 1
            assert open_desk.checkpoints.position().seq == 640

    run(scenario())


def test_a_silent_loss_is_noticed_without_traffic(postgres_url: str) -> None:
    """The journal connects again by itself, and has its lock again."""

    async def scenario() -> None:
        async with desk(postgres_url) as open_desk:
            before = open_desk.journal._pid
            open_desk.end_session()
            await until(lambda: open_desk.journal._pid != before)
            await open_desk.serve("r")
            assert open_desk.journal.trouble is None
            assert len(chains(open_desk.database)) == 1

    run(scenario())


def test_a_server_that_stops_and_starts(own_server: PostgresServer, own_url: str) -> None:
    """Holds are refused with the reason; settlements are kept, and written as it is back."""

    async def scenario() -> None:
        async with desk(own_url) as open_desk:
            ledger = open_desk.ledger
            running = held("running", 5, bounded=False)
            await ledger.hold(running)
            own_server.stop()
            await until(lambda: open_desk.journal.trouble is not None)
            closing_ = ledger.settle(settled(running, 2))
            with pytest.raises(LedgerUnavailable, match="cannot be used now") as caught:
                await ledger.hold(held("refused", 5, bounded=False))
            assert own_server.password not in caught.value.message
            with pytest.raises(LedgerUnavailable):
                await closing_
            own_server.start()
            open_desk.database.close()
            await until(lambda: open_desk.journal.trouble is None)
            await open_desk.serve("after")
            assert open_desk.names() == [
                "hold:running",
                "settle:running",
                "hold:after",
                "settle:after",
            ]
            assert open_desk.orphans == []
            assert verify(open_desk.database).problems == []

    run(scenario())


@pytest.mark.parametrize("durability", Durability)
def test_a_crash_of_the_server_takes_nothing(
    own_server: PostgresServer, own_url: str, durability: Durability
) -> None:
    """What its disk did not have is written again by who still knows it."""

    async def scenario() -> None:
        async with desk(own_url, durability) as open_desk:
            for number in range(20):
                await open_desk.serve(f"before{number}")
            running = held("running", 5, bounded=False)
            await open_desk.ledger.hold(running)
            own_server.kill()
            own_server.start()
            open_desk.database.close()
            await until(lambda: open_desk.journal.trouble is None)
            await open_desk.ledger.settle(settled(running, 2))
            await open_desk.serve("after")
            report = verify(open_desk.database)
            assert report.problems == []
            assert (report.requests, report.open_holds) == (22, 0)
            position = open_desk.checkpoints.position()
            assert position.seq == report.entries == 44
            for account in ("available:key_a", f"available:{KEY}"):
                books = open_desk.ledger.books
                assert position.books.balance(account, USD) == books.balance(account, USD)

    run(scenario())


def test_a_server_that_does_not_answer(
    own_server: PostgresServer, own_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A paused server is noticed by its silence; what it had is found when it goes on."""
    monkeypatch.setattr(postgres, "ANSWER_S_MAX", 0.2)
    monkeypatch.setattr(postgres, "HEARTBEAT_S", 0.1)

    async def scenario() -> None:
        async with desk(own_url) as open_desk:
            await open_desk.serve("before")
            own_server.pause()
            try:
                await until(lambda: open_desk.journal.trouble is not None)
                with pytest.raises(LedgerUnavailable):
                    await open_desk.ledger.hold(held("refused", 5, bounded=False))
            finally:
                own_server.resume()
            await until(lambda: open_desk.journal.trouble is None)
            await open_desk.serve("after")
            assert verify(open_desk.database).problems == []
            assert len(open_desk.names()) == 4

    run(scenario())


def test_an_answer_that_was_lost_with_its_session(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit has happened and nobody knows: the chain's end tells."""
    append, losses = Chain.append, [ConnectionError("gone")]

    async def lose(self: Chain, lines: list[Line], *, fsync: bool) -> None:
        before = self.seq, self.head
        await append(self, lines, fsync=fsync)
        if losses:
            self.seq, self.head = before
            raise losses.pop()

    async def scenario() -> None:
        async with desk(postgres_url) as open_desk:
            monkeypatch.setattr(Chain, "append", lose)
            await open_desk.serve("r")
            assert open_desk.names() == ["hold:r", "settle:r"]
            assert verify(open_desk.database).problems == []

    run(scenario())


def test_a_refused_hold_that_stands_is_told(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed, its answer lost, no way back at first: it was refused, and is an orphan."""
    append, losses = Chain.append, [ConnectionError("gone")]
    connect, failures = postgres_async.open_session, [OSError("no route to host")]

    async def lose(self: Chain, lines: list[Line], *, fsync: bool) -> None:
        before = self.seq, self.head
        await append(self, lines, fsync=fsync)
        if losses:
            self.seq, self.head = before
            raise losses.pop()

    async def fail_once(address: Address) -> object:
        if failures:
            raise failures.pop()
        return await connect(address)

    async def scenario() -> None:
        async with desk(postgres_url) as open_desk:
            monkeypatch.setattr(Chain, "append", lose)
            monkeypatch.setattr(postgres, "open_session", fail_once)
            hold = held("r", 5, bounded=False)
            with pytest.raises(LedgerUnavailable, match="no route to host"):
                await open_desk.ledger.hold(hold)
            await until(lambda: open_desk.orphans == [hold])
            assert open_desk.ledger.books.open_holds == {}
            assert open_desk.names() == ["hold:r"]

    run(scenario())


def test_what_the_database_refuses_is_refused_until_it_no_longer_does(postgres_url: str) -> None:
    """As with a full disk: the reason is told, settlements wait, and it recovers by itself."""

    async def scenario() -> None:
        async with desk(postgres_url) as open_desk:
            running = held("running", 5, bounded=False)
            await open_desk.ledger.hold(running)
            open_desk.database.execute(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100';"
                " END $$"
            )
            open_desk.database.execute(
                "CREATE TRIGGER full_disk BEFORE INSERT ON entries"
                " FOR EACH ROW EXECUTE FUNCTION full_disk()"
            )
            closing_ = open_desk.ledger.settle(settled(running, 2))
            with pytest.raises(LedgerUnavailable, match="no space left"):
                await closing_
            with pytest.raises(LedgerUnavailable, match="no space left"):
                await open_desk.ledger.hold(held("refused", 5, bounded=False))
            open_desk.database.execute("DROP TRIGGER full_disk ON entries")
            await until(lambda: open_desk.journal.trouble is None)
            await open_desk.serve("after")
            assert open_desk.names()[:2] == ["hold:running", "settle:running"]
            assert verify(open_desk.database).problems == []

    run(scenario())


# ---- several writers ----


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


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_dead_chain_is_ended_once(postgres_url: str, checkpoint: bool) -> None:
    """Its holds are settled at their bound; its sums are the next start's."""

    async def scenario() -> None:
        dead = Desk(postgres_url, Durability.FULL, alone=True)
        migrate_postgres(dead.database, AT_NS)
        await dead.journal.open()
        await dead.serve("done")
        if checkpoint:
            save_checkpoint(dead.database, dead.journal.chain, dead.checkpoints.position())
        await dead.ledger.hold(held("open", 7, bounded=False))
        dead.journal._task.cancel()  # type: ignore[union-attr]
        dead.end_session()
        with closing(dead.database) as other:
            while not (ended := take_over_dead(other, AT_NS)):
                pass
            assert ended == {dead.journal.chain: 1}
            assert take_over_dead(other, AT_NS) == {}
            assert verify(other).problems == []
            books = start_books(other, AT_NS).books
            assert books.balance(f"available:{KEY}", USD) == -8
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
            monkeypatch.setattr(postgres, "open_session", wait)
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
