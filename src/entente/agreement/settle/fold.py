"""The fold: every clause over every stretch of time, in order, as known at one instant.

It gives what was owed in each slot, a slot being what one version brought about in one
period. Sums since inception are rounded at the end of each slot and the slot gets the
difference, so that nothing that rounding leaves is lost or made up over time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from entente.agreement.clauses import Clause
from entente.agreement.decide.words import Words
from entente.agreement.load import Version
from entente.agreement.log import Attested, Attribute, Contributed, Quoted, Term
from entente.agreement.money import Share
from entente.agreement.occasions import (
    Attestation,
    Courses,
    Facts,
    Reading,
    State,
    Verdict,
    courses,
)
from entente.agreement.settle.calendar import Period
from entente.agreement.settle.cascade import WaterfallWork
from entente.agreement.settle.cut import Amount, Bucket, Cut
from entente.agreement.settle.tally import Key, Sum
from entente.agreement.settle.works import (
    Balance,
    CommitmentWork,
    Flow,
    RateWork,
    ShareWork,
    Work,
    Working,
)
from entente.agreement.values import floor_then_first

ZERO: Final = Fraction(0)
_Kind = TypeVar("_Kind", bound=Work)


class Move(msgspec.Struct):
    """What flowed in a slot: exactly, and in units of the document's scale."""

    exact: Fraction = ZERO
    units: int = 0


class Slot(msgspec.Struct):
    """What one version of one clause brought about in one period."""

    clause: str
    kind: str
    period: int
    """Number of the period, from 0."""
    version: Version
    """The one in force; of what is paid after a share was amended away, the last that had it."""
    under: set[str] = set()
    """Hashes of the versions that were in force."""
    moves: dict[Flow, Move] = {}
    workings: list[Working] = []
    used: Amount = msgspec.field(default_factory=Amount)


class Measure(msgspec.Struct):
    """What a base or a meter came to in a period, under one version."""

    clause: str
    version: Version
    amount: Amount = msgspec.field(default_factory=Amount)


class Folded(msgspec.Struct):
    """What a fold found."""

    slots: dict[tuple[str, int, str], Slot] = {}
    """By clause, period and hash of the version."""
    measures: dict[tuple[str, int, str], Measure] = {}
    balances: dict[tuple[int, str], tuple[Balance, ...]] = {}
    """By period and clause, at the end of the period."""
    occurred: dict[int, dict[str, int]] = {}
    """By period, the event states and triggers that were so at its end."""
    ignored: set[str] = set()
    """Attestations that count for nothing, in sentences."""


class View(msgspec.Struct, frozen=True):
    """What is known at an instant, apart from what was measured."""

    versions: tuple[Version, ...]
    terms: tuple[Term, ...]
    facts: Facts

    @classmethod
    def at(cls, versions: tuple[Version, ...], terms: Iterable[Term], known_ns: int) -> View:
        """Keep the terms that are known by then."""
        known = tuple(term for term in terms if term.known_ns <= known_ns)
        return cls(versions, known, Facts(attestations=tuple(_attestations(known))))

    def courses(self, version: Version, readings: Sequence[Reading] = ()) -> Courses:
        """Work out the states of a version's events and triggers."""
        agreement = version.agreement
        facts = Facts(attestations=self.facts.attestations, readings=tuple(readings))
        return courses(agreement.events, agreement.triggers, agreement.parties, facts)


def _attestations(terms: Iterable[Term]) -> Iterable[Attestation]:
    return (
        Attestation(
            event=term.event,
            by=term.by,
            verdict=Verdict(term.verdict),
            at_ns=term.at_ns,
            known_ns=term.known_ns,
            subject=term.subject,
            evidence=term.evidence,
        )
        for term in terms
        if isinstance(term, Attested) and term.verdict in set(Verdict)
    )


class Fold:
    """One pass over the stretches from inception through a period."""

    def __init__(
        self,
        view: View,
        edges: tuple[int, ...],
        periods: tuple[Period, ...],
        zone: ZoneInfo,
        *,
        currency: str,
        scale: int,
        statement: str,
    ) -> None:
        """Take what is known and where terms may change."""
        self._view = view
        self._edges = edges
        self._periods = periods
        self._zone = zone
        self._currency = currency
        self._unit = Fraction(10) ** scale
        self._statement = statement
        self._works: dict[str, Work] = {}
        self._stood: dict[str, tuple[Share, Version]] = {}
        """The shares as they stood last, and in which version."""
        self._posted: dict[str, dict[Flow, tuple[Fraction, int]]] = {}
        self._readings: list[Reading] = []
        self._totals: dict[str, Fraction] = {}
        self._courses: dict[str, Courses] = {}
        self._words: dict[str, Words] = {}
        self._quotes: dict[str, list[Quoted]] = {}
        for term in view.terms:
            if isinstance(term, Quoted) and term.currency == currency:
                self._quotes.setdefault(term.asset, []).append(term)
        self.found = Folded()

    def run(self, sums: Mapping[Key, Sum], late: Mapping[Key, Sum]) -> Folded:
        """Fold sums by stretch; `late` is what of them came after the books were closed."""
        by_stretch: dict[int, list[Bucket]] = {}
        for key in sorted(sums, key=_place):
            bucket = Bucket(key[1], key[2], sums[key], late.get(key))
            by_stretch.setdefault(key[0], []).append(bucket)
        instants = [version.effective_ns for version in self._view.versions]
        begins = [period.begins_ns for period in self._periods]
        end_ns = self._periods[-1].ends_ns
        for number, (at_ns, next_ns) in enumerate(zip(self._edges, self._edges[1:], strict=False)):
            if at_ns >= end_ns or at_ns < instants[0]:
                continue
            version = self._view.versions[bisect_right(instants, at_ns) - 1]
            period = bisect_right(begins, at_ns) - 1
            cut = self._cut(at_ns, next_ns, version, period, by_stretch.get(number, []))
            self._step(cut, period)
            self._close(period, version, cut, at_end=next_ns >= self._periods[period].ends_ns)
        return self.found

    def _cut(
        self, at_ns: int, next_ns: int, version: Version, period: int, buckets: list[Bucket]
    ) -> Cut:
        made = self._courses.get(version.hash)
        if made is None:
            made = self._courses[version.hash] = self._view.courses(version, self._readings)
            self.found.ignored.update(
                f"what {said.by} attests of {said.event} counts for nothing: {reason}"
                for said, reason in made.ignored
            )
        states = made.occurred_ns(at_ns)
        occurred = dict(states)
        for window in version.agreement.windows:
            if window.holds_at(at_ns, self._zone, states):
                occurred.setdefault(window.id, at_ns)
        funded: dict[tuple[str, str], Fraction] = {}
        for term in self._view.terms:
            if isinstance(term, Contributed) and term.at_ns <= at_ns:
                name = (term.contribution, term.form)
                funded[name] = funded.get(name, ZERO) + term.amount
        quoted_ns = self._quoted_ns(at_ns, version, period)
        return Cut(
            begins_ns=at_ns,
            ends_ns=next_ns,
            version=version,
            zone=self._zone,
            occurred_ns=occurred,
            states_ns=states,
            words=self._words_of(version),
            subjects=_subjects(version, made, at_ns),
            funded=funded,
            buckets=buckets,
            exchanged=lambda asset: self._exchanged(asset, quoted_ns),
        )

    def _words_of(self, version: Version) -> Words:
        found = self._words.get(version.hash)
        if found is None:
            found = self._words[version.hash] = Words(version.agreement)
        return found

    def _quoted_ns(self, at_ns: int, version: Version, period: int) -> int:
        """Give the instant whose exchange rate counts for a stretch."""
        for statement in version.agreement.statements:
            exchange = statement.exchange
            if statement.id == self._statement and exchange is not None:
                end_ns = self._periods[period].ends_ns - 1
                return end_ns if exchange.rate_of == "period_end" else at_ns
        return -1

    def _exchanged(self, asset: str, at_ns: int) -> Fraction | None:
        if asset == self._currency:
            return Fraction(1)
        quotes = self._quotes.get(asset, [])
        found = bisect_right(quotes, at_ns, key=lambda quote: quote.at_ns)
        return quotes[found - 1].rate if found else None

    def _step(self, cut: Cut, period: int) -> None:
        """Let every clause work on a stretch."""
        agreement = cut.version.agreement
        for clause in (*agreement.bases, *agreement.meters):
            amount = cut.base(clause.id) if clause in agreement.bases else cut.meter(clause.id)
            self._totals[clause.id] = self._totals.get(clause.id, ZERO) + amount.value
            if amount.sources.count or amount.without_rate:
                name = (clause.id, period, cut.version.hash)
                found = self.found.measures.setdefault(name, Measure(clause.id, cut.version))
                found.amount.merge(amount)
        for rate in agreement.rates:
            self._work(rate, RateWork).step(rate, cut)
        for share in agreement.shares:
            if share.id not in self._works:
                self._works[share.id] = ShareWork(_cap_starts(self._view, share.id))
            self._work(share, ShareWork).step(share, cut)
            self._stood[share.id] = share, cut.version
        for share, version in self._stood.values():
            if version is not cut.version:
                self._work(share, ShareWork).step_ended(share, cut)
        for waterfall in agreement.waterfalls:
            self._work(waterfall, WaterfallWork).step(waterfall, cut)
        for commitment in agreement.commitments:
            self._work(commitment, CommitmentWork).step(commitment, cut)

    def _work(self, clause: Clause, kind: type[_Kind]) -> _Kind:
        found = self._works.get(clause.id)
        if found is None:
            found = self._works[clause.id] = kind()
        if not isinstance(found, kind):
            message = f"{clause.id} is a {found.kind} in one version and another clause in another"
            raise ValueError(message)  # noqa: TRY004 - a document is at fault
        return found

    def _close(self, period: int, version: Version, cut: Cut, *, at_end: bool) -> None:
        """Post what a stretch brought about; at the end of a period, keep where all stand."""
        for id, work in self._works.items():
            if work.workings or any(work.flows.values()):
                self._post(id, work, period, version)
        if not at_end:
            return
        for id, work in self._works.items():
            self.found.balances[(period, id)] = work.balances()
        self.found.occurred[period] = dict(cut.states_ns)
        if version.agreement.triggers:
            self._readings += [
                Reading(total=name, at_ns=self._periods[period].ends_ns, value=value)
                for name, value in self._totals.items()
            ]
            self._courses.clear()

    def _post(self, id: str, work: Work, period: int, version: Version) -> None:
        of = self._stood[id][1] if id in self._stood and work.workings else version
        slot = self.found.slots.setdefault((id, period, of.hash), Slot(id, work.kind, period, of))
        slot.under.add(version.hash)
        posted = self._posted.setdefault(id, {})
        units = _rounded(work, self._unit)
        for flow, exact in work.flows.items():
            before = posted.get(flow, (ZERO, 0))
            if (exact, units[flow]) != before:
                move = slot.moves.setdefault(flow, Move())
                move.exact += exact - before[0]
                move.units += units[flow] - before[1]
                posted[flow] = (exact, units[flow])
        slot.used.merge(work.used)
        slot.workings = _merged(slot.workings, work.workings)
        work.used, work.workings = Amount(), []


def _place(key: Key) -> tuple[int, list[tuple[str, str, Attribute]], str]:
    """Give a bucket's place in order: a text and a number of one attribute do not compare."""
    stretch, attributes, asset = key
    return stretch, [(name, type(value).__name__, value) for name, value in attributes], asset


def _subjects(version: Version, made: Courses, at_ns: int) -> dict[str, tuple[str, frozenset[str]]]:
    """Give the subjects of events that happen to each value of an attribute apart, by state."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for event in version.agreement.events:
        for state in State if event.per is not None else ():
            subjects = made.subjects(event.id, state, at_ns)
            found[f"{event.id}.{state.value}"] = (event.per or "", frozenset(subjects))
    return found


def _cap_starts(view: View, id: str) -> list[str]:
    """Give every day from which some version counts the cap of a share."""
    shares = (s for version in view.versions for s in version.agreement.shares if s.id == id)
    return sorted({share.cap.counts_from for share in shares if share.cap is not None})


def _rounded(work: Work, unit: Fraction) -> dict[Flow, int]:
    """Round what has flowed since inception: the one rounding. Releases go by themselves."""
    found: dict[Flow, int] = {}
    for released in (False, True):
        flows = [flow for flow in work.flows if (flow[2] == "released") == released]
        closed = frozenset(i for i, flow in enumerate(flows) if flow in work.closed)
        units = floor_then_first([work.flows[flow] * unit for flow in flows], closed)
        found |= dict(zip(flows, units, strict=True))
    return found


def _merged(lines: list[Working], more: list[Working]) -> list[Working]:
    gathered = Work()
    for line in (*lines, *more):
        gathered.note(line.what, line.quantity, line.times, line.amount)
    return gathered.workings
