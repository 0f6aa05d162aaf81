"""What settling costs: a ledger of a million requests through a quarter's statement.

    python -m bench.settling [--requests N]

Writes a ledger of made-up requests (the same ones each time) into a temporary folder, settles
the last quarter from it and prints seconds, requests per second and the memory that settling
added at its peak. Half of the journal's entries are holds, which are passed over.
"""

from __future__ import annotations

import argparse
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from bench.model import Work
from entente.agreement.load import Book, Texts, load
from entente.agreement.settle.settling import settle
from entente.agreement.settle.statement import Statement
from entente.db import DATABASE_NAME, connect, migrate
from entente.domain.chat import Status
from entente.domain.money import format_nano
from entente.domain.usage import Usage
from entente.ledger.journal import GENESIS, Row, chain, encode
from entente.ledger.model import AnyEntry, hold, settlement
from entente.settlement.traffic import traffic_log

REQUESTS: Final = 1_000_000
BEGIN_NS: Final = 1_767_225_600_000_000_000
"""2026-01-01 in UTC."""
HALF_YEAR_NS: Final = 181 * 86_400 * 1_000_000_000
KNOWN_NS: Final = BEGIN_NS + 2 * HALF_YEAR_NS
BATCH_ROWS: Final = 2_000
"""Few, so that writing does not hide what settling takes at its peak."""
MODELS: Final = tuple(f"model-{number}" for number in range(12))
PROVIDERS: Final = ("east", "west", "north")
KEYS: Final = tuple(f"key_{number}" for number in range(200))
KIB_PER_MIB: Final = 1024

AGREEMENT: Final = """
agreement: {id: bench, currency: USD, scale: 2, rounding: floor_then_first, zone: Europe/Berlin,
  effective: 2026-01-01}
parties:
- {id: lab, kind: lab}
- {id: cloud, kind: cloud}
bases:
- {id: spend, owner: lab, when: {kind: request}, measure: gross}
- {id: east, owner: lab, when: {provider: east}, measure: gross}
meters:
- {id: output, when: {provider: [west, north]}, counts: output}
rates:
- {id: price, meter: output, payer: lab, payee: cloud, per: 1_000_000, mode: graduated,
   resets: month, tiers: [{up_to: 5_000_000, price: 10}, {price: 8}]}
shares:
- {id: fifth, payer: lab, payee: cloud, ratio: "1/5", base: east,
   cap: {total: 1_000, counts_from: inception}}
commitments:
- {id: promised, buyer: lab, seller: cloud, total: 20_000, eligible: spend, shortfall: true_up,
   excess: carries, schedule: [
     {begins: 2026-01-01, before: 2026-07-01, amount: 10_000},
     {begins: 2026-07-01, before: 2027-01-01, amount: 10_000}]}
statements:
- {id: quarterly, parties: [lab, cloud], period: quarter, close_lag_days: 10}
"""


def entries(requests: int) -> Iterator[AnyEntry]:
    """Make holds and settlements of half a year, evenly in time."""
    for number in range(requests):
        at_ns = BEGIN_NS + HALF_YEAR_NS * number // requests
        opened = hold(
            id=f"req_{number:032x}",
            at_ns=at_ns,
            key=KEYS[number * 7 % len(KEYS)],
            asset="USD",
            model=MODELS[number % len(MODELS)],
            nano=20_000_000,
            bounded=False,
            input_tokens=100,
            output_tokens=400,
            prices="bench",
        )
        yield opened
        provider = PROVIDERS[number % len(PROVIDERS)]
        yield settlement(
            opened,
            at_ns=at_ns + 1_000_000,
            status=Status.COMPLETE,
            usage=Usage(input=number % 1_000, output=number % 300),
            cost_nano=number * 7_919 % 20_000_000,
            provider=provider,
            target=f"{provider}/{opened.model}",
            attempts=1,
            upstream_status=200,
        )


def write(database: Path, requests: int) -> int:
    """Write the ledger, and give what its requests cost, in nano-units."""
    connection = connect(database)
    connection.execute("PRAGMA synchronous=OFF")
    migrate(connection)
    batch: list[tuple[int, str, bytes, bytes]] = []
    head, cost = GENESIS, 0
    for seq, entry in enumerate(entries(requests), 1):
        line = encode(entry)
        head = chain(head, line)
        row = Row(seq, entry.idempotency_key, line, head)
        batch.append((row.seq, row.idempotency_key, row.line, row.hash))
        cost += getattr(entry, "cost_nano", 0) or 0
        if len(batch) == BATCH_ROWS:
            _flush(connection, batch)
    _flush(connection, batch)
    connection.close()
    return cost


def _flush(connection: sqlite3.Connection, batch: list[tuple[int, str, bytes, bytes]]) -> None:
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", batch)
    connection.execute("COMMIT")
    batch.clear()


def resident_mib() -> float:
    """Give the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB


def measure(database: Path, book: Book) -> tuple[Statement, float, float]:
    """Settle the second quarter; give the statement, the seconds, and those of the processor."""
    began_s, worked_s = time.perf_counter(), time.process_time()
    settled = settle(book, traffic_log(database), period="2026-Q2", known_ns=KNOWN_NS)
    return settled.statement, time.perf_counter() - began_s, time.process_time() - worked_s


def main() -> None:
    """Write, settle, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=REQUESTS, metavar="N")
    parser.add_argument("--json", type=int, metavar="N", help="N requests; figures for a program")
    options = parser.parse_args()
    requests: int = options.json or options.requests
    book = load(Texts({"agreement.yaml": AGREEMENT}), "agreement.yaml")
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / DATABASE_NAME
        cost = write(database, requests)
        before_mib = resident_mib()
        statement, took_s, worked_s = measure(database, book)
        grown_mib = resident_mib() - before_mib
    if options.json:
        grown = round(grown_mib * KIB_PER_MIB * KIB_PER_MIB)
        work = Work("settling a quarter", requests, took_s, worked_s, grown)
        sys.stdout.write(msgspec.json.encode(work).decode())
        return
    print(f"{requests:,} requests, {format_nano(cost)} USD, in {2 * requests:,} entries")
    rate = requests / took_s
    print(
        f"settled in {took_s:.1f} s ({worked_s:.1f} s of processor): {rate:,.0f} requests a second"
    )
    print(f"memory grew by {grown_mib:.1f} MiB")
    for posting in statement.postings:
        amount = format_nano(posting.nano)
        print(f"{posting.clause:10} {posting.source} -> {posting.destination} {amount} USD")


if __name__ == "__main__":
    main()
