"""What goes wrong for a while is said twice: when it begins, and when it is over."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

import pytest

from entente import news
from entente.control import telling
from entente.control.events import Event, EventType
from entente.control.telling import Teller
from entente.domain.errors import LedgerUnavailable
from entente.ledger.rollups import folder as beside
from entente.ledger.rollups.fold import Folding
from entente.ledger.rollups.folder import Folder
from entente.news import News
from entente.telemetry.trouble import Trouble
from tests.kit.run import run, until
from tests.usage.journals import NOW_S, Memory, in_memory

if TYPE_CHECKING:
    from entente.control.desk import Clerk

TRIES = 5


class Away:
    """A database that is away for some tries."""

    def __init__(self) -> None:
        """It is away."""
        self.tries = 0

    def ask(self) -> None:
        """Refuse, each time for another reason, until it is back."""
        self.tries += 1
        if self.tries < TRIES:
            message = f"no route, try {self.tries}"
            raise LedgerUnavailable(message)


def test_a_trouble_is_said_at_its_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Not in between, and nothing is said of what goes well; the next one is another."""
    trouble = Trouble(logging.getLogger("entente.test"), "away: %s", "back")
    trouble.end()
    for _ in range(2):
        trouble.begin("first")
        trouble.begin("second")
        assert trouble.text == "second"
        trouble.end()
        trouble.end()
        assert trouble.text is None
    assert caplog.messages == ["away: first", "back"] * 2
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_change_that_cannot_be_read(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again four times a second, and said once."""
    monkeypatch.setattr(news, "RETRY_S", 0)

    async def scenario() -> None:
        away, told = Away(), News()
        told.listen(away.ask)
        told.changed()
        await until(lambda: away.tries == TRIES)
        told.changed()
        told.close()

    run(scenario())
    assert caplog.messages == [
        "a change is not seen yet: no route, try 1",
        "changes are seen again",
    ]


def test_sums_that_stay_behind(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For whatever reasons, one after the other."""
    monkeypatch.setattr(beside, "FOLD_EVERY_S", 0)

    async def scenario() -> None:
        away = Away()

        def make() -> Folding:
            away.ask()
            return Folding(in_memory(), Memory())

        folder = Folder(make, lambda: NOW_S)
        folder.start()
        await until(lambda: "the sums of usage go on" in caplog.messages)
        await folder.aclose()
        assert away.tries == TRIES

    run(scenario())
    assert caplog.messages == [
        "the sums of usage stay behind for now: no route, try 1",
        "the sums of usage go on",
    ]


class _Clerk:
    """Does nothing of what it is asked while the database is away."""

    def __init__(self, away: Away) -> None:
        self._away = away

    async def do(self, _: object) -> bool:
        """Say that what was written is news."""
        await asyncio.sleep(0)
        self._away.ask()
        return True


def test_events_that_wait(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those that are dropped meanwhile, which are counted."""
    monkeypatch.setattr(telling, "RETRY_S", 0)
    monkeypatch.setattr(telling, "LINE_MAX", 3)

    async def scenario() -> None:
        away, written = Away(), asyncio.Event()
        teller = Teller(cast("Clerk", _Clerk(away)), written=written.set)
        for number in range(7):
            teller.tell(Event(type=EventType.LEDGER_TROUBLE, at_ns=number, data={}))
        teller.start()
        await written.wait()
        await until(lambda: len(caplog.messages) > 3)
        await teller.aclose()

    run(scenario())
    assert caplog.messages == [
        "events are dropped: the database takes none",
        "events wait: no route, try 1",
        "events are written again",
        "4 events were dropped",
    ]
