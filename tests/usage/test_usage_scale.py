"""Rollups of long journals: bounded memory, no query that grows with the journal, no waiting."""

from __future__ import annotations

import gc
import tracemalloc
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest

from bench import journal
from entente.control.granting import granting_on
from entente.db import DATABASE_NAME, connect, open_sqlite, transaction
from entente.ledger import reader
from entente.ledger.journal import decode, verify
from entente.ledger.reader import load, rows, save_checkpoint
from entente.ledger.rollups.beside import open_folding
from entente.ledger.table import append_now
from tests.kit.entries import granted
from tests.usage.journals import request, total

if TYPE_CHECKING:
    from pathlib import Path

    from entente.ledger.model import AnyEntry

NOW_S: Final = journal.BEGIN_S + journal.DAYS * 86_400
STEP: Final = 500
KEY: Final = "key_project-1_2"
"""One of those that the made-up requests are of."""


def now_s() -> int:
    """Stand at the end of the journal."""
    return NOW_S


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a journal of ten thousand entries."""
    folder: Path = tmp_path_factory.mktemp("long")
    journal.write(folder, 10_000)
    return folder


def test_the_made_up_journal_is_a_true_one(long: Path) -> None:
    """So that what is measured on it means something."""
    report, _ = verify(rows(long / DATABASE_NAME))
    assert report.problems == []
    assert (report.entries, report.requests, report.open_holds) == (10_000, 5_000, 0)


def test_memory_does_not_grow_with_the_journal(long: Path, tmp_path: Path) -> None:
    """Eight times the steps take no more than what the collector leaves lying."""
    journal.write(tmp_path, 2_000)
    peaks = []
    for folder in (tmp_path, long):
        with closing(open_folding(folder)) as folding:
            for _ in range(2):
                folding.step(NOW_S, most=STEP)  # whatever is made once is there by then
            gc.collect()
            tracemalloc.start()
            folding.run(now_s, most=STEP)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert folding.behind() == 0
    assert peaks[1] < 2 * peaks[0]


@pytest.mark.parametrize("table", ["rollups", "rollup_labels"])
def test_reports_read_their_time_only(long: Path, table: str) -> None:
    """By the primary key, never the whole table."""
    with closing(open_folding(long)) as folding:
        folding.run(now_s)
        told: list[str] = []
        rollups = folding.rollups

        class Explained:
            """A database that tells how it would answer."""

            kind = rollups.database.kind

            def execute(self, sql: str, values: object = ()) -> list[object]:
                plan = rollups.database.execute(f"EXPLAIN QUERY PLAN {sql}", values)  # type: ignore[arg-type]
                told.extend(row[3] for row in plan)
                return []

        asking = type(rollups)(Explained())  # type: ignore[arg-type]
        if table == "rollups":
            where = {"project": ["project-1"]}
            list(asking.sums(86_400, 0, NOW_S, ("project", "model"), where))
        else:
            list(asking.labelled("tag", 0, NOW_S, ("word",)))
        assert any(line.startswith(f"SEARCH {table} USING PRIMARY KEY") for line in told)
        assert not any(line.startswith("SCAN") for line in told)


def test_a_fold_and_the_journal_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Each of them goes on while the other is in the middle of a transaction."""
    journal.write(tmp_path, 100)
    with (
        closing(open_folding(tmp_path)) as folding,
        closing(connect(tmp_path / DATABASE_NAME)) as writing,
    ):
        writing.execute("PRAGMA busy_timeout=0")
        with transaction(writing):
            assert folding.step(NOW_S) == 100
        with folding.rollups.database.transaction():
            append_now(writing, request(1))
        assert folding.step(NOW_S) == 2
        assert total(folding.rollups).requests == 51


def test_budgets_are_read_from_the_checkpoint_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four thousand entries before it none is read again but the grants, by their index."""
    journal.write(tmp_path, 4_000)
    read: list[bytes] = []

    def counted(line: bytes) -> AnyEntry:
        read.append(line)
        return decode(line)

    with closing(open_sqlite(tmp_path / DATABASE_NAME)) as opened:
        granting = granting_on(opened)
        granting.append(granted("g1", 50, KEY))
        before = granting.budget(KEY)
        save_checkpoint(opened.connection, load(opened.connection))
        granting.append(granted("g2", 7, KEY))
        monkeypatch.setattr(reader, "decode", counted)
        (after, other) = granting.budgets([KEY, "key_unknown"])
    assert len(read) == 1
    assert after.granted_nano == before.granted_nano + 7 == 57
    assert after.spent_nano == before.spent_nano > 0
    assert (other.granted_nano, other.spent_nano) == (0, 0)
