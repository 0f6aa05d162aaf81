"""Events on their way: written beside what they tell of, delivered at least once.

An event and its deliveries are written in the transaction of the change that it tells of, so
that a crash between the two cannot lose one. What may be told only once has a name of its
own, which a second worker or a second start finds taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from entente.control.events import Event, EventType
from entente.control.times import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entente.control.table import Base

DAY_NS: Final = 24 * 3600 * NS_PER_S
KEPT_DAYS: Final = 30
"""How long what was delivered, or given up, can be looked at and sent again."""
ONCE_KEPT_DAYS: Final = 400
"""How long it is remembered that something was told: longer than any window but a lifetime."""
PENDING_MAX: Final = 10_000
"""Deliveries of one webhook that wait; what comes beyond them is not delivered to it."""
SWEPT_MAX: Final = 1_000


class Outbox:
    """The tables `outbox` and `deliveries`, from the side of who has something to tell."""

    def __init__(self, base: Base) -> None:
        """Work on an open, migrated database."""
        self._base = base

    def tell(self, what: EventType, data: Mapping[str, object], *, once: str | None = None) -> bool:
        """Tell of something that has just happened; False if it was told before."""
        return self.put(Event(type=what, at_ns=self._base.now_ns(), data=data, once=once))

    def put(self, event: Event) -> bool:
        """Write an event and its deliveries; False if it was told before.

        Raises LedgerUnavailable.
        """
        database = self._base.database
        with database.transaction():
            event_id, is_new = self.write(event)
            if not is_new:
                return False
            for webhook in self._listeners(event.type):
                self.send(webhook, event_id)
            return True

    def write(self, event: Event) -> tuple[str, bool]:
        """Write an event that goes to nobody yet; give its id, and whether it is news."""
        event_id = self._base.ids.new("evt")
        added = self._base.database.execute(
            "INSERT INTO outbox (id, type, at_ns, body, once) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (once) DO NOTHING",
            (event_id, event.type, event.at_ns, event.body(), event.once),
        )
        return event_id, bool(added.rowcount)

    def send(self, webhook: str, event_id: str) -> str:
        """Put a delivery in line, due now; give its id."""
        delivery, now_ns = self._base.ids.new("del"), self._base.now_ns()
        self._base.database.execute(
            "INSERT INTO deliveries (id, webhook, event, state, attempts, created_ns, due_ns)"
            " VALUES (?, ?, ?, 'pending', 0, ?, ?)",
            (delivery, webhook, event_id, now_ns, now_ns),
        )
        return delivery

    def sweep(self) -> bool:
        """Forget what nobody needs any more, a bounded number at a time; say if there is more."""
        database, now_ns = self._base.database, self._base.now_ns()
        deliveries = database.execute(
            "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries"
            " WHERE state <> 'pending' AND created_ns < ? LIMIT ?)",
            (now_ns - KEPT_DAYS * DAY_NS, SWEPT_MAX),
        )
        events = database.execute(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE at_ns < ?"
            " AND (once IS NULL OR at_ns < ?)"
            " AND id NOT IN (SELECT event FROM deliveries) LIMIT ?)",
            (now_ns - KEPT_DAYS * DAY_NS, now_ns - ONCE_KEPT_DAYS * DAY_NS, SWEPT_MAX),
        )
        return SWEPT_MAX in (deliveries.rowcount, events.rowcount)

    def _listeners(self, what: EventType) -> list[str]:
        """Give the webhooks that want to hear of it, and can still take it."""
        rows = self._base.database.execute(
            "SELECT id, events FROM webhooks WHERE disabled_ns IS NULL"
            " AND (SELECT count(*) FROM deliveries"
            " WHERE webhook = webhooks.id AND state = 'pending') < ?",
            (PENDING_MAX,),
        ).fetchall()
        wanted = ((id_, msgspec.json.decode(events, type=list[str])) for id_, events in rows)
        return [id_ for id_, events in wanted if not events or what in events]
