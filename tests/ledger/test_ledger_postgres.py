"""The journal on PostgreSQL when sessions are lost, and when the server is gone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from entente.db import postgres_async
from entente.db.address import Address
from entente.domain.errors import LedgerUnavailable
from entente.ledger import postgres, postgres_session, postgres_watch
from entente.ledger.appending import append_now
from entente.ledger.places import verify
from entente.ledger.postgres_chain import Chain, Line
from entente.ledger.postgres_reader import chains
from entente.ledger.store import Durability
from tests.kit.desks import desk
from tests.kit.entries import KEY, USD, granted, held, settled
from tests.kit.run import run, until
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.postgres_line import PostgresLine, postgres_line

if TYPE_CHECKING:
    from entente.db.postgres_async import Session


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
            before = open_desk.journal._sessions.pid
            open_desk.end_session()
            await until(lambda: open_desk.journal._sessions.pid != before)
            await open_desk.serve("r")
            assert open_desk.journal.trouble is None
            assert len(chains(open_desk.database)) == 1

    run(scenario())


def test_a_start_that_writes_nothing_leaves_the_head(postgres_url: str) -> None:
    """Whoever keeps it to compare is not told of a change where there was none."""

    async def scenario() -> None:
        async with desk(postgres_url) as first:
            await first.serve("r")
            before = verify(first.database).head
        async with desk(postgres_url) as second:
            assert verify(second.database).head == before
            await second.serve("s")
            assert verify(second.database).head != before

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


def test_a_long_absence_is_said_once(
    own_server: PostgresServer,
    own_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And once that it is over, however often everybody has tried meanwhile."""
    for module in (postgres, postgres_watch):
        monkeypatch.setattr(module, "RETRY_S", 0.01)
    monkeypatch.setattr(postgres, "RETRY_S_MAX", 0.01)
    connect, tries = postgres_async.open_session, {"journal": 0, "watch": 0, "chore": 0}

    def counting(name: str) -> Callable[[Address], Awaitable[Session]]:
        async def count(address: Address) -> Session:
            tries[name] += 1
            return await connect(address)

        return count

    monkeypatch.setattr(postgres_session, "open_session", counting("journal"))
    monkeypatch.setattr(postgres_watch, "open_session", counting("watch"))

    async def scenario() -> None:
        async with desk(own_url) as open_desk:
            heard = asyncio.Event()

            async def hear(_: frozenset[str]) -> None:
                heard.set()

            async def chore() -> None:
                tries["chore"] += 1
                if open_desk.journal.trouble is not None:
                    raise LedgerUnavailable(open_desk.journal.trouble)

            watch = postgres_watch.Watch(open_desk.address, hear, {0.01: chore})
            watch.start()
            append_now(open_desk.database, [granted("g", 100)])
            await heard.wait()
            own_server.stop()
            await until(lambda: open_desk.journal.trouble is not None)
            before = dict(tries)
            await until(lambda: all(tries[name] > before[name] + 5 for name in tries))
            own_server.start()
            open_desk.database.close()
            await until(lambda: "news of the database are heard again" in caplog.messages)
            await until(lambda: "a chore of the database is done again" in caplog.messages)
            await open_desk.serve("after")
            await watch.aclose()

    run(scenario())
    said = [message.partition(":")[0] for message in caplog.messages]
    assert sorted(said) == [
        "a chore of the database is done again",
        "a chore of the database is put off",
        "news of the database are heard again",
        "news of the database are not heard",
        "the journal can be written again",
        "the journal cannot be written",
        "the journal's session is lost",
    ]


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


def test_an_answer_that_was_lost_with_its_session(postgres_url: str) -> None:
    """The commit has happened and nobody knows: the chain's end tells, and it stands once."""

    async def scenario(line: PostgresLine) -> None:
        async with desk(line.through(postgres_url)) as open_desk:
            for name in ("hold", "settle", "neither"):
                opened = held(name, 5, bounded=False)
                line.lose("entries" if name == "hold" else None)
                await open_desk.ledger.hold(opened)
                line.lose("entries" if name == "settle" else None)
                await open_desk.ledger.settle(settled(opened, 1))
            assert line.lost == {"entries": 2}
            names = ("hold", "settle", "neither")
            assert open_desk.names() == [
                f"{kind}:{n}" for n in names for kind in ("hold", "settle")
            ]
            assert verify(open_desk.database).problems == []
            assert len(chains(open_desk.database)) == 1

    chance = random.Random(1)  # noqa: S311 - no secret
    with postgres_line(postgres_server().port, host="127.0.0.2", chance=chance) as line:
        run(scenario(line))


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
            monkeypatch.setattr(postgres_session, "open_session", fail_once)
            hold = held("r", 5, bounded=False)
            with pytest.raises(LedgerUnavailable, match="no route to host"):
                await open_desk.ledger.hold(hold)
            await until(lambda: open_desk.orphans == [hold])
            assert open_desk.ledger.books.open_holds == {}
            assert open_desk.names() == ["hold:r"]

    run(scenario())


def test_what_the_database_refuses_is_refused_until_it_no_longer_does(
    postgres_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a full disk: the reason is told, settlements wait, and it recovers by itself.

    In the log it is told once, though one session after the other is given up for it.
    """
    monkeypatch.setattr(postgres, "RETRY_S_MAX", 0.01)
    connect, sessions = postgres_async.open_session, 0

    async def count(address: Address) -> Session:
        nonlocal sessions
        sessions += 1
        return await connect(address)

    monkeypatch.setattr(postgres_session, "open_session", count)

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
            await until(lambda: sessions > 5)
            open_desk.database.execute("DROP TRIGGER full_disk ON entries")
            await until(lambda: open_desk.journal.trouble is None)
            await open_desk.serve("after")
            assert open_desk.names()[:2] == ["hold:running", "settle:running"]
            assert verify(open_desk.database).problems == []

    run(scenario())
    said = [message.partition(":")[0] for message in caplog.messages]
    assert said == ["the journal cannot be written", "the journal can be written again"]
