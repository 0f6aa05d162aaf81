"""Rollups: exactly what the journal adds up to, however it is folded, and whatever is killed."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from fractions import Fraction
from threading import Thread
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.db import DATABASE_NAME, connect, migrate
from entente.domain.errors import LedgerCorrupt
from entente.domain.money import NANO_PER_UNIT
from entente.domain.origin import Origin
from entente.domain.usage import Usage
from entente.ledger.model import adjustment
from entente.ledger.rollups import table
from entente.ledger.rollups.fold import Folding, compare, kept_since_s
from entente.ledger.rollups.schema import USAGE_NAME, open_usage_file
from entente.ledger.rollups.source import SqliteSource
from entente.ledger.rollups.table import Rollups
from entente.ledger.rollups.tally import (
    ADJUSTMENT,
    DAY_S,
    HOUR_S,
    MINUTE_S,
    NS_PER_S,
    OTHER,
    Place,
    Sums,
    Tally,
)
from entente.ledger.table import append_now
from tests.kit.entries import granted
from tests.kit.run import PROPERTY
from tests.usage.journals import EVER, NOW_S, Memory, empty, folded, request, total

if TYPE_CHECKING:
    from pathlib import Path

    from entente.ledger.model import AnyEntry, Settlement

WORDS: Final = st.sampled_from(["", "a", "b"])


@st.composite
def requests(draw: st.DrawFn) -> list[AnyEntry]:
    """Draw requests of some days, keys, models, currencies, words and costs."""
    entries: list[AnyEntry] = [granted("g", 5)]
    for number in range(draw(st.integers(0, 12))):
        counts = st.integers(0, 2**40)
        entries += request(
            number,
            at_s=NOW_S + draw(st.integers(-30 * DAY_S, 30 * DAY_S)),
            cost=draw(st.none() | st.integers(0, 10**21)),
            asset=draw(st.sampled_from(["USD", "EUR"])),
            model=draw(WORDS),
            key=draw(WORDS),
            origin=Origin(
                project=draw(WORDS),
                api=draw(st.sampled_from(["messages", "embeddings"])),
                end_user=draw(WORDS),
                tags=tuple(sorted(draw(st.sets(st.sampled_from("xy"))))),
                is_batch=draw(st.booleans()),
            ),
            usage=Usage(*(draw(counts) for _ in Usage.__struct_fields__)),
            is_estimated=draw(st.booleans()),
        )
    return entries


def plainly(
    entries: list[AnyEntry], width_s: int
) -> dict[tuple[int, str, str, str, str, str], list[Fraction | int]]:
    """Add entries up as one would by hand: requests, tokens, estimated, unpriced, dollars."""
    found: dict[tuple[int, str, str, str, str, str], list[Fraction | int]]
    found = defaultdict(lambda: [0, 0, 0, 0, Fraction(0)])
    for entry in entries:
        if entry.idempotency_prefix != "settle":
            continue
        closed: Settlement = entry  # type: ignore[assignment]
        second = closed.at_ns // 10**9
        group = (second // width_s * width_s, closed.origin.project, closed.key)
        row = found[*group, closed.model, closed.origin.api, closed.asset]
        row[0] += 1
        row[1] += sum(msgspec.structs.astuple(closed.usage))
        row[2] += closed.estimated
        row[3] += closed.cost_nano is None
        row[4] += Fraction(closed.cost_nano or 0, 10**9)
    return dict(found)


@PROPERTY
@given(requests(), st.integers(1, 5))
def test_sums_are_exact(entries: list[AnyEntry], most: int) -> None:
    """By the hour and by the day, whatever the size of the steps."""
    with empty() as rollups:
        Folding(rollups, Memory(one=entries)).run(lambda: NOW_S, most=most)
        by = ("project", "key_id", "model", "api", "asset")
        for width_s in (HOUR_S, DAY_S):
            found = {
                (line.start_s, *line.group): [
                    line.sums.requests,
                    sum(msgspec.structs.astuple(line.sums.usage)),
                    line.sums.estimated,
                    line.sums.unpriced,
                    Fraction(line.sums.nano, NANO_PER_UNIT),
                ]
                for line in rollups.sums(width_s, 0, EVER, by)
            }
            assert found == plainly(entries, width_s)
        assert compare(rollups, Memory(one=entries))[1] == []


@PROPERTY
@given(requests(), requests())
def test_chains_fold_in_any_order(ones: list[AnyEntry], others: list[AnyEntry]) -> None:
    """Two writers' chains add up to what one chain of both would."""
    with empty() as both, empty() as joined:
        Folding(both, Memory(a=ones, b=others)).run(lambda: NOW_S, most=3)
        Folding(joined, Memory(one=[*ones, *others])).run(lambda: NOW_S)
        for width_s in (HOUR_S, DAY_S):
            assert list(both.sums(width_s, 0, EVER, Place._fields)) == list(
                joined.sums(width_s, 0, EVER, Place._fields)
            )
        assert compare(both, Memory(a=ones, b=others))[1] == []


def test_every_class_and_measure_has_a_column() -> None:
    """In the order of usage itself, so that a new one cannot slip into another's place."""
    fields = Usage.__struct_fields__
    assert Sums._fields == ("requests", *fields, "estimated", "unpriced", "nano")
    counted = Usage(*range(1, len(fields) + 1))
    with folded(*request(1, usage=counted)) as rollups:
        assert total(rollups).usage == counted


def test_amounts_pass_64_bits() -> None:
    """A thousand requests of 10^12 dollars, to the nano."""
    nano = 10**12 * NANO_PER_UNIT + 1
    entries = [entry for number in range(1_000) for entry in request(number, cost=nano)]
    with folded(*entries) as rollups:
        assert total(rollups).nano == 1_000 * nano
        assert compare(rollups, Memory(one=entries))[1] == []


def test_adjustments_count_and_are_no_requests() -> None:
    """What an invoice has less makes a cost smaller, below zero if need be."""
    less = adjustment(
        id="a1",
        at_ns=NOW_S * NS_PER_S,
        provider="p",
        asset="USD",
        nano=-12,
        since_ns=0,
        until_ns=1,
        parts={"tokens": -12},
        reference="",
        actor="test",
    )
    with folded(*request(1, cost=7), less) as rollups:
        assert total(rollups)._replace(input=0, output=0) == Sums(requests=1, nano=-5)
        lines = rollups.sums(DAY_S, 0, EVER, ("api", "target"), in_steps=False)
        assert {line.group: line.sums.nano for line in lines} == {
            ("chat.completions", "p/m"): 7,
            (ADJUSTMENT, "p"): -12,
        }


def test_labels_have_a_table_of_their_own() -> None:
    """A request of two tags counts in each of them, and once in all."""
    with folded(
        *request(1, origin=Origin(end_user="bob", tags=("x", "y"))),
        *request(2, origin=Origin(end_user="bob", tags=("x",))),
        *request(3),
    ) as rollups:
        tags = rollups.labelled("tag", 0, EVER, ("word",), in_steps=False)
        assert {line.group[0]: line.sums.nano for line in tags} == {"x": 14, "y": 7}
        users = rollups.labelled("end_user", 0, EVER, ("word",), in_steps=False)
        assert {line.group[0]: line.sums.requests for line in users} == {"bob": 2}
        assert total(rollups).requests == 3


def test_words_of_clients_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past so many end users a day the rest is put together; tiers and sizes are the vendors'."""
    monkeypatch.setattr(table, "WORDS_PER_DAY_MAX", 3)
    with empty() as rollups:
        entries = [
            entry
            for number in range(9)
            for entry in request(number, origin=Origin(end_user=f"u{number}", service_tier="mine"))
        ]
        Folding(rollups, Memory(one=entries)).run(lambda: NOW_S, most=4)
        users = rollups.labelled("end_user", 0, EVER, ("word",), in_steps=False)
        assert {line.group[0]: line.sums.requests for line in users} == {
            "u0": 1,
            "u1": 1,
            "u2": 1,
            OTHER: 6,
        }
        (line,) = rollups.sums(DAY_S, 0, EVER, ("tier",), in_steps=False)
        assert line.group == (OTHER,)
        assert compare(rollups, Memory(one=entries))[1] == []


def test_minutes_are_kept_for_some_days() -> None:
    """Older ones are not made, and those that have become old are forgotten."""
    since_s = kept_since_s(NOW_S)
    entries = [*request(1, at_s=since_s - 1), *request(2, at_s=since_s)]
    with folded(*entries) as rollups:
        assert [line.start_s for line in rollups.sums(MINUTE_S, 0, EVER, ())] == [since_s]
        assert total(rollups).requests == 2
        Folding(rollups, Memory(one=entries)).forget(NOW_S + DAY_S)
        assert list(rollups.sums(MINUTE_S, 0, EVER, ())) == []
        assert total(rollups).requests == 2


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Make a data folder with a journal of forty requests."""
    entries = [
        entry
        for number in range(40)
        for entry in request(number, at_s=NOW_S + number * 977, model=f"m{number % 3}")
    ]
    with closing(connect(tmp_path / DATABASE_NAME)) as connection:
        migrate(connection)
        append_now(connection, entries)
    return tmp_path


def opened(folder: Path) -> Folding:
    """Open the rollups of a data folder."""
    rollups = Rollups(open_usage_file(folder / USAGE_NAME))
    return Folding(rollups, SqliteSource(folder / DATABASE_NAME))


def test_a_fold_that_breaks_off_goes_on(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between sums and position, again and again: nothing is lost, nothing counted twice."""
    setting = Rollups.set_mark

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    breaks = 0
    for number in range(200):
        folding = opened(journal)
        monkeypatch.setattr(Rollups, "set_mark", setting if number % 2 else die)
        try:
            if not folding.step(NOW_S, most=7):
                break
        except KeyboardInterrupt:
            breaks += 1
        finally:
            folding.close()
    monkeypatch.undo()
    folding = opened(journal)
    assert breaks > 5
    assert folding.behind() == 0
    assert total(folding.rollups).requests == 40
    assert folding.compare()[1] == []
    folding.close()


def test_two_who_fold_at_once_have_their_turns(journal: Path) -> None:
    """The server and a command, say."""
    foldings = [opened(journal) for _ in range(4)]
    threads = [
        Thread(target=each.run, args=(lambda: NOW_S,), kwargs={"most": 3}) for each in foldings
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total(foldings[0].rollups).requests == 40
    assert foldings[0].compare()[1] == []
    for each in foldings:
        each.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE rollups SET cost_nano = cost_nano + 1 WHERE width_s = 3600 AND model = 'm1'",
        "UPDATE rollups SET output = output - 1 WHERE width_s = 86400 AND model = 'm1'",
        "DELETE FROM rollups WHERE width_s = 3600 AND model = 'm2'",
        "UPDATE rollups SET model = 'm4' WHERE model = 'm2'",
    ],
)
def test_a_wrong_sum_is_found(journal: Path, change: str) -> None:
    """By comparing with the journal; folding anew mends it."""
    folding = opened(journal)
    folding.run(lambda: NOW_S)
    folding.rollups.database.execute(change)
    rows, faults = folding.compare()
    assert rows > 3
    assert faults
    assert "rollup by" in faults[0]
    folding.clear()
    folding.run(lambda: NOW_S)
    assert folding.compare()[1] == []
    folding.close()


def test_another_journal_is_seen(journal: Path, tmp_path: Path) -> None:
    """A database that was restored from a backup has its rollups made anew."""
    folding = opened(journal)
    folding.run(lambda: NOW_S)
    assert folding.check()
    folding.close()
    (journal / DATABASE_NAME).unlink()
    with closing(connect(journal / DATABASE_NAME)) as connection:
        migrate(connection)
        append_now(connection, request(1, model="other"))
    folding = opened(journal)
    assert not folding.check()
    folding.run(lambda: NOW_S)
    assert total(folding.rollups).requests == 1
    folding.close()


def test_tables_of_another_version_are_made_anew(journal: Path) -> None:
    """They hold nothing that the journal does not."""
    folding = opened(journal)
    folding.run(lambda: NOW_S)
    folding.rollups.database.execute("PRAGMA user_version=99")
    folding.close()
    folding = opened(journal)
    assert folding.behind() == 80
    folding.run(lambda: NOW_S)
    assert total(folding.rollups).requests == 40
    folding.close()


def test_a_line_that_is_none_is_said() -> None:
    """It is not skipped in silence."""
    with pytest.raises(LedgerCorrupt):
        Tally(0).add(b'{"kind":"settle","at_ns":"x"}')
