"""One stretch of time in which terms stand still, as clauses see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from entente.agreement.clauses import Clause
from entente.agreement.decide.words import Words
from entente.agreement.load import Version
from entente.agreement.log import Attributes
from entente.agreement.money import Base, Meter
from entente.agreement.settle.match import Around, holds, weight
from entente.agreement.settle.tally import Sources, Sum, values
from entente.agreement.values import NANO

ZERO: Final = Fraction(0)

Exchanged = Callable[[str], Fraction | None]
"""Gives units of the document's currency for one unit of an asset; None where nobody knows."""


class Amount(msgspec.Struct):
    """A sum with what it was made of."""

    value: Fraction = ZERO
    sources: Sources = msgspec.field(default_factory=Sources)
    late: Sources = msgspec.field(default_factory=Sources)
    """Those of the sources that came after the books were closed."""
    unknown: int = 0
    """Facts whose amount nobody knows; not in the value."""
    without_rate: dict[str, int] = {}
    """Nano-units by asset for which there is no exchange rate; not in the value."""

    def merge(self, other: Amount) -> None:
        """Add another one."""
        self.value += other.value
        self.sources.merge(other.sources)
        self.late.merge(other.late)
        self.unknown += other.unknown
        for asset, nano in other.without_rate.items():
            self.without_rate[asset] = self.without_rate.get(asset, 0) + nano


class Bucket(msgspec.Struct, frozen=True):
    """What was measured with the same attributes in the stretch."""

    attributes: Attributes
    asset: str
    sum: Sum
    late: Sum | None


class Cut:
    """A stretch: its terms, what happened before it, and what was measured in it."""

    def __init__(
        self,
        *,
        begins_ns: int,
        ends_ns: int,
        version: Version,
        zone: ZoneInfo,
        occurred_ns: Mapping[str, int],
        funded: Mapping[tuple[str, str], Fraction],
        buckets: list[Bucket],
        exchanged: Exchanged,
        states_ns: Mapping[str, int] = MappingProxyType({}),
        words: Words | None = None,
        subjects: Mapping[str, tuple[str, frozenset[str]]] = MappingProxyType({}),
    ) -> None:
        """Take everything that clauses may ask for."""
        self.begins_ns = begins_ns
        self.ends_ns = ends_ns
        self.version = version
        self.zone = zone
        self.occurred_ns = occurred_ns
        """States of events, triggers that are met and windows that are open."""
        self.states_ns = states_ns
        """The first two of them, each with since when."""
        self.funded = funded
        """By contribution and form, what was given up to here."""
        self._around = Around(occurred_ns, words, subjects)
        self._buckets = buckets
        self._exchanged = exchanged
        self._amounts: dict[str, Amount] = {}

    def holds(self, clause: Clause) -> bool:
        """Say whether a clause holds in the stretch."""
        return clause.holds_at(self.begins_ns, self.zone, self.occurred_ns)

    def ends_at(self, clause: Clause) -> int | None:
        """Give the instant at which a clause ends, as far as is known here."""
        return None if clause.until is None else clause.until.ends_ns(self.zone, self.occurred_ns)

    def base(self, id: str) -> Amount:
        """Give the amount of a base, in units of currency."""
        found = next((each for each in self.version.agreement.bases if each.id == id), None)
        return Amount() if found is None else self._amount(found)

    def meter(self, id: str) -> Amount:
        """Give the quantity of a meter."""
        found = next((each for each in self.version.agreement.meters if each.id == id), None)
        return Amount() if found is None else self._amount(found)

    def _amount(self, clause: Base | Meter) -> Amount:
        found = self._amounts.get(clause.id)
        if found is None:
            found = self._amounts[clause.id] = Amount()
            for bucket in self._buckets if self.holds(clause) else ():
                self._add(found, clause, bucket)
        return found

    def _add(self, amount: Amount, clause: Base | Meter, bucket: Bucket) -> None:
        attributes = values(bucket.attributes)
        if isinstance(clause, Base):
            factor, counts = weight(clause, attributes, self._around), "amount"
        else:
            factor = Fraction(holds(clause.when, attributes, self._around))
            counts = clause.counts
        if not factor:
            return
        rate = self._exchanged(bucket.asset) if counts == "amount" else factor
        if rate is None:
            lost = amount.without_rate
            lost[bucket.asset] = lost.get(bucket.asset, 0) + bucket.sum.nano
            return
        amount.sources.merge(bucket.sum.sources)
        if bucket.late is not None:
            amount.late.merge(bucket.late.sources)
        if counts == "amount":
            amount.unknown += bucket.sum.unknown
            amount.value += factor * rate * bucket.sum.nano / NANO
        else:
            amount.value += factor * bucket.sum.numbers.get(counts, 0)
