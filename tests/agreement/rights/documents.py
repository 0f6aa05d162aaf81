"""Small documents for tests: a head, a few parties, and what a test adds."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from entente.agreement.decide import Decision, Rules, decide
from entente.agreement.load import AgreementProblems, Book, Problem, Texts, load
from entente.agreement.occasions import NOTHING, Attestation, Facts, Verdict
from entente.agreement.values import instant_ns

HEAD = """\
agreement: {id: pact, currency: USD, scale: 2, rounding: floor_then_first, zone: UTC,
  effective: 2026-01-01}
"""
PARTIES = """\
parties:
- {id: lab, kind: lab}
- {id: cloud, kind: cloud}
"""
EXCLUSIVITY = """\
exclusivities:
- {id: X1, holder: cloud, what: {surface: api}, only: {host: one}}
"""
BASE = HEAD + PARTIES + EXCLUSIVITY + "assets:\n- {id: model, kind: model, owner: lab}\n"
"""A document in which everything is used."""
LINES = BASE.count("\n")


def book(text: str, **options: Any) -> Book:
    """Load a document."""
    return load(Texts({"a.yaml": text}), "a.yaml", **options)


def problems(text: str, **options: Any) -> tuple[Problem, ...]:
    """Give everything that is wrong with a document."""
    try:
        book(text, **options)
    except AgreementProblems as error:
        return error.problems
    return ()


def said(text: str, **options: Any) -> list[str]:
    """Give everything that is wrong, as lines."""
    return [str(problem) for problem in problems(text, **options)]


def ns(when: str) -> int:
    """Give an instant by its day in UTC."""
    return instant_ns(when, ZoneInfo("UTC"))


def decided(text: str, at: str = "2026-06-01", facts: Facts = NOTHING, **request: Any) -> Decision:
    """Decide a request; `__` in a name stands for the dot."""
    rules = Rules(book(text).versions())
    asked = {name.replace("__", "."): value for name, value in request.items()}
    return decide(rules, facts, asked, ns(at))


def attested(
    event: str, verdict: str, by: str, at: str, *, subject: str = "", known: str | None = None
) -> Attestation:
    """Attest something, with evidence."""
    return Attestation(
        event=event,
        by=by,
        verdict=Verdict(verdict),
        at_ns=ns(at),
        known_ns=None if known is None else ns(known),
        subject=subject,
        evidence="sha256:0",
    )
