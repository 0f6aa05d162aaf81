"""The journal on SQLite when others write, when the disk is full, when the file is locked."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from entente.db import connect, transaction
from entente.domain.errors import IdempotencyConflict, LedgerUnavailable
from entente.ledger.journal import encode
from entente.ledger.model import AnyEntry
from entente.ledger.reader import load
from entente.ledger.sqlite import Ends, launch_process
from entente.ledger.store import Durability
from entente.ledger.table import append_now, insert
from entente.ledger.writer import BATCH_ENTRIES_MAX
from tests.kit.databases import Desk, desk, new_database
from tests.kit.entries import KEY, USD, granted, held, settled
from tests.kit.run import run, turns, until

LONG = "x" * 20_000
"""Takes pages of its own, so that a full disk is noticed at once."""


def _append_elsewhere(path: Path, *entries: AnyEntry) -> None:
    """Write as the command line does, on a connection of its own."""
    with closing(connect(path)) as connection:
        append_now(connection, entries)


def test_a_foreign_entry_is_delivered_and_the_chain_goes_on(tmp_path: Path) -> None:
    """Entries of the server before, between and after those of another process."""

    async def scenario() -> None:
        async with desk(new_database(tmp_path, granted("g", 10))) as open_desk:
            ledger = open_desk.ledger
            first = held("first", 10)
            await ledger.hold(first)
            _append_elsewhere(open_desk.path, granted("g2", 5))
            await ledger.settle(settled(first, 10))
            await until(lambda: bool(open_desk.foreign))
            second = held("second", 5)
            await ledger.hold(second)
            await ledger.settle(settled(second, 5))
            assert open_desk.foreign == [granted("g2", 5)]
            assert open_desk.names() == [
                "grant:g",
                "hold:first",
                "grant:g2",
                "settle:first",
                "hold:second",
                "settle:second",
            ]
            assert open_desk.verify().problems == []

    run(scenario())


def test_a_foreign_entry_is_found_without_traffic(tmp_path: Path) -> None:
    """A request in line for budget must not wait for another request to come by."""

    async def scenario() -> None:
        async with desk(new_database(tmp_path, granted("g", 10))) as open_desk:
            first = held("first", 10)
            await open_desk.ledger.hold(first)
            before = open_desk.changes
            waiting = asyncio.create_task(open_desk.ledger.hold(held("second", 5)))
            await turns()
            _append_elsewhere(open_desk.path, granted("g2", 5))
            await waiting
            await until(lambda: open_desk.changes > before)
            assert open_desk.verify().problems == []

    run(scenario())


def test_a_change_that_came_before_the_writer_is_not_missed(tmp_path: Path) -> None:
    """A writer tells of changes from its own beginning on; so that is one to look at, too."""

    async def scenario() -> None:
        async with desk(new_database(tmp_path)) as open_desk:
            await until(lambda: open_desk.changes == 1)

    run(scenario())


def test_another_process_appends_while_the_writer_runs(tmp_path: Path) -> None:
    """A real second process and many small appends: every entry is there once, one chain."""
    grants = 20
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from entente.db import connect\n"
        "from entente.ledger.table import append_now\n"
        "from tests.kit.entries import granted\n"
        "connection = connect(Path(sys.argv[1]))\n"
        f"for n in range({grants}):\n"
        "    append_now(connection, [granted(f'o{n}', 1)])\n"
    )

    async def scenario() -> None:
        async with desk(new_database(tmp_path, granted("g", 10**6))) as open_desk:
            other = subprocess.Popen([sys.executable, "-c", program, str(open_desk.path)])  # noqa: ASYNC220
            served = 0
            while other.poll() is None or served < 50:
                opened = held(f"r{served}", 3)
                await open_desk.ledger.hold(opened)
                await open_desk.ledger.settle(settled(opened, 1))
                served += 1
            assert other.returncode == 0
            await until(lambda: len(open_desk.foreign) == grants)
            assert open_desk.foreign == [granted(f"o{n}", 1) for n in range(grants)]
            report = open_desk.verify()
            assert report.problems == []
            assert (report.requests, report.open_holds) == (served, 0)
            assert report.entries == 1 + grants + 2 * served

    run(scenario())


def test_a_cut_while_bounded_holds_are_in_line(tmp_path: Path) -> None:
    """The cut is in the journal first; a hold admitted against the budget before it is not."""

    async def scenario() -> None:
        async with desk(new_database(tmp_path, granted("g", 100))) as open_desk:
            ledger = open_desk.ledger
            with closing(connect(open_desk.path)) as other, transaction(other):
                cut = granted("cut", -70)
                insert(other, [(cut.idempotency_key, encode(cut))], *_head(open_desk))
                task = asyncio.create_task(ledger.hold(held("over", 60)))
                free = asyncio.create_task(ledger.hold(held("free", 5, "b", bounded=False)))
                await turns()
                assert ledger.books.held(KEY, USD) == 60
            with pytest.raises(LedgerUnavailable, match="budget has just changed"):
                await task
            await free
            await until(lambda: bool(open_desk.foreign))
            fits = held("fits", 30)
            await ledger.hold(fits)
            assert open_desk.names() == ["grant:g", "grant:cut", "hold:free", "hold:fits"]
            assert open_desk.verify().problems == []

    run(scenario())


def _head(open_desk: Desk) -> tuple[int, bytes]:
    return open_desk.journal.seq, open_desk.journal.head


def test_a_second_cut_is_not_taken_for_seen_with_the_first(tmp_path: Path) -> None:
    """The mark of the first cut comes back when the second is in the journal, not yet seen.

    The writer's turns are taken by hand here: between them stands what must not matter.
    """

    async def scenario() -> None:
        path = new_database(tmp_path, granted("g", 100))
        open_desk = Desk(path, by_hand=True)
        ledger, (writer,) = open_desk.ledger, open_desk.threads.writers
        writer.begin()
        await turns()
        _append_elsewhere(path, granted("cut1", -10))
        writer.poll_foreign()
        await until(lambda: open_desk.foreign == [granted("cut1", -10)])
        first = asyncio.create_task(ledger.hold(held("first", 50)))
        await turns()  # in line, in this order: the mark of cut1, first
        _append_elsewhere(path, granted("cut2", -50))
        writer.poll_foreign()
        writer.turn()
        writer.turn()
        with pytest.raises(LedgerUnavailable):
            await first
        await turns()
        assert open_desk.names() == ["grant:g", "grant:cut1", "grant:cut2"]
        assert open_desk.verify().problems == []
        closing_ = asyncio.create_task(ledger.aclose())
        await turns()
        while writer.turn():
            pass
        writer.close()
        await closing_

    run(scenario())


def test_append_now_is_all_or_nothing(tmp_path: Path) -> None:
    """A conflict leaves neither entry behind; the same content again is fine."""
    path = new_database(tmp_path, granted("g", 1))
    _append_elsewhere(path, granted("g", 1), granted("h", 1), granted("h", 1))
    with pytest.raises(IdempotencyConflict):
        _append_elsewhere(path, granted("i", 1), granted("g", 2))
    with closing(connect(path)) as connection:
        assert load(connection).seq == 2


def test_append_now_says_when_it_cannot_write(tmp_path: Path) -> None:
    """Another process holds the file; the error is ours, with SQLite's words in it."""
    path = new_database(tmp_path)
    with closing(connect(path)) as other, closing(connect(path)) as connection:
        connection.execute("PRAGMA busy_timeout=1")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="locked"):
            append_now(connection, [granted("g", 1)])
        other.execute("ROLLBACK")
        append_now(connection, [granted("g", 1)])


async def _fail_and_recover(open_desk: Desk, heal: str) -> None:
    """Hold and settle while the writer cannot write, and again once it can."""
    ledger = open_desk.ledger
    before = open_desk.names()
    running = list(ledger.books.open_holds.values())
    closings = [ledger.settle(settled(each, 1, upstream_id=LONG)) for each in running]
    refused = held("refused", 5)
    with pytest.raises(LedgerUnavailable, match="Cannot write"):
        await ledger.hold(refused)
    for result in await asyncio.gather(*closings, return_exceptions=True):
        assert isinstance(result, LedgerUnavailable)
    assert open_desk.journal.trouble is not None
    assert open_desk.names() == before
    assert refused.id not in ledger.books.open_holds
    open_desk.writer().execute(heal)
    await until(lambda: open_desk.journal.trouble is None)
    assert open_desk.names() == before + [f"settle:{each.id}" for each in running]


@pytest.mark.parametrize("durability", Durability)
def test_a_full_disk(
    tmp_path: Path, durability: Durability, caplog: pytest.LogCaptureFixture
) -> None:
    """Holds fail and leave nothing; settlements are written later, in order, unasked.

    The log says when it begins, and when it is over.
    """

    async def scenario() -> None:
        async with desk(new_database(tmp_path, granted("g", 100)), durability) as open_desk:
            for number in range(3):
                await open_desk.ledger.hold(held(f"r{number}", 5))
            writer = open_desk.writer()
            (pages,) = writer.execute("PRAGMA page_count").fetchone()
            writer.execute(f"PRAGMA max_page_count={pages}")
            await _fail_and_recover(open_desk, "PRAGMA max_page_count=1000000")
            again = held("again", 85)
            await open_desk.ledger.hold(again)
            await open_desk.ledger.settle(settled(again, 0))
            report = open_desk.verify()
            assert report.problems == []
            assert (report.requests, report.open_holds) == (4, 0)

    run(scenario())
    said = [message.partition(":")[0] for message in caplog.messages]
    assert said == ["the journal cannot be written", "the journal can be written again"]


def test_a_locked_file(tmp_path: Path) -> None:
    """Another program keeps the file to itself for longer than the busy timeout."""

    async def scenario() -> None:
        async with desk(new_database(tmp_path, granted("g", 100))) as open_desk:
            await open_desk.ledger.hold(held("r", 5))
            writer = open_desk.writer()
            writer.execute("PRAGMA busy_timeout=1")
            with closing(connect(open_desk.path)) as other:
                other.execute("BEGIN IMMEDIATE")
                ledger = open_desk.ledger
                closing_ = ledger.settle(settled(held("r", 5), 1))
                with pytest.raises(LedgerUnavailable, match="locked"):
                    await ledger.hold(held("refused", 5))
                with pytest.raises(LedgerUnavailable):
                    await closing_
                assert "locked" in str(open_desk.journal.trouble)
                other.execute("ROLLBACK")
            await until(lambda: open_desk.journal.trouble is None)
            assert open_desk.names() == ["grant:g", "hold:r", "settle:r"]
            assert open_desk.verify().problems == []

    run(scenario())


def test_trouble_goes_by_itself_when_only_holds_failed(tmp_path: Path) -> None:
    """With nothing kept and no traffic, readiness would else stay bad for ever."""

    async def scenario() -> None:
        async with desk(new_database(tmp_path, granted("g", 100))) as open_desk:
            writer = open_desk.writer()
            writer.execute("PRAGMA query_only=1")
            with pytest.raises(LedgerUnavailable):
                await open_desk.ledger.hold(held("r", 5))
            assert open_desk.journal.trouble is not None
            writer.execute("PRAGMA query_only=0")
            await until(lambda: open_desk.journal.trouble is None)
            assert open_desk.names() == ["grant:g"]

    run(scenario())


def test_more_kept_settlements_than_one_statement_takes(tmp_path: Path) -> None:
    """SQLite binds a bounded number of values; thousands of requests may end on a full disk."""
    count = 4 * BATCH_ENTRIES_MAX

    async def scenario() -> None:
        holds = [held(f"r{number}", 1) for number in range(count)]
        async with desk(new_database(tmp_path, granted("g", count))) as open_desk:
            await asyncio.gather(*(open_desk.ledger.hold(each) for each in holds))
            values_max = 4 * BATCH_ENTRIES_MAX
            open_desk.writer().setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, values_max)
            open_desk.writer().execute("PRAGMA query_only=1")
            closings = [open_desk.ledger.settle(settled(each, 1)) for each in holds]
            await asyncio.gather(*closings, return_exceptions=True)
            open_desk.writer().execute("PRAGMA query_only=0")
            await until(lambda: open_desk.journal.trouble is None)
            report = open_desk.verify()
            assert report.problems == []
            assert (report.requests, report.open_holds) == (count, 0)

    run(scenario())


def test_closing_on_a_bad_disk_ends(tmp_path: Path) -> None:
    """What cannot be written at the end stays open in the journal, for the next start."""

    async def scenario() -> None:
        path = new_database(tmp_path, granted("g", 100))
        async with desk(path) as open_desk:
            await open_desk.ledger.hold(held("r", 5))
            open_desk.writer().execute("PRAGMA query_only=1")
            open_desk.ledger.settle(settled(held("r", 5), 1))
        assert open_desk.journal.trouble is not None
        async with desk(path) as next_desk:
            assert await next_desk.ledger.recover() == 1
            assert next_desk.verify().open_holds == 0

    run(scenario())


def test_one_batch_takes_many_entries(tmp_path: Path) -> None:
    """Group commit: what gathered while the disk was busy becomes one transaction."""

    async def scenario() -> int:
        commits: list[str] = []
        async with desk(new_database(tmp_path)) as open_desk:
            open_desk.writer().set_trace_callback(commits.append)
            with closing(connect(open_desk.path)) as other:
                other.execute("BEGIN IMMEDIATE")
                grants = [open_desk.journal.append(granted(f"g{n}", 1)) for n in range(100)]
                other.execute("ROLLBACK")
            await asyncio.gather(*grants)
        return sum(statement.startswith("INSERT") for statement in commits)

    assert run(scenario()) <= 3


def test_a_writer_that_dies_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had written is not written twice, what it had not is, in the same order."""

    async def scenario() -> None:
        path = new_database(tmp_path, granted("g", 10**6))
        async with desk(path, by_hand=True) as open_desk:
            ledger, threads = open_desk.ledger, open_desk.threads
            threads.writers[0].begin()
            await turns()
            holds = [asyncio.create_task(ledger.hold(held(f"r{n}", 3))) for n in range(4)]
            await turns()
            monkeypatch.setattr(threads.writers[0], "_tell", lambda _: None)
            threads.writers[0].turn()
            _append_elsewhere(path, granted("elsewhere", 5))
            threads.by_hand = False
            late = [asyncio.create_task(ledger.hold(held(f"s{n}", 3))) for n in range(4)]
            await turns()
            threads.writers[0].close()
            await asyncio.gather(*holds, *late)
            assert open_desk.journal.trouble is None
            names = [f"hold:{name}{n}" for name in "rs" for n in range(4)]
            assert open_desk.names() == ["grant:g", *names[:4], "grant:elsewhere", *names[4:]]
            assert open_desk.foreign == [granted("elsewhere", 5)]
            assert open_desk.verify().problems == []

    run(scenario())


def test_the_writers_process_is_killed_under_load(tmp_path: Path) -> None:
    """As often as one likes: every hold is written once, every settlement behind its hold."""
    kills = 5

    async def scenario() -> None:
        started: list[subprocess.Popen[bytes]] = []
        launch = launch_process()

        def launch_and_note(
            ends: Ends, path: Path, seq: int, head: bytes
        ) -> subprocess.Popen[bytes]:
            started.append(launch(ends, path, seq, head))
            return started[-1]

        async with desk(new_database(tmp_path), launch=launch_and_note) as open_desk:

            async def serve(client: int) -> int:
                served = 0
                while len(started) <= kills:
                    opened = held(f"r{client}-{served}", 3, bounded=False)
                    await open_desk.ledger.hold(opened)
                    await open_desk.ledger.settle(settled(opened, 1))
                    served += 1
                return served

            async def kill() -> None:
                for number in range(kills):
                    await until(lambda: len(open_desk.names()) > 50 * (number + 1))  # noqa: B023
                    started[-1].kill()
                    await until(lambda: len(started) > number + 1)  # noqa: B023

            serving = asyncio.gather(*(serve(client) for client in range(8)))
            await kill()
            served = await serving
            report = open_desk.verify()
            assert report.problems == []
            assert (report.requests, report.open_holds) == (sum(served), 0)

    run(scenario())
