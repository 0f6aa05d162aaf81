"""Comparing a provider's export with the ledger: what differs, and what explains it. Pure.

Exports hold sums by hour or day, model and class of tokens, or single requests. Sums are
compared as fine as both sides have them: the times of all files are joined, an hour to its
day, and where costs are not told by model, models are summed. Requests are held against each
other by the provider's id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Final, TypeAlias

from entente.ledger.model import AnyEntry, Settlement
from entente.metering.prices import Price
from entente.settlement.reconciling.edges import moved_over_edges, settle_timing
from entente.settlement.reconciling.explaining import Explaining, whole
from entente.settlement.reconciling.model import (
    Finding,
    Kind,
    Line,
    Ours,
    Part,
    PriceOf,
    Rates,
    Report,
    Side,
    Sum,
    add,
    rates_of,
)
from entente.settlement.reconciling.names import Names
from entente.settlement.reconciling.ours import Fold, Times
from entente.settlement.reconciling.theirs import SUMS_MAX, Question, Theirs, refuse

FINDINGS_MAX: Final = 10_000

VersionsOf: TypeAlias = Callable[[str, str], Mapping[str, Price]]
"""Gives the prices of a target, and what clients call it, by version."""

Cell: TypeAlias = tuple[int, str]
"""The number of a time, and a model."""


def compare(
    question: Question,
    lines: Iterable[Line],
    entries: Iterable[AnyEntry],
    *,
    price_of: PriceOf,
    versions_of: VersionsOf,
) -> Report:
    """Compare an export with a journal. Raises InvalidParameter for what cannot be compared."""
    theirs = Theirs(question, lines)
    since, until = theirs.period
    fold = Fold(question.provider, theirs.asset or "USD", price_of)
    report = Report(
        provider=question.provider,
        asset=fold.asset,
        since_ns=since,
        until_ns=until,
        ours=Sum(requests=0, tokens={}, nano=0),
        theirs=Sum(),
    )
    made = _Comparison(report, fold, theirs, question, versions_of)
    if theirs.requests:
        made.requests(entries)
    else:
        made.sums(entries)
    made.finish()
    return report


class _Comparison:
    """A comparison on its way."""

    def __init__(
        self,
        report: Report,
        fold: Fold,
        theirs: Theirs,
        question: Question,
        versions_of: VersionsOf,
    ) -> None:
        self._report, self._fold, self._theirs = report, fold, theirs
        self._question, self._versions_of = question, versions_of
        self._books: dict[str, Mapping[str, Rates]] = {}
        self._cost = Fraction(0)
        self._unpriced = 0
        self._estimated = 0

    def sums(self, entries: Iterable[AnyEntry]) -> None:
        """Compare sums by time and model."""
        report, theirs = self._report, self._theirs
        times = Times(theirs.times, report.since_ns, report.until_ns)
        ours: dict[Cell, Ours] = {}
        for model, entry in self._fold.entries(entries):
            number = times.of(entry.at_ns)
            if number is None:
                continue
            sums = ours.get((number, model))
            if sums is None:
                if len(ours) >= SUMS_MAX:
                    refuse(f"a ledger takes {SUMS_MAX} times and models; compare a shorter time")
                sums = ours[number, model] = Ours()
            self._fold.take(sums, entry)
        names = Names(self._fold.named, self._question.names)
        sides: dict[Cell, Side] = {}
        for (since, _, model), side in theirs.sums.items():
            number = times.of(since)
            if number is not None:
                sides.setdefault((number, names.of(model)), Side()).merge(side)
        if any(not model for _, model in sides):
            ours, sides = self._without_models(ours, sides)
        moved = moved_over_edges(ours, sides)
        findings = []
        for cell in sorted(ours.keys() | sides.keys()):
            mine, side = ours.get(cell) or Ours(), sides.get(cell) or Side()
            finding = self._explain(cell[1], mine, side, moved.get(cell))
            finding.since_ns, finding.until_ns = times.edges(cell[0])
            findings.append(finding)
        settle_timing(findings, theirs.half)
        for finding in findings:
            self._note(finding)

    def _without_models(
        self, ours: dict[Cell, Ours], sides: dict[Cell, Side]
    ) -> tuple[dict[Cell, Ours], dict[Cell, Side]]:
        """Sum all models, since one of the files does not tell them apart."""
        self._report.notes.append(
            "A file does not say which model a line is about, so that all of them are compared in "
            "one sum. Export usage by model, and costs by line item, to see more."
        )
        joined: dict[Cell, Ours] = {}
        for (number, _), sums in ours.items():
            into = joined.setdefault((number, ""), Ours())
            for name in ("requests", "nano", "unpriced", "estimated", "duplicates"):
                setattr(into, name, getattr(into, name) + getattr(sums, name))
            into.duplicates_nano += sums.duplicates_nano
            add(into.tokens, sums.tokens)
            rates = {tuple(sorted((each.rates or {}).items())) for each in sums.shapes.values()}
            rates |= {tuple(sorted((e.rates or {}).items())) for e in into.shapes.values()}
            into.shapes |= sums.shapes
            if len(rates) > 1:  # nobody knows which price a token is at
                for shape in into.shapes.values():
                    shape.rates = None
        merged: dict[Cell, Side] = {}
        for (number, _), side in sides.items():
            merged.setdefault((number, ""), Side()).merge(side)
        return joined, merged

    def requests(self, entries: Iterable[AnyEntry]) -> None:
        """Compare request by request."""
        report, waiting = self._report, dict(self._theirs.requests)
        for model, entry in self._fold.entries(entries):
            line = waiting.pop(entry.upstream_id, None) if entry.upstream_id else None
            finding = self._pair(model, entry, line)
            if finding is not None:
                finding.request = entry.upstream_id or entry.id
                finding.since_ns = finding.until_ns = entry.at_ns
                self._note(finding)
        for name, line in waiting.items():
            if not report.since_ns <= line.since_ns < report.until_ns:
                continue
            side = Side()
            side.take(line)
            finding = self._explain(line.model, Ours(), side, None)
            finding.request, finding.since_ns, finding.until_ns = name, line.since_ns, line.since_ns
            self._note(finding)
        for (since, until, model), side in self._theirs.sums.items():  # what stands there twice
            finding = self._explain(model, Ours(), side, None)
            finding.since_ns, finding.until_ns = since, until
            self._note(finding)

    def _pair(self, model: str, entry: Settlement, line: Line | None) -> Finding | None:
        """Hold a request of ours against theirs; None where neither is asked for.

        Times that nobody has named are not cut: a request that they have is compared, whenever
        we settled it.
        """
        report, mine, side = self._report, Ours(), Side()
        if line is None:
            if not report.since_ns <= entry.at_ns < report.until_ns:
                return None
            self._fold.take(mine, entry)
            return self._explain(model, mine, side, None)
        ours_in, theirs_in = self._is_asked_for(entry.at_ns), self._is_asked_for(line.since_ns)
        if not ours_in and not theirs_in:
            return None
        self._fold.take(mine, entry)
        side.take(line)
        if ours_in and theirs_in:
            return self._explain(model, mine, side, None)
        return self._on_the_edge(model, mine if ours_in else None, side)

    def _is_asked_for(self, at_ns: int) -> bool:
        """Say whether an instant is in the time that was named."""
        since, until = self._question.since_ns, self._question.until_ns
        return (since is None or since <= at_ns) and (until is None or at_ns < until)

    def _on_the_edge(self, model: str, mine: Ours | None, side: Side) -> Finding:
        """Say that a request is in the time that is compared on one side only."""
        if mine is not None:
            self._count(mine, Side())
            nano = mine.nano
        else:
            self._count(Ours(), side)
            nano = -whole(side.cost or Fraction(0))
        part = Part(Kind.TIMING, nano, "it is in this time on one side only")
        return Finding(since_ns=0, until_ns=0, model=model, nano=nano, parts=[part])

    def _explain(self, model: str, mine: Ours, side: Side, moved: dict[str, int] | None) -> Finding:
        self._count(mine, side)
        done = Explaining(mine, side, books=self._rates(model), half=self._theirs.half, moved=moved)
        return Finding(
            since_ns=0,
            until_ns=0,
            model=model,
            nano=done.nano,
            parts=done.parts,
            tokens=done.delta,
            requests=0 if side.requests is None else mine.requests - side.requests,
        )

    def _rates(self, model: str) -> Mapping[str, Rates]:
        """Give the rates of a provider's model by version, whatever clients call it."""
        found = self._books.get(model)
        if found is None:
            target = f"{self._fold.provider}/{model}"
            found = self._books[model] = {
                version: rates
                for name in sorted(self._fold.named.get(model, ()))
                for version, price in self._versions_of(target, name).items()
                if (rates := rates_of(price)) is not None
            }
        return found

    def _count(self, mine: Ours, side: Side) -> None:
        """Add to the whole of both sides."""
        ours, theirs = self._report.ours, self._report.theirs
        ours.requests = (ours.requests or 0) + mine.requests + mine.duplicates
        ours.nano = (ours.nano or 0) + mine.nano + mine.duplicates_nano
        if ours.tokens is not None:
            add(ours.tokens, mine.tokens)
        self._unpriced += mine.unpriced
        self._estimated += mine.estimated
        if side.requests is not None:
            theirs.requests = (theirs.requests or 0) + side.requests
        if side.counted is not None:
            theirs.tokens = theirs.tokens if theirs.tokens is not None else {}
            add(theirs.tokens, side.counted)
        if side.cost is not None or side.duplicates_cost:
            theirs.nano = 0
            self._cost += (side.cost or 0) + side.duplicates_cost

    def _note(self, finding: Finding) -> None:
        """Take a finding into the report."""
        report = self._report
        report.compared += 1
        report.nano += finding.nano
        for part in finding.parts:
            report.parts[part.kind] = report.parts.get(part.kind, 0) + part.nano
        if finding.parts or finding.tokens:
            report.found += 1
            if len(report.findings) < FINDINGS_MAX or _is_open(finding):
                report.findings.append(finding)

    def finish(self) -> None:
        """Round the whole once, and say what was not compared."""
        report = self._report
        if report.theirs.nano is not None:
            report.theirs.nano = whole(self._cost)
            rest = (report.ours.nano or 0) - report.theirs.nano - report.nano
            # Without a cost for some models, what they come to here stands on both sides.
            if abs(rest) <= report.compared:
                report.nano += rest
                report.parts[Kind.ROUNDING] = report.parts.get(Kind.ROUNDING, 0) + rest
        report.parts = {kind: report.parts[kind] for kind in Kind if report.parts.get(kind)}
        self._adjusted()
        report.notes += self._notes()

    def _adjusted(self) -> None:
        """Sum what was adjusted for this time before."""
        report = self._report
        since, until = report.since_ns, report.until_ns
        found = [
            each
            for each in self._fold.adjustments
            if each.since_ns < until and each.until_ns > since
        ]
        report.adjusted = tuple(each.id for each in found)
        report.adjusted_nano = sum(each.nano for each in found)
        report.astride = any(each.since_ns < since or each.until_ns > until for each in found)

    def _notes(self) -> Iterator[str]:
        fold = self._fold
        if self._estimated:
            yield (
                f"{self._estimated} of our requests have counts that are upper bounds, since the "
                "provider did not report them in its answer."
            )
        if self._unpriced:
            yield f"{self._unpriced} of our requests have no price."
        if fold.without_provider:
            yield (
                f"{fold.without_provider} settlements name no provider, since a crash cut them "
                "off; they are not compared."
            )
        for asset, count in sorted(fold.other_assets.items()):
            yield f"{count} of our requests are priced in {asset}; they are not compared."


def _is_open(finding: Finding) -> bool:
    return any(part.kind is Kind.UNEXPLAINED for part in finding.parts)
