"""Statements as people get them: all that is in the value, safe to open, the same each time."""

from __future__ import annotations

import csv
import io
import zlib
from fractions import Fraction
from html.parser import HTMLParser

import msgspec
import pytest

from entente.agreement.settle.statement import Statement, canonical
from entente.domain.errors import StartError
from entente.settlement import paper
from entente.settlement.forms import StatementForm, written
from entente.settlement.tables import money, tables, times
from tests.settlement.stated import march

VOID = {"meta"}


@pytest.fixture(scope="module")
def statement(tmp_path_factory: pytest.TempPathFactory) -> Statement:
    """State one month with everything in it."""
    return march(tmp_path_factory.mktemp("ledger"))


class Page(HTMLParser):
    """Checks that tags nest, and keeps text and tags."""

    def __init__(self) -> None:
        """Nothing is open yet."""
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a tag; nothing may be fetched from elsewhere."""
        self.seen.append(tag)
        assert not {"src", "href", "onclick", "style"} & {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what is shown."""
        self.text.append(data)


def test_what_the_month_has_in_it(statement: Statement) -> None:
    """The fixture: so that the other tests are about something."""
    assert {each.why for each in statement.postings} == {"share", "deferred", "rate"}
    assert [each.period for each in statement.adjustments] == ["2026-02"]
    assert [each.state for each in statement.events] == ["launch.declared"]
    assert {each.holder: each.value for each in statement.stakes} == {"cloud": 135, "lab": 365}
    assert len(statement.problems) == 2
    assert sum(each.receives_nano - each.pays_nano for each in statement.subtotals) == 0


def test_the_page_shows_everything_and_needs_nothing(statement: Statement) -> None:
    """Well-formed, no script, nothing fetched; what people wrote is text and never markup."""
    text = written(statement, StatementForm.HTML).decode()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert not {"script", "img", "link", "iframe"} & set(page.seen)
    shown = " ".join(page.text)
    assert "Statement 2026-03: Lab & Cloud <sells>" in shown
    assert "one hundred per cent of <spend> & no less" in shown
    assert "7.3, amended (trust P)" in shown
    for table in tables(statement):
        for row in table.rows:
            assert all(cell in shown for cell in row)
    for posting in statement.postings:
        assert posting.id in shown
    for version in statement.versions:
        assert version in shown


def test_the_page_says_whether_the_books_are_closed(statement: Statement) -> None:
    """A provisional statement looks different."""
    assert '<span class="state final">' in written(statement, StatementForm.HTML).decode()
    early = msgspec.structs.replace(statement, final=False)
    assert '<span class="state provisional">' in written(early, StatementForm.HTML).decode()


def test_csv_has_each_posting_exactly(statement: Statement) -> None:
    """Read back, amounts are the postings' own, and every line has every column."""
    text = written(statement, StatementForm.CSV).decode()
    assert "\r\n" in text
    lines = list(csv.DictReader(io.StringIO(text)))
    found = {line["id"]: line for line in lines if line["line"] in ("posting", "adjustment")}
    assert found.keys() == {each.id for each in statement.postings}
    for posting in statement.postings:
        line = found[posting.id]
        assert line["amount"] == money(posting.nano, 9).replace(",", "")
        assert (line["source"], line["destination"]) == (posting.source, posting.destination)
        assert line["seal"] == posting.facts.seal
    kinds = {line["line"] for line in lines}
    assert kinds == {
        "measured",
        "working",
        "posting",
        "adjustment",
        "carried",
        "payment",
        "question",
    }


def test_csv_is_no_program(statement: Statement) -> None:
    """Text that a spreadsheet would take for a formula is told to be text."""
    bad = msgspec.structs.replace(statement, problems=('=HYPERLINK("http://x")', "@sum", "fine"))
    lines = list(csv.DictReader(io.StringIO(written(bad, StatementForm.CSV).decode())))
    questions = [line["what"] for line in lines if line["line"] == "question"]
    assert questions == ['\'=HYPERLINK("http://x")', "'@sum", "fine"]
    assert any(line["amount"].startswith("-") for line in lines)


def test_json_reads_back_as_the_same_bytes(statement: Statement) -> None:
    """The canonical form is the form of the JSON."""
    assert written(statement, StatementForm.JSON) == canonical(statement)
    assert msgspec.json.decode(canonical(statement))["id"] == statement.id


def _pdf_text(content: bytes) -> str:
    """Unpack the streams of a PDF and give what is drawn as text."""
    found = []
    for part in content.split(b"stream\n")[1:]:
        packed = part.split(b"\nendstream")[0]
        try:
            found.append(zlib.decompress(packed).decode("latin-1"))
        except zlib.error:
            continue
    return "".join(found).replace("\\(", "(").replace("\\)", ")")


def test_pdf_is_drawn_and_the_same_each_time(statement: Statement) -> None:
    """With the clause's words, a posting's amount and the identity in it."""
    content = written(statement, StatementForm.PDF)
    assert content.startswith(b"%PDF-")
    assert content == written(statement, StatementForm.PDF)
    drawn = _pdf_text(content)
    assert statement.id[:40] in drawn
    assert "one hundred per cent" in drawn
    assert money(statement.postings[0].nano, 9) in drawn


def test_pdf_of_what_its_fonts_lack(statement: Statement) -> None:
    """Other scripts stand as question marks rather than stop it."""
    other = msgspec.structs.replace(statement, title="اتفاق – „Vertrag“ …")
    drawn = _pdf_text(written(other, StatementForm.PDF))
    assert '????? - "Vertrag" ...' in drawn


def test_pdf_without_its_library(statement: Statement, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says what to install, and that the other forms work."""
    monkeypatch.setattr(paper, "FPDF", None)
    with pytest.raises(StartError, match=r"pip install 'entente\[agreement\]'"):
        written(statement, StatementForm.PDF)
    assert written(statement, StatementForm.HTML)


@pytest.mark.parametrize(
    ("nano", "scale", "text"),
    [
        (1_234_567_890_000_000_000, 2, "1,234,567,890.00"),
        (-10_000_000, 2, "-0.01"),
        (1, 9, "0.000000001"),
        (5_000_000_000, 0, "5"),
    ],
)
def test_money_at_a_scale(nano: int, scale: int, text: str) -> None:
    """As many places as the agreement has."""
    assert money(nano, scale) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, ""),
        (Fraction(1, 5), "0.2"),
        (Fraction(1, 3), "1/3"),
        (Fraction(-4000, 3), "-4,000/3"),
        (Fraction(1, 1001), "0.000999…"),
    ],
)
def test_what_a_quantity_is_multiplied_by(number: Fraction | None, text: str) -> None:
    """As a contract would say it; a ratio that nobody can read is cut."""
    assert times(number) == text
