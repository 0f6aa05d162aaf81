"""Deliveries that are due, from the side of who makes them.

Whoever takes one puts its next turn off by `CLAIM_S` first, so that no other worker takes it
meanwhile, and so that it comes back by itself when the one who took it dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from entente.control.outbox import DAY_NS
from entente.control.times import NS_PER_S
from entente.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from entente.control.table import Base

CLAIM_S: Final = 60
LOOKED_AT_MAX: Final = 256
BACKOFF_S: Final = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800)
"""From one attempt to the next; the last one counts from then on."""
TROUBLE_CHARS_MAX: Final = 512


class Due(NamedTuple):
    """A delivery to be made now."""

    delivery: str
    webhook: str
    event: str
    url: str
    secret: Secret
    body: bytes
    attempts: int
    """Before this one."""
    created_ns: int


class Queue:
    """The table `deliveries`, in the order in which they are due."""

    def __init__(self, base: Base, *, retry_days: int) -> None:
        """Work on an open, migrated database; after `retry_days` nobody tries any more."""
        self._base = base
        self._retry_ns = retry_days * DAY_NS

    def take(self, room: int, busy: Mapping[str, int], each_max: int) -> list[Due]:
        """Take at most `room` deliveries, such that no webhook has more than `each_max` at once.

        `busy` says how many of each run now. Raises LedgerUnavailable.
        """
        database, now_ns = self._base.database, self._base.now_ns()
        full = ["", *(webhook for webhook, count in busy.items() if count >= each_max)]
        rows = database.execute(
            "SELECT deliveries.id, webhook, event, attempts, deliveries.created_ns, due_ns"  # noqa: S608
            " FROM deliveries JOIN webhooks ON webhooks.id = webhook"
            " WHERE state = 'pending' AND due_ns <= ? AND disabled_ns IS NULL"
            f" AND webhook NOT IN ({','.join('?' * len(full))})"
            " ORDER BY due_ns, deliveries.id LIMIT ?",
            (now_ns, *full, LOOKED_AT_MAX),
        ).fetchall()
        running, taken = dict(busy), list[Due]()
        for delivery, webhook, event, attempts, created_ns, due_ns in rows:
            if len(taken) == room:
                break
            if running.get(webhook, 0) >= each_max:
                continue
            claimed = database.execute(
                "UPDATE deliveries SET due_ns = ?, attempts = attempts + 1"
                " WHERE id = ? AND state = 'pending' AND due_ns = ?",
                (now_ns + CLAIM_S * NS_PER_S, delivery, due_ns),
            )
            if not claimed.rowcount:
                continue  # another worker was faster
            row = database.execute(
                "SELECT url, secret, body FROM webhooks, outbox"
                " WHERE webhooks.id = ? AND outbox.id = ?",
                (webhook, event),
            ).fetchone()
            if row is not None:
                url, secret, body = row
                taken.append(
                    Due(delivery, webhook, event, url, Secret(secret), body, attempts, created_ns)
                )
                running[webhook] = running.get(webhook, 0) + 1
        return taken

    def delivered(self, due: Due, status: int) -> None:
        """Note that a delivery has arrived."""
        self._end(due, "delivered", status, None)

    def failed(self, due: Due, status: int | None, trouble: str, *, spread: float) -> None:
        """Note that an attempt has failed: the next is put off, or nobody tries any more.

        `spread`, from 0 to 1, keeps apart what failed together.
        """
        steps = BACKOFF_S[min(due.attempts, len(BACKOFF_S) - 1)]
        next_ns = self._base.now_ns() + int(steps * (1 + spread / 5) * NS_PER_S)
        if next_ns > due.created_ns + self._retry_ns:
            self._end(due, "dead", status, trouble)
            return
        self._base.database.execute(
            "UPDATE deliveries SET due_ns = ?, status = ?, trouble = ?"
            " WHERE id = ? AND state = 'pending'",
            (next_ns, status, trouble[:TROUBLE_CHARS_MAX], due.delivery),
        )

    def gone(self, due: Due, status: int) -> None:
        """Note that there is nothing at the address any more: the webhook rests from now on."""
        with self._base.database.transaction():
            self._end(due, "dead", status, "The webhook's address says that it is gone.")
            self._base.database.execute(
                "UPDATE webhooks SET disabled_ns = ? WHERE id = ? AND disabled_ns IS NULL",
                (self._base.now_ns(), due.webhook),
            )

    def release(self, taken: Iterable[Due]) -> None:
        """Give back what was taken and will not be tried: it is due now."""
        for due in taken:
            self._base.database.execute(
                "UPDATE deliveries SET due_ns = ? WHERE id = ? AND state = 'pending'",
                (self._base.now_ns(), due.delivery),
            )

    def give_up(self) -> None:
        """End what has been waiting for too long, such as behind a webhook that rests."""
        now_ns = self._base.now_ns()
        self._base.database.execute(
            "UPDATE deliveries SET state = 'dead', ended_ns = ?"
            " WHERE state = 'pending' AND created_ns < ?",
            (now_ns, now_ns - self._retry_ns),
        )

    def _end(self, due: Due, state: str, status: int | None, trouble: str | None) -> None:
        self._base.database.execute(
            "UPDATE deliveries SET state = ?, status = ?, trouble = ?, ended_ns = ?"
            " WHERE id = ? AND state = 'pending'",
            (
                state,
                status,
                None if trouble is None else trouble[:TROUBLE_CHARS_MAX],
                self._base.now_ns(),
                due.delivery,
            ),
        )
