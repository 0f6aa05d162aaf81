"""Checkpoints of a ledger that works: what they say is what stands in the journal."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given

from entente.db import connect
from entente.ledger.books import Books
from entente.ledger.checkpoints import Checkpoints
from entente.ledger.journal import GENESIS, verify
from entente.ledger.model import AnyEntry
from entente.ledger.reader import Position, load, save_checkpoint
from tests.kit.databases import desk, new_database
from tests.kit.entries import granted, held, journals, rows_of, settled
from tests.kit.run import PROPERTY


def _same(one: Books, other: Books) -> None:
    """Compare books; an account at zero and one without a posting are the same."""
    assert one.open_holds == other.open_holds
    for account in {*one.balances, *other.balances}:
        for asset in {*one.balances.get(account, {}), *other.balances.get(account, {})}:
            assert one.balance(account, asset) == other.balance(account, asset)


@PROPERTY
@given(journals())
def test_what_is_followed_is_what_is_folded(entries: list[AnyEntry]) -> None:
    """At every entry, from any earlier one on, the net of it all equals the whole of it all."""
    rows = rows_of(entries)
    for start in range(0, len(rows), 3):
        _, before = verify(rows[:start])
        head = rows[start - 1].hash if start else GENESIS
        checkpoints = Checkpoints(Position(start, head, before), _unexpected)
        for number, row in enumerate(rows[start:], start=start):
            checkpoints.written([entries[number]], row.seq, row.hash)
            _same(checkpoints.position().books, verify(rows[: number + 1])[1])


def _unexpected(position: Position) -> None:
    message = f"a checkpoint at {position.seq} although none was due"
    raise AssertionError(message)


def test_a_start_after_a_crash_goes_on_from_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken while holds were open and others waited in line, it makes the same start."""
    monkeypatch.setattr("entente.ledger.checkpoints.CHECKPOINT_ENTRIES", 20)

    async def scenario() -> tuple[Path, list[Position]]:
        path = new_database(tmp_path, granted("g", 1_000))
        async with desk(path) as opened:
            ledger = opened.ledger
            holds = [held(f"r{number}", 10) for number in range(60)]
            for hold in holds[:5]:
                await ledger.hold(hold)
            for hold in holds[5:]:
                await asyncio.gather(ledger.hold(hold), ledger.settle(settled(holds[0], 3)))
                holds[0] = hold
            opened.verify()
            return path, opened.saved

    path, saved = asyncio.run(scenario())
    assert len(saved) >= 3
    assert any(position.books.open_holds for position in saved)
    with closing(connect(path)) as connection:
        whole = load(connection)
        for position in saved:
            save_checkpoint(connection, position)
            again = load(connection)
            assert (again.seq, again.head) == (whole.seq, whole.head)
            _same(again.books, whole.books)
