"""The ledger's side: settlements of one provider, summed by time and model, in one pass."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from entente.domain.usage import NOTHING
from entente.ledger.model import Adjustment, AnyEntry, Settlement
from entente.settlement.reconciling.model import (
    Ours,
    PriceOf,
    Rates,
    Shape,
    add,
    rates_of,
    tokens_of,
)

IDS_MAX: Final = 1_000_000
"""Ids of a provider that are remembered, to see that one was settled twice."""


class Times:
    """The times that are compared: without gaps, in order, each with its number."""

    def __init__(self, said: Iterable[tuple[int, int]], since_ns: int, until_ns: int) -> None:
        """Join what overlaps, so that an hour is part of its day, and fill the gaps."""
        joined: list[list[int]] = []
        for since, until in sorted(said):
            if joined and since < joined[-1][1]:
                joined[-1][1] = max(joined[-1][1], until)
            else:
                joined.append([since, until])
        edges = {since_ns, until_ns}
        edges |= {edge for each in joined for edge in each if since_ns < edge < until_ns}
        self._edges = sorted(edges)

    def of(self, at_ns: int) -> int | None:
        """Give the number of the time that an instant is in; None where that is not compared."""
        number = bisect_right(self._edges, at_ns) - 1
        return number if 0 <= number < len(self._edges) - 1 else None

    def edges(self, number: int) -> tuple[int, int]:
        """Give where a time begins and ends."""
        return self._edges[number], self._edges[number + 1]


class Fold:
    """Sums settlements of a provider, and what was adjusted, as they come."""

    def __init__(self, provider: str, asset: str, price_of: PriceOf) -> None:
        """Fold what is owed to `provider` in `asset`."""
        self.provider, self.asset = provider, asset
        self._prefix = f"{provider}/"
        self._price_of = price_of
        self._rates: dict[tuple[str, str, str], Rates | None] = {}
        self._ids: dict[str, None] = {}
        self.named: dict[str, set[str]] = {}
        """By the provider's model, what clients call it."""
        self.without_provider = 0
        self.other_assets: dict[str, int] = {}
        self.adjustments: list[Adjustment] = []

    def entries(self, entries: Iterable[AnyEntry]) -> Iterator[tuple[str, Settlement]]:
        """Give the settlements that are compared, each with the provider's model.

        One that used and cost nothing, since no provider answered, is nothing to compare.
        """
        for entry in entries:
            if isinstance(entry, Adjustment):
                if entry.provider == self.provider and entry.asset == self.asset:
                    self.adjustments.append(entry)
            elif isinstance(entry, Settlement) and (entry.owed[0] or entry.usage != NOTHING):
                if not entry.target:
                    self.without_provider += 1
                elif not entry.target.startswith(self._prefix):
                    continue
                elif entry.owed[1] != self.asset and entry.owed[0]:
                    asset = entry.owed[1]
                    self.other_assets[asset] = self.other_assets.get(asset, 0) + 1
                else:
                    model = entry.target.removeprefix(self._prefix)
                    self.named.setdefault(model, set()).add(entry.model)
                    yield model, entry

    def is_again(self, entry: Settlement) -> bool:
        """Say whether the provider's request was settled before, and remember it."""
        name = entry.upstream_id
        if not name:
            return False
        if name in self._ids:
            return True
        if len(self._ids) >= IDS_MAX:
            del self._ids[next(iter(self._ids))]
        self._ids[name] = None
        return False

    def take(self, sums: Ours, entry: Settlement) -> None:
        """Add a settlement to sums."""
        if self.is_again(entry):
            sums.duplicates += 1
            sums.duplicates_nano += entry.owed[0] or 0
            return
        tokens = tokens_of(entry.usage)
        sums.requests += 1
        sums.estimated += entry.estimated
        add(sums.tokens, tokens)
        nano, _ = entry.owed
        if nano is None:
            sums.unpriced += 1
            return
        sums.nano += nano
        version, rates = self._priced(entry)
        shape = sums.shapes.get(version)
        if shape is None:
            shape = sums.shapes[version] = Shape(version=version, rates=rates)
        shape.requests += 1
        add(shape.tokens, tokens)
        shape.nano += nano

    def _priced(self, entry: Settlement) -> tuple[str, Rates | None]:
        """Give the version that an entry was priced at, and its rates, made once each."""
        version, price = self._price_of(entry)
        name = (version, entry.model, entry.target)
        if name not in self._rates:
            self._rates[name] = rates_of(price)
        return version, self._rates[name]
