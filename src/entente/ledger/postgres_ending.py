"""Ending chains in PostgreSQL: our own in order, and those whose writers are dead.

A chain of a host that has a spool may go on on that host's disk while the database is away.
So it is left alone until that host has posted what is there, which it does for its dead
processes; or until somebody gives the host up (`release`).

Everything here blocks: it is for the command line, for starts, and for threads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from entente.db import Database
from entente.domain.errors import LedgerCorrupt, LedgerUnavailable
from entente.ledger.appending import close_chain
from entente.ledger.books import Books
from entente.ledger.journal import GENESIS, chain, decode, encode
from entente.ledger.model import AnyEntry, Hold, Settlement, recovery
from entente.ledger.postgres_chain import CHAIN_LOCKS
from entente.ledger.postgres_reader import ChainRow, chains, load_chain
from entente.ledger.reader import Position
from entente.ledger.spool import ChainId, Spooled, SpoolFile, SpoolFolder

ENTRIES_AT_ONCE: Final = 1000
"""Of one statement."""
LEFT_NAME: Final = "spool of chain {}"
"""What a chain is called that posts what came too late for its own."""

_INSERT: Final = (
    "INSERT INTO entries (chain, seq, at_ns, name, line, hash)"
    " SELECT ?::bigint, (row->>0)::bigint, (row->>1)::bigint, row->>2,"
    " decode(row->>3, 'base64'), decode(row->>4, 'base64')"
    " FROM json_array_elements(?::json) AS row"
)
"""One value for many rows: a statement with a place for each would take longer to read."""

_log = logging.getLogger("entente.ledger")


class Waiting(NamedTuple):
    """Chains that nobody writes, and that only one host may end."""

    host: str
    writers: tuple[str, ...]
    """What they are called."""
    opened_ns: int
    """When the first of them was begun."""


def end_chain(database: Database, number: int, position: Position, now_ns: int) -> bool:
    """Close our own chain, with nothing open in it, unless somebody was first; say whether."""
    with database.transaction():
        row = database.execute("SELECT closed_ns FROM chains WHERE id = ?", (number,)).fetchone()
        if row is None or row[0] is not None:
            return False
        close_chain(database, number, position.seq, position.head, position.books, now_ns)
    return True


def take_over(
    database: Database, number: int, now_ns: int, spools: SpoolFolder | None = None
) -> int | None:
    """End the chain of a dead writer: settle what it left open, at the upper bound.

    What our own host has spooled of it is appended first. Gives how many holds were open;
    None where the writer lives, another host's spool may have more, or somebody was first.
    """
    row = _open_chain(database, number)
    if row is None:
        return None
    if row.spool is None:
        return _end(database, number, now_ns)
    if spools is None or row.spool != spools.host:
        return None
    file = _claimed(spools, ChainId(number, row.opened_ns))
    if file is None:
        return None
    try:
        spooled = _read(file)
        left = _end(database, number, now_ns, spooled)
        if left is not None:
            _drop(file, spooled)
    finally:
        file.close()
    return left


def take_over_dead(
    database: Database, now_ns: int, spools: SpoolFolder | None = None
) -> dict[int, int]:
    """End every chain whose writer is dead; give how many holds each had left open."""
    found = {}
    for row in chains(database, only_open=True):
        left = take_over(database, row.number, now_ns, spools)
        if left is not None:
            found[row.number] = left
    if spools is not None:
        post_left(database, now_ns, spools)
    return found


def unlocked(database: Database, ours: int) -> frozenset[int]:
    """Give the chains that are open and that no session holds, but for `ours`."""
    return frozenset(row.number for row in _free(database) if row.number != ours)


def waiting(database: Database, host: str | None = None) -> tuple[Waiting, ...]:
    """Give the hosts for which chains wait that nobody writes, but for `host`."""
    found: dict[str, list[ChainRow]] = {}
    for row in _free(database):
        if row.spool is not None and row.spool != host:
            found.setdefault(row.spool, []).append(row)
    return tuple(
        Waiting(name, tuple(row.name for row in rows), min(row.opened_ns for row in rows))
        for name, rows in sorted(found.items())
    )


def release(database: Database, host: str, now_ns: int) -> dict[int, int]:
    """Give a host up: end its chains that nobody writes, without what its disk has of them.

    Gives how many holds each had left open.
    """
    found = {}
    for row in _free(database):
        if row.spool == host:
            left = _end(database, row.number, now_ns)
            if left is not None:
                found[row.number] = left
    return found


def post_left(database: Database, now_ns: int, spools: SpoolFolder) -> int:
    """Post what spools here have of chains that were ended without them; give how many entries.

    Each is posted as a chain of its own, once: what stands in the journal is left out, and so
    is what became of holds that stand there, which were settled with their chain.
    """
    posted = 0
    try:
        there = spools.chains()
    except OSError as error:
        raise LedgerUnavailable(_unreadable(spools, error)) from error
    for each in there:
        row = database.execute(
            "SELECT closed_ns FROM chains WHERE id = ? AND opened_ns = ?", each
        ).fetchone()
        if row is not None and row[0] is None:
            continue
        file = _claimed(spools, each)
        if file is None:
            continue
        try:
            spooled = _read(file)
            if row is not None:
                posted += _post(database, each.number, spooled, now_ns)
            if row is not None or spooled.header is None:
                _drop(file, spooled)  # else it is of another database
        finally:
            file.close()
    return posted


# ---- inside ----


def _open_chain(database: Database, number: int) -> ChainRow | None:
    return next((row for row in chains(database, only_open=True) if row.number == number), None)


def _free(database: Database) -> Iterator[ChainRow]:
    """Give the chains that are open and that no session holds."""
    for row in chains(database, only_open=True):
        key = CHAIN_LOCKS + row.number
        (free,) = database.execute("SELECT pg_try_advisory_lock_shared(?)", (key,)).fetchone()
        if free:
            database.execute("SELECT pg_advisory_unlock_shared(?)", (key,))
            yield row


def _claimed(spools: SpoolFolder, chain: ChainId) -> SpoolFile | None:
    try:
        return spools.claim(chain)
    except OSError as error:
        raise LedgerUnavailable(_unreadable(spools, error)) from error


def _read(file: SpoolFile) -> Spooled:
    try:
        spooled = file.read()
    except OSError as error:
        message = f"The spool {file.path} cannot be read: {error}. See what is wrong with the disk."
        raise LedgerUnavailable(message) from error
    if spooled.torn_bytes:
        _log.warning(
            "%s ends with %d bytes of a write that broke off, for which nobody was answered; they"
            " are passed over, and the file is kept with .torn behind its name",
            file.path,
            spooled.torn_bytes,
        )
    return spooled


def _drop(file: SpoolFile, spooled: Spooled) -> None:
    """Delete a spool that is posted, but for one that did not read to its end."""
    if spooled.torn_bytes:
        file.set_aside()
    else:
        file.remove()


def _unreadable(spools: SpoolFolder, error: OSError) -> str:
    return f"The spool {spools.path} cannot be read: {error}. Correct its permissions."


def _end(
    database: Database, number: int, now_ns: int, spooled: Spooled | None = None
) -> int | None:
    """End a chain that nobody writes, behind what was spooled of it."""
    with database.transaction():
        (ours,) = database.execute(
            "SELECT pg_try_advisory_xact_lock(?)", (CHAIN_LOCKS + number,)
        ).fetchone()
        row = database.execute("SELECT closed_ns FROM chains WHERE id = ?", (number,)).fetchone()
        if not ours or row is None or row[0] is not None:
            return None
        position = load_chain(database, number)
        if spooled is not None and spooled.header is not None:
            missing = _missing(database, spooled)
            _append(database, number, position, _fitting(missing, position))
        left = list(position.books.open_holds.values())
        _append(database, number, position, (recovery(opened, now_ns) for opened in left))
        close_chain(database, number, position.seq, position.head, position.books, now_ns)
    return len(left)


def _post(database: Database, number: int, spooled: Spooled, now_ns: int) -> int:
    """Post what is missing of a chain that is closed, as a chain of its own.

    Who has the spool's lock is the only one to do so.
    """
    with database.transaction():
        name = LEFT_NAME.format(number)
        done = database.execute("SELECT 1 FROM chains WHERE name = ?", (name,)).fetchone()
        entries = list(_missing(database, spooled)) if done is None else []
        held = {entry.id for entry in entries if isinstance(entry, Hold)}
        entries = [entry for entry in entries if entry.id in held]
        if not entries:
            return 0
        (posting,) = database.execute(
            "INSERT INTO chains (name, opened_ns) VALUES (?, ?) RETURNING id",
            (name, now_ns),
        ).fetchone()
        position = Position(0, GENESIS, Books())
        _append(database, posting, position, entries)
        left = list(position.books.open_holds.values())
        _append(database, posting, position, (recovery(opened, now_ns) for opened in left))
        close_chain(database, posting, position.seq, position.head, position.books, now_ns)
    _log.warning(
        "chain %d was given up; %d entries that only this host had of it are posted as chain %d",
        *(number, len(entries), posting),
    )
    return len(entries)


def _append(
    database: Database, number: int, position: Position, entries: Iterable[AnyEntry]
) -> None:
    """Write entries behind a position, and move it there."""
    rows: list[tuple[int, int, str, bytes, bytes]] = []
    for entry in entries:
        line = encode(entry)
        position.seq += 1
        position.head = chain(position.head, line)
        position.books.apply(entry)
        rows.append((position.seq, entry.at_ns, entry.idempotency_key, line, position.head))
    for start in range(0, len(rows), ENTRIES_AT_ONCE):
        some = msgspec.json.encode(rows[start : start + ENTRIES_AT_ONCE])
        database.execute(_INSERT, (number, some.decode()))


def _fitting(entries: Iterable[AnyEntry], position: Position) -> Iterator[AnyEntry]:
    """Pass on what can follow a position that moves along: of settlements, those of open holds."""
    for entry in entries:
        if isinstance(entry, Settlement) and entry.id not in position.books.open_holds:
            _log.error("%s is in the spool, and its hold is nowhere: it is left out", entry.id)
        else:
            yield entry


def _missing(database: Database, spooled: Spooled) -> Iterator[AnyEntry]:
    """Give the entries of a spool that its chain does not have."""
    header = spooled.header
    if header is None:
        return
    row = database.execute(
        "SELECT hash FROM entries WHERE chain = ? AND seq = ?", (header.chain, header.seq)
    ).fetchone()
    if row is not None and row[0] != header.head:
        message = (
            f"The spool of chain {header.chain} follows an entry {header.seq} that is another one "
            "in the database. Run `entente ledger verify`, and restore the database from a backup."
        )
        raise LedgerCorrupt(message)
    stands = {
        name
        for (name,) in database.execute(
            "SELECT name FROM entries WHERE chain = ? AND seq > ?", (header.chain, header.seq)
        )
    }
    for line in spooled.lines:
        entry = decode(line)
        if entry.idempotency_key not in stands:
            stands.add(entry.idempotency_key)
            yield entry
