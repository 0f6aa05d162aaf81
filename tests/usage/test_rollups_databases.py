"""Rollups in either kind of database: the same sums, in the same order, whoever folds."""

from __future__ import annotations

from contextlib import closing
from threading import Thread
from typing import TYPE_CHECKING, Final

import pytest

from entente.db import Kind
from entente.domain.money import NANO_PER_UNIT
from entente.domain.origin import Origin
from entente.ledger.rollups.fold import Folding, compare
from entente.ledger.rollups.schema import make_tables
from entente.ledger.rollups.table import Filters, Rollups
from entente.ledger.rollups.tally import DAY_S, MINUTE_S, Place
from tests.usage.journals import EVER, NOW_S, Memory, folded, request, total

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entente.db import Database
    from tests.conftest import Open

WORDS: Final = ("a", "B", "_", "é", "Z", "ß", "a b", "-", "日本", "a_b", "ab")
"""Words that languages put in another order than bytes do."""


@pytest.fixture
def database(open_database: Open) -> Iterator[Database]:
    """Open a database with tables of rollups."""
    with closing(open_database()) as opened:
        if opened.kind is Kind.SQLITE:
            opened.execute("PRAGMA user_version=0")  # this file is the journal's in these tests
        make_tables(opened)
        yield opened


def journal() -> Memory:
    """Make two chains of requests of many places."""
    chains = [
        [
            entry
            for number, word in enumerate(WORDS)
            for entry in request(
                number,
                at_s=NOW_S + shift * number,
                cost=10**12 * NANO_PER_UNIT + number,
                model=word,
                origin=Origin(project=WORDS[-number], end_user=word, tags=(word, "x")),
            )
        ]
        for shift in (1_000, 77_000)
    ]
    return Memory(one=chains[0], two=chains[1])


def test_both_kinds_have_the_same(database: Database) -> None:
    """As a fold in memory has them: all columns, in the order of bytes, beyond 64 bits."""
    rollups, source = Rollups(database), journal()
    Folding(rollups, source).run(lambda: NOW_S, most=7)
    with folded(*(entry for chain in source.entries.values() for entry in chain)) as expected:
        for width_s in (MINUTE_S, DAY_S):
            assert list(rollups.sums(width_s, 0, EVER, Place._fields)) == list(
                expected.sums(width_s, 0, EVER, Place._fields)
            )
        for kind in ("tag", "end_user"):
            by = ("project", "model", "word", "asset")
            assert list(rollups.labelled(kind, 0, EVER, by)) == list(
                expected.labelled(kind, 0, EVER, by)
            )
    where: Filters = {"model": ["é", "Z"], "batch": [0]}
    lines = rollups.sums(DAY_S, 0, EVER, ("model",), where, in_steps=False)
    assert [(line.group, line.sums.requests) for line in lines] == [(("Z",), 2), (("é",), 2)]
    assert total(rollups).nano > 2**64
    assert compare(rollups, source)[1] == []


def test_a_wrong_sum_is_found_in_both(database: Database) -> None:
    """And a row that should not be there."""
    rollups, source = Rollups(database), journal()
    Folding(rollups, source).run(lambda: NOW_S)
    database.execute("UPDATE rollups SET cost_nano = cost_nano - 1 WHERE model = 'ß'")
    assert len(compare(rollups, source)[1]) == 4  # two hours and two days
    database.execute("UPDATE rollups SET cost_nano = cost_nano + 1 WHERE model = 'ß'")
    database.execute("DELETE FROM rollup_labels WHERE word = 'x' AND kind = 'tag' AND model = 'B'")
    assert compare(rollups, source)[1] != []


def test_who_folds_at_once_counts_once(database: Database, open_database: Open) -> None:
    """Of several servers each tries; what one has folded the next leaves alone."""
    source = journal()
    others = [open_database() for _ in range(3)]
    foldings = [Folding(Rollups(each), source) for each in others]
    threads = [
        Thread(target=each.run, args=(lambda: NOW_S,), kwargs={"most": 2}) for each in foldings
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in others:
        each.close()
    rollups = Rollups(database)
    assert total(rollups).requests == 2 * len(WORDS)
    assert compare(rollups, source)[1] == []


def test_a_step_that_fails_leaves_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums and position are one transaction."""
    rollups, source = Rollups(database), journal()

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Rollups, "set_mark", fail)
        with pytest.raises(KeyboardInterrupt):
            Folding(rollups, source).step(NOW_S)
    assert list(rollups.sums(DAY_S, 0, EVER, ())) == []
    Folding(rollups, source).run(lambda: NOW_S)
    assert compare(rollups, source)[1] == []


def test_tables_of_another_version_are_made_anew_in_both(database: Database) -> None:
    """They hold nothing that the journal does not."""
    rollups, source = Rollups(database), journal()
    Folding(rollups, source).run(lambda: NOW_S)
    make_tables(database)
    assert Folding(rollups, source).behind() == 0
    if database.kind is Kind.SQLITE:
        database.execute("PRAGMA user_version=5")
    else:
        database.execute("COMMENT ON TABLE rollups IS 'version 5'")
    make_tables(database)
    assert Folding(rollups, source).behind() == 4 * len(WORDS)


def test_what_a_database_cannot_hold_stops_nobody(database: Database) -> None:
    """A zero in a text, a name of many bytes, words that look like statements."""
    words = ("a\0b", "a\ufffdb", "\U0001f600" * 256, "'; DROP TABLE rollups; --", "\x7f\u202e")
    entries = [
        entry
        for number, word in enumerate(words)
        for entry in request(
            number, model=word[:64], origin=Origin(user=word, end_user=word, tags=(word,))
        )
    ]
    rollups, source = Rollups(database), Memory(one=entries)
    Folding(rollups, source).run(lambda: NOW_S)
    users = rollups.labelled("end_user", 0, EVER, ("word",), in_steps=False)
    found = {line.group[0]: line.sums.requests for line in users}
    assert found == {"a\ufffdb": 2} | dict.fromkeys(words[2:], 1)
    lines = rollups.sums(DAY_S, 0, EVER, (), {"owner": ["a\0b"]}, in_steps=False)
    assert [line.sums.requests for line in lines] == [2]
    assert compare(rollups, source)[1] == []
