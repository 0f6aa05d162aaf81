"""The journal on PostgreSQL with a spool: it serves on, and the chain has everything in the end."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from entente.db.address import address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import migrate_postgres
from entente.domain.errors import LedgerUnavailable, StartError
from entente.domain.secret import Secret
from entente.ledger import postgres, postgres_chain, spooling
from entente.ledger.journal import chain, decode
from entente.ledger.places import verify
from entente.ledger.postgres_ending import (
    LEFT_NAME,
    post_left,
    release,
    take_over,
    take_over_dead,
    unlocked,
    waiting,
)
from entente.ledger.postgres_reader import chains, load_chain, start_books
from entente.ledger.spool import ChainId, SpoolFolder, open_folder, parse
from entente.ledger.store import Durability
from tests.kit.desks import Desk, desk
from tests.kit.entries import AT_NS, KEY, USD, granted, held, settled
from tests.kit.run import run, until
from tests.support.postgres import PostgresServer

if TYPE_CHECKING:
    from entente.db.postgres_async import Session


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the journal try again sooner than it does where a server is loaded."""
    monkeypatch.setattr(postgres, "RETRY_S_MAX", 0.1)
    monkeypatch.setattr(postgres_chain, "LOCK_TRIES", 5)


def spools_of(folder: Path, machine: str = "one") -> SpoolFolder:
    """Make the spools of a host."""
    opened = open_folder(folder / machine, make=True, machine=machine, token="00")
    assert opened is not None
    return opened


@pytest.fixture
def spools(tmp_path: Path) -> SpoolFolder:
    """Give the spools of the host."""
    return spools_of(tmp_path)


def path_of(opened: Desk) -> Path:
    """Give where the spool of a desk's chain is."""
    assert opened.spools is not None
    return opened.spools.path / ChainId(opened.journal.chain, AT_NS).file


async def lose(opened: Desk, server: PostgresServer) -> None:
    """Stop the server, and wait until that is known."""
    server.stop()
    await until(lambda: (opened.journal.notice or opened.journal.trouble) is not None)


async def find(opened: Desk, server: PostgresServer) -> None:
    """Start the server, and wait until nothing is in the spool."""
    server.start()
    opened.database.close()
    await until(lambda: opened.journal.notice is None and opened.journal.trouble is None)
    await until(lambda: not opened.journal._line and path_of(opened).stat().st_size == 0)


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
            await find(opened, own_server)
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


def die(opened: Desk) -> None:
    """Leave everything as a process does that is killed."""
    spooler = opened.journal._stand_in.spooler
    assert opened.journal._task is not None
    assert spooler is not None
    assert spooler._file is not None
    opened.journal._task.cancel()
    spooler._file.close()
    spooler._file = None


async def killed(url: str, server: PostgresServer, spools: SpoolFolder) -> Desk:
    """Run a server that is killed while its database is away, with a request on its way."""
    opened = Desk(url, Durability.FULL, alone=False, spools=spools)
    migrate_postgres(opened.database, AT_NS)
    await opened.journal.open()
    await opened.serve("before")
    across = held("across", 7, bounded=False)
    await opened.ledger.hold(across)
    await lose(opened, server)
    await opened.ledger.settle(settled(across, 2))
    await opened.serve("spooled")
    await opened.ledger.hold(held("open", 9, bounded=False))
    die(opened)
    server.start()
    opened.database.close()
    return opened


def test_a_dead_worker_is_ended_by_its_host(
    own_server: PostgresServer, own_url: str, spools: SpoolFolder, tmp_path: Path
) -> None:
    """What it spooled is in its chain before what is open is settled; no other host does it."""

    async def scenario() -> None:
        dead = await killed(own_url, own_server, spools)
        other = spools_of(tmp_path, "two")
        with closing(dead.database) as database:
            assert unlocked(database, 0) == {dead.journal.chain}
            assert take_over_dead(database, AT_NS) == {}
            assert take_over_dead(database, AT_NS, other) == {}
            (found,) = waiting(database, other.host)
            assert (found.host, found.writers) == (spools.host, ("test",))
            assert waiting(database, spools.host) == ()
            problems = verify(database).problems
            assert [each for each in problems if f"db release {spools.host}" in each]
            assert take_over_dead(database, AT_NS, spools) == {dead.journal.chain: 1}
            assert take_over_dead(database, AT_NS, spools) == {}
            assert [row.closed_ns for row in chains(database)] == [AT_NS]
            assert dead.names() == [
                *("hold:before", "settle:before", "hold:across", "settle:across"),
                *("hold:spooled", "settle:spooled", "hold:open", "settle:open"),
            ]
            report = verify(database)
            assert (report.problems, report.recovered) == ([], 1)
            balance = start_books(database, AT_NS).books.balance(f"available:{KEY}", USD)
            assert balance == -(1 + 2 + 1 + 9)
            assert spools.chains() == []

    run(scenario())


def test_a_torn_end_was_answered_for_to_nobody(
    own_server: PostgresServer, own_url: str, spools: SpoolFolder
) -> None:
    """The rest is posted, and the file is kept for whoever wants to see it."""

    async def scenario() -> None:
        dead = await killed(own_url, own_server, spools)
        path = path_of(dead)
        path.write_bytes(path.read_bytes()[:-5])
        with closing(dead.database) as database:
            assert take_over_dead(database, AT_NS, spools) == {dead.journal.chain: 0}
            assert dead.names()[-1] == "settle:spooled"
            assert verify(database).problems == []
        assert path.with_suffix(".torn").exists()

    run(scenario())


def test_what_stands_already_is_not_written_again(
    own_server: PostgresServer, own_url: str, spools: SpoolFolder
) -> None:
    """The chain had some of it, as when a worker dies while it empties its spool."""

    async def scenario() -> None:
        dead = await killed(own_url, own_server, spools)
        spooled = path_of(dead).read_bytes()
        with closing(dead.database) as database:
            end = load_chain(database, dead.journal.chain)
            lines = parse(spooled).lines
            for number, line in enumerate(lines[:2], end.seq + 1):
                end.head = chain(end.head, line)
                row = (dead.journal.chain, number, AT_NS, decode(line).idempotency_key)
                database.execute(
                    "INSERT INTO entries (chain, seq, at_ns, name, line, hash)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (*row, line, end.head),
                )
            assert len(dead.names()) == 3 + 2 < 3 + len(lines)
            assert take_over_dead(database, AT_NS, spools) == {dead.journal.chain: 1}
            path_of(dead).write_bytes(spooled)  # killed before it deleted the file
            assert take_over_dead(database, AT_NS, spools) == {}
            assert len(chains(database)) == 1
            assert len(dead.names()) == 3 + len(lines) + 1
            assert verify(database).problems == []
        assert spools.chains() == []

    run(scenario())


def test_a_living_worker_without_its_database_keeps_its_chain(
    own_server: PostgresServer, own_url: str, spools: SpoolFolder
) -> None:
    """Not even its own host ends it; when it is back, it goes on with it."""

    async def scenario() -> None:
        async with desk(own_url, spools=spools) as opened:
            await lose(opened, own_server)
            await opened.serve("spooled")
            opened.journal._sessions.connect = _never  # type: ignore[method-assign]
            own_server.start()
            opened.database.close()
            assert unlocked(opened.database, 0) == {opened.journal.chain}
            assert take_over(opened.database, opened.journal.chain, AT_NS, spools) is None
            assert post_left(opened.database, AT_NS, spools) == 0
            del opened.journal._sessions.connect
            await until(lambda: opened.journal.notice is None)
            assert opened.names() == ["hold:spooled", "settle:spooled"]

    run(scenario())


async def _never() -> Session:
    raise OSError(errno.EHOSTUNREACH, "no route to host")


def test_a_host_is_given_up(own_server: PostgresServer, own_url: str, spools: SpoolFolder) -> None:
    """Its chain ends without its spool; once its disk is back after all, that is posted, too."""

    async def scenario() -> None:
        dead = await killed(own_url, own_server, spools)
        with closing(dead.database) as database:
            assert release(database, "nobody", AT_NS) == {}
            assert release(database, spools.host, AT_NS) == {dead.journal.chain: 1}
            assert dead.names() == ["hold:before", "settle:before", "hold:across", "settle:across"]
            assert (waiting(database), verify(database).problems) == ((), [])
            take_over_dead(database, AT_NS, spools)
            assert dead.names()[4:] == [
                *("hold:spooled", "settle:spooled", "hold:open", "settle:open")
            ]
            assert [row.name for row in chains(database)] == [
                "test",
                LEFT_NAME.format(dead.journal.chain),
            ]
            assert verify(database).problems == []
            balance = start_books(database, AT_NS).books.balance(f"available:{KEY}", USD)
            assert balance == -(1 + 7 + 1 + 9)  # `across` was settled at its bound
        assert spools.chains() == []

    run(scenario())


def test_a_worker_that_was_given_up_while_it_lived(
    own_server: PostgresServer, own_url: str, spools: SpoolFolder
) -> None:
    """It begins anew, and what it spent meanwhile is recorded, what runs still at its bound."""

    async def scenario() -> None:
        async with desk(own_url, spools=spools) as opened:
            first = opened.journal.chain
            await lose(opened, own_server)
            await opened.serve("spooled")
            running = held("running", 9, bounded=False)
            await opened.ledger.hold(running)
            opened.journal._sessions.connect = _never  # type: ignore[method-assign]
            own_server.start()
            opened.database.close()
            assert release(opened.database, spools.host, AT_NS) == {first: 0}
            del opened.journal._sessions.connect
            await until(lambda: opened.taken_over == 1)
            await until(lambda: opened.journal.trouble is None)
            await opened.ledger.settle(settled(running, 1))  # it is settled elsewhere
            await opened.serve("after")
            assert opened.journal.chain != first
            assert sorted(opened.names()) == sorted(
                f"{kind}:{name}"
                for name in ("spooled", "running", "after")
                for kind in ("hold", "settle")
            )
            assert verify(opened.database).problems == []
            assert opened.ledger.books.balance(f"available:{KEY}", USD) == -(1 + 9 + 1)
            await lose(opened, own_server)
            await opened.serve("again")  # the new chain has a spool of its own
            await find(opened, own_server)

    run(scenario())


def test_the_spool_of_another_database_is_left_alone(
    own_server: PostgresServer, own_url: str, spools: SpoolFolder
) -> None:
    """Its chains have the same numbers there."""

    async def scenario() -> None:
        dead = await killed(own_url, own_server, spools)
        before = path_of(dead).read_bytes()
        async with desk(own_server.new_database(), spools=spools_of(spools.path.parent)) as other:
            other.database.execute("UPDATE chains SET opened_ns = opened_ns + 1")
            assert post_left(other.database, AT_NS, spools) == 0
        assert path_of(dead).read_bytes() == before
        dead.database.close()

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


def test_closing_without_the_database_leaves_it_to_the_next_start(
    own_server: PostgresServer, own_url: str, spools: SpoolFolder
) -> None:
    """At once, as it is on the disk."""

    async def scenario() -> None:
        async with desk(own_url, spools=spools) as opened:
            await lose(opened, own_server)
            await opened.serve("r")
            await opened.ledger.aclose()
            with pytest.raises(LedgerUnavailable, match="closed"):
                await opened.ledger.hold(held("late", 5, bounded=False))
        own_server.start()
        with closing(PostgresDatabase(address_of(Secret(own_url)))) as database:
            assert list(take_over_dead(database, AT_NS, spools).values()) == [0]
            assert verify(database).requests == 1

    run(scenario())


def test_one_that_is_alone_is_not_overtaken(
    own_server: PostgresServer, own_url: str, spools: SpoolFolder
) -> None:
    """Another server has come, as its host was given up: then it spends nothing any more."""

    async def scenario() -> None:
        async with desk(own_url, spools=spools) as opened:
            opened.journal._sessions.connect = _never  # type: ignore[method-assign]
            opened.end_session()
            await until(lambda: opened.journal.notice is not None)
            await opened.serve("spooled")
            async with desk(own_url) as other:
                release(other.database, spools.host, AT_NS)
                del opened.journal._sessions.connect
                await until(lambda: opened.journal.trouble is not None)
                with pytest.raises(LedgerUnavailable, match="Another entente serves"):
                    await opened.ledger.hold(held("refused", 5, bounded=False))
                await other.serve("theirs")
            await until(lambda: opened.journal.trouble is None)
            assert sorted(opened.names()) == [
                *("hold:spooled", "hold:theirs", "settle:spooled", "settle:theirs")
            ]
            assert verify(opened.database).problems == []

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
