"""Adding measured facts up, in one pass and in bounded memory.

Between two instants at which terms may change, only sums matter: every calculator gives the
same for an amount that comes in one piece or in many. So a million facts become a few
buckets: one for each stretch of time, each combination of the attributes that some clause is
about, and each currency. A bucket also keeps what its facts were, as a count, the first and
last one, and the sum of their hashes; the facts themselves are found again by its key.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from entente.agreement.log import Attribute, Attributes, Corrected, Measured, source_hash

BUCKETS_MAX: Final = 200_000
"""More would mean that a clause is about an attribute that is different in every fact."""
IDS_MAX: Final = 20
"""Facts that a sum names one by one."""
SHAPES_MAX: Final = 50_000
"""Combinations of attributes whose reading is remembered."""
_HASH_MASK: Final = (1 << 256) - 1

Key: TypeAlias = tuple[int, Attributes, str]
"""Number of the stretch, attributes that matter, asset."""


class Sources(msgspec.Struct):
    """Which facts a sum was made of; the same for facts in any order."""

    count: int = 0
    first: tuple[int, str] | None = None
    """Instant and id."""
    last: tuple[int, str] | None = None
    digest: int = 0
    """Sum of the hashes of the facts, to 256 bits."""
    ids: dict[str, None] = {}
    """Ids, where there are at most `IDS_MAX`."""

    def add(self, at_ns: int, id: str, hashed: int) -> None:
        """Count a fact in."""
        if self.first is None or self.last is None:
            self.first = self.last = (at_ns, id)
        if at_ns >= self.last[0]:
            self.last = max(self.last, (at_ns, id))
        if at_ns <= self.first[0]:
            self.first = min(self.first, (at_ns, id))
        self.count += 1
        self.digest += hashed
        if self.count <= IDS_MAX:
            self.ids[id] = None

    def merge(self, other: Sources) -> None:
        """Count what another one has counted in."""
        if other.first is None or other.last is None:
            return
        self.first = min(self.first or other.first, other.first)
        self.last = max(self.last or other.last, other.last)
        self.count += other.count
        self.digest += other.digest
        if self.count <= IDS_MAX:
            self.ids |= other.ids

    def named(self) -> tuple[str, ...]:
        """Name all facts, or none where they are too many to name."""
        return tuple(sorted(self.ids)) if self.count <= IDS_MAX else ()

    def seal(self) -> str:
        """Give the sum of the hashes as hex; it changes when any fact does."""
        return f"{self.digest & _HASH_MASK:064x}" if self.count else ""


class Sum(msgspec.Struct):
    """What a bucket holds."""

    nano: int = 0
    unknown: int = 0
    """Facts whose amount nobody knows."""
    numbers: dict[str, int] = {}
    sources: Sources = msgspec.field(default_factory=Sources)

    def add(self, fact: Measured, counts: tuple[str, ...], hashed: int, sign: int = 1) -> None:
        """Add a fact's amounts, or take them off; either way it is a source.

        Of its numbers only those in `counts` are kept.
        """
        if fact.nano is None:
            self.unknown += sign
        else:
            self.nano += sign * fact.nano
        numbers = self.numbers
        for name in counts:
            number = fact.numbers.get(name)
            if number:
                numbers[name] = numbers.get(name, 0) + sign * number
        self.sources.add(fact.at_ns, fact.id, hashed)

    def less(self, late: Sum | None) -> Sum:
        """Give what it was before what came late."""
        if late is None:
            return self
        names = {*self.numbers, *late.numbers}
        numbers = {n: self.numbers.get(n, 0) - late.numbers.get(n, 0) for n in names}
        return Sum(self.nano - late.nano, self.unknown - late.unknown, numbers, self.sources)


class TooManyBuckets(ValueError):
    """The facts do not sum up in bounded memory; the message says why and what to do."""


class Tally:
    """Sums of the facts that count before an end and are known by an instant.

    `late` holds what of them was not known when the books before `since_ns` were closed at
    `closed_ns`, as the difference that it makes.
    """

    def __init__(
        self,
        edges: tuple[int, ...],
        names: frozenset[str],
        counts: tuple[str, ...],
        *,
        known_ns: int,
        since_ns: int,
        closed_ns: int,
        corrections: Iterable[Corrected] = (),
    ) -> None:
        """Take the starts of stretches, the last edge being the end of them all.

        `names` are the attributes that matter, `counts` the numbers.
        """
        self.sums: dict[Key, Sum] = {}
        self.late: dict[Key, Sum] = {}
        self._edges = edges
        self._names = names
        self._counts = counts
        self._known_ns = known_ns
        self._since_ns = since_ns
        self._closed_ns = closed_ns
        self._shapes: dict[Attributes, Attributes] = {}
        self._made: dict[tuple[str, str], Measured] = {}
        self._corrections: dict[str, list[Corrected]] = {}
        for each in corrections:
            if each.known_ns <= known_ns:
                self._corrections.setdefault(each.of, []).append(each)
        for several in self._corrections.values():
            several.sort(key=lambda each: (each.known_ns, each.id))
        self.found: set[str] = set()
        """Ids of facts that were corrected."""

    def add_all(self, facts: Iterable[Measured]) -> None:
        """Add facts, in any order. Raises TooManyBuckets."""
        edges, known_ns = self._edges, self._known_ns
        first, end = edges[0], edges[-1]
        for fact in facts:
            at_ns = fact.at_ns
            if fact.known_ns > known_ns:
                continue
            if first <= at_ns < end:
                self._add(fact, bisect_right(edges, at_ns) - 1)
            elif fact.id in self._corrections:
                self.found.add(fact.id)

    def _add(self, fact: Measured, stretch: int) -> None:
        key = (stretch, self._shape(fact.attributes), fact.asset)
        found = self._sum(self.sums, key)
        hashed = source_hash(fact)
        was_closed = fact.at_ns < self._since_ns
        if fact.id not in self._corrections:
            found.add(fact, self._counts, hashed)
            if was_closed and fact.known_ns > self._closed_ns:
                self._sum(self.late, key).add(fact, self._counts, hashed)
            return
        self.found.add(fact.id)
        now = self._as_known(fact, self._known_ns)
        found.add(now, self._counts, hashed)
        if not was_closed:
            return
        before = self._as_known(fact, self._closed_ns)
        if fact.known_ns > self._closed_ns:
            self._sum(self.late, key).add(now, self._counts, hashed)
        elif before is not now:
            self._difference(key, now, before, hashed)

    def _as_known(self, fact: Measured, known_ns: int) -> Measured:
        """Give a fact with the numbers of the last correction known by then."""
        known = [each for each in self._corrections[fact.id] if each.known_ns <= known_ns]
        if not known:
            return fact
        name = (fact.id, known[-1].id)
        made = self._made.get(name)
        if made is None:
            nano, numbers = known[-1].nano, known[-1].numbers
            made = self._made[name] = msgspec.structs.replace(fact, nano=nano, numbers=numbers)
        return made

    def _difference(self, key: Key, now: Measured, before: Measured, hashed: int) -> None:
        """Note a correction that came after the books were closed."""
        late = self._sum(self.late, key)
        late.add(now, self._counts, hashed)
        counted = late.sources
        late.sources = Sources()
        late.add(before, self._counts, hashed, sign=-1)
        late.sources = counted

    def _shape(self, attributes: Attributes) -> Attributes:
        """Keep the attributes that matter."""
        found = self._shapes.get(attributes)
        if found is None:
            if len(self._shapes) >= SHAPES_MAX:
                self._shapes.clear()
            names = self._names
            found = tuple(pair for pair in attributes if pair[0] in names)
            self._shapes[attributes] = found
        return found

    def _sum(self, sums: dict[Key, Sum], key: Key) -> Sum:
        found = sums.get(key)
        if found is None:
            if len(sums) >= BUCKETS_MAX:
                message = (
                    f"the measured facts fall into more than {BUCKETS_MAX} different groups: a "
                    "clause is about an attribute that is different in nearly every fact"
                )
                raise TooManyBuckets(message)
            found = sums[key] = Sum()
        return found

    def missing(self) -> tuple[str, ...]:
        """Name facts that were corrected and do not exist."""
        return tuple(sorted(self._corrections.keys() - self.found))


def values(attributes: Attributes) -> Mapping[str, Attribute]:
    """Give attributes as a mapping."""
    return dict(attributes)
