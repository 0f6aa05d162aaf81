"""The contract of `Journal`, run against each journal there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import TypeAlias

import pytest

from entente.db import DATABASE_NAME, connect, migrate
from entente.db.address import address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import migrate_postgres
from entente.domain.errors import IdempotencyConflict
from entente.domain.secret import Secret
from entente.ledger.journal import GENESIS, Row, decode, verify
from entente.ledger.memory import MemoryJournal
from entente.ledger.model import AnyEntry, payable
from entente.ledger.postgres import PostgresJournal
from entente.ledger.postgres_reader import chain_rows
from entente.ledger.reader import rows
from entente.ledger.sqlite import SqliteJournal, launch_process
from entente.ledger.store import Durability, Journal
from entente.ledger.writer import BATCH_ENTRIES_MAX
from tests.kit.entries import adjusted, granted, held, now_ns, settled
from tests.kit.run import run
from tests.support.postgres import postgres_server

Read: TypeAlias = Callable[[], list[Row]]
Open: TypeAlias = Callable[[Path], AbstractAsyncContextManager[tuple[Journal, Read]]]


@asynccontextmanager
async def _memory(folder: Path) -> AsyncIterator[tuple[Journal, Read]]:
    journal = MemoryJournal()
    yield journal, lambda: journal.rows
    await journal.aclose()


def _sqlite(durability: Durability) -> Open:
    @asynccontextmanager
    async def opened(folder: Path) -> AsyncIterator[tuple[Journal, Read]]:
        path = folder / DATABASE_NAME
        with closing(connect(path)) as connection:
            migrate(connection)
        journal = SqliteJournal(
            path,
            seq=0,
            head=GENESIS,
            durability=durability,
            on_foreign=_nobody,
            on_written=lambda *_: None,
            on_change=lambda: None,
            launch=launch_process(),
        )
        yield journal, lambda: list(rows(path))
        await journal.aclose()

    return opened


def _postgres(durability: Durability) -> Open:
    @asynccontextmanager
    async def opened(folder: Path) -> AsyncIterator[tuple[Journal, Read]]:
        server = postgres_server()
        url = server.new_database()
        address = address_of(Secret(url))
        with closing(PostgresDatabase(address)) as database:
            migrate_postgres(database, now_ns())
            journal = PostgresJournal(
                address,
                name="test",
                durability=durability,
                now_ns=now_ns,
                on_written=lambda *_: None,
                on_orphan=lambda hold: _nobody([hold]),
                on_taken_over=_not_taken_over,
                alone=True,
            )
            await journal.open()
            yield journal, lambda: list(chain_rows(database, journal.chain))
            await journal.aclose()
        server.drop_database(url)

    return opened


async def _not_taken_over() -> None:
    message = "nobody takes this chain over"
    raise AssertionError(message)


def _nobody(entries: Iterable[AnyEntry]) -> None:
    message = f"nobody else writes here: {list(entries)}"
    raise AssertionError(message)


JOURNALS: dict[str, Open] = {
    "memory": _memory,
    **{f"sqlite-{durability}": _sqlite(durability) for durability in Durability},
    **{f"postgres-{durability}": _postgres(durability) for durability in Durability},
}


@pytest.fixture(params=JOURNALS)
def opened(request: pytest.FixtureRequest) -> Open:
    """Give each journal in turn."""
    return JOURNALS[request.param]


def test_entries_stand_in_the_order_of_the_calls(opened: Open, tmp_path: Path) -> None:
    """Whatever their kind, over several batches; what was awaited can be read."""

    async def scenario() -> None:
        async with opened(tmp_path) as (journal, read):
            entries: list[AnyEntry] = [granted("g", 10**6)]
            for number in range(BATCH_ENTRIES_MAX):
                opened_hold = held(f"r{number}", 5)
                entries += (opened_hold, settled(opened_hold, 1))
            futures = [journal.append(entry) for entry in entries]
            await asyncio.gather(*futures)
            report, _ = verify(read())
            assert [decode(row.line) for row in read()] == entries
            assert report.problems == []
            assert journal.trouble is None

    run(scenario())


@pytest.mark.parametrize("apart", [False, True])
def test_the_same_entry_again_is_fine(opened: Open, tmp_path: Path, apart: bool) -> None:
    """Same key, same content: written once, in one batch or in two; what follows goes on."""

    async def scenario() -> None:
        async with opened(tmp_path) as (journal, read):
            first = journal.append(granted("g", 1))
            if apart:
                await first
            again = journal.append(granted("g", 1))
            last = journal.append(granted("h", 1))
            await asyncio.gather(first, again, last)
            assert [row.idempotency_key for row in read()] == ["grant:g", "grant:h"]
            assert verify(read())[0].problems == []

    run(scenario())


@pytest.mark.parametrize("apart", [False, True])
def test_another_entry_under_the_same_key_is_a_conflict(
    opened: Open, tmp_path: Path, apart: bool
) -> None:
    """It is not written, and neither the first nor those after it suffer."""

    async def scenario() -> None:
        async with opened(tmp_path) as (journal, read):
            first = journal.append(granted("g", 1))
            if apart:
                await first
            other = journal.append(granted("g", 2))
            last = journal.append(granted("h", 1))
            with pytest.raises(IdempotencyConflict, match="grant:g"):
                await other
            await asyncio.gather(first, last)
            assert [decode(row.line) for row in read()] == [granted("g", 1), granted("h", 1)]
            assert journal.trouble is None

    run(scenario())


def test_an_adjustment_is_written_once(opened: Open, tmp_path: Path) -> None:
    """However often it is posted; and what it says stays."""

    async def scenario() -> None:
        async with opened(tmp_path) as (journal, read):
            await journal.append(adjusted("a", 5))
            await journal.append(adjusted("a", 5))
            with pytest.raises(IdempotencyConflict, match="adjust:a"):
                await journal.append(adjusted("a", 6))
            assert [decode(row.line) for row in read()] == [adjusted("a", 5)]
            _, books = verify(read())
            assert books.balance(payable("p"), "USD") == 5

    run(scenario())


def test_closing_writes_what_is_in_line(opened: Open, tmp_path: Path) -> None:
    """Nobody has to wait for an entry for it to be written."""

    async def scenario() -> list[Row]:
        async with opened(tmp_path) as (journal, read):
            for number in range(20):
                journal.append(granted(f"g{number}", 1))
            await journal.aclose()
            return read()

    assert len(run(scenario())) == 20


def test_a_cancelled_waiter_takes_nothing_back(opened: Open, tmp_path: Path) -> None:
    """The place in line is taken by the call, not by the wait."""

    async def scenario() -> None:
        async with opened(tmp_path) as (journal, read):
            journal.append(granted("g", 1)).cancel()
            await journal.append(granted("h", 1))
            assert [row.idempotency_key for row in read()] == ["grant:g", "grant:h"]

    run(scenario())
