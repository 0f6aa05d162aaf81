"""Worked scenarios: what an agreement of the library answers, and what it comes to.

A file names its document and, where it is needed, one of its scenarios; then what has
happened (`facts`), requests with their answers by day (`decide`), and what was measured
(`log`) with what is owed for periods, by clause or by payee (`settle`).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from entente.agreement.decide import Decision, Rules, decide
from entente.agreement.load import Book
from entente.agreement.load.facts import read_facts
from entente.agreement.load.text import parse
from entente.agreement.load.tree import child, plain
from entente.agreement.log import Log, Measured, attributes
from entente.agreement.money import Statement
from entente.agreement.occasions import Facts
from entente.agreement.settle.settling import settle
from entente.agreement.values import NANO, instant_ns
from entente.agreement.values import parse as exact
from entente.config.agreements import load_agreement

LIBRARY = Path(__file__).parents[3] / "examples" / "agreements"
LATE_NS = 4_102_444_800 * NANO
"""2100: everything is known."""


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """One request and its answers by day: `allowed`, `allowed by X, Y`, `barred by X`."""

    ask: str
    request: dict[str, str | int | bool]
    answers: dict[str, str]


class Logged(msgspec.Struct, forbid_unknown_fields=True):
    """One measured fact."""

    id: str
    at: str
    amount: str | int
    say: dict[str, str | int | bool]


class Owed(msgspec.Struct, forbid_unknown_fields=True):
    """What is owed for a period, in units: by clause, or by payee."""

    period: str | int
    owed: dict[str, str | int] | None = None
    paid: dict[str, str | int] | None = None


class Scenario(msgspec.Struct, forbid_unknown_fields=True):
    """A file of `scenarios/`."""

    document: str
    scenario: str | None = None
    facts: dict[str, Any] = {}
    decide: list[Asked] = []
    log: list[Logged] = []
    settle: list[Owed] = []


class Worked:
    """One scenario with its document, loaded."""

    def __init__(self, path: Path) -> None:
        """Read the file and the document that it names."""
        tree = parse(path.read_bytes(), path.name)
        self.scenario = msgspec.convert(plain(tree), Scenario)
        document = path.parents[1] / self.scenario.document
        self.book: Book = load_agreement(document, scenario=self.scenario.scenario)
        happened = child(tree, "facts")
        self.facts = Facts() if happened is None else read_facts(happened, self.book.zone)
        self._rules = Rules(self.book.versions())

    def decision(self, request: dict[str, Any], day: str) -> Decision:
        """Decide a request at the first instant of a day."""
        return decide(self._rules, self.facts, request, instant_ns(day, self.book.zone))

    def postings(self, period: str) -> tuple[Any, ...]:
        """Settle a period by everything that was logged."""
        facts = [
            Measured(
                id=each.id,
                at_ns=instant_ns(each.at, self.book.zone),
                known_ns=instant_ns(each.at, self.book.zone),
                attributes=attributes(**each.say),
                nano=int(exact(each.amount) * NANO),
                asset=self.book.first.agreement.agreement.currency,
            )
            for each in self.scenario.log
        ]
        log = Log.of(facts)
        return settle(
            self.book, log, period=period, known_ns=LATE_NS, statement=self._statement()
        ).postings

    def _statement(self) -> str:
        terms: tuple[Statement, ...] = self.book.versions()[-1].agreement.statements
        (only,) = terms
        return only.id


@lru_cache(maxsize=64)
def worked(path: Path) -> Worked:
    """Give a scenario, loaded once."""
    return Worked(path)


def answer(decision: Decision) -> str:
    """Write a decision as a scenario does."""
    names = ", ".join(decision.clauses)
    word = "allowed" if decision.allowed else "barred"
    return f"{word} by {names}" if names else word


def owed(postings: tuple[Any, ...], by: str) -> dict[str, Fraction]:
    """Sum postings in units by one of their fields."""
    sums: dict[str, Fraction] = {}
    for each in postings:
        key = str(getattr(each, by)).rpartition(":")[2]
        sums[key] = sums.get(key, Fraction(0)) + Fraction(each.nano, NANO)
    return sums


def files() -> list[Path]:
    """Give every worked scenario of the library."""
    return sorted(LIBRARY.glob("*/scenarios/*.yaml"))
