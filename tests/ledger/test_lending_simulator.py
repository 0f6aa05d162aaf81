"""Lending under faults, in a simulated world; and worlds whose rule is broken on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from entente.ledger.lending.borrower import Borrower
from entente.ledger.lending.lender import Lender
from entente.ledger.lending.messages import Statement, Word
from tests.kit.lending import World
from tests.kit.lending_worker import Broken

SEEDS = 50
MUTANT_SEEDS = 40


@pytest.mark.parametrize("seed", range(SEEDS))
def test_any_course_of_events_keeps_every_limit(seed: int) -> None:
    """The world checks at every step; see its docstring for what."""
    world = World(seed)
    world.play()
    assert world.requests > 20


def test_the_simulator_reaches_every_end() -> None:
    """Else the seeds above would prove little."""
    worlds = [World(seed) for seed in range(12)]
    for world in worlds:
        world.play()
    for end in ("never", "full", "impatient"):
        assert sum(world.ends[end] for world in worlds) > 20, end
    assert sum(len(world.closed) for world in worlds) > 5
    assert any(sum(world.overrun.values()) for world in worlds)


class _RepaysTwice(Lender):
    """Takes what is given back for a step, not for a total."""

    def hear(self, said: Statement) -> list[Word]:
        loan = self.loans.get(said.borrower)
        before = loan.returned if loan else 0
        words = super().hear(said)
        if said.returned:
            self.loans[said.borrower].returned = before + said.returned
        return words


class _ForgivesTheDead(Lender):
    """Gives back all that a dead worker had on loan, used or not."""

    def forfeit(self, borrowers: Iterable[str], used: int) -> list[Word]:
        return super().forfeit(borrowers, used and 0)


class _LendsWhatIsNotThere(Lender):
    """Serves everybody, whatever is free."""

    @property
    def free(self) -> int:
        return self.limit - self.used


class _NeverAsksBack(Lender):
    """Tells nobody that others are short."""

    def hear(self, said: Statement) -> list[Word]:
        return [word for word in super().hear(said) if word.to == said.borrower]


class _CallsItFullAtOnce(Lender):
    """Does not wait for the others to answer."""

    def unheard(self) -> list[str]:
        return []


class _RefusesTooSoon(Lender):
    """Takes what is lent for used."""

    def hear(self, said: Statement) -> list[Word]:
        words = super().hear(said)
        return [replace(word, used=self.limit - self.free) for word in words]


class _ChecksNothing(Borrower):
    """Admits whatever it has on loan."""

    @property
    def room(self) -> int:
        return super().room + 30


class _GivesBackTooSoon(Borrower):
    """Gives back what a settlement freed before the settlement is durable."""

    def settle(self, held: int, cost: int, now_ms: int) -> list[Any]:
        outcomes = super().settle(held, cost, now_ms)
        self._unsure_free = 0
        return outcomes

    def written(self, _: int, cost: int) -> None:
        self._unsure_used -= cost


class _TellsUseTooSoon(Borrower):
    """Tells a cost before it is durable."""

    def settle(self, held: int, cost: int, now_ms: int) -> list[Any]:
        outcomes = super().settle(held, cost, now_ms)
        self._unsure_used = 0
        return outcomes

    def written(self, held: int, cost: int) -> None:
        self._unsure_free -= max(0, held - cost)


class _KeepsWhatOthersNeed(Borrower):
    """Gives nothing back while it runs."""

    def hear(self, word: Word, now_ms: int) -> list[Any]:
        outcomes = super().hear(word, now_ms)
        self.scarce = False
        return outcomes


@pytest.mark.parametrize(
    "mutant",
    [
        _RepaysTwice,
        _ForgivesTheDead,
        _LendsWhatIsNotThere,
        _NeverAsksBack,
        _CallsItFullAtOnce,
        _RefusesTooSoon,
        _ChecksNothing,
        _GivesBackTooSoon,
        _TellsUseTooSoon,
        _KeepsWhatOthersNeed,
    ],
)
def test_a_broken_rule_is_found(mutant: type[Any]) -> None:
    """Within a few seeds, so the seeds above would have found it."""
    assert _finds(**{"lender" if issubclass(mutant, Lender) else "borrower": mutant}), (
        f"no seed finds {mutant.__name__}"
    )


def test_a_missing_fence_is_found() -> None:
    """A worker that was taken over goes on talking."""
    assert _finds(fence=False)


def _finds(**broken: Any) -> bool:
    """Whether a world with this in it breaks a promise."""
    for seed in range(MUTANT_SEEDS):
        try:
            World(seed, **broken).play()
        except Broken:
            return True
    return False
