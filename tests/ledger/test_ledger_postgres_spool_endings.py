"""How chains with a spool end: by their own host, or given up; the journal has everything."""

from __future__ import annotations

import errno
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from entente.auth import OPERATOR
from entente.cli.base import base_of
from entente.control.audit import Audit
from entente.control.hosts import Hosts
from entente.db.address import address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import migrate_postgres
from entente.domain.errors import LedgerUnavailable, PermissionDenied
from entente.domain.principal import Role
from entente.domain.secret import Secret
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
from entente.ledger.spool import SpoolFolder, parse
from entente.ledger.store import Durability
from tests.kit.desks import Desk, desk
from tests.kit.entries import AT_NS, KEY, USD, held, settled
from tests.kit.run import run, until
from tests.kit.spools import find, lose, path_of, spools_of
from tests.support.postgres import PostgresServer

if TYPE_CHECKING:
    from entente.db.postgres_async import Session

pytestmark = pytest.mark.usefixtures("soon")


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


def test_no_host_is_given_up_without_a_row_of_the_audit(
    own_server: PostgresServer, own_url: str, spools: SpoolFolder
) -> None:
    """Both or neither, and by an admin only."""

    async def scenario() -> None:
        dead = await killed(own_url, own_server, spools)
        with closing(dead.database) as database:
            base = base_of(database)
            audit = Audit(base)
            hosts = Hosts(base, audit)
            member = msgspec.structs.replace(OPERATOR, role=Role.MEMBER)
            with pytest.raises(PermissionDenied):
                hosts.release(member, spools.host)
            database.execute("ALTER TABLE audit RENAME TO away")
            with pytest.raises(LedgerUnavailable):
                hosts.release(OPERATOR, spools.host)
            database.execute("ALTER TABLE away RENAME TO audit")
            assert [each.host for each in waiting(database)] == [spools.host]
            assert len(dead.names()) == 3  # nothing of it is settled
            assert hosts.release(OPERATOR, "nobody") is None
            done = hosts.release(OPERATOR, spools.host)
            assert done is not None
            assert (done.chains, done.settled_holds) == ((dead.journal.chain,), 1)
            assert (waiting(database), verify(database).problems) == ((), [])
            (row,) = audit.list(OPERATOR, limit=9).found
            assert (row.action, row.object) == ("host.release", spools.host)
            assert row.actor == OPERATOR.key_id
            assert row.after == msgspec.Raw(msgspec.json.encode(done))

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
            await until(lambda: unlocked(opened.database, 0) == {opened.journal.chain})
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
