"""The forms in which a statement is given out."""

from __future__ import annotations

from enum import StrEnum

from entente.agreement.settle.statement import Statement, canonical
from entente.settlement.page import html
from entente.settlement.paper import pdf
from entente.settlement.spreadsheet import csv_text


class StatementForm(StrEnum):
    """What a statement can be written as."""

    JSON = "json"
    CSV = "csv"
    HTML = "html"
    PDF = "pdf"


def written(statement: Statement, form: StatementForm) -> bytes:
    """Write a statement. Raises StartError for PDF where its library is not installed."""
    match form:
        case StatementForm.JSON:
            return canonical(statement)
        case StatementForm.CSV:
            return csv_text(statement).encode()
        case StatementForm.HTML:
            return html(statement).encode()
        case StatementForm.PDF:
            return pdf(statement)
