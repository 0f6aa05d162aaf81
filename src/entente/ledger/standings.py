"""What all workers together have used of the meters that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from entente.db import Database
from entente.ledger.meters import Counter

STANDINGS_MAX: Final = 10_000
"""Meters that are looked at in one turn, the most used ones."""


def standings(database: Database, rules: Sequence[str], now_ns: int) -> list[tuple[str, Counter]]:
    """Give the meters of some rules whose window is not over, the most used first.

    It is what the workers have said last, which is less than what they have used by what
    they will say next. On PostgreSQL only. Raises LedgerUnavailable.
    """
    if not rules:
        return []
    places = ", ".join("?" for _ in rules)
    rows = database.execute(
        "SELECT name, used, lent FROM meters"  # noqa: S608  (places, and nothing else)
        f" WHERE split_part(name, '|', 2) IN ({places}) AND (ends_ns IS NULL OR ends_ns > ?)"
        " ORDER BY used DESC LIMIT ?",
        (*rules, now_ns, STANDINGS_MAX),
    ).fetchall()
    return [(name, Counter(int(used), int(lent))) for name, used, lent in rows]
