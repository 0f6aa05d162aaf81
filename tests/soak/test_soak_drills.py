"""The long drills work, which nobody would notice otherwise before they are needed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from soak.model import Outcome
from soak.plan import QUICK
from soak.registry import DRILLS
from soak.run import Run
from soak.stand import Stand
from tests.support.loops import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PLAN: Final = msgspec.structs.replace(
    QUICK, kills=2, leavers=20, upstream_kills=1, clock_steps=3, lease_requests=(150,)
)
_TWICE: Final = (
    "faults: answer to a batch of entries lost",
    "faults: answer to a word about loans lost",
    "faults: answer to a request for a budget lost",
    "faults: notice delivered twice",
)
"""What every run on a real database delivers twice."""
_FORGETS_SETTLEMENTS: Final = """
import entente.ledger.sqlite as sqlite
def _forget(self, entry, real=sqlite.SqliteJournal.append):
    if isinstance(entry, sqlite.Settlement) and entry.id[-1] in "01234":
        done = self._loop.create_future()
        done.set_result(None)
        return done
    return real(self, entry)
sqlite.SqliteJournal.append = _forget
"""
"""A product that does not write down how some requests ended."""


def drill(name: str, folder: Path) -> Outcome:
    """Run a drill as small as it gets."""
    outcome = Outcome(name, seed=3)
    run(DRILLS[name](Run(name, outcome, folder, PLAN, 3, lambda *_: None)))
    return outcome


def test_drills_pass(tmp_path: Path) -> None:
    """Servers killed, streams left, a provider killed, a clock stepped: all accounts agree."""
    for name in ("kills", "leavers", "upstream", "clock"):
        folder = tmp_path / name
        folder.mkdir()
        outcome = drill(name, folder)
        assert outcome.passed, outcome
        assert outcome.requests > 0
        assert outcome.verifications >= 1


def test_the_drill_of_hosts_passes(tmp_path: Path) -> None:
    """Two hosts under one budget: everything that may happen to it happens, and it is kept."""
    outcome = drill("leases", tmp_path)
    assert outcome.passed, outcome
    assert outcome.requests >= 150
    assert outcome.verifications >= 4
    assert [name for name in _TWICE if not outcome.facts[name]] == []


def test_drills_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server has forgotten is seen, by each of the accounts."""
    monkeypatch.setattr("soak.drills.kills.Stand", partial(Stand, prelude=_FORGETS_SETTLEMENTS))
    outcome = drill("kills", tmp_path)
    assert not outcome.passed
    assert outcome.lost > 0
    assert outcome.unsettled > 0
    assert outcome.unverified > 0
    assert outcome.failed == "holds were open at rest"
