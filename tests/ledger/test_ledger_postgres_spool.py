"""The journal on PostgreSQL with a spool serves on while its database is away."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from entente.db.postgres_migrate import migrate_postgres
from entente.domain.errors import LedgerUnavailable, StartError
from entente.ledger import spooling
from entente.ledger.places import verify
from entente.ledger.postgres_reader import chains
from entente.ledger.spool import SpoolFolder, parse
from entente.ledger.store import Durability
from tests.kit.desks import Desk, desk
from tests.kit.entries import AT_NS, granted, held, settled
from tests.kit.run import run, until
from tests.kit.spools import find, lose, path_of
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.usefixtures("soon")


@pytest.mark.parametrize("durability", Durability)
def test_it_serves_while_the_database_is_away(
    own_server: PostgresServer, own_url: str, spools: SpoolFolder, durability: Durability
) -> None:
    """Nobody is told of an entry before it stands in the chain; then it has all, in order."""

    async def scenario() -> None:
        async with desk(own_url, durability, spools=spools) as opened:
            running = held("running", 5, bounded=False)
            await opened.ledger.hold(running)
            seq = opened.checkpoints.position().seq
            await lose(opened, own_server)
            assert opened.journal.trouble is None
            assert "The spool on this host's disk stands in" in (opened.journal.notice or "")
            assert own_server.password not in (opened.journal.notice or "")
            assert path_of(opened).stat().st_size == 0  # an idle outage costs nothing
            await opened.ledger.settle(settled(running, 2))
            await asyncio.gather(*(opened.serve(f"r{number}") for number in range(50)))
            assert opened.checkpoints.position().seq == seq
            spooled = parse(path_of(opened).read_bytes())
            assert len(spooled.lines) >= 101
            assert opened.journal.spooled == 101  # not those that the disk might not have
            await find(opened, own_server)
            assert opened.journal.spooled == 0
            await opened.serve("after")
            names = opened.names()
            assert names[:2] == ["hold:running", "settle:running"]
            assert len(names) == len(set(names)) == 104
            assert names[-2:] == ["hold:after", "settle:after"]
            assert opened.orphans == []
            assert opened.checkpoints.position().seq == 104
            report = verify(opened.database)
            assert (report.problems, report.requests, report.open_holds) == ([], 52, 0)
            assert len(chains(opened.database)) == 1

    run(scenario())


def test_what_waited_when_it_was_lost_goes_on(
    own_server: PostgresServer, own_url: str, spools: SpoolFolder
) -> None:
    """Under load, again and again, stopped and killed: no request is refused, none stands twice."""

    async def scenario() -> None:
        async with desk(own_url, spools=spools) as opened:
            served, stopping = 0, False

            async def serve(worker: int) -> None:
                nonlocal served
                while not stopping:
                    await opened.serve(f"r{worker}-{served}")
                    served += 1

            load = asyncio.gather(*(serve(worker) for worker in range(8)))
            for end in (own_server.stop, own_server.kill):
                await until(lambda reached=served: served > reached + 40)  # type: ignore[misc]
                await asyncio.to_thread(end)
                await until(lambda: opened.journal.notice is not None)
                await until(lambda reached=served: served > reached + 40)  # type: ignore[misc]
                await asyncio.to_thread(own_server.start)
                await until(lambda: opened.journal.notice is None)
            stopping = True
            await load
            await until(lambda: not (opened.journal._line or opened.journal._doubtful))
            opened.database.close()
            report = verify(opened.database)
            assert (report.problems, report.requests, report.open_holds) == ([], served, 0)
            assert opened.checkpoints.position().seq == report.entries == 2 * served
            assert opened.orphans == []

    run(scenario())


def test_it_stands_in_for_a_time(
    own_server: PostgresServer,
    own_url: str,
    spools: SpoolFolder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Then holds are refused with the reason; settlements go on into it, and all recovers."""

    async def scenario() -> None:
        async with desk(own_url, spools=spools) as opened:
            late_s = [0.0]
            now_s = opened.journal._stand_in._now_s
            opened.journal._stand_in._now_s = lambda: now_s() + late_s[0]
            await lose(opened, own_server)
            running = held("running", 5, bounded=False)
            await opened.ledger.hold(running)
            late_s[0] = 60.0
            assert opened.journal.notice is None
            assert "has stood in for 60 s" in (opened.journal.trouble or "")
            with pytest.raises(LedgerUnavailable, match=r"cannot be used now.*has stood in"):
                await opened.ledger.hold(held("refused", 5, bounded=False))
            await opened.ledger.settle(settled(running, 2))
            over = "the spool does not stand in for the database any more"
            await until(lambda: over in caplog.text)
            await find(opened, own_server)
            assert caplog.text.count(over) == 1
            assert "the spool has stood in for the database, which has all of it" in caplog.text
            await opened.serve("after")
            assert opened.names() == [
                *("hold:running", "settle:running"),
                *("hold:after", "settle:after"),
            ]
            # Found again, it stands in for as long once more.
            await lose(opened, own_server)
            await opened.serve("again")
            await find(opened, own_server)
            assert verify(opened.database).problems == []

    run(scenario())


def test_it_is_bounded(
    own_server: PostgresServer,
    own_url: str,
    spools: SpoolFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Full, it takes the settlements of what it let in; then these wait in memory as well."""
    monkeypatch.setattr(spooling, "SPOOL_BYTES_MAX", 2_000)
    monkeypatch.setattr(spooling, "SETTLEMENTS_BYTES_MAX", 1_000)

    async def scenario() -> None:
        async with desk(own_url, spools=spools) as opened:
            await lose(opened, own_server)
            holds = [held(f"r{number}", 5, bounded=False) for number in range(20)]
            taken = []
            for hold in holds:
                try:
                    await opened.ledger.hold(hold)
                except LedgerUnavailable as error:
                    assert "The spool is full" in error.message  # noqa: PT017
                else:
                    taken.append(hold)
            assert 1 < len(taken) < 10
            assert "The spool is full" in (opened.journal.trouble or "")
            ends = [opened.ledger.settle(settled(hold, 1)) for hold in taken]
            results = await asyncio.gather(*ends, return_exceptions=True)
            assert results[0] is None
            assert isinstance(results[-1], LedgerUnavailable)
            assert path_of(opened).stat().st_size < 3_500
            await find(opened, own_server)
            report = verify(opened.database)
            assert (report.problems, report.requests) == ([], len(taken))
            await lose(opened, own_server)
            await opened.serve("after")
            await find(opened, own_server)
            assert opened.names()[-1] == "settle:after"

    run(scenario())


def test_a_disk_that_fails(
    own_server: PostgresServer,
    own_url: str,
    spools: SpoolFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who waits is refused; settlements are kept; with the database it is whole again."""
    real = os.pwrite

    def full(descriptor: int, data: memoryview, offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def scenario() -> None:
        async with desk(own_url, spools=spools) as opened:
            await lose(opened, own_server)
            one, two = held("one", 5, bounded=False), held("two", 5, bounded=False)
            await asyncio.gather(opened.ledger.hold(one), opened.ledger.hold(two))
            monkeypatch.setattr(os, "pwrite", full)
            refused = asyncio.gather(
                opened.ledger.hold(held("refused", 5, bounded=False)),
                opened.ledger.settle(settled(one, 1)),
                return_exceptions=True,
            )
            assert [type(each) for each in await refused] == [LedgerUnavailable] * 2
            assert "The spool's disk has failed" in (opened.journal.trouble or "")
            monkeypatch.setattr(os, "pwrite", real)
            with pytest.raises(LedgerUnavailable, match="No space left"):
                await opened.ledger.hold(held("refused-too", 5, bounded=False))
            with pytest.raises(LedgerUnavailable):
                await opened.ledger.settle(settled(two, 1))
            assert len(parse(path_of(opened).read_bytes()).lines) == 2
            await find(opened, own_server)
            assert sorted(opened.names()) == ["hold:one", "hold:two", "settle:one", "settle:two"]
            assert opened.ledger.books.open_holds == {}
            await lose(opened, own_server)
            await opened.serve("after")
            await find(opened, own_server)
            assert verify(opened.database).problems == []

    run(scenario())


def test_what_can_be_said_twice_is_not_spooled(
    own_server: PostgresServer, own_url: str, spools: SpoolFolder
) -> None:
    """A grant is refused, and made again by who wants it."""

    async def scenario() -> None:
        async with desk(own_url, spools=spools) as opened:
            await lose(opened, own_server)
            with pytest.raises(LedgerUnavailable):
                await opened.journal.append(granted("g", 100))
            await opened.serve("r")
            await find(opened, own_server)
            assert opened.names() == ["hold:r", "settle:r"]

    run(scenario())


def test_a_folder_that_cannot_be_written(
    own_url: str, spools: SpoolFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server does not start, and says why."""

    def full(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    async def scenario() -> None:
        opened = Desk(own_url, Durability.FULL, alone=True, spools=spools)
        migrate_postgres(opened.database, AT_NS)
        monkeypatch.setattr(SpoolFolder, "begin", full)
        with pytest.raises(StartError, match="Read-only"):
            await opened.journal.open()
        assert chains(opened.database) == ()
        opened.database.close()

    run(scenario())
