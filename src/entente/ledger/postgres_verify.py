"""Verifying a journal of many chains: each by itself, then what all of them add up to.

A grant stands in one chain and what is spent of it in others, so the cover of a bounded hold
cannot be checked entry by entry within one chain; what all chains spent of a key's budget is
held against all its grants instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from entente.db import Database
from entente.domain.errors import LedgerCorrupt
from entente.domain.money import format_nano
from entente.ledger import journal
from entente.ledger.books import Books
from entente.ledger.journal import PROBLEMS_MAX, Report, Row
from entente.ledger.meters import METER
from entente.ledger.model import Hold, Settlement, available
from entente.ledger.postgres_chain import CHAIN_LOCKS
from entente.ledger.postgres_reader import ChainRow, chain_rows, chains, snapshot

_ADDED: Final = (
    *("entries", "grants", "adjustments", "requests"),
    *("estimated", "recovered", "overruns", "open_holds"),
)


class _Totals:
    """What chains add up to, and what keys under a hard budget were held to."""

    def __init__(self) -> None:
        self.all = Books()
        self.closed = Books()
        self.bounded: set[tuple[str, str]] = set()
        """Keys with a hold that had to be covered, and its asset."""
        self.excess: Counter[tuple[str, str]] = Counter()
        """What providers used beyond such holds."""
        self._open: dict[str, Hold] = {}

    def watch(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Note bounded holds and what went beyond them, on the way to the check."""
        for row in rows:
            yield row
            if row.idempotency_key.startswith(("hold:", "settle:")):
                self._note(row)

    def _note(self, row: Row) -> None:
        try:
            entry = journal.decode(row.line)
        except LedgerCorrupt:
            return  # it is told of by the check itself
        if isinstance(entry, Hold) and entry.bounded:
            self._open[entry.id] = entry
            self.bounded.add((entry.key, entry.asset))
        elif isinstance(entry, Settlement) and (opened := self._open.pop(entry.id, None)):
            beyond = (entry.cost_nano or 0) - opened.nano
            if beyond > 0:
                self.excess[opened.key, opened.asset] += beyond

    def add(self, books: Books, *, closed: bool) -> None:
        """Add a chain."""
        for into in (self.all, self.closed) if closed else (self.all,):
            for account, amounts in books.balances.items():
                sums = into.balances.setdefault(account, {})
                for asset, nano in amounts.items():
                    sums[asset] = sums.get(asset, 0) + nano

    def overspent(self) -> Iterator[str]:
        """Say which budgets were not kept."""
        for key, asset in sorted(self.bounded):
            missing = -self.all.balance(available(key), asset) - self.excess[key, asset]
            if missing > 0:
                over = f"{format_nano(missing)} {asset}"
                yield f"the key {key} has spent and held {over} more than it was granted"


def verify(database: Database) -> Report:
    """Check every chain, that nothing stands twice, and what all of it adds up to.

    The report's head is the hash over the heads of all chains that have entries: a server that
    starts and writes nothing leaves it as it is.
    """
    report, totals = Report(), _Totals()
    with snapshot(database):
        for each in chains(database):
            _verify_chain(database, each, report, totals)
        problems = [*totals.overspent(), *_repeated(database), *_balances(database, totals)]
        problems += _side_entries(database)
    report.problems = (report.problems + problems)[:PROBLEMS_MAX]
    return report


def _verify_chain(database: Database, each: ChainRow, report: Report, totals: _Totals) -> None:
    """Check one chain by itself."""
    rows = totals.watch(chain_rows(database, each.number))
    found, books = journal.verify(rows, covered=False)
    totals.add(books, closed=each.closed_ns is not None)
    for name in _ADDED:
        setattr(report, name, getattr(report, name) + getattr(found, name))
    if found.entries:
        report.head = journal.chain(bytes.fromhex(report.head), bytes.fromhex(found.head)).hex()
    problems = list(found.problems)
    if each.closed_ns is not None:
        if (found.entries, found.head) != (each.seq, each.head.hex()):
            problems.append(f"was closed at entry {each.seq}, and ends at {found.entries}")
        if found.open_holds:
            problems.append(f"is closed with {found.open_holds} open holds")
    elif is_dead(database, each.number):
        problems += _left(each, found.open_holds)
    report.problems += [f"chain {each.number}, {problem}" for problem in problems]


def _left(each: ChainRow, open_holds: int) -> Iterator[str]:
    """Say what becomes of a chain that nobody writes."""
    if each.spool is not None:
        yield (
            f"waits for its host {each.spool}, which may have more of it in its spool: start "
            "`entente serve` there, or give the host up with "
            f"`entente db release {each.spool}`"
        )
    elif open_holds:
        yield (
            f"was left by a server that died with {open_holds} open holds: `entente serve` "
            "settles them"
        )


def is_dead(database: Database, number: int) -> bool:
    """Say whether nobody writes a chain any more."""
    key = CHAIN_LOCKS + number
    (free,) = database.execute("SELECT pg_try_advisory_lock_shared(?)", (key,)).fetchone()
    if free:
        database.execute("SELECT pg_advisory_unlock_shared(?)", (key,))
    return bool(free)


def _repeated(database: Database) -> list[str]:
    """Find what stands more than once: a request is held and settled once, by one server."""
    found = database.execute(
        "SELECT name, count(*) FROM entries GROUP BY name HAVING count(*) > 1 LIMIT ?",
        (PROBLEMS_MAX,),
    ).fetchall()
    return [f"{name} stands {count} times in the journal" for name, count in found]


def _balances(database: Database, totals: _Totals) -> Iterator[str]:
    """See that the sums that a start begins with are those of the closed chains."""
    kept = {
        (account, asset): nano
        for account, asset, nano in database.execute("SELECT account, asset, nano FROM balances")
        if asset != METER
    }
    summed = {
        (account, asset): nano
        for account, amounts in totals.closed.balances.items()
        for asset, nano in amounts.items()
    }
    for account, asset in sorted(kept.keys() | summed.keys()):
        stands, adds = kept.get((account, asset), 0), summed.get((account, asset), 0)
        if stands != adds:
            yield (
                f"the balance of {account} is kept as {format_nano(stands)} {asset}, and its "
                f"entries add up to {format_nano(adds)}"
            )


def _side_entries(database: Database) -> list[str]:
    """See that what servers are told of stands in a chain."""
    found = database.execute(
        "SELECT s.name FROM side_entries s LEFT JOIN entries e ON e.chain = s.chain"
        " AND e.name = s.name AND e.line = s.line WHERE e.name IS NULL LIMIT ?",
        (PROBLEMS_MAX,),
    ).fetchall()
    return [f"{name} was told to servers and is in no chain" for (name,) in found]
