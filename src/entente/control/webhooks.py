"""Webhooks: who is told of what, where, and under which signature.

The secret of one is made here and shown once. It stays in the database, because each delivery
is signed with it; it is in no list, no answer, no log and no audit.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, UnsetType

from entente.control.audit import Audit
from entente.control.events import Event, EventType
from entente.control.outbox import Outbox
from entente.control.reports import utc
from entente.control.signing import SECRET_PREFIX
from entente.control.table import Base, Page, admit, page_of
from entente.control.targets import check_url
from entente.control.times import utc_or_none
from entente.domain.errors import InvalidParameter, ObjectNotFound
from entente.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entente.auth.keys import Entropy
    from entente.domain.principal import Principal

SECRET_BYTES: Final = 32
WEBHOOKS_MAX: Final = 100
_COLUMNS: Final = "id, url, events, created_ns, disabled_ns"
_DELIVERY_COLUMNS: Final = (
    "deliveries.id, webhook, event, type, state, attempts, created_ns, due_ns, ended_ns, status,"
    " trouble"
)
SUBSCRIBABLE: Final = frozenset(EventType) - {EventType.WEBHOOK_TEST}


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook, as people and programs see it: without its secret."""

    id: str
    url: str
    events: tuple[EventType, ...]
    """Empty for all."""
    created: str
    disabled: str | None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to a webhook."""

    id: str
    webhook: str
    event: str
    """Its id, which is also the `webhook-id` header of every attempt."""
    type: EventType
    state: str
    """`pending`, `delivered`, or `dead` when nobody tries any more."""
    attempts: int
    created: str
    due: str | None
    """When the next attempt is made."""
    ended: str | None
    status: int | None
    """What the last attempt was answered with."""
    trouble: str | None
    """What was wrong with the last attempt."""


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook just made. `secret` is to be shown once."""

    webhook: WebhookView
    secret: Secret


class Webhooks:
    """The use cases. `allow_private` lets addresses of one's own network be told."""

    def __init__(
        self, base: Base, audit: Audit, *, token_bytes: Entropy, allow_private: bool
    ) -> None:
        """Work on an open, migrated database."""
        self._base = base
        self._audit = audit
        self._outbox = Outbox(base)
        self._token_bytes = token_bytes
        self._allow_private = allow_private

    def add(self, actor: Principal, url: str, events: Sequence[EventType] = ()) -> NewWebhook:
        """Add a webhook for some events, or for all.

        Raises InvalidParameter, PermissionDenied, LedgerUnavailable.
        """
        admit(actor)
        self._check(url, events)
        base = self._base
        secret = SECRET_PREFIX + b64encode(self._token_bytes(SECRET_BYTES)).decode()
        webhook_id = base.ids.new("wh")
        with base.database.transaction():
            (there,) = base.database.execute("SELECT count(*) FROM webhooks").fetchone()
            if there >= WEBHOOKS_MAX:
                message = f"There are {there} webhooks, which is the most: remove one first."
                raise InvalidParameter(message, param="url", code="too_many_webhooks")
            base.database.execute(
                "INSERT INTO webhooks (id, url, events, secret, created_ns) VALUES (?, ?, ?, ?, ?)",
                (webhook_id, url, _text(events), secret, base.now_ns()),
            )
            made = self.get(actor, webhook_id)
            self._audit.note(actor, "webhook.create", webhook_id, after=made)
        return NewWebhook(webhook=made, secret=Secret(secret))

    def list(self, actor: Principal, *, limit: int, after: str | None = None) -> Page[WebhookView]:
        """Give webhooks, oldest first, behind the one called `after`."""
        admit(actor)
        rows = self._base.database.execute(
            f"SELECT {_COLUMNS} FROM webhooks WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608
            (after or "", limit + 1),
        ).fetchall()
        return page_of([_webhook(row) for row in rows], limit)

    def get(self, actor: Principal, webhook: str) -> WebhookView:
        """Give one. Raises ObjectNotFound."""
        admit(actor)
        row = self._base.database.execute(
            f"SELECT {_COLUMNS} FROM webhooks WHERE id = ?",  # noqa: S608
            (webhook,),
        ).fetchone()
        if row is None:
            message = f"There is no webhook {webhook!r}: `entente webhooks list` shows them."
            raise ObjectNotFound(message, param="webhook", code="not_found")
        return _webhook(row)

    def change(
        self,
        actor: Principal,
        webhook: str,
        *,
        url: str | UnsetType = UNSET,
        events: Sequence[EventType] | UnsetType = UNSET,
        enabled: bool | UnsetType = UNSET,
    ) -> WebhookView:
        """Give a webhook another address, other events, or rest. Raises as `add`."""
        admit(actor)
        database = self._base.database
        with database.transaction():
            before = self.get(actor, webhook)
            url = before.url if url is UNSET else url
            events = before.events if events is UNSET else events
            self._check(url, events)
            database.execute(
                "UPDATE webhooks SET url = ?, events = ? WHERE id = ?",
                (url, _text(events), webhook),
            )
            if enabled is not UNSET and enabled is not (before.disabled is None):
                disabled_ns = None if enabled else self._base.now_ns()
                database.execute(
                    "UPDATE webhooks SET disabled_ns = ? WHERE id = ?", (disabled_ns, webhook)
                )
            after = self.get(actor, webhook)
            self._audit.note(actor, "webhook.change", webhook, before=before, after=after)
        return after

    def remove(self, actor: Principal, webhook: str) -> WebhookView:
        """Remove a webhook; what waits for it is not delivered. Raises ObjectNotFound."""
        admit(actor)
        database = self._base.database
        with database.transaction():
            before = self.get(actor, webhook)
            database.execute("DELETE FROM webhooks WHERE id = ?", (webhook,))
            database.execute("DELETE FROM deliveries WHERE webhook = ?", (webhook,))
            self._audit.note(actor, "webhook.remove", webhook, before=before)
        return before

    def test(self, actor: Principal, webhook: str) -> DeliveryView:
        """Send a webhook an event of its own, to see it arrive. Raises ObjectNotFound."""
        admit(actor)
        with self._base.database.transaction():
            found = self.get(actor, webhook)
            event = Event(
                type=EventType.WEBHOOK_TEST,
                at_ns=self._base.now_ns(),
                data={"webhook": {"id": found.id, "url": found.url}},
            )
            event_id, _ = self._outbox.write(event)
            delivery = self._outbox.send(webhook, event_id)
            return self.delivery(actor, delivery)

    # ---- deliveries ----

    def deliveries(
        self,
        actor: Principal,
        *,
        limit: int,
        after: str | None = None,
        webhook: str | None = None,
        state: str | None = None,
    ) -> Page[DeliveryView]:
        """Give deliveries, newest first, behind the one called `after`."""
        admit(actor)
        conditions = ["1 = 1"]
        values: tuple[str, ...] = ()
        for column, value in (("webhook", webhook), ("state", state)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values += (value,)
        if after is not None:
            conditions.append("deliveries.id < ?")
            values += (after,)
        return page_of(
            self._deliveries(f"{' AND '.join(conditions)}", *values, limit=limit + 1), limit
        )

    def delivery(self, actor: Principal, delivery: str) -> DeliveryView:
        """Give one. Raises ObjectNotFound."""
        admit(actor)
        found = self._deliveries("deliveries.id = ?", delivery, limit=1)
        if not found:
            message = f"There is no delivery {delivery!r}: `entente webhooks deliveries` has them."
            raise ObjectNotFound(message, param="delivery", code="not_found")
        return found[0]

    def redeliver(self, actor: Principal, delivery: str) -> DeliveryView:
        """Send an event again, as a delivery of its own. Raises ObjectNotFound."""
        with self._base.database.transaction():
            found = self.delivery(actor, delivery)
            again = self._outbox.send(found.webhook, found.event)
            self._audit.note(actor, "webhook.redeliver", found.webhook, after={"delivery": again})
            return self.delivery(actor, again)

    def _deliveries(self, condition: str, *values: str, limit: int) -> Sequence[DeliveryView]:
        rows = self._base.database.execute(
            f"SELECT {_DELIVERY_COLUMNS} FROM deliveries JOIN outbox ON outbox.id = event"  # noqa: S608
            f" WHERE {condition} ORDER BY deliveries.id DESC LIMIT ?",
            (*values, limit),
        ).fetchall()
        return [_delivery(row) for row in rows]

    def _check(self, url: str, events: Sequence[EventType]) -> None:
        check_url(url, allow_private=self._allow_private)
        if len(set(events)) < len(events) or not set(events) <= SUBSCRIBABLE:
            names = ", ".join(sorted(SUBSCRIBABLE))
            message = f"`events` must be some of {names}, each named once; none means all."
            raise InvalidParameter(message, param="events", code="invalid_value")


def _text(events: Sequence[EventType]) -> str:
    return msgspec.json.encode(list(events)).decode()


def _webhook(row: tuple[str, str, str, int, int | None]) -> WebhookView:
    id_, url, events, created_ns, disabled_ns = row
    return WebhookView(
        id=id_,
        url=url,
        events=msgspec.json.decode(events, type=tuple[EventType, ...]),
        created=utc(created_ns),
        disabled=utc_or_none(disabled_ns),
    )


_DeliveryRow = tuple[str, str, str, str, str, int, int, int, int | None, int | None, str | None]


def _delivery(row: _DeliveryRow) -> DeliveryView:
    id_, webhook, event, kind, state, attempts, created, due, ended, status, trouble = row
    return DeliveryView(
        id=id_,
        webhook=webhook,
        event=event,
        type=EventType(kind),
        state=state,
        attempts=attempts,
        created=utc(created),
        due=utc(due) if state == "pending" else None,
        ended=utc_or_none(ended),
        status=status,
        trouble=trouble,
    )
