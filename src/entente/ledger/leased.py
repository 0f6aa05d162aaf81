"""The ledger of one of many workers: what limits its holds is on loan, not in its books.

All that `Ledger` promises holds over all workers together. A hold takes from the leases of
its meters first; what it names as the limit of a draw is what the worker has on loan, so that
its own chain of the journal proves that it kept to that. The budget that a key was granted is
a meter like any other here: its hold stands in the entry as a draw, and not as `bounded`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING, Final

import msgspec

from entente.domain.windows import end_ns
from entente.ledger.leases import Claim, Leases, Refused, Terms
from entente.ledger.ledger import Ledger, Place
from entente.ledger.lending.messages import Verdict
from entente.ledger.meters import Counter, Draw, Taken, grant_meter, granted_by, read_meter
from entente.ledger.model import Grant, Hold, Settlement
from entente.ledger.refusals import RETRY_AFTER_MS, budget_refusal, draw_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entente.domain.errors import LimitError
    from entente.domain.ids import NowNs
    from entente.domain.usage import Usage
    from entente.ledger.books import Books
    from entente.ledger.model import AnyEntry
    from entente.ledger.store import Journal

UNLIMITED: Final = 10**36
"""Stands for the limit of a rule that only tells. It fits the database, many times over."""
TERMS_KEPT_MAX: Final = 16_384


class LeasedLedger(Ledger):
    """The ledger of one worker, on its event loop."""

    def __init__(
        self,
        journal: Journal,
        books: Books,
        leases: Leases,
        *,
        revision: Callable[[], int],
        now_ns: NowNs,
        budget_wait_s: float,
        serves_alone: bool = False,
    ) -> None:
        """Continue `books`. `revision` is that of the rules from which draws have their limits.

        `serves_alone`: what fits what is on loan is worth serving without the authority, too.
        """
        super().__init__(journal, books, now_ns=now_ns, budget_wait_s=budget_wait_s)
        self._leases = leases
        self._revision = revision
        self._serves_alone = serves_alone
        self._terms: dict[tuple[str, int | None], Terms] = {}
        self._terms_of = -1
        """The revision that they are of."""
        self._places = count(1)

    @property
    def trouble(self) -> str | None:
        """Why no hold can be made now, None where one can."""
        return self.journal.trouble or (None if self._serves_alone else self._leases.trouble)

    def _closed(self, opened: Hold, entry: Settlement) -> None:
        """Put what was used in the place of what was taken from leases; `wrote` follows."""
        if opened.draws:
            taken = Taken(entry.cost_nano or 0, entry.usage)
            self._leases.settle(entry.id, _costs(opened.draws, taken))

    def wrote(self, entries: Iterable[AnyEntry]) -> None:
        """Take note of entries that stand in the journal, however long that took.

        Only then may what they freed go to others. That who waited for an entry was told that it
        is durable says less: it may be in a spool.
        """
        for entry in entries:
            if isinstance(entry, Settlement):
                self._leases.written(entry.id)

    async def admit(self, draws: tuple[Draw, ...], model: str, at_ns: int) -> Place:
        """Take a place for what has no hold of its own; see `Ledger.admit`."""
        if not draws:
            return Place()
        place = Place(draws, f"place {next(self._places)}")
        try:
            await self._leases.take(place.id, self._claims(draws), wait_s=self._budget_wait_s)
        except Refused as refused:
            draw = next(draw for draw in draws if draw.meter == refused.meter)
            counter = self.standing(draw.meter)
            raise draw_refusal(draw, counter, model=model, asset="", at_ns=at_ns) from None
        return place

    def check(self, draws: tuple[Draw, ...], model: str, at_ns: int) -> None:
        """Refuse nothing ahead: whether there is a place is known when it is asked for."""

    def release(self, place: Place) -> None:
        """Give back a place that was taken with `admit`."""
        if place.draws:
            self._leases.cancel(place.id)

    def used(self, place: Place, usage: Usage) -> None:
        """Put what was used in the place of what was taken with `admit`."""
        if place.draws:
            self._leases.settle(place.id, _costs(place.draws, Taken(0, usage)))
            self._leases.written(place.id)

    def standing(self, meter: str) -> Counter:
        """Say where a meter stands with all workers, as far as was heard here."""
        return self._leases.standing(meter)

    def see(self, entries: Iterable[AnyEntry]) -> None:
        """Apply entries that another process wrote; a grant changes what its key may spend."""
        entries = list(entries)
        super().see(entries)
        for entry in entries:
            if isinstance(entry, Grant):
                self._leases.doubt(grant_meter(entry.key, entry.asset))

    def revise(self, limits: Mapping[str, int | None]) -> None:
        """Take the limits of now for meters that are in use, by rule; None where one only tells."""
        for meter in list(self._leases.meters):
            rule = read_meter(meter).rule
            if rule in limits:
                self._leases.revise(meter, self._terms_for(meter, limits[rule]))

    # ---- room ----

    async def _make_room(self, hold: Hold) -> tuple[Hold, None]:
        """Take from the leases of a hold's meters, and apply it; give what is applied."""
        draws = _drawn(hold)
        try:
            await self._leases.take(hold.id, self._claims(draws), wait_s=self._budget_wait_s)
        except Refused as refused:
            raise self._refusal_of(hold, refused) from None
        lent = tuple(
            draw
            if draw.limit is None
            else Draw(draw.meter, draw.amount, self._leases.capacity(draw.meter))
            for draw in draws
        )
        taken = msgspec.structs.replace(hold, bounded=False, draws=lent)
        self._apply(taken)
        return taken, None

    async def _take_beyond(self, hold: Hold) -> Hold:
        """Apply a hold that nothing limits any more: what it costs is told when it is settled."""
        draws = tuple(Draw(draw.meter, 0, draw.limit) for draw in _drawn(hold))
        if draws:
            await self._leases.take(hold.id, self._claims(draws), wait_s=0.0)
        draws = tuple(Draw(draw.meter, 0) for draw in draws)
        taken = msgspec.structs.replace(hold, bounded=False, draws=draws)
        self._apply(taken)
        return taken

    def _retract(self, hold: Hold) -> None:
        """Take back a hold that is not in the journal."""
        super()._retract(hold)
        self._leases.cancel(hold.id)

    def _claims(self, draws: Iterable[Draw]) -> list[Claim]:
        """Say what draws take, and what limits it."""
        return [
            Claim(draw.meter, draw.amount, self._terms_for(draw.meter, draw.limit))
            for draw in draws
        ]

    def _terms_for(self, meter: str, limit: int | None) -> Terms:
        """Give what limits a meter."""
        if self._terms_of != self._revision() or len(self._terms) >= TERMS_KEPT_MAX:
            self._terms.clear()
            self._terms_of = self._revision()
        found = self._terms.get((meter, limit))
        if found is None:
            amount = UNLIMITED if limit is None else limit
            found = Terms(amount, self._revision(), end_ns(read_meter(meter).window))
            self._terms[meter, limit] = found
        return found

    def _refusal_of(self, hold: Hold, refused: Refused) -> LimitError:
        """Say what is missing."""
        counter = self.standing(refused.meter)
        waited = RETRY_AFTER_MS if refused.verdict is Verdict.FULL else None
        is_grant = granted_by(refused.meter) is not None
        draw = next((draw for draw in hold.draws if draw.meter == refused.meter), None)
        if self.watcher is not None:
            self.watcher.refused(hold, None if is_grant else draw, counter)
        if draw is None or is_grant:
            pending = counter.pending
            return budget_refusal(hold, max(0, refused.left), pending, retry_after_ms=waited)
        return draw_refusal(
            draw,
            counter,
            model=hold.model,
            asset=hold.asset,
            at_ns=hold.at_ns,
            retry_after_ms=waited,
        )


def _drawn(hold: Hold) -> tuple[Draw, ...]:
    """Give what a hold draws, the budget that its key was granted among it."""
    if not hold.bounded:
        return hold.draws
    return (*hold.draws, Draw(grant_meter(hold.key, hold.asset), hold.nano, 0))


def _costs(draws: Iterable[Draw], taken: Taken) -> dict[str, int]:
    """Give what was used in the end, by meter."""
    return {draw.meter: taken.of(read_meter(draw.meter).unit) for draw in draws}
