"""A statement with everything in it, and ledgers to settle from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from entente.agreement.load import Book, Texts, load
from entente.agreement.settle.settling import settle
from entente.agreement.settle.statement import Statement
from entente.db import DATABASE_NAME, connect, migrate
from entente.domain.chat import Status
from entente.domain.usage import Usage
from entente.ledger.model import AnyEntry, hold, settlement
from entente.ledger.table import append_now
from entente.settlement.facts import read_facts
from entente.settlement.traffic import traffic_log

DEAL: Final = """
agreement: {id: two-stores, title: "Lab & Cloud <sells>", currency: USD, scale: 9,
  rounding: floor_then_first, zone: Europe/Berlin, effective: 2026-01-01}
parties:
- {id: lab, kind: lab}
- {id: cloud, kind: cloud}
- {id: group, kind: company}
events:
- {id: launch, declared_by: lab}
meters:
- {id: tokens_west, when: {provider: west}, counts: output}
bases:
- {id: spend, owner: lab, when: {kind: request}, measure: gross}
rates:
- {id: hosting, meter: tokens_west, payer: lab, payee: cloud, per: 1_000_000, mode: graduated,
   resets: quarter, tiers: [{price: 3}], source: "schedule B",
   until: {latest_of: [{event: launch.declared}, {date: 2099-12-31, inclusive: true}]}}
shares:
- {id: everything, payer: lab, payee: cloud, ratio: 1, base: spend, source: "7.3, amended",
   quote: "one hundred per cent of <spend> & no less", trust: P,
   defer: {pay_max: "0.5", each: quarter}, cap: {total: 1_000, counts_from: inception}}
stakes:
- {id: table, company: group, basis: outstanding, valuation: 500,
   securities: {common: {converts: 1, counts_in: [outstanding]}},
   holdings: [{holder: cloud, security: common, units: 27},
     {holder: lab, security: common, units: 73}]}
statements:
- {id: monthly, parties: [lab, cloud], period: month, close_lag_days: 3, dispute_days: 30,
   exchange: {source: "the central bank's daily rates", rate_of: fact}}
"""
FEBRUARY_NS: Final = 1_771_000_000_000_000_000
"""2026-02-13 in UTC."""
MARCH_NS: Final = FEBRUARY_NS + 30 * 86_400 * 1_000_000_000
LATER_NS: Final = FEBRUARY_NS + 300 * 86_400 * 1_000_000_000
FACTS: Final = b"""
{"id": "l1", "at": "2026-02-01", "event": "launch", "verdict": "declared", "by": "lab"}
{"id": "m1", "at": "2026-03-02", "amount": "2", "currency": "EUR", "say": {"kind": "request"}}
{"id": "m2", "at": "2026-02-20", "known": "2026-03-20", "amount": "0.25", "currency": "USD", \
"say": {"kind": "request"}}
"""


def deal(text: str = DEAL) -> Book:
    """Read the document."""
    return load(Texts({"deal.yaml": text}), "deal.yaml")


def request(
    number: int, cost: int | None, *, at_ns: int = FEBRUARY_NS, provider: str = "west"
) -> tuple[AnyEntry, AnyEntry]:
    """Make the hold and the settlement of a request."""
    opened = hold(
        id=f"req_{number}",
        at_ns=at_ns + number,
        key="key_a",
        asset="USD",
        model="big",
        nano=cost or 0,
        bounded=False,
        input_tokens=10,
        output_tokens=10,
        prices="p",
    )
    closed = settlement(
        opened,
        at_ns=at_ns + number,
        status=Status.COMPLETE,
        usage=Usage(input=number, output=2 * number, reasoning=1),
        cost_nano=cost,
        provider=provider,
        target=f"{provider}/big-1",
    )
    return opened, closed


def ledger(folder: Path, requests: Iterable[tuple[AnyEntry, AnyEntry]]) -> Path:
    """Write a ledger."""
    path = folder / DATABASE_NAME
    connection = connect(path)
    migrate(connection)
    append_now(connection, [entry for both in requests for entry in both])
    connection.close()
    return path


def march(folder: Path) -> Statement:
    """State March: with a late fact, a deferral, a missing rate, an event, stakes."""
    made = deal()
    path = ledger(
        folder,
        [request(n, 7 * n) for n in range(1, 40)]
        + [request(n, 10**9 + n, at_ns=MARCH_NS) for n in range(40, 43)]
        + [request(50, None, at_ns=MARCH_NS)],
    )
    facts = read_facts(FACTS.splitlines(), made.zone, name="facts.jsonl")
    log = traffic_log(path, facts)
    return settle(made, log, period="2026-03", known_ns=LATER_NS).statement
