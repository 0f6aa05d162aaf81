"""The journal's table in SQLite: appending to it, by whichever process."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeAlias

from entente.db import transaction
from entente.domain.errors import IdempotencyConflict, LedgerUnavailable
from entente.ledger.journal import GENESIS, chain, encode
from entente.ledger.model import AnyEntry

Line: TypeAlias = tuple[str, bytes]
"""An entry to write: its idempotency key, its canonical line."""

_SELECT_ONCE: Final = {
    "grant:": (
        "SELECT line FROM entries WHERE idempotency_key = ?"
        " AND idempotency_key >= 'grant:' AND idempotency_key < 'grant;'"
    ),
    "adjust:": (
        "SELECT line FROM entries WHERE idempotency_key = ?"
        " AND idempotency_key >= 'adjust:' AND idempotency_key < 'adjust;'"
    ),
}
"""What people write, who may say it twice. Each says what an index says, so that it is used."""


def insert(
    connection: sqlite3.Connection, lines: Collection[Line], seq: int, head: bytes
) -> tuple[int, bytes]:
    """Insert lines behind (`seq`, `head`) in one statement; give the new head.

    One statement takes the interpreter's lock once, however many rows it has.
    """
    parameters: list[int | str | bytes] = []
    for name, line in lines:
        head = chain(head, line)
        seq += 1
        parameters += (seq, name, line, head)
    if lines:
        rows = ",".join(["(?,?,?,?)"] * len(lines))
        connection.execute(f"INSERT INTO entries VALUES {rows}", parameters)  # noqa: S608
    return seq, head


def is_stored(
    connection: sqlite3.Connection, name: str, line: bytes, fresh: Mapping[str, bytes]
) -> bool:
    """Say whether the journal, or what is `fresh` in this transaction, has what people write.

    Holds and settlements are written once by the process that made their id. Raises
    IdempotencyConflict for another grant or adjustment under the same key.
    """
    select = next((sql for kind, sql in _SELECT_ONCE.items() if name.startswith(kind)), None)
    if select is None:
        return False
    row = connection.execute(select, (name,)).fetchone()
    found = fresh.get(name, row[0] if row else None)
    if found is not None and found != line:
        message = f"{name} is in the journal with another content."
        raise IdempotencyConflict(message)
    return found is not None


def append_now(connection: sqlite3.Connection, entries: Iterable[AnyEntry]) -> None:
    """Append entries from a process that is not the server, in one transaction.

    An entry that is there already with the same content is left; with another content
    it raises IdempotencyConflict. Raises LedgerUnavailable when it cannot be written.
    """
    try:
        with transaction(connection):
            fresh: dict[str, bytes] = {}
            for entry in entries:
                name, line = entry.idempotency_key, encode(entry)
                if not is_stored(connection, name, line, fresh):
                    fresh[name] = line
            row = connection.execute(
                "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1"
            ).fetchone()
            insert(connection, fresh.items(), *(row or (0, GENESIS)))
    except sqlite3.Error as error:
        message = f"Cannot write the journal: {error}."
        raise LedgerUnavailable(message) from error
