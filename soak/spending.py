"""What has to be true of one budget that several workers spend, by what all parties say. Pure.

Every request names an end user of its own, so it is the same one in the body that the upstream
got, in the hold and the settlement, and with the client. When an entry came to stand is the
database's to say: it has one clock, and the hosts' clocks are wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from entente.domain.chat import Status
from entente.ledger.model import AnyEntry, Hold, Settlement
from tests.support.budgets import Asked

OK: Final = 200
REFUSED: Final = 429
US_PER_NS: Final = 1_000
SHOWN_MAX: Final = 5


class Stood(NamedTuple):
    """An entry, and when its transaction was committed."""

    at_us: int
    entry: AnyEntry


class Budgeted(NamedTuple):
    """A budget, and what is held for each request, which is what each costs."""

    limit_nano: int
    cost_nano: int


class Found(NamedTuple):
    """What came of a comparison."""

    problems: list[str]
    """In words; empty where everything agrees."""
    spent_nano: int
    unsent: int
    """Requests that were settled at their bounds after a crash, and never reached the upstream."""


def compare(
    budget: Budgeted,
    stood: Sequence[Stood],
    calls: Sequence[str],
    asked: Sequence[Asked],
    summed_nano: int,
) -> Found:
    """Hold entries in the order of their commits against the others.

    `calls` has the end user of each call that the upstream got; `summed_nano` is what reports
    of usage add up to.
    """
    settled = [each.entry for each in stood if isinstance(each.entry, Settlement)]
    spent = sum(each.cost_nano or 0 for each in settled)
    called = Counter(calls)
    unsent = sum(each.recovered and not called[each.origin.end_user] for each in settled)
    problems = [
        *_shown(_requests(stood, called)),
        *_shown(_answers(settled, called, asked, budget.cost_nano)),
        *_shown(_instants(stood, budget.limit_nano)),
        *_shown(_refusals(stood, asked, budget)),
    ]
    owed = (len(calls) + unsent) * budget.cost_nano
    if spent != owed:
        problems.append(f"entries add up to {spent}, calls to {owed}")
    if spent != summed_nano:
        problems.append(f"entries add up to {spent}, reports of usage to {summed_nano}")
    return Found(problems, spent, unsent)


def _shown(problems: Iterable[str]) -> list[str]:
    """Give the first of many problems of one kind."""
    found = list(problems)
    more = [f"and {len(found) - SHOWN_MAX} more"] if len(found) > SHOWN_MAX else []
    return found[:SHOWN_MAX] + more


def _requests(stood: Sequence[Stood], called: Counter[str]) -> Iterator[str]:
    """See that each request is held once, settled once, and called as often as that says."""
    held: dict[str, Hold] = {}
    opened: set[str] = set()
    users: set[str] = set()
    for each in stood:
        entry = each.entry
        if isinstance(entry, Hold):
            user = entry.origin.end_user
            if entry.id in held or user in users:
                yield f"{user} was held twice"
            held[entry.id] = entry
            opened.add(entry.id)
            users.add(user)
        elif isinstance(entry, Settlement):
            if entry.id not in opened:
                yield f"{entry.id} was settled without an open hold"
            opened.discard(entry.id)
            times = called[entry.origin.end_user]
            if times != entry.attempts and not (entry.recovered and times == 1):
                yield f"{entry.origin.end_user} was called {times} times, {entry.attempts} settled"
    yield from (f"{held[id].origin.end_user} is still held" for id in sorted(opened))
    yield from (f"{user} was called without a hold" for user in sorted(called.keys() - users))


def _answers(
    settled: Iterable[Settlement], called: Counter[str], asked: Iterable[Asked], cost_nano: int
) -> Iterator[str]:
    """See that who was answered was settled so, and who was refused was not served."""
    by_user = {each.origin.end_user: each for each in settled}
    for one in asked:
        found = by_user.get(one.end_user)
        if one.status == REFUSED and called[one.end_user]:
            yield f"{one.end_user} was refused, and called all the same"
        if one.status != OK or not one.whole:
            continue
        if found is None or found.recovered or found.status is not Status.COMPLETE:
            yield f"{one.end_user} was answered, and not settled as complete"
        elif found.cost_nano != cost_nano:
            yield f"{one.end_user} was settled at {found.cost_nano}"


def _instants(stood: Sequence[Stood], limit_nano: int) -> Iterator[str]:
    """See that at no instant more was spent and held than the budget has."""
    holds: dict[str, int] = {}
    spent = held = 0
    for at_us, together in groupby(stood, attrgetter("at_us")):
        for _, entry in together:
            if isinstance(entry, Hold):
                holds[entry.id] = entry.nano
                held += entry.nano
            elif isinstance(entry, Settlement):
                held -= holds.pop(entry.id, 0)
                spent += entry.cost_nano or 0
        if spent + held > limit_nano:
            yield f"at {at_us} us {spent} were spent and {held} held, of {limit_nano}"


def _refusals(stood: Sequence[Stood], asked: Iterable[Asked], budget: Budgeted) -> Iterator[str]:
    """See that nobody was refused before the budget was spent: until then it may yet fit."""
    full_us = _full_us(stood, budget)
    for one in asked:
        if one.status != REFUSED:
            continue
        if full_us is None:
            yield f"{one.end_user} was refused, and the budget was never spent"
        elif one.ended_ns // US_PER_NS < full_us:
            early_us = full_us - one.ended_ns // US_PER_NS
            yield f"{one.end_user} was refused {early_us} us before the budget was spent"


def _full_us(stood: Sequence[Stood], budget: Budgeted) -> int | None:
    """Give when so much was settled that no further request fits; None for never."""
    spent = 0
    for at_us, entry in stood:
        if isinstance(entry, Settlement):
            spent += entry.cost_nano or 0
            if budget.limit_nano - spent < budget.cost_nano:
                return at_us
    return None
