"""The holds of a realtime session: each is settled once, and what it takes comes back once."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Final

import pytest

from entente.domain.chat import Status
from entente.domain.errors import LedgerUnavailable, LimitError
from entente.domain.money import parse_rate
from entente.domain.principal import Principal, Role
from entente.domain.rules import Level, Rule, Unit
from entente.domain.usage import Usage
from entente.gateway.pricing import Quote
from entente.gateway.reserve import Accounts, Reserve, Terms
from entente.ledger.books import Books
from entente.ledger.journal import verify
from entente.ledger.ledger import Ledger, Place
from entente.ledger.meters import Draw
from entente.ledger.model import Hold
from entente.metering.bounds import Bound
from entente.metering.prices import compile_price
from entente.policy.rules import RuleBook
from entente.telemetry.metrics import Monitor
from tests.kit.entries import KEY, USD, granted, now_ns
from tests.kit.journals import TickJournal
from tests.kit.run import run, turns

MOST: Final = Bound(60, 40)
HOLD_NANO: Final = MOST.total
"""A nano-unit for each token."""
USED: Final = Usage(input=6, output=4)


class Bench:
    """A session's reserve over a ledger in memory."""

    def __init__(
        self,
        *rules: Rule,
        budget: int | None = None,
        kind: type[Ledger] = Ledger,
        priced: bool = True,
    ) -> None:
        """Put the parts together."""
        self.journal = TickJournal()
        self.ledger = kind(self.journal, Books(), now_ns=now_ns, budget_wait_s=0.01)
        self.budget = budget
        self.book = RuleBook(rules)
        rates = {name: parse_rate("0.000000001") for name in ("input", "output")}
        quote = Quote("book", USD, compile_price(USD, rates, 1)) if priced else Quote("book")
        who = Principal(key_id=KEY, name="n", role=Role.MEMBER, budgeted=budget is not None)
        numbers = count(1)
        self.reserve = Reserve(
            Accounts(self.ledger, lambda: self.book, Monitor(), now_ns),
            Terms(model="m", quote=quote, most=MOST),
            who,
            lambda: f"r{next(numbers)}",
        )

    async def ready(self) -> None:
        """Grant the budget."""
        if self.budget is not None:
            self.ledger.books.apply(entry := granted("g", self.budget))
            await self.journal.append(entry)

    async def close(self) -> None:
        """Close the session; nothing is held then, by anybody's account."""
        await asyncio.gather(*self.reserve.close(Status.CANCELLED))
        await turns()
        report, books = verify(self.journal.rows)
        assert report.problems == []
        assert report.open_holds == 0
        assert not self.ledger.books.open_holds
        assert self.ledger.books.balances == books.balances
        assert all(not each.pending for each in self.ledger.books.meters.counters.values())


def rule(unit: Unit, amount: int) -> Rule:
    """Limit the organization for ever."""
    asset = USD if unit is Unit.SPEND else ""
    id = f"r_{unit}"
    return Rule(id=id, level=Level.ORGANIZATION, name="", unit=unit, amount=amount, asset=asset)


def test_a_refused_response_gives_its_place_back_once() -> None:
    """Also where another hold is in hand by then, as in sessions with automatic turns."""

    async def drill() -> None:
        bench = Bench(rule(Unit.CONCURRENCY, 2), rule(Unit.TOKENS, 1000))
        await bench.reserve.promise("a")
        bench.reserve.renew()
        await turns()
        bench.reserve.release("a")
        for counter in bench.ledger.books.meters.counters.values():
            assert (counter.used, counter.pending) == (0, 0)
        await bench.close()

    run(drill())


def test_a_response_beyond_a_rules_budget_is_recorded() -> None:
    """One that the provider began by itself, when nothing was left to hold for it."""

    async def drill() -> None:
        bench = Bench(rule(Unit.SPEND, HOLD_NANO), budget=10 * HOLD_NANO)
        await bench.ready()
        await bench.reserve.ready()
        assert await bench.reserve.begin("one") is None
        assert isinstance(await bench.reserve.begin("two"), LimitError)
        for id in ("one", "two"):
            settled = bench.reserve.end(id, Status.COMPLETE, USED)
            assert settled is not None
            await settled
        await bench.close()
        assert bench.ledger.books.available(KEY, USD) == 10 * HOLD_NANO - 2 * USED.total
        (counter,) = bench.ledger.books.meters.counters.values()
        assert counter.used == 2 * USED.total

    run(drill())


def test_what_could_not_be_written_is_not_settled() -> None:
    """A response that began when the journal took nothing: its hold was never there."""

    async def drill() -> None:
        bench = Bench(budget=HOLD_NANO)
        await bench.ready()
        await bench.reserve.ready()
        assert await bench.reserve.begin("one") is None
        bench.journal.broken = (Hold,)
        with pytest.raises(LedgerUnavailable):
            await bench.reserve.begin("two")
        bench.journal.broken = ()
        await bench.close()

    run(drill())


class _Away(Ledger):
    """Has no places to give."""

    async def admit(self, draws: tuple[Draw, ...], model: str, at_ns: int) -> Place:
        """Find the authority away."""
        del draws, model, at_ns
        await asyncio.sleep(0)
        message = "The authority is away."
        raise LedgerUnavailable(message)


def test_a_response_whose_place_is_unknown_is_settled() -> None:
    """Limits cannot be asked for just as the provider begins: its hold is not forgotten."""

    async def drill() -> None:
        bench = Bench(budget=10 * HOLD_NANO, kind=_Away)
        await bench.ready()
        await bench.reserve.ready()
        with pytest.raises(LedgerUnavailable):
            await bench.reserve.begin("one")
        await bench.close()

    run(drill())


def test_a_response_that_has_no_price_any_more_is_recorded() -> None:
    """A budget has come to be behind the session, and the provider began by itself."""

    async def drill() -> None:
        bench = Bench(priced=False)
        await bench.reserve.ready()
        assert await bench.reserve.begin("one") is None
        bench.book = RuleBook([rule(Unit.SPEND, HOLD_NANO)])
        assert isinstance(await bench.reserve.begin("two"), LimitError)
        await bench.close()
        settled = [row for row in bench.journal.rows if row.idempotency_key.startswith("settle:")]
        assert len(settled) == 2

    run(drill())


def test_a_hold_that_comes_back_while_another_is_made() -> None:
    """One of them is in hand then, and the other is not forgotten."""

    async def drill() -> None:
        bench = Bench(budget=10 * HOLD_NANO)
        await bench.ready()
        await bench.reserve.promise("a")
        bench.reserve.renew()
        bench.reserve.release("a")  # before the journal has the other one
        await turns()
        assert len(bench.ledger.books.open_holds) == 1
        await bench.close()

    run(drill())


def test_two_wait_for_the_hold_that_is_made() -> None:
    """The client asks just as the provider begins: who comes second gets the next one."""

    async def drill() -> None:
        bench = Bench(budget=10 * HOLD_NANO)
        await bench.ready()
        bench.reserve.renew()
        began = asyncio.create_task(bench.reserve.begin("one"))
        asked = asyncio.create_task(bench.reserve.promise("a"))
        refusal, _ = await asyncio.gather(began, asked)
        assert refusal is None
        assert len(bench.ledger.books.open_holds) == 2
        await bench.close()

    run(drill())
