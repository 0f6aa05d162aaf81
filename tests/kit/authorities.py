"""An authority over meters in memory, with which several workers of one test share limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from entente.domain.errors import LedgerUnavailable
from entente.ledger.leases import Heard, Said
from entente.ledger.lending.lender import Lender


class Lenders:
    """All lenders, and how to reach each worker."""

    def __init__(self) -> None:
        """Begin with no meter."""
        self.lenders: dict[str, Lender] = {}
        self.workers: dict[str, Callable[[list[Heard]], None]] = {}
        self.fixed: dict[str, int] = {}
        """Limits that the authority knows better than any worker."""
        self.broken = False
        self.exchanges = 0


class MemoryAuthority:
    """One worker's line to the lenders."""

    def __init__(self, lenders: Lenders, worker: str) -> None:
        """Speak for `worker`."""
        self._all = lenders
        self._worker = worker

    async def exchange(self, said: Sequence[Said]) -> list[Heard]:
        """Bring statements to their lenders; others hear of it in a later turn."""
        await asyncio.sleep(0)
        if self._all.broken:
            message = "The authority is away."
            raise LedgerUnavailable(message)
        self._all.exchanges += 1
        heard: list[Heard] = []
        for each in said:
            lender = self._all.lenders.setdefault(each.meter, Lender())
            limit, revision = each.terms.limit, each.terms.revision
            if each.meter in self._all.fixed:
                limit = self._all.fixed[each.meter]
                revision = lender.revision + (limit != lender.limit)
            words = lender.set_limit(limit, revision)
            words += lender.hear(each.statement)
            heard += [Heard(each.meter, word) for word in words]
        loop = asyncio.get_running_loop()
        mine = []
        for told in heard:
            name = told.word.to.partition(".")[0]
            if name == self._worker:
                mine.append(told)
            else:
                loop.call_soon(self._all.workers[name], [told])
        await asyncio.sleep(0)
        return mine

    async def aclose(self) -> None:
        """Nothing to close."""
