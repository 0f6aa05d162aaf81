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
from entente.ledger.journal import GENESIS
from entente.ledger.model import AnyEntry
from entente.ledger.reader import load
from entente.ledger.sqlite import BATCH_ENTRIES_MAX, SqliteJournal, append_now, insert
from entente.ledger.store import Durability
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
            waiting = asyncio.create_task(open_desk.ledger.hold(held("second", 5)))
            await turns()
            _append_elsewhere(open_desk.path, granted("g2", 5))
            await waiting
            await until(lambda: open_desk.changes > 0)
            assert open_desk.verify().problems == []

    run(scenario())


def test_another_process_appends_while_the_writer_runs(tmp_path: Path) -> None:
    """A real second process and many small appends: every entry is there once, one chain."""
    grants = 20
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from entente.db import connect\n"
        "from entente.ledger.sqlite import append_now\n"
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
                insert(other, [granted("cut", -70)], *_head(open_desk))
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


def test_a_second_cut_is_not_taken_for_seen_with_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark of the first cut comes back when the second is in the journal, not yet seen.

    The writer's turns are taken by hand here: between them stands what must not matter.
    """
    monkeypatch.setattr("threading.Thread.start", lambda _: None)

    async def scenario() -> None:
        path = new_database(tmp_path, granted("g", 100))
        open_desk = Desk(path)
        journal, ledger = open_desk.journal, open_desk.ledger
        _append_elsewhere(path, granted("cut1", -10))
        journal._poll_foreign()
        first = asyncio.create_task(ledger.hold(held("first", 50)))
        await turns()  # in line, in this order: the mark of cut1, first
        assert open_desk.foreign == [granted("cut1", -10)]
        _append_elsewhere(path, granted("cut2", -50))
        journal._poll_foreign()
        journal._turn()
        journal._turn()
        with pytest.raises(LedgerUnavailable):
            await first
        await turns()
        assert open_desk.names() == ["grant:g", "grant:cut1", "grant:cut2"]
        assert open_desk.verify().problems == []
        ledger.books.open_holds.clear()
        journal._connection.close()

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
def test_a_full_disk(tmp_path: Path, durability: Durability) -> None:
    """Holds fail and leave nothing; settlements are written later, in order, unasked."""

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
        path = new_database(tmp_path)
        commits: list[str] = []
        journal = SqliteJournal(
            path,
            seq=0,
            head=GENESIS,
            durability=Durability.FULL,
            on_foreign=lambda _: None,
            on_written=lambda *_: None,
            on_change=lambda: None,
        )
        journal._connection.set_trace_callback(commits.append)
        with closing(connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            futures = [journal.append(granted(f"g{number}", 1)) for number in range(100)]
            other.execute("ROLLBACK")
        await asyncio.gather(*futures)
        await journal.aclose()
        return sum(statement.startswith("INSERT") for statement in commits)

    assert run(scenario()) <= 3
