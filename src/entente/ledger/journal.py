"""The journal as bytes: one canonical line an entry, chained by hashes. Pure.

The hash of an entry is SHA-256 over the hash before it and the entry's line, so that no
entry can be changed, dropped or put in between without changing every hash after it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from entente.domain.errors import LedgerCorrupt
from entente.domain.money import format_nano
from entente.ledger.books import Books
from entente.ledger.model import (
    Adjustment,
    AnyEntry,
    Grant,
    Hold,
    Settlement,
    available,
    held,
    payable,
)

GENESIS: Final = bytes(32)
PROBLEMS_MAX: Final = 100
PRUNE_ENTRIES: Final = 100_000
"""Entries after which a fold forgets the meters of windows that are over."""
PAYABLE: Final = payable("")
"""How the accounts of what providers are owed begin."""

_OUTCOMES: Final = (b'{"kind":"settle"', b'{"kind":"adjust"')
"""How the lines of settlements and adjustments begin."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEntry] = msgspec.json.Decoder(AnyEntry)


class Row(msgspec.Struct, frozen=True):
    """An entry as it is stored."""

    seq: int
    idempotency_key: str
    line: bytes
    hash: bytes


def encode(entry: AnyEntry) -> bytes:
    """Write an entry as its canonical JSON line."""
    return _encoder.encode(entry)


def decode(line: bytes) -> AnyEntry:
    """Read an entry. Raises LedgerCorrupt for what is not one."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"A journal line does not read as an entry: {error}."
        raise LedgerCorrupt(message) from error


def chain(previous: bytes, line: bytes) -> bytes:
    """Give the hash of the entry `line` that follows the entry with hash `previous`."""
    return hashlib.sha256(previous + line).digest()


class Report(msgspec.Struct, kw_only=True):
    """What a verification found."""

    entries: int = 0
    grants: int = 0
    adjustments: int = 0
    requests: int = 0
    """Settled requests."""
    estimated: int = 0
    recovered: int = 0
    overruns: int = 0
    """Requests whose provider used more than its bound allowed."""
    open_holds: int = 0
    head: str = GENESIS.hex()
    """Hash of the last entry."""
    problems: list[str] = []

    def problem(self, seq: int, text: str) -> None:
        """Note what is wrong with an entry; past a bound only the first ones are kept."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(f"entry {seq}: {text}")


def verify(rows: Iterable[Row], *, covered: bool = True) -> tuple[Report, Books]:
    """Fold the whole journal and check the chain, the order and every balance.

    Postings must move what their entry says. A bounded hold must be covered by what the
    key had at that very entry; a settlement must close a hold that is open, by the same
    key, and release exactly its amount; after the last entry each key's `held` account
    must equal its open holds. A draw on a meter must fit the limit that it names, with all
    that was used and held of it by then. Not `covered`: what keys may spend stands in other
    chains, so that it is not looked for here.
    """
    report, books = Report(), Books()
    previous, seq_before = GENESIS, 0
    for row in rows:
        if row.seq != seq_before + 1:
            report.problem(row.seq, f"follows entry {seq_before}; entries between are missing")
        seq_before = row.seq
        if chain(previous, row.line) != row.hash:
            report.problem(row.seq, "its hash does not follow from the entry before it")
        previous = row.hash
        try:
            entry = decode(row.line)
        except LedgerCorrupt as error:
            report.problem(row.seq, error.message)
            continue
        if entry.idempotency_key != row.idempotency_key:
            report.problem(row.seq, f"is stored under the name {row.idempotency_key}")
        _check(entry, row.seq, books, report, covered=covered)
        books.apply(entry)
        report.entries += 1
        if not report.entries % PRUNE_ENTRIES:
            books.meters.prune(entry.at_ns)
    report.head = previous.hex()
    report.open_holds = len(books.open_holds)
    _check_held(books, seq_before, report)
    return report, books


def _check(entry: AnyEntry, seq: int, books: Books, report: Report, *, covered: bool) -> None:
    """Check one entry against the books before it."""
    if any(posting.nano <= 0 for posting in entry.postings):
        report.problem(seq, "a posting moves nothing or less")
    assets = {entry.asset, entry.owed[1]} if isinstance(entry, Settlement) else {entry.asset}
    if any(posting.asset not in assets for posting in entry.postings):
        report.problem(seq, f"a posting moves another asset than {entry.asset}")
    match entry:
        case Grant():
            report.grants += 1
            if _moved(entry, destination=available(entry.key)) != entry.nano:
                report.problem(seq, f"{entry.id} does not post the amount that it grants")
        case Hold():
            _check_hold(entry, seq, books, report, covered=covered)
        case Settlement():
            report.requests += 1
            report.estimated += entry.estimated
            report.recovered += entry.recovered
            _check_settlement(entry, seq, books, report)
        case Adjustment():
            report.adjustments += 1
            if _moved(entry, destination=payable(entry.provider)) != entry.nano:
                report.problem(seq, f"{entry.id} does not post the amount that it adjusts")
            if sum(entry.parts.values()) != entry.nano:
                report.problem(seq, f"the parts of {entry.id} are not its amount")


def _check_hold(entry: Hold, seq: int, books: Books, report: Report, *, covered: bool) -> None:
    """Check that a hold is covered, and new."""
    if _moved(entry, destination=held(entry.key)) != entry.nano:
        report.problem(seq, f"{entry.id} does not post the amount that it holds")
    left = books.available(entry.key, entry.asset) - entry.nano
    if covered and entry.bounded and left < 0:
        over = format_nano(-left)
        report.problem(seq, f"the hold of {entry.id} exceeds the budget by {over}")
    if entry.id in books.open_holds:
        report.problem(seq, f"{entry.id} is held twice")
    for draw in entry.draws:
        if draw.amount < 0 or books.meters.full((draw,)):
            report.problem(seq, f"the hold of {entry.id} exceeds the limit of {draw.meter}")


def _check_settlement(entry: Settlement, seq: int, books: Books, report: Report) -> None:
    """Check that a settlement closes its hold exactly."""
    opened = books.open_holds.get(entry.id)
    if opened is None:
        report.problem(seq, f"{entry.id} is settled without an open hold")
        return
    if entry.key != opened.key:
        report.problem(seq, f"{entry.id} was held by {opened.key} and is settled by {entry.key}")
    released = -_moved(entry, destination=held(opened.key))
    if released != opened.nano:
        report.problem(
            seq,
            f"{entry.id} releases {format_nano(released)} of a hold of {format_nano(opened.nano)}",
        )
    kept = _moved(entry, destination=available(opened.key))
    paid = released - kept
    if paid != (entry.cost_nano or 0):
        report.problem(seq, f"{entry.id} pays {format_nano(paid)}, not its cost of {_cost(entry)}")
    _check_owed(entry, seq, report)
    report.overruns += (entry.cost_nano or 0) > opened.nano


def _check_owed(entry: Settlement, seq: int, report: Report) -> None:
    """Check that a provider is owed what the entry says, and that nothing is left between."""
    owed_nano, asset = entry.owed
    owed = sum(
        posting.nano
        for posting in entry.postings
        if posting.destination.startswith(PAYABLE) and posting.asset == asset
    )
    if owed != (owed_nano or 0):
        report.problem(
            seq, f"{entry.id} owes {format_nano(owed)}, not {format_nano(owed_nano or 0)}"
        )
    if entry.owed_asset and entry.asset != asset and not entry.rate:
        report.problem(seq, f"{entry.id} names no rate between {entry.asset} and {asset}")


def _moved(entry: AnyEntry, *, destination: str) -> int:
    """Give what an entry's postings add to an account, less what they take from it."""
    return sum(
        posting.nano * ((posting.destination == destination) - (posting.source == destination))
        for posting in entry.postings
    )


def _cost(entry: Settlement) -> str:
    """Write a settlement's cost for people."""
    return "unknown" if entry.cost_nano is None else format_nano(entry.cost_nano)


def _check_held(books: Books, seq: int, report: Report) -> None:
    """Check that what is held at the end is what the open holds say."""
    expected: dict[tuple[str, str], int] = {}
    for opened in books.open_holds.values():
        name = (f"held:{opened.key}", opened.asset)
        expected[name] = expected.get(name, 0) + opened.nano
    for account, amounts in books.balances.items():
        if not account.startswith("held:"):
            continue
        for asset, nano in amounts.items():
            if nano != expected.get((account, asset), 0):
                report.problem(
                    seq, f"{account} holds {format_nano(nano)} {asset}, its open holds differ"
                )


def entries(rows: Iterable[Row]) -> Iterator[AnyEntry]:
    """Decode rows one by one."""
    return (decode(row.line) for row in rows)


def outcomes(rows: Iterable[Row]) -> Iterator[AnyEntry]:
    """Decode settlements and adjustments; grants and holds are passed over unread."""
    return (decode(row.line) for row in rows if row.line.startswith(_OUTCOMES))
