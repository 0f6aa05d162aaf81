"""Which months of the journal in PostgreSQL are at rest, so that their partitions may be dropped.

What a chain adds up to is kept beside it only when it is closed. Until then its entries are all
that there is: without them, what a key has spent would be less.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from entente.db import Database
from entente.db.postgres_migrate import Month

_TABLE: Final = re.compile(r"entries_(\d{4})_(\d{2})")


class MonthState(NamedTuple):
    """A partition of a month that has begun."""

    table: str
    is_over: bool
    writers: tuple[str, ...]
    """Of the chains that are open and have, or may yet get, entries of this month."""

    @property
    def may_be_dropped(self) -> bool:
        """No budget and no balance needs its entries any more."""
        return self.is_over and not self.writers


def months(database: Database, now_ns: int) -> tuple[MonthState, ...]:
    """Give the months that have begun, the oldest first. Raises LedgerUnavailable."""
    tables = database.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'entries'::regclass ORDER BY c.relname"
    ).fetchall()
    found = [Month(int(m[1]), int(m[2])) for (name,) in tables if (m := _TABLE.fullmatch(name))]
    return tuple(_state(database, each, now_ns) for each in found if each.start_ns <= now_ns)


def _state(database: Database, month: Month, now_ns: int) -> MonthState:
    """Look at one: a chain that was begun before its end may have spooled more of it."""
    rows = database.execute(
        "SELECT id, name FROM chains WHERE closed_ns IS NULL AND (opened_ns < ?"  # noqa: S608
        f" OR EXISTS (SELECT 1 FROM {month.table} AS e WHERE e.chain = chains.id))"
        " ORDER BY id",
        (month.next.start_ns,),
    ).fetchall()
    writers = tuple(f"{number} ({name})" for number, name in rows)
    return MonthState(month.table, month.next.start_ns <= now_ns, writers)
