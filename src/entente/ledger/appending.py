"""Appending beside a running server: what the command line writes into the journal.

On SQLite there is one chain, and the entries go to its end. On PostgreSQL each writer has a
chain of its own; here it is opened, written and closed in one transaction, and what it adds
up to goes to the balances of closed chains.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from entente.db import Database, SqliteDatabase
from entente.domain.errors import IdempotencyConflict
from entente.ledger import table
from entente.ledger.books import Books
from entente.ledger.journal import GENESIS, chain, encode
from entente.ledger.meters import METER
from entente.ledger.postgres_loans import end_loans

if TYPE_CHECKING:
    from entente.ledger.model import AnyEntry

CHAIN_NAME: Final = "command line"


def append_now(database: Database, entries: Iterable[AnyEntry]) -> None:
    """Append entries from a process that is not the server, in one transaction.

    An entry that is there already with the same content is left; with another content
    it raises IdempotencyConflict. Raises LedgerUnavailable when it cannot be written.
    """
    if isinstance(database, SqliteDatabase):
        table.append_now(database.connection, entries)
    else:
        _append_chain(database, tuple(entries))


def _append_chain(database: Database, entries: Sequence[AnyEntry]) -> None:
    """Write what is new as a chain of its own."""
    with database.transaction():
        fresh: dict[str, AnyEntry] = {}
        for entry in entries:
            if not _is_stored(database, entry, fresh):
                fresh[entry.idempotency_key] = entry
        if not fresh:
            return
        at_ns = max(entry.at_ns for entry in fresh.values())
        (number,) = database.execute(
            "INSERT INTO chains (name, opened_ns) VALUES (?, ?) RETURNING id",
            (CHAIN_NAME, at_ns),
        ).fetchone()
        seq, head, books = 0, GENESIS, Books()
        for name, entry in fresh.items():
            line = encode(entry)
            seq, head = seq + 1, chain(head, line)
            books.apply(entry)
            database.execute(
                "INSERT INTO entries (chain, seq, at_ns, name, line, hash)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (number, seq, entry.at_ns, name, line, head),
            )
            database.execute(
                "INSERT INTO side_entries (name, chain, line) VALUES (?, ?, ?)",
                (name, number, line),
            )
        close_chain(database, number, seq, head, books, at_ns)


def _is_stored(database: Database, entry: AnyEntry, fresh: dict[str, AnyEntry]) -> bool:
    """Say whether the journal, or what is `fresh`, has it. Raises IdempotencyConflict."""
    name, line = entry.idempotency_key, encode(entry)
    row = database.execute("SELECT line FROM side_entries WHERE name = ?", (name,)).fetchone()
    found = encode(fresh[name]) if name in fresh else row[0] if row else None
    if found is not None and found != line:
        message = f"{name} is in the journal with another content."
        raise IdempotencyConflict(message)
    return found is not None


def close_chain(
    database: Database, number: int, seq: int, head: bytes, books: Books, at_ns: int
) -> None:
    """End a chain at (`seq`, `head`): what it adds up to is added to the closed chains'.

    What it had on loan comes back.

    Call it inside a transaction that excludes whoever else writes to the chain.
    """
    database.execute(
        "UPDATE chains SET closed_ns = ?, seq = ?, head = ?, state = ? WHERE id = ?",
        (at_ns, seq, head, msgspec.json.encode(books), number),
    )
    sums = [
        (account, asset, nano)
        for account, amounts in books.balances.items()
        for asset, nano in amounts.items()
    ]
    sums += [(name, METER, counter.used) for name, counter in books.meters.counters.items()]
    for row in sums:
        database.execute(
            "INSERT INTO balances (account, asset, nano) VALUES (?, ?, ?)"
            " ON CONFLICT (account, asset) DO UPDATE SET nano = balances.nano + excluded.nano",
            row,
        )
    end_loans(database, number)
