"""The chain and `verify`: each kind of damage that they claim to find is found."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entente.domain.errors import LedgerCorrupt
from entente.ledger.journal import PROBLEMS_MAX, Row, decode, verify
from entente.ledger.model import AnyEntry, Posting, available, payable
from entente.ledger.model import held as held_account
from tests.kit.entries import KEY, USD, adjusted, granted, held, journals, rows_of, settled
from tests.kit.run import PROPERTY

OPENED = held("r", 10)
GOOD: tuple[AnyEntry, ...] = (granted("g", 100), OPENED, settled(OPENED, 4))


def _problems(entries: Sequence[AnyEntry]) -> list[str]:
    return verify(rows_of(entries))[0].problems


@PROPERTY
@given(journals())
def test_what_a_ledger_writes_verifies(entries: list[AnyEntry]) -> None:
    """No false alarm, and the report counts what there is."""
    report, books = verify(rows_of(entries))
    assert report.problems == []
    assert report.entries == len(entries)
    assert report.open_holds == len(books.open_holds)
    assert report.head == rows_of(entries)[-1].hash.hex()


@PROPERTY
@given(journals(), st.data())
def test_any_flipped_bit_is_found(entries: list[AnyEntry], data: st.DataObject) -> None:
    """In the line or in the hash, wherever it is."""
    rows = rows_of(entries)
    at = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(st.sampled_from(["line", "hash"]))
    value = bytearray(getattr(rows[at], field))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    rows[at] = msgspec.structs.replace(rows[at], **{field: bytes(value)})
    assert verify(rows)[0].problems


@PROPERTY
@given(journals(least=2), st.data())
def test_any_dropped_entry_is_found(entries: list[AnyEntry], data: st.DataObject) -> None:
    """All but the tail, which nothing in the journal itself follows; numbers closed up or not."""
    rows = rows_of(entries)
    assume(len(rows) > 1)
    del rows[data.draw(st.integers(0, len(rows) - 2))]
    assert verify(rows)[0].problems
    assert verify(_renumbered(rows))[0].problems


@PROPERTY
@given(journals(), st.data())
def test_any_inserted_entry_is_found(entries: list[AnyEntry], data: st.DataObject) -> None:
    """Even one with a hash that follows from the entry before it, but for the last place."""
    rows = rows_of(entries)
    at = data.draw(st.integers(0, len(rows) - 1))
    forged = rows_of([*entries[:at], granted("forged", 1)])[-1]
    rows.insert(at, forged)
    assert verify(_renumbered(rows))[0].problems


@PROPERTY
@given(journals(least=2), st.data())
def test_any_reordering_is_found(entries: list[AnyEntry], data: st.DataObject) -> None:
    """Order is part of what the hashes say."""
    rows = rows_of(entries)
    mixed = data.draw(st.permutations(rows))
    assume(mixed != rows)
    assert verify(mixed)[0].problems
    assert verify(_renumbered(mixed))[0].problems


def _renumbered(rows: list[Row]) -> list[Row]:
    return [msgspec.structs.replace(row, seq=seq) for seq, row in enumerate(rows, start=1)]


def _posting(source: str, destination: str, nano: int, asset: str = USD) -> Posting:
    return Posting(source, destination, nano, asset)


_FREE, _HELD, _PAID = available(KEY), held_account(KEY), payable("p")

DAMAGE: dict[str, tuple[list[AnyEntry], str]] = {
    "hold above the budget": ([granted("g", 9), OPENED], "exceeds the budget by 0.000000001"),
    "hold without a budget": ([OPENED], "exceeds the budget"),
    "hold twice": ([granted("g", 100), OPENED, OPENED], "held twice"),
    "settled without a hold": ([granted("g", 100), settled(OPENED, 4)], "without an open hold"),
    "settled twice": ([*GOOD, settled(OPENED, 4)], "without an open hold"),
    "releases too little": (
        [
            *GOOD[:2],
            msgspec.structs.replace(settled(OPENED, 4), postings=(_posting(_HELD, _PAID, 4),)),
        ],
        "releases 0.000000004 of a hold of 0.00000001",
    ),
    "pays another amount than its cost": (
        [
            *GOOD[:2],
            msgspec.structs.replace(
                settled(OPENED, 4),
                postings=(_posting(_HELD, _PAID, 9), _posting(_HELD, _FREE, 1)),
            ),
        ],
        "pays 0.000000009, not its cost of 0.000000004",
    ),
    "pays for an unknown cost": (
        [*GOOD[:2], msgspec.structs.replace(settled(OPENED, 4), cost_nano=None)],
        "not its cost of unknown",
    ),
    "settled by another key": (
        [*GOOD[:2], msgspec.structs.replace(settled(OPENED, 4), key="key_b")],
        "was held by key_a and is settled by key_b",
    ),
    "holds another amount than it says": (
        [
            granted("g", 100),
            msgspec.structs.replace(OPENED, postings=(_posting(_FREE, _HELD, 1),)),
        ],
        "does not post the amount that it holds",
    ),
    "grants another amount than it says": (
        [msgspec.structs.replace(granted("g", 1), postings=(_posting("funding", _FREE, 1000),))],
        "does not post the amount that it grants",
    ),
    "adjusts another amount than it says": (
        [msgspec.structs.replace(adjusted("a", 5), postings=(_posting("adjustments", _PAID, 6),))],
        "does not post the amount that it adjusts",
    ),
    "adjusts the other way": (
        [msgspec.structs.replace(adjusted("a", 5), postings=(_posting(_PAID, "adjustments", 5),))],
        "does not post the amount that it adjusts",
    ),
    "is explained otherwise": (
        [msgspec.structs.replace(adjusted("a", 5), parts={"cache": 4})],
        "the parts of a are not its amount",
    ),
    "moves a negative amount": (
        [msgspec.structs.replace(granted("g", -5), postings=(_posting("funding", _FREE, -5),))],
        "moves nothing or less",
    ),
    "moves another asset": (
        [
            msgspec.structs.replace(
                granted("g", 5), postings=(_posting("funding", _FREE, 5, "EUR"),)
            )
        ],
        "another asset than USD",
    ),
    "held with no open hold": (
        [
            *GOOD,
            msgspec.structs.replace(granted("g2", 0), postings=(_posting(_FREE, _HELD, 7),)),
        ],
        "its open holds differ",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_verify_finds(name: str) -> None:
    """A journal with good hashes can still say what no ledger would have written."""
    entries, text = DAMAGE[name]
    assert any(text in problem for problem in _problems(entries)), _problems(entries)


def test_the_good_journal_of_the_table_has_no_problem() -> None:
    """Else the table above would prove nothing."""
    assert _problems(GOOD) == []


def test_verify_finds_a_wrong_idempotency_key() -> None:
    """The name under which an entry is stored guards against a second one."""
    rows = rows_of(GOOD)
    rows[1] = msgspec.structs.replace(rows[1], idempotency_key="hold:other")
    assert "is stored under the name hold:other" in verify(rows)[0].problems[0]


def test_verify_finds_a_line_that_is_no_entry() -> None:
    """And goes on behind it."""
    rows = rows_of(GOOD)
    rows[0] = msgspec.structs.replace(rows[0], line=b"{}")
    report, _ = verify(rows)
    assert any("does not read as an entry" in problem for problem in report.problems)
    assert report.requests == 1
    with pytest.raises(LedgerCorrupt):
        decode(b"not json")


def test_an_unbounded_key_may_go_below_zero() -> None:
    """Without a hard budget `available` shows what was spent."""
    opened = held("r", 10, bounded=False)
    report, books = verify(rows_of([opened, settled(opened, 12)]))
    assert report.problems == []
    assert report.overruns == 1
    assert books.available(KEY, USD) == -12


def test_only_the_first_problems_are_kept() -> None:
    """The report is bounded, however broken the journal."""
    holds = [held(f"r{n}", 1) for n in range(PROBLEMS_MAX + 5)]
    assert len(_problems(holds)) == PROBLEMS_MAX
