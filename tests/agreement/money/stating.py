"""Clauses that tests build on, and a statement's amounts in whole units."""

from __future__ import annotations

from typing import Any

from entente.agreement.load import Book
from entente.agreement.log import AnyFact, Log
from entente.agreement.settle.settling import settle
from entente.agreement.settle.statement import Statement
from tests.agreement.money.documents import NANO, QUARTERLY, ns
from tests.agreement.money.ladders import F

REVENUE: dict[str, Any] = {
    "id": "R",
    "owner": "lab",
    "when": {"flow": "revenue"},
    "measure": "gross",
}
SHARE: dict[str, Any] = {
    "id": "S",
    "payer": "lab",
    "payee": "cloud",
    "ratio": "20%",
    "base": "R",
    "source": "contract 4.1",
    "quote": "a fifth of revenue",
}
YEARLY = QUARTERLY | {"period": "year"}
LATE = ns("2040-01-01")


def stated(
    made: Book, facts: list[AnyFact], period: str, known_ns: int = LATE, statement: str = ""
) -> Statement:
    """Settle, and give the statement."""
    return settle(
        made, Log.of(facts), period=period, known_ns=known_ns, statement=statement
    ).statement


def moved(statement: Statement) -> list[tuple[str, str, str, Any]]:
    """Give what moves, in whole units."""
    return [
        (each.source, each.destination, each.why, F(each.nano, NANO)) for each in statement.postings
    ]


def balances(statement: Statement, clause: str) -> dict[str, Any]:
    """Give where a clause stands at the end."""
    (found,) = [each for each in statement.carried if each.clause == clause]
    return {each.what: each.closing for each in found.balances}


COMMITTED: dict[str, Any] = {
    "id": "C",
    "buyer": "lab",
    "seller": "cloud",
    "total": "250",
    "eligible": "R",
    "schedule": [
        {"begins": "2026-01-01", "before": "2027-01-01", "amount": "100"},
        {"begins": "2027-01-01", "before": "2028-01-01", "amount": "150"},
    ],
    "excess": "carries",
}
