"""The agreement as the steps see it: which clause holds where, by version, path and step.

Columns are instants, as `times` has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TypeVar
from zoneinfo import ZoneInfo

import numpy as np

from entente.agreement.clauses import Clause
from entente.agreement.document import Agreement
from entente.agreement.load import Book
from entente.agreement.paths.exacts import Flags, Ints
from entente.agreement.paths.plan import Given
from entente.agreement.paths.times import columns_of, holding
from entente.agreement.settle.calendar import Period
from entente.agreement.settle.cut import Cut
from entente.domain.errors import ConfigError

AnyClause = TypeVar("AnyClause", bound=Clause)
Lists = Callable[[Agreement], tuple[AnyClause, ...]]
"""Takes one of an agreement's clause lists."""


class Terms:
    """An agreement over the steps of a scenario."""

    def __init__(self, book: Book, times: tuple[Period, ...], given: tuple[Given, ...]) -> None:
        """Find the version of each step. Raises ConfigError where there is none at all."""
        self.zone: ZoneInfo = book.zone
        self.times = times
        self.columns = columns_of(times)
        self.versions = tuple(book.at(at_ns) for at_ns in self.columns)
        if self.versions[-1] is None:
            message = f"{book.id} does not count before the end of {times[-1].label}: begin later"
            raise ConfigError(message)
        self.agreements: tuple[Agreement | None, ...] = tuple(
            None if version is None else version.agreement for version in self.versions
        )
        self.head = next(v for v in self.versions if v is not None).agreement.agreement
        self.units: int = 10**self.head.scale
        self._funded: dict[tuple[str, str], Fraction] = {}
        for each in given:
            name = (each.contribution, each.form)
            self._funded[name] = self._funded.get(name, Fraction(0)) + each.amount

    def named(self, lists: Lists[AnyClause]) -> dict[str, tuple[AnyClause | None, ...]]:
        """Give every clause of a list by its id: for each column, as it is written there."""
        by_column = [
            {} if agreement is None else {clause.id: clause for clause in lists(agreement)}
            for agreement in self.agreements
        ]
        names = dict.fromkeys(name for clauses in by_column for name in clauses)
        return {name: tuple(clauses.get(name) for clauses in by_column) for name in names}

    def holds(
        self, clauses: tuple[Clause | None, ...], occurred: Mapping[str, Ints], count: int
    ) -> Flags:
        """Say by path and column where a clause holds."""
        found: Flags = np.zeros((count, len(clauses)), np.bool_)
        seen: list[tuple[Clause, Flags]] = []
        for column, clause in enumerate(clauses):
            if clause is None:
                continue
            flags = next((known for each, known in seen if each is clause), None)
            if flags is None:
                flags = holding(clause, self.columns, self.zone, occurred, count)
                seen.append((clause, flags))
            found[:, column] = flags[:, column]
        return found

    def cut(self, column: int) -> Cut:
        """Give a column's instant, as the exact engine looks at it."""
        version = self.versions[column]
        assert version is not None  # noqa: S101  (a clause of it is being looked at)
        return Cut(
            begins_ns=self.columns[column],
            ends_ns=self.columns[column] + 1,
            version=version,
            zone=self.zone,
            occurred_ns={},
            states_ns={},
            funded=self._funded,
            buckets=[],
            exchanged=lambda _: None,
        )
