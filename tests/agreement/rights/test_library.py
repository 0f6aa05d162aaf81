"""The library: every document loads in every reading, and answers as its scenarios say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from entente.agreement.clauses import Trust
from entente.agreement.load import AgreementProblems
from entente.agreement.values import parse as exact
from entente.config.agreements import load_agreement
from tests.agreement.rights.worked import LIBRARY, answer, files, owed, worked

DOCUMENTS = sorted(LIBRARY.glob("*/agreement.yaml"))
PARTNERSHIP = LIBRARY / "microsoft-openai" / "agreement.yaml"
READINGS = ("cap_after_recoup", "cap_with_recoup", "thresholds_on_profit")


def name_of(path: Path) -> str:
    """Name a file in a test's id."""
    return path.relative_to(LIBRARY).as_posix()


def cases() -> list[tuple[Path, int, str]]:
    """Give every request of every scenario with each of its days."""
    return [
        (path, number, day)
        for path in files()
        for number, asked in enumerate(worked(path).scenario.decide)
        for day in asked.answers
    ]


def periods() -> list[tuple[Path, int]]:
    """Give every period of every scenario."""
    return [
        (path, number) for path in files() for number in range(len(worked(path).scenario.settle))
    ]


@pytest.mark.parametrize(("path", "number", "day"), cases(), ids=str)
def test_requests_are_answered_as_written(path: Path, number: int, day: str) -> None:
    """The same request changes its answer by date, through the versions."""
    asked = worked(path).scenario.decide[number]
    decision = worked(path).decision(asked.request, day)
    assert answer(decision) == asked.answers[day], (asked.ask, decision.sentence)


@pytest.mark.parametrize(("path", "number"), periods(), ids=str)
def test_periods_come_to_what_is_written(path: Path, number: int) -> None:
    """To the last unit that the document pays in."""
    expected = worked(path).scenario.settle[number]
    postings = worked(path).postings(str(expected.period))
    for by, amounts in (("clause", expected.owed), ("destination", expected.paid)):
        if amounts is not None:
            assert owed(postings, by) == {name: exact(each) for name, each in amounts.items()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_each_document_has_a_scenario(document: Path) -> None:
    """And a paragraph in the library's page."""
    folder = document.parent
    assert [path for path in files() if path.parents[1] == folder]
    page = (LIBRARY / "README.md").read_text(encoding="utf-8")
    assert f"]({folder.name}/agreement.yaml)" in page


@pytest.mark.parametrize("reading", READINGS)
def test_every_clause_of_the_partnership_has_a_source_and_a_trust_mark(reading: str) -> None:
    """In every version; what nobody sourced is not in the document."""
    book = load_agreement(PARTNERSHIP, scenario=reading)
    versions = book.versions()
    assert [version.amendments[-1] for version in versions[1:]] == [
        "A2021-03",
        "A2023-01",
        "A2025-01",
        "A2025-10",
        "A2026-02",
        "A2026-04",
    ]
    for version in versions:
        for _, _, clause in version.agreement.clauses():
            assert clause.source, clause.id
            assert clause.trust not in (None, Trust.UNSOURCED), clause.id


def test_numbered_sources_are_listed() -> None:
    """Each number that a clause names is a line of the page, and each line is named."""
    page = (PARTNERSHIP.parent / "sources.md").read_text(encoding="utf-8")
    named = {
        number
        for path in PARTNERSHIP.parent.glob("*.yaml")
        for source in re.findall(r'source: "([^"]*)', path.read_text(encoding="utf-8"))
        for number in re.findall(r"(?<![\d.])[0-4]\.\d{1,2}(?![\d×.])", source)
    }
    assert set(re.findall(r"^\| ([0-4]\.\d+) \|", page, flags=re.MULTILINE)) == named


def test_the_partnership_needs_a_reading() -> None:
    """What public sources leave open has no value, and is said with the clauses that ask."""
    with pytest.raises(AgreementProblems) as caught:
        load_agreement(PARTNERSHIP)
    lacking = {problem.clause: problem.text for problem in caught.value.problems}
    assert {
        "agi_v1",
        "cap_counts_from",
        "capped_share",
        "compute_limit",
        "deferral",
        "first_ship_lead",
        "first_ship_waiver",
        "first_stage",
        "measured_on",
        "revenue_measure",
        "share_cap_counts_from",
        "through_is_inclusive",
        "zone",
    } <= set(lacking)
    assert "W1 cannot be read without it" in lacking["measured_on"]
    assert "--parameter measured_on=" in lacking["measured_on"]
    assert "--scenario (cap_after_recoup, " in lacking["measured_on"]


def test_an_unsourced_reading_cannot_slip_in() -> None:
    """A parameter takes only what some source has said."""
    with pytest.raises(AgreementProblems, match=r"must be one of 10e9, 13e9, 13\.75e9, 14e9, 92e9"):
        load_agreement(PARTNERSHIP, scenario=READINGS[0], values={"first_stage": '"11e9"'})
