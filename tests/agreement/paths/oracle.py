"""The exact engine as the judge: one path as a log, settled period by period."""

from __future__ import annotations

from collections.abc import Iterator

from entente.agreement.load import Book
from entente.agreement.log import AnyFact, Attested, Log, Measured, attributes
from entente.agreement.paths.engine import simulate
from entente.agreement.paths.outcome import Outcome
from entente.agreement.paths.plan import MONEY, Plan
from entente.agreement.settle.settling import settle
from entente.agreement.settle.statement import Settled

ALL_KNOWN_NS = 1 << 62
NANO_DIGITS = 9


def facts(plan: Plan, outcome: Outcome, path: int) -> Iterator[AnyFact]:
    """Tell what happened on a path: every amount at the last instant of its step."""
    nano = 10 ** (NANO_DIGITS - outcome.scale)
    for stream in plan.streams:
        if not stream.attributes:
            continue
        rows = [(outcome.times[0].begins_ns - 1, round(stream.before * 10**outcome.scale))]
        rows += [
            (step.ends_ns - 1, int(outcome.streams[stream.id][path, column]))
            for column, step in enumerate(outcome.times)
        ]
        for number, (at_ns, units) in enumerate(rows):
            money = stream.counts == MONEY
            yield Measured(
                id=f"{stream.id}-{number}",
                at_ns=at_ns,
                known_ns=at_ns,
                attributes=attributes(**stream.attributes),
                nano=units * nano if money else 0,
                asset=outcome.currency,
                numbers={} if money else {stream.counts: units},
            )
    for state, columns in outcome.occurred.items():
        event, _, reached = state.partition(".")
        if reached == "verified" and columns[path] < len(outcome.times):
            at_ns = outcome.times[int(columns[path])].begins_ns
            for verdict, by in (("declared", "lab"), ("verified", "ada"), ("verified", "eve")):
                yield Attested(
                    id=f"{event}-{verdict}-{by}",
                    at_ns=at_ns,
                    known_ns=at_ns,
                    event=event,
                    verdict=verdict,
                    by=by,
                )


def settled(
    book: Book, plan: Plan, outcome: Outcome, path: int
) -> dict[tuple[str, str], list[int]]:
    """Give what each party has received by each clause up to the end of each step, in units."""
    log = Log.of(facts(plan, outcome, path))
    assert not log.problems
    nano = 10 ** (NANO_DIGITS - outcome.scale)
    sums: dict[tuple[str, str], int] = {}
    found: dict[tuple[str, str], list[int]] = {}
    for quarter in ("2023-Q1", "2023-Q2", "2023-Q3", "2023-Q4"):
        _add(sums, settle(book, log, period=quarter, known_ns=ALL_KNOWN_NS), nano)
    for column, step in enumerate(outcome.times):
        _add(sums, settle(book, log, period=step.label, known_ns=ALL_KNOWN_NS), nano)
        for name, total in sums.items():
            found.setdefault(name, [0] * column).append(total)
    return found


def _add(sums: dict[tuple[str, str], int], done: Settled, nano: int) -> None:
    for posting in done.postings:
        units, rest = divmod(posting.nano, nano)
        assert rest == 0
        for account, sign in ((posting.destination, 1), (posting.source, -1)):
            if account.startswith("party:"):
                name = (posting.clause, account.removeprefix("party:"))
                sums[name] = sums.get(name, 0) + sign * units


def compare(book: Book, plan: Plan, paths: range) -> int:
    """Hold paths of a simulation against the exact engine; give how many flows were compared."""
    outcome = simulate(book, plan)
    compared = 0
    for path in paths:
        exact = settled(book, plan, outcome, path)
        for flow in outcome.flows:
            want = exact.get((flow.clause, flow.payee), [0] * len(outcome.times))
            assert flow.paid[path].tolist() == want, (path, flow.clause, flow.payee)
            compared += 1
    return compared
