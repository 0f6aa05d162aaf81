"""Webhooks, their deliveries, the audit, and where usage is asked for."""

from __future__ import annotations

from typing import Final

import msgspec

from entente.control.audit import AuditView
from entente.control.desk import Desk
from entente.control.table import Page
from entente.control.usage import COSTS, REPORTS
from entente.control.webhooks import DeliveryView, WebhookView
from entente.http.admin.forms import (
    AuditQuery,
    Change,
    DeliveryQuery,
    Listing,
    NewWebhookForm,
    PageQuery,
    UsagePointer,
    WebhookChange,
    WebhookWithSecret,
)
from entente.http.admin.keys import listing
from entente.http.admin.operation import Asked, Operation


def _list_webhooks(desk: Desk, asked: Asked) -> Listing[WebhookView]:
    query: PageQuery = asked.query
    page = desk.webhooks.list(asked.actor, limit=query.limit, after=query.after)
    return listing(page, tuple(each.id for each in page.found))


def _create_webhook(desk: Desk, asked: Asked) -> WebhookWithSecret:
    body: NewWebhookForm = asked.body
    made = desk.webhooks.add(asked.actor, body.url, body.events)
    return _with_secret(made.webhook, made.secret.reveal())


def _with_secret(webhook: WebhookView, secret: str | None) -> WebhookWithSecret:
    return WebhookWithSecret(**msgspec.structs.asdict(webhook), secret=secret)


def _get_webhook(desk: Desk, asked: Asked) -> WebhookView:
    return desk.webhooks.get(asked.actor, asked.place["webhook"])


def _change_webhook(desk: Desk, asked: Asked) -> WebhookView:
    body: WebhookChange = asked.body
    return desk.webhooks.change(asked.actor, asked.place["webhook"], **msgspec.structs.asdict(body))


def _remove_webhook(desk: Desk, asked: Asked) -> WebhookView:
    return desk.webhooks.remove(asked.actor, asked.place["webhook"])


def _test_webhook(desk: Desk, asked: Asked) -> DeliveryView:
    return desk.webhooks.test(asked.actor, asked.place["webhook"])


def _list_deliveries(desk: Desk, asked: Asked) -> Listing[DeliveryView]:
    query: DeliveryQuery = asked.query
    page = desk.webhooks.deliveries(
        asked.actor,
        limit=query.limit,
        after=query.after,
        webhook=query.webhook,
        state=query.state,
    )
    return listing(page, tuple(each.id for each in page.found))


def _get_delivery(desk: Desk, asked: Asked) -> DeliveryView:
    return desk.webhooks.delivery(asked.actor, asked.place["delivery"])


def _redeliver(desk: Desk, asked: Asked) -> DeliveryView:
    return desk.webhooks.redeliver(asked.actor, asked.place["delivery"])


def _list_audit(desk: Desk, asked: Asked) -> Listing[AuditView]:
    query: AuditQuery = asked.query
    page = desk.audit.list(asked.actor, limit=query.limit, after=query.after, about=query.object)
    shown = tuple(each.view() for each in page.found)
    return listing(Page(shown, page.has_more), tuple(each.id for each in shown))


def _get_usage(_: Desk, __: Asked) -> UsagePointer:
    return UsagePointer(
        usage=tuple(f"/v1/organization/usage/{kind}" for kind in REPORTS if kind != COSTS),
        costs="/v1/organization/costs",
    )


EVENT_OPERATIONS: Final = {
    "admin_list_webhooks": Operation(
        summary="List webhooks, oldest first.",
        do=_list_webhooks,
        query=PageQuery,
        answer=Listing[WebhookView],
    ),
    "admin_create_webhook": Operation(
        summary="Add a webhook. The answer has its secret, this one time.",
        do=_create_webhook,
        again=lambda desk, asked, made: _with_secret(desk.webhooks.get(asked.actor, made), None),
        body=NewWebhookForm,
        answer=WebhookWithSecret,
    ),
    "admin_get_webhook": Operation(summary="Get a webhook.", do=_get_webhook, answer=WebhookView),
    "admin_change_webhook": Operation(
        summary="Give a webhook another address or other events, or let it rest.",
        do=_change_webhook,
        body=WebhookChange,
        answer=WebhookView,
    ),
    "admin_remove_webhook": Operation(
        summary="Remove a webhook; what waits for it is not delivered.",
        do=_remove_webhook,
        answer=WebhookView,
    ),
    "admin_test_webhook": Operation(
        summary="Send a webhook an event of its own, to see it arrive.",
        do=_test_webhook,
        answer=DeliveryView,
        writes=True,
    ),
    "admin_list_deliveries": Operation(
        summary="List deliveries, newest first.",
        do=_list_deliveries,
        query=DeliveryQuery,
        answer=Listing[DeliveryView],
    ),
    "admin_get_delivery": Operation(
        summary="Get a delivery.", do=_get_delivery, answer=DeliveryView
    ),
    "admin_redeliver": Operation(
        summary="Send an event again, as a delivery of its own.",
        do=_redeliver,
        answer=DeliveryView,
        writes=True,
    ),
    "admin_list_audit": Operation(
        summary="List changes of the control plane, newest first.",
        do=_list_audit,
        query=AuditQuery,
        answer=Listing[Change],
    ),
    "admin_get_usage": Operation(
        summary="Say where usage and costs are asked for.", do=_get_usage, answer=UsagePointer
    ),
}
