"""Folding: on from where the last fold ended, anew, and compared with the journal.

A step takes some entries of one chain, and writes what they add up to together with how far
it came, in one transaction. So a process may be killed at any instant, and two may fold at
once: each step begins where the one before it ended, whoever made it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, runtime_checkable

from entente.db import SqliteDatabase
from entente.domain.money import format_nano
from entente.ledger.rollups.schema import make_tables
from entente.ledger.rollups.source import Source
from entente.ledger.rollups.table import Line, Mark, Rollups
from entente.ledger.rollups.tally import (
    DAY_S,
    END_USER,
    HOUR_S,
    MINUTE_S,
    TAG,
    Place,
    Tally,
    wider,
)

STEP_ENTRIES: Final = 5_000
"""Entries of one step: it has the tables for itself for some hundredths of a second."""
MINUTES_KEPT_S: Final = 8 * DAY_S
"""How long sums by the minute are kept: seven whole days, and the one that runs."""
PROBLEMS_MAX: Final = 100
_EVER: Final = 2**62
_WITHOUT_WORD: Final = ("project", "model", "asset")


@runtime_checkable
class _Interruptible(Protocol):
    """A database that may be far away."""

    def interrupt(self) -> None:
        """End what another thread waits for."""


class Folding:
    """Brings rollups up to a journal."""

    def __init__(
        self,
        rollups: Rollups,
        source: Source,
        *,
        widths: tuple[int, ...] = (HOUR_S, DAY_S),
    ) -> None:
        """Fold `source` into `rollups`, as sums of times of `widths`, and of minutes if recent."""
        self.rollups = rollups
        self._source = source
        self._widths = widths

    def into(self, rollups: Rollups, widths: tuple[int, ...]) -> Folding:
        """Give what folds the same journal into others."""
        return Folding(rollups, self._source.whole(), widths=widths)

    def behind(self) -> int:
        """Give how many entries are not folded yet."""
        ends = self._source.ends()
        marks = self.rollups.marks(ends)
        return sum(
            max(0, end - (marks[chain].seq if chain in marks else 0)) for chain, end in ends.items()
        )

    def check(self) -> bool:
        """See whether the rollups are of this journal; clear them if not, and say False.

        A journal that was restored from a backup has no entry, or another, where they ended.
        """
        ends = self._source.ends()
        with self.rollups.database.transaction():
            for chain, mark in self.rollups.marks(ends).items():
                found = self._source.hash_of(chain, mark.seq)
                is_gone = found is None and ends.get(chain, 0) < mark.seq
                if mark.seq and (is_gone or found not in (None, mark.hash)):
                    self.rollups.clear()
                    return False
        return True

    def step(self, now_s: int, *, most: int = STEP_ENTRIES) -> int:
        """Fold some entries of each chain; give how many there were, 0 when all is folded."""
        ends = self._source.ends()
        marks = self.rollups.marks(ends)
        taken = 0
        for chain, end in ends.items():
            if end > (marks[chain].seq if chain in marks else 0):
                with self.rollups.database.transaction():
                    taken += self._step(chain, end, now_s, most)
        return taken

    def _step(self, chain: str, end: int, now_s: int, most: int) -> int:
        """Fold some entries of a chain that has `end` of them."""
        mark = self.rollups.marks((chain,)).get(chain, Mark(0, b""))
        upto = min(end, mark.seq + most)
        if upto <= mark.seq:
            return 0  # another has been faster
        since_s = kept_since_s(now_s) if HOUR_S in self._widths else 0
        tally = Tally(since_s)
        for line in self._source.lines(chain, mark.seq, upto):
            tally.add(line)
        self._write(tally, since_s)
        # What is too old to be kept has no hash any more, and no sum.
        self.rollups.set_mark(chain, Mark(upto, self._source.hash_of(chain, upto) or b""))
        return upto - mark.seq

    def _write(self, tally: Tally, since_s: int) -> None:
        """Add a tally to the tables; it has minutes from `since_s` on."""
        rollups = self.rollups
        narrower, labels = tally.sums()
        recent = {at: sums for at, sums in narrower.items() if at[0] >= since_s}
        if recent and HOUR_S in self._widths:
            rollups.add(MINUTE_S, recent)
        for width_s in self._widths:
            narrower = wider(narrower, width_s)
            rollups.add(width_s, narrower)
        if labels:
            rollups.add_labels(labels)

    def run(
        self,
        now_s: Callable[[], int],
        told: Callable[[int], None] | None = None,
        *,
        most: int = STEP_ENTRIES,
    ) -> int:
        """Fold all that is there; `told` hears how many entries are folded so far."""
        total = 0
        while taken := self.step(now_s(), most=most):
            total += taken
            if told is not None:
                told(total)
        return total

    def compare(self) -> tuple[int, list[str]]:
        """Compare the rollups with the journal; see the function of this name."""
        return compare(self.rollups, self._source)

    def forget(self, now_s: int) -> None:
        """Delete the sums of minutes that are too old to be kept."""
        with self.rollups.database.transaction():
            self.rollups.forget(MINUTE_S, kept_since_s(now_s))

    def clear(self) -> None:
        """Throw everything away, to be folded anew."""
        with self.rollups.database.transaction():
            self.rollups.clear()

    def interrupt(self) -> None:
        """End what another thread waits for in vain, where the database can be waited for."""
        if isinstance(self.rollups.database, _Interruptible):
            self.rollups.database.interrupt()

    def close(self) -> None:
        """Close the rollups and the journal."""
        self._source.close()
        self.rollups.database.close()


def kept_since_s(now_s: int) -> int:
    """Say from when on there are sums by the minute: the beginning of a day."""
    since_s = now_s - MINUTES_KEPT_S + DAY_S
    return since_s - since_s % DAY_S


def compare(rollups: Rollups, source: Source) -> tuple[int, list[str]]:
    """Fold the journal again, beside, and say where the rollups are something else.

    Only as far as the rollups came: what they are behind is no fault. Gives the rows that
    were compared, and the faults. The second fold is on the disk, not in memory.
    """
    beside = sqlite3.connect("", isolation_level=None)  # a file that ends with the connection
    try:
        anew = Rollups(SqliteDatabase(beside, "the fold beside"))
        make_tables(anew.database)
        with rollups.snapshot():
            for chain, mark in rollups.marks().items():
                _fold_up_to(anew, source, chain, mark.seq)
            rows = 0
            faults: list[str] = []
            for told, expected, found in _pairs(anew, rollups):
                rows += 1
                if expected != found and len(faults) < PROBLEMS_MAX:
                    faults.append(_fault(told, expected, found))
            return rows, faults
    finally:
        beside.close()


def _fold_up_to(anew: Rollups, source: Source, chain: str, seq: int) -> None:
    """Fold a chain up to an entry."""
    for at in range(0, seq, STEP_ENTRIES):
        tally = Tally(_EVER)
        for line in source.lines(chain, at, min(at + STEP_ENTRIES, seq)):
            tally.add(line)
        minutes, labels = tally.sums()
        with anew.database.transaction():
            hours = wider(minutes, HOUR_S)
            anew.add(HOUR_S, hours)
            anew.add(DAY_S, wider(hours, DAY_S))
            anew.add_labels(labels)


_Pair = tuple[str, Line | None, Line | None]


def _pairs(anew: Rollups, rollups: Rollups) -> Iterator[_Pair]:
    """Put the sums of both beside one another, in their order."""
    for told, width_s in (("hour", HOUR_S), ("day", DAY_S)):
        yield from _aligned(
            told,
            anew.sums(width_s, 0, _EVER, Place._fields),
            rollups.sums(width_s, 0, _EVER, Place._fields),
        )
    for kind in (END_USER, TAG):
        yield from _aligned(
            kind,
            anew.labelled(kind, 0, _EVER, _WITHOUT_WORD),
            rollups.labelled(kind, 0, _EVER, _WITHOUT_WORD),
        )


def _aligned(told: str, ones: Iterator[Line], others: Iterator[Line]) -> Iterator[_Pair]:
    """Walk through two ordered lists; what one of them lacks is None."""
    one, other = next(ones, None), next(others, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[:2] < other[:2]):
            yield told, one, None
            one = next(ones, None)
        elif one is None or other[:2] < one[:2]:
            yield told, None, other
            other = next(others, None)
        else:
            yield told, one, other
            one, other = next(ones, None), next(others, None)


def _fault(told: str, expected: Line | None, found: Line | None) -> str:
    """Say of one group what its entries add up to, and what its rollup says."""
    line: Any = expected or found
    group = ", ".join(str(value) for value in line.group if value != "")
    return (
        f"rollup by {told} at {line.start_s} ({group}): entries make {_told(expected)}, "
        f"the rollup says {_told(found)}"
    )


def _told(line: Line | None) -> str:
    if line is None:
        return "nothing"
    sums = line.sums
    return f"{sums.requests} requests, {sums.usage.total} tokens, {format_nano(sums.nano)}"
