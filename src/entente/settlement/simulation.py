"""Simulating an agreement: a scenario file and a document in, a report out.

A report is a value: the same files, seed and number of paths give the same bytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from entente.agreement.load import Book, Source, load
from entente.agreement.paths.engine import simulate
from entente.agreement.paths.outcome import Outcome
from entente.agreement.paths.plan import Outline, Plan, Sweep
from entente.agreement.paths.read import read, swept
from entente.agreement.paths.summary import PER_CENT, Band, Summary, quantiles, summarise
from entente.domain.errors import ConfigError

SWEPT_PATHS_MAX: Final = 2_000
"""Of each simulation of a sweep: the first ones of the same paths."""


class Varied(msgspec.Struct, frozen=True):
    """What the watched party has received in the end, where one thing has another value."""

    value: str
    received: tuple[int, ...]
    """Quantiles, in the order of `PER_CENT`."""


class Sensitivity(msgspec.Struct, frozen=True):
    """One sweep."""

    id: str
    title: str
    as_planned: tuple[int, ...]
    """The same quantiles with nothing varied."""
    varied: tuple[Varied, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation, summed up."""

    agreement: str
    versions: tuple[str, ...]
    """Hashes of the versions that hold in the scenario's time, in order."""
    names: dict[str, str]
    """What people call the parties."""
    scenario: Outline
    summary: Summary
    sensitivity: tuple[Sensitivity, ...]

    def to_json(self) -> bytes:
        """Write it, in its one form."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=1)


class Simulation:
    """A document and a scenario for it."""

    def __init__(
        self,
        source: Source,
        name: str,
        scenario: bytes,
        file: str,
        *,
        seed: int | None = None,
        paths: int | None = None,
    ) -> None:
        """Read the scenario. Raises AgreementProblems for one that cannot be read."""
        self._source = source
        self._name = name
        self.plan, self._tree = read(scenario, file, seed=seed, paths=paths)

    def run(self) -> Report:
        """Simulate, and vary what is to be varied. Raises ConfigError where files do not fit."""
        book = self._book(self.plan, {})
        outcome = simulate(book, self.plan)
        _check_watched(self.plan, outcome)
        return Report(
            agreement=book.id,
            versions=_versions(book, outcome),
            names=_names(book),
            scenario=self.plan.scenario,
            summary=summarise(outcome),
            sensitivity=tuple(self._sensitivity(book)),
        )

    def _book(self, plan: Plan, values: Mapping[str, object]) -> Book:
        outline = plan.scenario
        given = {**outline.set, **values}
        return load(self._source, self._name, scenario=outline.uses, values=given)

    def _sensitivity(self, book: Book) -> Iterator[Sensitivity]:
        if not self.plan.sweeps:
            return
        as_planned = _watched(book, _shortened(self.plan))
        for sweep in self.plan.sweeps:
            varied = tuple(Varied(str(value), self._varied(sweep, value)) for value in sweep.values)
            yield Sensitivity(sweep.id, sweep.title or sweep.id, as_planned, varied)

    def _varied(self, sweep: Sweep, value: str | int | bool) -> tuple[int, ...]:
        if sweep.parameter is not None:
            plan = _shortened(self.plan)
            return _watched(self._book(plan, {sweep.parameter: value}), plan)
        plan = _shortened(swept(self._tree, sweep, value))
        return _watched(self._book(plan, {}), plan)


def _shortened(plan: Plan) -> Plan:
    outline = plan.scenario
    shorter = msgspec.structs.replace(outline, paths=min(outline.paths, SWEPT_PATHS_MAX))
    return msgspec.structs.replace(plan, scenario=shorter)


def _watched(book: Book, plan: Plan) -> tuple[int, ...]:
    received = simulate(book, plan).received(plan.scenario.watch or "")
    return tuple(int(number) for number in quantiles(received[:, -1:])[:, 0])


def _check_watched(plan: Plan, outcome: Outcome) -> None:
    watch = plan.scenario.watch
    if watch is not None and watch not in outcome.parties():
        there = ", ".join(outcome.parties()) or "nobody"
        message = f"scenario: `watch` names {watch}, who receives nothing; {there} does"
        raise ConfigError(message)


def _versions(book: Book, outcome: Outcome) -> tuple[str, ...]:
    found = [book.at(step.ends_ns - 1) for step in outcome.times]
    return tuple(dict.fromkeys(version.hash for version in found if version is not None))


def _names(book: Book) -> dict[str, str]:
    last = book.versions()[-1].agreement
    return {party.id: party.name or party.id for party in last.parties}


def tables(report: Report) -> dict[str, str]:
    """Write the tables as CSV, by file name. Amounts are decimals of whole currency."""
    return {
        "payouts.csv": _csv(("party", "step", *_QUANTILES, "mean"), _payout_rows(report)),
        "breakpoints.csv": _csv(
            ("waterfall", "tier", "profit", "party", "paid", "share"), _bend_rows(report)
        ),
        "milestones.csv": _csv(
            ("kind", "clause", "what", "amount", "paths_in_the_end", *_WHEN), _milestones(report)
        ),
        "commitments.csv": _csv(
            ("commitment", "step", *_QUANTILES, "mean"), _remaining_rows(report)
        ),
        "caps.csv": _csv(("share", "step", *_QUANTILES, "mean"), _accrued_rows(report)),
        "sensitivity.csv": _csv(("sweep", "value", *_QUANTILES), _sweep_rows(report)),
    }


_QUANTILES: Final = tuple(f"p{per_cent}" for per_cent in PER_CENT)
_WHEN: Final = tuple(f"p{per_cent}_by" for per_cent in PER_CENT)


def decimal(units: int, scale: int) -> str:
    """Write units as a decimal of whole currency, exactly."""
    sign, (whole, part) = "-" if units < 0 else "", divmod(abs(units), 10**scale)
    return f"{sign}{whole}.{part:0{scale}d}" if scale else f"{sign}{whole}"


def _csv(head: Sequence[str], rows: Iterator[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def _band_rows(name: str, band: Band, summary: Summary) -> Iterator[Sequence[object]]:
    rows = (band.p5, band.p25, band.p50, band.p75, band.p95, band.mean)
    for step, units in zip(summary.steps, zip(*rows, strict=True), strict=True):
        yield (name, step, *(decimal(each, summary.scale) for each in units))


def _payout_rows(report: Report) -> Iterator[Sequence[object]]:
    for each in report.summary.parties:
        yield from _band_rows(each.party, each.received, report.summary)


def _remaining_rows(report: Report) -> Iterator[Sequence[object]]:
    for each in report.summary.commitments:
        yield from _band_rows(each.clause, each.remaining, report.summary)


def _accrued_rows(report: Report) -> Iterator[Sequence[object]]:
    for each in report.summary.caps:
        yield from _band_rows(each.clause, each.accrued, report.summary)


def _bend_rows(report: Report) -> Iterator[Sequence[object]]:
    for bend in report.summary.bends:
        for party, paid in bend.paid.items():
            yield (bend.clause, bend.tier, bend.profit, party, paid, bend.shares[party])


def _milestones(report: Report) -> Iterator[Sequence[object]]:
    scale = report.summary.scale
    for each in report.summary.milestones:
        amount = "" if each.amount is None else decimal(each.amount, scale)
        when = ("" if step is None else step for step in each.when)
        yield (each.kind, each.clause, each.what, amount, each.reached[-1], *when)


def _sweep_rows(report: Report) -> Iterator[Sequence[object]]:
    scale = report.summary.scale
    for sweep in report.sensitivity:
        yield (sweep.id, "as planned", *(decimal(each, scale) for each in sweep.as_planned))
        for each in sweep.varied:
            yield (sweep.id, each.value, *(decimal(units, scale) for units in each.received))
