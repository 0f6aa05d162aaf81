"""From the ledger to a statement: to the nano-unit, and without holding the requests."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from entente.agreement.log import Log, Measured
from entente.agreement.settle.settling import settle
from entente.agreement.settle.tally import IDS_MAX
from entente.domain.errors import LedgerUnavailable
from entente.ledger.journal import decode
from entente.ledger.model import Settlement
from entente.ledger.reader import rows
from entente.settlement.traffic import measured, traffic_log
from tests.kit.databases import new_database
from tests.kit.entries import AT_NS, adjusted
from tests.settlement.stated import DEAL, FEBRUARY_NS, LATER_NS, deal, ledger, request

PLAIN = DEAL.replace('   defer: {pay_max: "0.5", each: quarter}, cap', "   cap")


def test_a_request_as_a_fact(tmp_path: Path) -> None:
    """What it is, what it used, what it cost, and where in the ledger it stands."""
    path = ledger(tmp_path, [request(3, 21)])
    (fact,) = measured(rows(path), {"provider": {"west": {"host": "azure", "seller": "cloud"}}})
    assert dict(fact.attributes) == {
        "kind": "request",
        "model": "big",
        "target": "west/big-1",
        "provider": "west",
        "host": "azure",
        "seller": "cloud",
        "key": "key_a",
        "status": "complete",
        "estimated": False,
    }
    assert (fact.nano, fact.asset) == (21, "USD")
    used = {name: number for name, number in fact.numbers.items() if number}
    assert used == {
        "input": 3,
        "output": 6,
        "reasoning": 1,
        "input_total": 3,
        "output_total": 7,
        "tokens": 10,
        "requests": 1,
        "owed_nano": 21,
    }
    (row,) = [row for row in rows(path) if isinstance(decode(row.line), Settlement)]
    assert (fact.entry, fact.seq) == (row.hash.hex(), row.seq)


def test_a_statement_equals_the_ledger_to_the_nano_unit(tmp_path: Path) -> None:
    """A share of all of it, at nine places, is what the settlements say."""
    path = ledger(tmp_path, [request(n, 10**9 + 7 * n) for n in range(1, 100)])
    entries = [decode(row.line) for row in rows(path)]
    cost = sum(e.cost_nano or 0 for e in entries if isinstance(e, Settlement))
    made = deal(PLAIN)
    settled = settle(made, traffic_log(path), period="2026-02", known_ns=LATER_NS)
    by_clause = {each.clause: each for each in settled.postings}
    assert by_clause["everything"].nano == cost
    assert by_clause["everything"].facts.count == 99
    assert by_clause["hosting"].nano == sum(2 * n for n in range(1, 100)) * 3_000


def test_the_order_of_the_journal_is_nothing(tmp_path: Path) -> None:
    """Settled from the ledger or from the same facts the other way round: the same statement.

    All of them at one instant, where only their ids say which is the first and the last.
    """
    path = ledger(tmp_path, [request(n, n, at_ns=FEBRUARY_NS - n) for n in range(1, 60)])
    backwards = Log((), lambda: reversed(list(measured(rows(path)))))
    made = deal(PLAIN)
    one = settle(made, traffic_log(path), period="2026-02", known_ns=LATER_NS)
    two = settle(made, backwards, period="2026-02", known_ns=LATER_NS)
    few = [each for each in one.postings if each.facts.ids]
    assert not few
    assert one.statement.id == two.statement.id


def test_few_facts_are_named_and_many_are_sealed(tmp_path: Path) -> None:
    """A seal changes when any of the facts does."""
    made = deal(PLAIN)
    seals = []
    for name, last in (("a", 5), ("b", 6)):
        (tmp_path / name).mkdir()
        path = ledger(
            tmp_path / name, [*(request(n, n) for n in range(1, IDS_MAX)), request(99, last)]
        )
        settled = settle(made, traffic_log(path), period="2026-02", known_ns=LATER_NS)
        (share,) = [each for each in settled.postings if each.clause == "everything"]
        assert len(share.facts.ids) == IDS_MAX == share.facts.count
        seals.append(share.facts.seal)
    assert seals[0] != seals[1]


def test_memory_does_not_grow_with_the_ledger(tmp_path: Path) -> None:
    """Thirty times the requests take less than a byte more for each; a reference has eight.

    What the interpreter keeps for itself meanwhile is some KB, and not the same each time.
    """
    made = deal(PLAIN)
    peaks = []
    few, many = 300, 9_000
    for name, count in (("small", few), ("large", many)):
        (tmp_path / name).mkdir()
        path = ledger(tmp_path / name, (request(n, n) for n in range(count)))
        settle(made, traffic_log(path), period="2026-02", known_ns=LATER_NS)
        tracemalloc.start()
        settle(made, traffic_log(path), period="2026-02", known_ns=LATER_NS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < many - few


def test_requests_are_read_anew_each_time(tmp_path: Path) -> None:
    """A log of a ledger is a way to read it, not what was read."""
    path = ledger(tmp_path, [request(1, 5)])
    log = traffic_log(path)
    assert [fact.id for fact in log.measured()] == ["req_1"]
    ledger(tmp_path, [request(2, 5)])
    facts: list[Measured] = list(log.measured())
    assert [fact.id for fact in facts] == ["req_1", "req_2"]
    assert all(fact.at_ns == fact.known_ns >= FEBRUARY_NS for fact in facts)


def test_a_ledger_that_is_not_there(tmp_path: Path) -> None:
    """Says so when it is read."""
    with pytest.raises(LedgerUnavailable):
        list(traffic_log(tmp_path / "none.db").measured())


def test_what_was_adjusted_counts_for_its_provider(tmp_path: Path) -> None:
    """At the end of the time that was compared, known when it was posted, and no request."""
    path = new_database(tmp_path, adjusted("a", 41, provider="west"))
    (fact,) = measured(rows(path), {"provider": {"west": {"host": "azure"}}})
    assert dict(fact.attributes) == {"kind": "adjustment", "provider": "west", "host": "azure"}
    assert (fact.nano, fact.asset, fact.at_ns, fact.known_ns) == (41, "USD", AT_NS - 1, AT_NS)
