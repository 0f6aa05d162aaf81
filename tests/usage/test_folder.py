"""Folding beside the server: behind, interrupted, and stopped while the database hangs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from entente.db.address import address_of
from entente.db.postgres import PostgresDatabase
from entente.domain.errors import LedgerUnavailable, StorageUnavailable
from entente.domain.secret import Secret
from entente.ledger.rollups import folder as beside
from entente.ledger.rollups.fold import Folding
from entente.ledger.rollups.folder import Folder
from entente.ledger.rollups.schema import make_tables
from entente.ledger.rollups.table import Rollups
from tests.kit.run import run, until
from tests.support.postgres import postgres_server
from tests.usage.journals import NOW_S, Memory, in_memory, request, total

if TYPE_CHECKING:
    from entente.ledger.rollups.tally import Sums


def journal(requests: int) -> Memory:
    """Make a journal."""
    return Memory(one=[entry for number in range(requests) for entry in request(number)])


def test_an_answer_has_what_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not folded yet is folded first; far behind, that is said instead."""
    monkeypatch.setattr(beside, "STEP_ENTRIES", 10)
    monkeypatch.setattr(Folding.step, "__kwdefaults__", {"most": 10})
    monkeypatch.setattr(beside, "STEPS_AWAITED_MAX", 3)

    async def main() -> None:
        near = Folder(lambda: Folding(in_memory(), journal(9)), lambda: NOW_S)
        assert (await near.ask(total)).requests == 9
        await near.aclose()
        far = Folder(lambda: Folding(in_memory(), journal(25)), lambda: NOW_S)
        with pytest.raises(StorageUnavailable, match="20 entries are left"):
            await far.ask(total)
        assert (await far.ask(total)).requests == 25
        await far.aclose()

    run(main())


def test_how_far_it_is_behind_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """It grows while nothing can be folded, and is small again when all is."""
    monkeypatch.setattr(beside, "FOLD_EVERY_S", 0)
    away, behind_s = True, 0.3

    def make() -> Folding:
        if away:
            message = "no route"
            raise LedgerUnavailable(message)
        return Folding(in_memory(), journal(3))

    async def main() -> None:
        nonlocal away
        folder = Folder(make, lambda: NOW_S)
        assert folder.behind_s() == 0
        folder.start()
        await until(lambda: folder.behind_s() > behind_s)
        away = False
        await until(lambda: folder.behind_s() < behind_s)
        assert (await folder.ask(total)).requests == 3
        await folder.aclose()

    run(main())


def test_a_database_that_hangs_is_not_waited_for(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by who asks nor by who stops the server; afterwards it goes on by itself."""
    monkeypatch.setattr(beside, "CLOSE_S_MAX", 0.3)
    server = postgres_server()

    def make() -> Folding:
        database = PostgresDatabase(address_of(Secret(postgres_url)))
        make_tables(database)
        return Folding(Rollups(database), journal(3))

    async def main() -> Sums:
        folder = Folder(make, lambda: NOW_S)
        assert (await folder.ask(total)).requests == 3
        server.pause()
        try:
            with monkeypatch.context() as hasty:
                hasty.setattr(beside, "ANSWER_S_MAX", 0.3)
                with pytest.raises(LedgerUnavailable):
                    await folder.ask(total)
        finally:
            server.resume()
        found: Sums = await folder.ask(total)
        server.pause()
        try:
            asked = asyncio.ensure_future(folder.ask(total))
            await asyncio.sleep(0)
            await folder.aclose()
        finally:
            server.resume()
        with pytest.raises(LedgerUnavailable):
            await asked
        return found

    assert run(main()).requests == 3
