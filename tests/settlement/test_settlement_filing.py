"""Filing statements: once, whole, and never another one in its place."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from entente.agreement.settle.statement import Statement, canonical
from entente.domain.errors import IdempotencyConflict, InvalidParameter, LedgerCorrupt
from entente.settlement import filing
from tests.settlement.stated import march


@pytest.fixture(scope="module")
def statement(tmp_path_factory: pytest.TempPathFactory) -> Statement:
    """State a month."""
    return march(tmp_path_factory.mktemp("ledger"))


def test_filing_twice_is_filing_once(statement: Statement, tmp_path: Path) -> None:
    """The same statement may be filed as often as a process is started."""
    path = filing.file(tmp_path, statement)
    assert filing.file(tmp_path, statement) == path
    assert path.read_bytes() == canonical(statement)
    assert [each.id for each in filing.filed(tmp_path, "two-stores", "monthly")] == [statement.id]
    assert list(path.parent.iterdir()) == [path]


def test_another_statement_of_the_period_is_refused(statement: Statement, tmp_path: Path) -> None:
    """What was filed stays."""
    path = filing.file(tmp_path, statement)
    other = msgspec.structs.replace(statement, problems=())
    with pytest.raises(IdempotencyConflict, match="states 2026-03 otherwise"):
        filing.file(tmp_path, other)
    assert path.read_bytes() == canonical(statement)
    assert list(path.parent.iterdir()) == [path]


def test_open_books_are_not_filed(statement: Statement, tmp_path: Path) -> None:
    """A provisional statement may still change."""
    with pytest.raises(InvalidParameter, match="books of 2026-03 close at"):
        filing.file(tmp_path, msgspec.structs.replace(statement, final=False))
    assert not list(tmp_path.iterdir())


def test_dying_while_filing_leaves_nothing_that_counts(
    statement: Statement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off before the claim becomes the file: the next attempt files it."""

    def die(*_: object) -> None:
        message = "killed"
        raise KeyboardInterrupt(message)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", die)
        with pytest.raises(KeyboardInterrupt):
            filing.file(tmp_path, statement)
    assert list(filing.filed(tmp_path, "two-stores", "monthly")) == []
    filing.file(tmp_path, statement)
    assert len(list(filing.filed(tmp_path, "two-stores", "monthly"))) == 1


def test_a_changed_file_is_seen(statement: Statement, tmp_path: Path) -> None:
    """A filed statement is read back as it was filed, or not at all."""
    path = filing.file(tmp_path, statement)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(LedgerCorrupt, match="is not as it was filed"):
        list(filing.filed(tmp_path, "two-stores", "monthly"))
    path.write_bytes(b"{")
    with pytest.raises(LedgerCorrupt, match="does not read as a statement"):
        list(filing.filed(tmp_path, "two-stores", "monthly"))


def test_what_is_owed_is_the_sum_of_what_was_filed(statement: Statement, tmp_path: Path) -> None:
    """It sums to zero, and is what the statement says."""
    filing.file(tmp_path, statement)
    owed = filing.owed(filing.filed(tmp_path, "two-stores", "monthly"))
    assert sum(owed.values()) == 0
    net = {each.party: each.receives_nano - each.pays_nano for each in statement.subtotals}
    assert {account.removeprefix("party:"): nano for (account, _), nano in owed.items()} == net
