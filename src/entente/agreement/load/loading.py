"""From files to a book: gather, choose, resolve, amend, read, check.

    files ─ gather ─▶ tree ─ scenario ─▶ tree ─ parameters ─▶ tree ─ amendments ─▶ trees
          ─ read ─▶ Agreement ─ check ─▶ Version      for each state that the document can have

Up to the typed tree everything keeps its place in the files, so that every problem of every
version points at what somebody wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from entente.agreement.check import Finding, check, unused
from entente.agreement.document import (
    SECTIONS,
    Agreement,
    Amendment,
    Parameter,
    Scenario,
    canonical,
)
from entente.agreement.load import overlays, parameters
from entente.agreement.load.book import Book, Version
from entente.agreement.load.includes import Source, gather
from entente.agreement.load.problems import AgreementProblems, Problems, did_you_mean
from entente.agreement.load.read import UNREADABLE, Reader
from entente.agreement.load.text import parse_value
from entente.agreement.load.tree import (
    Branch,
    Fork,
    Mark,
    Tree,
    child,
    items_at,
    planted,
    text_at,
    with_entries,
    without,
)
from entente.agreement.values import instant_ns

AMENDMENTS_MAX: Final = 200
VERSIONS_MAX: Final = 1_000
"""Of one document, on both axes of time together."""

_BESIDE: Final = frozenset({"parameters", "amendments", "scenarios"})


def load(
    source: Source,
    name: str,
    *,
    scenario: str | None = None,
    values: Mapping[str, object] | None = None,
) -> Book:
    """Read a document, with a scenario and with values of parameters where these are given.

    A value that is text is read as it would be read in the document. Raises
    AgreementProblems with everything that is wrong.
    """
    return _Loading(gather(source, name), scenario, values or {}).book()


class _Loading:
    """The reading of one gathered document."""

    def __init__(self, tree: Fork, scenario: str | None, values: Mapping[str, object]) -> None:
        self._tree = tree
        self._problems = Problems()
        self._scenario = scenario
        self._given: Mapping[str, Tree] = {
            parameter: _given(parameter, value) for parameter, value in values.items()
        }

    def book(self) -> Book:
        """Read, amend and check. Raises AgreementProblems."""
        declared = self._declared(Parameter, "parameters", self._tree)
        tree, lacking = parameters.resolve(self._chosen(), declared, self._given, self._problems)
        amendments = self._declared(Amendment, "amendments", tree)
        if len(amendments) > AMENDMENTS_MAX:
            text = f"has more than {AMENDMENTS_MAX} amendments: begin a new document"
            self._problems.add(tree.mark, text)
        base = without(tree, _BESIDE)
        if lacking:
            if text_at(base, "agreement", "id") not in lacking:
                Reader(self._problems).read(Agreement, _leaving_out(base, lacking))
            raise AgreementProblems(self._problems.found())
        first = self._version(base, (), 0)
        if first is None or self._problems.found():
            raise AgreementProblems(self._problems.found())
        zone = ZoneInfo(first.agreement.agreement.zone)
        effective_ns = instant_ns(first.agreement.agreement.effective, zone)
        first = msgspec.structs.replace(first, effective_ns=effective_ns)
        return self._amended(base, first, amendments)

    def _declared(self, kind: Any, section: str, tree: Fork) -> dict[str, tuple[Any, Fork]]:
        """Read one of the lists beside the clauses: each item and its tree by its id."""
        items = child(tree, section)
        if items is not None and not isinstance(items, Branch):
            self._problems.add(items.mark, f"`{section}` must be a list")
        reader = Reader(self._problems)
        found: dict[str, tuple[Any, Fork]] = {}
        for item in items_at(tree, section):
            read = reader.read(kind, item)
            if read is UNREADABLE or not isinstance(item, Fork):
                continue
            if read.id in found:
                text = "stands in this list twice: give one of them another id"
                self._problems.add(item.mark, text, clause=read.id)
            found[read.id] = (read, item)
        return found

    def _chosen(self) -> Fork:
        """Give the document as the chosen scenario has it, and note the scenario's values."""
        scenarios = self._declared(Scenario, "scenarios", self._tree)
        if self._scenario is None:
            return self._tree
        if self._scenario not in scenarios:
            there = f" There are {', '.join(scenarios)}." if scenarios else " There is none."
            near = did_you_mean(self._scenario, scenarios) or there
            text = f"there is no scenario `{self._scenario}`.{near}"
            self._problems.add(self._tree.mark, text)
            return self._tree
        _, written = scenarios[self._scenario]
        self._given = {**parameters.scenario_values(written), **self._given}
        return overlays.apply(self._tree, written, self._problems)

    def _version(self, tree: Fork, applied: tuple[str, ...], effective_ns: int) -> Version | None:
        """Read and check one state of the document; None where it cannot be read."""
        agreement = Reader(self._problems).read(Agreement, tree)
        if not isinstance(agreement, Agreement):
            return None
        for finding in check(agreement):
            self._note(finding, tree)
        return Version(
            agreement=agreement,
            hash=hashlib.sha256(canonical(agreement)).hexdigest(),
            effective_ns=effective_ns,
            amendments=applied,
        )

    def _note(self, finding: Finding, tree: Fork) -> None:
        """Add a finding as a problem at the nearest place that is written."""
        place = overlays.index(tree).get(finding.clause)
        at: Tree = child(tree, "agreement") or tree
        if place is not None:
            at = items_at(tree, place.section)[place.position]
        self._problems.add(
            _nearest(at, finding.path),
            finding.text,
            clause=finding.clause,
            path=path_text(finding.path),
        )

    def _amended(
        self, base: Fork, first: Version, amendments: Mapping[str, tuple[Amendment, Fork]]
    ) -> Book:
        """Make every version that somebody can see. Raises AgreementProblems."""
        head = first.agreement.agreement
        zone = ZoneInfo(head.zone)
        effective_ns = {
            each.id: self._instant(each.effective, zone, each.id, written, "effective")
            for each, written in amendments.values()
        }
        ordered = sorted(amendments.values(), key=lambda pair: effective_ns[pair[0].id])
        known_ns = {
            each.id: effective_ns[each.id]
            if each.known is None
            else self._instant(each.known, zone, each.id, written, "known")
            for each, written in ordered
        }
        self._problems.stop()
        versions: dict[tuple[str, ...], Version] = {(): first}
        trees: dict[tuple[str, ...], Fork] = {(): base}
        for until_ns in sorted(set(known_ns.values())):
            applied: tuple[str, ...] = ()
            for each, written in ordered:
                if known_ns[each.id] > until_ns:
                    continue
                before, applied = applied, (*applied, each.id)
                if applied in trees:
                    continue
                self._room(versions, written)
                tree = overlays.apply(trees[before], written, self._problems)
                trees[applied] = tree
                if effective_ns[each.id] < first.effective_ns:
                    text = f"counts before the agreement does, {head.effective}: correct one"
                    self._problems.add(written.mark, text, clause=each.id)
                version = self._version(tree, applied, effective_ns[each.id])
                if version is not None:
                    versions[applied] = version
        self._unused(versions, trees)
        self._problems.stop()
        return Book(versions, known_ns)

    def _unused(
        self,
        versions: Mapping[tuple[str, ...], Version],
        trees: Mapping[tuple[str, ...], Fork],
    ) -> None:
        """Note clauses that no version has a use for."""
        idle = {applied: unused(version.agreement) for applied, version in versions.items()}
        used = {
            clause.id
            for applied, version in versions.items()
            for _, _, clause in version.agreement.clauses()
            if clause.id not in idle[applied]
        }
        for applied, names in idle.items():
            for name in sorted(names - used):
                text = "no clause uses this: remove it, or name it where it is meant"
                self._note(Finding(name, (), text), trees[applied])

    def _room(self, versions: Mapping[tuple[str, ...], Version], written: Fork) -> None:
        """Stop where a document has too many versions. Raises AgreementProblems."""
        if len(versions) >= VERSIONS_MAX:
            text = f"a document has {VERSIONS_MAX} versions at most: begin a new one"
            self._problems.add(written.mark, text)
            self._problems.stop()

    def _instant(self, text: str, zone: ZoneInfo, clause: str, written: Fork, field: str) -> int:
        """Read an amendment's day; one that there is not is a problem."""
        try:
            return instant_ns(text, zone)
        except (ValueError, OverflowError):
            mark = written.entries[field].mark
            text = f"{text} is in no calendar: correct the day"
            self._problems.add(mark, text, clause=clause, path=field)
            return 0


def _given(parameter: str, value: object) -> Tree:
    """Make a tree of a value that was given apart from the document."""
    place = f"--parameter {parameter}"
    return (
        parse_value(value, place) if isinstance(value, str) else planted(value, Mark(place, 0, 0))
    )


def _leaving_out(tree: Fork, clauses: frozenset[str]) -> Fork:
    """Give a document without some clauses."""
    lists: dict[str, Tree] = {}
    for section in SECTIONS:
        there = child(tree, section)
        if isinstance(there, Branch):
            kept = tuple(item for item in there.items if text_at(item, "id") not in clauses)
            lists[section] = Branch(kept, there.mark)
    return with_entries(tree, lists)


def _nearest(tree: Tree, path: Sequence[str | int]) -> Mark:
    """Give the place of a path, or of as much of it as is written."""
    mark = tree.mark
    for part in path:
        match tree, part:
            case Fork(entries, keys, _), str() if part in entries:
                tree, mark = entries[part], keys[part]
            case Branch(items, _), int() if part < len(items):
                tree, mark = items[part], items[part].mark
            case _:
                break
    return mark


def path_text(path: Sequence[str | int]) -> str:
    """Write a path as people do: `tiers[1].split`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
