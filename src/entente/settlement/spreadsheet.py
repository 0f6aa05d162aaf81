"""A statement as CSV (RFC 4180): every line of it, flat, for a spreadsheet or an import."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from entente.agreement.settle.statement import SourceNote, Statement
from entente.agreement.values import text_of
from entente.settlement.tables import money

COLUMNS: Final = (
    "line",
    "clause",
    "version",
    "period",
    "what",
    "quantity",
    "times",
    "amount",
    "currency",
    "source",
    "destination",
    "facts",
    "first_fact",
    "last_fact",
    "seal",
    "id",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes text that begins like this for a formula."""


def csv_text(statement: Statement) -> str:
    """Write the lines. Exact numbers that are no short decimal stand as `a/b`."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({k: _safe(k, v) for k, v in row.items()} for row in _rows(statement))
    return out.getvalue()


def _rows(statement: Statement) -> Iterator[dict[str, str]]:
    period, currency = statement.period, statement.currency
    for measured in statement.measured:
        yield {
            "line": "measured",
            "clause": measured.clause,
            "version": measured.version,
            "period": period,
            "what": measured.kind,
            "amount": _number(measured.amount),
            "currency": measured.counts,
            **_facts(measured.facts),
        }
    for applied in statement.applied:
        for line in applied.lines:
            yield {
                "line": "working",
                "clause": applied.clause,
                "version": applied.version,
                "period": period,
                "what": line.what,
                "quantity": _number(line.quantity),
                "times": _number(line.times),
                "amount": _number(line.amount),
                "currency": currency,
            }
    for posting in statement.postings:
        yield {
            "line": "adjustment" if posting.adjusts else "posting",
            "clause": posting.clause,
            "version": posting.version,
            "period": posting.adjusts or period,
            "what": posting.why,
            "amount": money(posting.nano, statement.scale).replace(",", ""),
            "currency": posting.asset,
            "source": posting.source,
            "destination": posting.destination,
            "id": posting.id,
            **_facts(posting.facts),
        }
    for carried in statement.carried:
        for balance in carried.balances:
            yield {
                "line": "carried",
                "clause": carried.clause,
                "period": period,
                "what": balance.what,
                "quantity": _number(balance.opening),
                "amount": _number(balance.closing),
            }
    for payment in statement.payments:
        yield {
            "line": "payment",
            "clause": payment.of,
            "period": period,
            "amount": money(payment.nano, statement.scale).replace(",", ""),
            "currency": currency,
            "source": payment.payer,
            "destination": payment.payee,
        }
    yield from ({"line": "question", "period": period, "what": text} for text in statement.problems)


def _facts(note: SourceNote) -> dict[str, str]:
    return {
        "facts": str(note.count),
        "first_fact": note.first,
        "last_fact": note.last,
        "seal": note.seal,
    }


def _number(number: Fraction | None) -> str:
    """Write a number as a decimal where that is exact, else as a ratio."""
    if number is None:
        return ""
    for places in range(19):
        scaled = number * 10**places
        if scaled.denominator == 1:
            digits = f"{abs(scaled.numerator):0{places + 1}d}"
            sign = "-" if number < 0 else ""
            return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
    return text_of(number)


def _safe(column: str, text: str) -> str:
    """Keep a spreadsheet from taking text for a formula; numbers stay numbers."""
    numeric = column in ("quantity", "times", "amount")
    return f"'{text}" if text.startswith(_FORMULA) and not numeric else text
