"""A statement as PDF, by fpdf2, which comes with the extra `entente[agreement]`.

The pages are made of the fonts that every reader has; signs that these lack stand as `?`.
The same statement gives the same bytes.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from entente.agreement.settle.statement import Statement
from entente.domain.errors import StartError
from entente.settlement.tables import Table, summary, tables

if TYPE_CHECKING:
    from fpdf import FPDF
else:
    try:
        from fpdf import FPDF
    except ImportError:  # the extra is not installed; `pdf` says how to install it
        FPDF = None

FONT: Final = "Helvetica"
BODY_PT: Final = 8.0
HEAD_PT: Final = 10.5
TITLE_PT: Final = 15.0
MARGIN_MM: Final = 14.0
LINE_MM: Final = 4.2
LABEL_MM: Final = 48.0
_NARROW: Final = {"…": "...", "–": "-", "—": "-", "“": '"', "”": '"', "„": '"', "’": "'"}


def pdf(statement: Statement) -> bytes:
    """Write the pages. Raises StartError where fpdf2 is not installed."""
    if FPDF is None:
        message = (
            "PDF needs fpdf2. Install it with: pip install 'entente[agreement]', or, where Entente "
            "was cloned, make agreement. (HTML, CSV and JSON work without it.)"
        )
        raise StartError(message)
    page = FPDF(orientation="landscape", unit="mm", format="A4")
    page.set_creation_date(datetime.fromisoformat(_microseconds(statement.known_at)))
    page.set_title(_plain(f"Statement {statement.period}"))
    page.set_margin(MARGIN_MM)
    page.set_auto_page_break(auto=True, margin=MARGIN_MM)
    page.add_page()
    _head(page, statement)
    for table in tables(statement):
        _table(page, table)
    page.set_font(FONT, size=BODY_PT)
    page.ln(LINE_MM)
    page.multi_cell(0, LINE_MM, _plain(f"Identity of this statement: {statement.id}"))
    return bytes(page.output())


def _microseconds(instant: str) -> str:
    """Cut an instant down to what `datetime` can hold."""
    whole, dot, rest = instant.partition(".")
    return f"{whole}.{rest[:6]}{rest[9:]}" if dot else instant


def _head(page: Any, statement: Statement) -> None:
    page.set_font(FONT, style="B", size=TITLE_PT)
    title = f"Statement {statement.period}: {statement.title or statement.agreement}"
    page.multi_cell(0, LINE_MM * 2, _plain(title), new_x="LMARGIN", new_y="NEXT")
    for name, value in summary(statement):
        page.set_font(FONT, style="B", size=BODY_PT)
        page.cell(LABEL_MM, LINE_MM, _plain(name))
        page.set_font(FONT, size=BODY_PT)
        page.multi_cell(0, LINE_MM, _plain(value), new_x="LMARGIN", new_y="NEXT")


def _table(page: Any, table: Table) -> None:
    page.ln(LINE_MM)
    page.set_font(FONT, style="B", size=HEAD_PT)
    page.multi_cell(0, LINE_MM * 1.3, _plain(table.title), new_x="LMARGIN", new_y="NEXT")
    page.set_font(FONT, style="I", size=BODY_PT)
    for text in (*([f'"{table.quote}"'] if table.quote else []), *table.notes):
        page.multi_cell(0, LINE_MM, _plain(text), new_x="LMARGIN", new_y="NEXT")
    page.set_font(FONT, size=BODY_PT)
    if not table.rows:
        return
    aligned = tuple(column.align.upper() for column in table.columns)
    with page.table(
        text_align=aligned,
        line_height=LINE_MM,
        borders_layout="HORIZONTAL_LINES",
        col_widths=_widths(table),
        padding=(0.5, 1.5),
    ) as drawn:
        for texts in (tuple(column.name for column in table.columns), *table.rows):
            row = drawn.row()
            for text in texts:
                row.cell(_plain(text))


def _widths(table: Table) -> tuple[int, ...]:
    """Give columns widths by their longest texts, within bounds."""
    longest = [len(column.name) for column in table.columns]
    for row in table.rows:
        longest = [max(had, len(text)) for had, text in zip(longest, row, strict=True)]
    return tuple(min(max(length, 8), 40) for length in longest)


def _plain(text: str) -> str:
    """Keep to the signs that the fonts have."""
    for sign, instead in _NARROW.items():
        text = text.replace(sign, instead)
    return text.encode("latin-1", "replace").decode("latin-1")
