"""The rows of `/admin/v1` in the route table: method, path behind the prefix, action."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "/admin/v1"
DOCUMENT_ACTION: Final = "admin_document"

ADMIN_PATHS: Final = (
    ("GET", "/openapi.json", DOCUMENT_ACTION),
    ("GET", "/projects", "admin_list_projects"),
    ("POST", "/projects", "admin_create_project"),
    ("GET", "/projects/{project}", "admin_get_project"),
    ("PATCH", "/projects/{project}", "admin_change_project"),
    ("POST", "/projects/{project}/archive", "admin_archive_project"),
    ("GET", "/keys", "admin_list_keys"),
    ("POST", "/keys", "admin_create_key"),
    ("GET", "/keys/{key}", "admin_get_key"),
    ("PATCH", "/keys/{key}", "admin_change_key"),
    ("POST", "/keys/{key}/rotate", "admin_rotate_key"),
    ("POST", "/keys/{key}/revoke", "admin_revoke_key"),
    ("GET", "/keys/{key}/budget", "admin_get_budget"),
    ("POST", "/keys/{key}/grants", "admin_create_grant"),
    ("GET", "/rules", "admin_list_rules"),
    ("POST", "/rules", "admin_create_rule"),
    ("GET", "/rules/{rule}", "admin_get_rule"),
    ("PATCH", "/rules/{rule}", "admin_change_rule"),
    ("POST", "/rules/{rule}/end", "admin_end_rule"),
    ("GET", "/prices", "admin_list_prices"),
    ("GET", "/prices/{version}", "admin_get_prices"),
    ("GET", "/webhooks", "admin_list_webhooks"),
    ("POST", "/webhooks", "admin_create_webhook"),
    ("GET", "/webhooks/{webhook}", "admin_get_webhook"),
    ("PATCH", "/webhooks/{webhook}", "admin_change_webhook"),
    ("DELETE", "/webhooks/{webhook}", "admin_remove_webhook"),
    ("POST", "/webhooks/{webhook}/test", "admin_test_webhook"),
    ("GET", "/deliveries", "admin_list_deliveries"),
    ("GET", "/deliveries/{delivery}", "admin_get_delivery"),
    ("POST", "/deliveries/{delivery}/redeliver", "admin_redeliver"),
    ("GET", "/audit", "admin_list_audit"),
    ("GET", "/usage", "admin_get_usage"),
)
