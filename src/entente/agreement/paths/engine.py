"""From an agreement and a plan to an outcome: every clause with money in it, over all paths.

    plan ─ streams ─▶ amounts ─ measured ─▶ bases ─ ladders, accruals, tariffs, burns ─▶ flows

Each calculator here does for many paths what the one of the same clause in `settle` does for
one, and comes to the same number of units; tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

import numpy as np

from entente.agreement.load import Book
from entente.agreement.paths import flows
from entente.agreement.paths.draws import Paths
from entente.agreement.paths.exacts import Ints
from entente.agreement.paths.measured import Counted, base_weights, counted
from entente.agreement.paths.outcome import Outcome, joined
from entente.agreement.paths.plan import MONEY, Plan, Stream
from entente.agreement.paths.streams import amounts
from entente.agreement.paths.terms import Terms
from entente.agreement.paths.times import happened, steps
from entente.domain.errors import ConfigError

CHUNK_PATHS: Final = 4_096
"""Paths that are computed at once; the outcome is the same for every number."""


def simulate(book: Book, plan: Plan, *, chunk_paths: int = CHUNK_PATHS) -> Outcome:
    """Simulate every path. Raises ConfigError where plan and agreement do not fit."""
    terms = Terms(book, steps(plan.scenario, book.zone), plan.contributed)
    check_events(plan, terms)
    count = plan.scenario.paths
    ranges = [
        Paths(plan.scenario.seed, first, min(chunk_paths, count - first))
        for first in range(0, count, chunk_paths)
    ]
    return joined([_Chunk(plan, terms, paths).outcome() for paths in ranges])


def check_events(plan: Plan, terms: Terms) -> None:
    """Refuse events that the agreement does not know. Raises ConfigError."""
    known = {event.id for each in terms.agreements if each is not None for event in each.events}
    for event in plan.events:
        if event.state.rpartition(".")[0] not in known:
            message = (
                f"the agreement has no event for {event.state}: name one of its events with a "
                f"state, such as {next(iter(sorted(known)), 'agi')}.verified"
            )
            raise ConfigError(message)


class _Chunk:
    """A range of paths."""

    def __init__(self, plan: Plan, terms: Terms, paths: Paths) -> None:
        self._plan = plan
        self._terms = terms
        self._count = paths.count
        made = amounts(plan, paths, {s.id: self._units(s) for s in plan.streams})
        self._streams = {name: _whole(rows, paths.count) for name, rows in made.items()}
        self._amounts = {
            stream.id: self._with_before(stream, made[stream.id]) for stream in plan.streams
        }
        self._occurred = happened(plan.events, terms.columns, paths, terms.zone)
        self._bases: dict[str, Counted] = {}
        self._occurred |= dict(self._triggers())

    def _units(self, stream: Stream) -> int:
        return self._terms.units if stream.counts == MONEY else 1

    def _with_before(self, stream: Stream, rows: Ints) -> Ints:
        before = round(stream.before * self._units(stream))
        return np.concatenate((np.full((rows.shape[0], 1), before, rows.dtype), rows), axis=1)

    def _triggers(self) -> Iterator[tuple[str, Ints]]:
        """Find the step in which each total reaches its bound."""
        bases = self._terms.named(lambda agreement: agreement.bases)
        for name, clauses in self._terms.named(lambda agreement: agreement.triggers).items():
            trigger = next(clause for clause in clauses if clause is not None)
            if trigger.total not in bases:
                continue
            base = self.base(trigger.total)
            bound = -(-trigger.at_least * self._terms.units * base.grains // 1)
            met = np.cumsum(base.amounts, axis=1) >= int(bound)
            never = met.shape[1]
            # A total is read at the end of a step, so what it sets off begins with the next.
            found = np.where(met.any(axis=1), met.argmax(axis=1) + 1, never)
            found = np.broadcast_to(found, (self._count,))
            yield name, found
            yield f"{name}.met", found

    def base(self, name: str) -> Counted:
        """Give a base by path and column, zero where it does not hold."""
        if name not in self._bases:
            found = counted(
                base_weights(name), self._plan.streams, self._amounts, self._terms.agreements
            )
            clauses = self._terms.named(lambda agreement: agreement.bases).get(name)
            if clauses is not None:
                holds = self._terms.holds(clauses, self._occurred, self._count)
                found = Counted(np.where(holds, found.amounts, 0), found.grains)
            self._bases[name] = found
        return self._bases[name]

    def outcome(self) -> Outcome:
        """Run every clause."""
        run = flows.Run(self._terms, self._occurred, self._count, self.base, self._meter)
        run.all()
        return Outcome(
            times=self._terms.times,
            currency=self._terms.head.currency,
            scale=self._terms.head.scale,
            count=self._count,
            flows=tuple(run.flows),
            falls=tuple(run.falls),
            capped=tuple(run.capped),
            drawn=tuple(run.drawn),
            streams=self._streams,
            occurred={
                state: np.maximum(columns - 1, 0) for state, columns in self._occurred.items()
            },
            left_out=left_out(self._terms, self._plan),
        )

    def _meter(self, name: str, counts: str) -> Counted:
        found = counted(
            flows.meter_weights(name),
            self._plan.streams,
            self._amounts,
            self._terms.agreements,
            counts,
        )
        clauses = self._terms.named(lambda agreement: agreement.meters)[name]
        holds = self._terms.holds(clauses, self._occurred, self._count)
        grains = found.grains * (self._terms.units if counts == MONEY else 1)
        return Counted(np.where(holds, found.amounts, 0), grains)


def _whole(rows: Ints, count: int) -> Ints:
    """Give a row for each path."""
    return np.ascontiguousarray(np.broadcast_to(rows, (count, rows.shape[1])))


def left_out(terms: Terms, plan: Plan) -> tuple[str, ...]:
    """Say which clauses with money in them move nothing here, and why."""
    found: dict[str, None] = {}
    for agreement in terms.agreements:
        if agreement is None:
            continue
        for stake in agreement.stakes:
            found[f"{stake.id}: stakes are not simulated"] = None
        for base in agreement.bases:
            weigh = base_weights(base.id)
            weights: Mapping[str, Fraction | None] = {
                s.id: weigh(agreement, s.attributes)
                for s in plan.streams
                if s.attributes and s.counts == MONEY
            }
            if not any(weights.values()):
                found[f"{base.id}: no stream counts towards this base"] = None
    return tuple(found)
