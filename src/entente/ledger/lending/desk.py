"""All borrowers of one worker, and requests that draw on several meters at once. Pure.

A request takes from all of its meters or from none. It takes from them in an order that is
the same everywhere, and keeps what it has while it waits for the next: so whoever holds
something waits only for meters further on, and nobody can wait in a circle. The order is
from the narrow to the wide, a key before its organisation, so that who waits for a budget
of its own keeps nothing from others; and meters that nobody waits for come last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from entente.domain.rules import Level, Unit
from entente.ledger.lending.borrower import LONG_AGO_MS, RETRY_MS, Borrower, Outcome
from entente.ledger.lending.messages import Statement, Verdict, Word
from entente.ledger.meters import read_meter

NARROW_FIRST: Final = tuple(reversed([str(level) for level in Level]))
"""From a key to the organization."""
NAMES_KEPT_MAX: Final = 16_384


class Part(NamedTuple):
    """What a request takes from one meter, at most."""

    meter: str
    amount: int


class Answer(NamedTuple):
    """What became of a request: admitted, or refused at a meter that had `left`."""

    id: str
    verdict: Verdict
    meter: str = ""
    left: int = 0


class _Basket:
    """A request on its way through its meters."""

    __slots__ = ("costs", "id", "parts", "taken")

    def __init__(self, id: str, parts: list[Part]) -> None:
        self.id = id
        self.parts = parts
        self.taken = 0
        """How many of the parts it has."""
        self.costs: Mapping[str, int] = {}
        """By meter, once it is settled."""


@lru_cache(NAMES_KEPT_MAX)
def is_patient(meter: str) -> bool:
    """Say whether requests wait for a meter while running ones stand in the way.

    For money: they may cost less than they hold. The next minute comes without waiting here.
    """
    return read_meter(meter).unit is Unit.SPEND


@lru_cache(NAMES_KEPT_MAX)
def place(meter: str) -> tuple[bool, int, str]:
    """Give a meter's place in the order in which all workers take from meters."""
    level = read_meter(meter).subject.partition(":")[0]
    rank = NARROW_FIRST.index(level) if level in NARROW_FIRST else len(NARROW_FIRST)
    return (not is_patient(meter), rank, meter)


class Desk:
    """One worker's loans. `name` gives each borrower a name that no other has ever had."""

    def __init__(self, name: Callable[[], str], kind: type[Borrower] = Borrower) -> None:
        """Begin with nothing on loan."""
        self._name, self._kind = name, kind
        self.borrowers: dict[str, Borrower] = {}
        self._baskets: dict[str, _Basket] = {}
        self._touched: dict[str, None] = {}
        """Meters that may have something urgent to say."""
        self._swept_ms = LONG_AGO_MS

    def borrower(self, meter: str) -> Borrower:
        """Give the borrower of a meter."""
        found = self.borrowers.get(meter)
        if found is None:
            found = self._kind(self._name(), patient=is_patient(meter))
            self.borrowers[meter] = found
        return found

    def request(self, id: str, parts: Iterable[Part], now_ms: int) -> list[Answer]:
        """Take all parts for a request, or put it in line; give what is decided by it."""
        basket = _Basket(id, sorted(parts, key=lambda part: place(part.meter)))
        self._baskets[id] = basket
        return self._go_on([basket], now_ms)

    def withdraw(self, id: str, now_ms: int) -> list[Answer]:
        """Forget a request: one in line, or one that will not run; give what is decided by it."""
        basket = self._baskets.pop(id, None)
        if basket is None:
            return []
        outcomes = []
        if basket.taken < len(basket.parts):
            meter = basket.parts[basket.taken].meter
            outcomes.append((meter, self.borrower(meter).withdraw(id, now_ms)))
            self._touch(meter)
        outcomes += self._put_back(basket, now_ms)
        return self._follow(outcomes, now_ms)

    def settle(self, id: str, costs: Mapping[str, int], now_ms: int) -> list[Answer]:
        """Replace what a request took by what it cost; `written` follows when that is durable."""
        basket = self._baskets.get(id)
        if basket is None:
            return []
        basket.costs = costs
        outcomes = []
        for meter, amount in basket.parts:
            outcomes.append((meter, self.borrower(meter).settle(amount, costs[meter], now_ms)))
            self._touch(meter)
        return self._follow(outcomes, now_ms)

    def written(self, id: str) -> None:
        """Take note that the settlement of a request is durable."""
        basket = self._baskets.get(id)
        if basket is None or not basket.costs:
            return
        del self._baskets[id]
        for meter, amount in basket.parts:
            self.borrower(meter).written(amount, basket.costs[meter])
            self._touch(meter)

    def statements(self, now_ms: int, *, keeps: bool = False) -> dict[str, Statement]:
        """Say what is to be said now, by meter. Call it again within `RETRY_MS`.

        `keeps`: what is idle does not go back, as nobody is there to take it.
        """
        if now_ms - self._swept_ms >= RETRY_MS:
            self._swept_ms = now_ms
            self._touched.update(dict.fromkeys(self.borrowers))
        said = {}
        for meter in list(self._touched):
            borrower = self.borrowers.get(meter)
            statement = borrower.statement(now_ms, keeps=keeps) if borrower else None
            if statement is not None:
                said[meter] = statement
            if borrower is None or not borrower.has_to_pause(now_ms):
                del self._touched[meter]
        return said

    @property
    def has_news(self) -> bool:
        """Whether there may be something to say."""
        return bool(self._touched)

    def hear(self, meter: str, word: Word, now_ms: int) -> list[Answer]:
        """Take in a word of a meter's lender; give what is decided by it."""
        borrower = self.borrowers.get(meter)
        if borrower is None or borrower.name != word.to:
            return []
        outcomes = borrower.hear(word, now_ms)
        self._touch(meter)
        return self._follow([(meter, outcomes)], now_ms)

    def lost(self, meter: str) -> None:
        """Take note that the last statement about a meter may not have been heard."""
        self.borrower(meter).lost()
        self._touch(meter)

    def doubt(self, meter: str) -> None:
        """Take nothing more from a meter before its lender was heard: its limit has changed."""
        self.borrower(meter).doubt()
        self._touch(meter)

    def end(self, meter: str) -> None:
        """Give back what a meter has on loan: its window is over."""
        self.borrower(meter).end()
        self._touch(meter)

    def stands_at(self, id: str) -> tuple[str, int]:
        """Give the meter at which a request waits, and what is free there as far as known."""
        basket = self._baskets[id]
        meter = basket.parts[basket.taken].meter
        return meter, max(0, self.borrower(meter).room)

    def forget(self, meters: Iterable[str]) -> list[str]:
        """Drop the borrowers of meters that nobody will draw on again; give those that are gone.

        What took nothing ahead, and is not over, may still cost something.
        """
        drawn = {part.meter for each in self._baskets.values() for part in each.parts}
        gone = [
            meter
            for meter in meters
            if meter not in drawn and (meter not in self.borrowers or self.borrowers[meter].at_rest)
        ]
        for meter in gone:
            self.borrowers.pop(meter, None)
        return gone

    @property
    def at_rest(self) -> bool:
        """Nothing runs or waits, and every lender has been told everything."""
        return not self._baskets and all(each.at_rest for each in self.borrowers.values())

    # ---- inside ----

    def _touch(self, meter: str) -> None:
        """Look at a meter at the next occasion, if it may have something urgent to say."""
        if self.borrowers[meter].is_urgent:
            self._touched[meter] = None

    def _go_on(self, baskets: list[_Basket], now_ms: int) -> list[Answer]:
        """Take further parts for baskets until each is whole or in line."""
        answers = []
        for basket in baskets:
            while basket.taken < len(basket.parts):
                meter, amount = basket.parts[basket.taken]
                taken = self.borrower(meter).request(basket.id, amount, now_ms)
                self._touch(meter)
                if not taken:
                    break
                basket.taken += 1
            else:
                answers.append(Answer(basket.id, Verdict.SERVED))
        return answers

    def _follow(
        self, outcomes: Iterable[tuple[str, Iterable[Outcome]]], now_ms: int
    ) -> list[Answer]:
        """Carry on what ended waits, and what that in turn ends."""
        answers: list[Answer] = []
        todo = deque((meter, outcome) for meter, many in outcomes for outcome in many)
        while todo:
            meter, outcome = todo.popleft()
            basket = self._baskets[outcome.id]
            if outcome.verdict is Verdict.SERVED:
                basket.taken += 1
                answers += self._go_on([basket], now_ms)
                continue
            del self._baskets[outcome.id]
            answers.append(Answer(outcome.id, outcome.verdict, meter, outcome.left))
            for other, many in self._put_back(basket, now_ms):
                todo.extend((other, each) for each in many)
        return answers

    def _put_back(self, basket: _Basket, now_ms: int) -> list[tuple[str, list[Outcome]]]:
        """Return what a basket has taken; give whose waits that ends."""
        outcomes = []
        for meter, amount in basket.parts[: basket.taken]:
            outcomes.append((meter, self.borrower(meter).cancel(amount, now_ms)))
            self._touch(meter)
        return outcomes
