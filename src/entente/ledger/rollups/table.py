"""Rollups in a database of either kind: sums written, and sums asked for.

Every statement is made of the names of columns that stand here, and of places for values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeAlias

from entente.db import Database, Kind
from entente.domain.money import NANO_PER_UNIT
from entente.domain.origin import plain
from entente.ledger.rollups.schema import COUNTS, NAMES, SUMS
from entente.ledger.rollups.tally import OTHER, At, AtLabel, Label, Place, Sums

ROWS_AT_ONCE: Final = (256, 64, 16, 4, 1)
"""Rows of one statement: few sizes, so that both drivers keep them prepared."""
WORDS_PER_DAY_MAX: Final = 10_000
"""End users, and tags, that a project has on a day; those beyond are put together."""

Filters: TypeAlias = Mapping[str, Sequence[str | int]]
"""Values that a column may have, by its name."""

_PLACE: Final = Place._fields
_LABEL: Final = Label._fields
_ADDED: Final = ", ".join(f"{name} = {{table}}.{name} + excluded.{name}" for name in SUMS)
_SUMMED: Final = ", ".join(f"sum({name})" for name in SUMS)


class Line(NamedTuple):
    """Sums of one group: when it begins, where that was asked for, and its values."""

    start_s: int
    group: tuple[Any, ...]
    sums: Sums


class Mark(NamedTuple):
    """How far a chain is folded: the number and the hash of its last entry."""

    seq: int
    hash: bytes


class Rollups:
    """The tables, on one connection. Raises LedgerUnavailable."""

    def __init__(self, database: Database) -> None:
        """Work on a database that has them."""
        self.database = database

    # ---- writing; inside a transaction ----

    def marks(self, chains: Collection[str] | None = None) -> dict[str, Mark]:
        """Give how far these chains are folded, or all."""
        asked = "SELECT chain, seq, hash FROM rollup_positions"
        if chains is not None and not chains:
            return {}
        if chains is not None:
            asked += f" WHERE chain IN ({', '.join('?' * len(chains))})"
        rows = self.database.execute(asked, tuple(chains or ()))
        return {chain: Mark(seq, bytes(hash_)) for chain, seq, hash_ in rows}

    def set_mark(self, chain: str, mark: Mark) -> None:
        """Say how far a chain is folded."""
        self.database.execute(
            "INSERT INTO rollup_positions VALUES (?, ?, ?) ON CONFLICT (chain)"
            " DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
            (chain, *mark),
        )

    def add(self, width_s: int, sums: Mapping[At, Sums]) -> None:
        """Add sums of times of `width_s`."""
        rows = [
            (width_s, start_s, *place, *_stored(each)) for (start_s, place), each in sums.items()
        ]
        self._upsert("rollups", ("width_s", "start_s", *_PLACE), rows)

    def add_labels(self, sums: Mapping[AtLabel, Sums]) -> None:
        """Add sums of labels by day; past a bound new words of a day are put together."""
        known = self._words({(start_s, label.kind, label.project) for start_s, label in sums})
        merged: dict[AtLabel, list[int]] = {}
        for (start_s, label), each in sums.items():
            words = known[start_s, label.kind, label.project]
            if label.word not in words:
                if len(words) >= WORDS_PER_DAY_MAX:
                    label = label._replace(word=OTHER)  # noqa: PLW2901
                words.add(label.word)
            row = merged.setdefault((start_s, label), [0] * len(each))
            row[:] = map(sum, zip(row, each, strict=True))
        rows = [
            (start_s, *label, *_stored(Sums._make(each)))
            for (start_s, label), each in merged.items()
        ]
        self._upsert("rollup_labels", ("start_s", *_LABEL), rows)

    def _words(self, days: set[tuple[int, str, str]]) -> dict[tuple[int, str, str], set[str]]:
        """Give the words that each day, kind and project has."""
        return {
            day: {
                word
                for (word,) in self.database.execute(
                    "SELECT DISTINCT word FROM rollup_labels"
                    " WHERE start_s = ? AND kind = ? AND project = ?",
                    day,
                )
            }
            for day in days
        }

    def _upsert(self, table: str, key: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows, or add them to those that are there."""
        rest = f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {_ADDED.format(table=table)}"
        one = f"({', '.join('?' * (len(key) + len(SUMS)))})"
        start = 0
        while start < len(rows):
            size = next(size for size in ROWS_AT_ONCE if size <= len(rows) - start)
            values = [value for row in rows[start : start + size] for value in row]
            places = ", ".join([one] * size)
            self.database.execute(f"INSERT INTO {table} VALUES {places}{rest}", values)
            start += size

    def forget(self, width_s: int, before_s: int) -> None:
        """Delete sums of times of `width_s` that began before a moment."""
        self.database.execute(
            "DELETE FROM rollups WHERE width_s = ? AND start_s < ?", (width_s, before_s)
        )

    def clear(self) -> None:
        """Delete everything."""
        for name in NAMES:
            self.database.execute(f"DELETE FROM {name}")

    # ---- reading ----

    def sums(
        self,
        width_s: int,
        since_s: int,
        until_s: int,
        by: Sequence[str],
        where: Filters | None = None,
        *,
        in_steps: bool = True,
    ) -> Iterator[Line]:
        """Sum what began in a time by columns of `Place`, each step of `width_s` apart or all.

        Lines come in the order of time and group.
        """
        conditions = "width_s = ? AND start_s >= ? AND start_s < ?"
        values = [width_s, since_s, until_s]
        return self._lines("rollups", _PLACE, by, (conditions, values), where, in_steps=in_steps)

    def labelled(
        self,
        kind: str,
        since_s: int,
        until_s: int,
        by: Sequence[str],
        where: Filters | None = None,
        *,
        in_steps: bool = True,
    ) -> Iterator[Line]:
        """Sum labels of one kind by columns of `Label`, each day apart or all days."""
        conditions = "kind = ? AND start_s >= ? AND start_s < ?"
        given = (conditions, [kind, since_s, until_s])
        return self._lines("rollup_labels", _LABEL, by, given, where, in_steps=in_steps)

    def _lines(
        self,
        table: str,
        columns: Sequence[str],
        by: Sequence[str],
        given: tuple[str, list[Any]],
        where: Filters | None,
        *,
        in_steps: bool,
    ) -> Iterator[Line]:
        """Ask for sums."""
        conditions, values = given
        for column, allowed in (where or {}).items():
            conditions += f" AND {_known(column, columns)} IN ({', '.join('?' * len(allowed))})"
            values += (plain(each) if isinstance(each, str) else each for each in allowed)
        keys = [*(["start_s"] if in_steps else []), *(_known(name, columns) for name in by)]
        grouped = f" GROUP BY {', '.join(keys)} ORDER BY {', '.join(keys)}" if keys else ""
        chosen = "".join(f"{name}, " for name in keys)
        sql = f"SELECT {chosen}count(*), {_SUMMED} FROM {table} WHERE {conditions}{grouped}"
        width = len(keys)
        for row in self.database.execute(sql, values):
            if not row[width]:
                return  # without groups there is a row also where there is nothing
            start_s = row[0] if in_steps else 0
            group = tuple(row[1:width] if in_steps else row[:width])
            yield Line(start_s, group, _read(row[width + 1 :]))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See one state of the database, whatever is folded meanwhile."""
        is_sqlite = self.database.kind is Kind.SQLITE
        self.database.execute("BEGIN" if is_sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            yield
        finally:
            self.database.execute("ROLLBACK")


def _known(column: str, columns: Sequence[str]) -> str:
    """Give a column's name, which stands in a statement as it is, if it is one."""
    if column not in columns:
        message = f"{column} is no column of rollups"
        raise ValueError(message)
    return column


def _stored(sums: Sums) -> tuple[int, ...]:
    """Write sums as columns."""
    return (*sums[:-1], *divmod(sums.nano, NANO_PER_UNIT))


def _read(row: Sequence[Any]) -> Sums:
    """Read sums from columns."""
    counts = len(COUNTS)
    nano = int(row[counts]) * NANO_PER_UNIT + int(row[counts + 1])
    return Sums._make((*map(int, row[:counts]), nano))
