"""Projects, keys that change, webhooks and the audit on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Runner

HOOK = "https://example.com/hook"


def test_projects_from_begin_to_end(entente_: Runner) -> None:
    """Made, listed, renamed, archived; a key of none is refused with the remedy."""
    refused = entente_("keys", "create", "--project", "alpha")
    assert refused.status == 1
    assert "entente projects create alpha" in refused.err
    assert entente_.ok("projects", "create", "alpha").out == "Made alpha (alpha).\n"
    assert entente_.ok("projects", "rename", "alpha", "--name", "Alpha").out.startswith("Renamed")
    entente_.ok("keys", "create", "--project", "alpha", "--name", "bob")
    (alpha, default) = entente_.ok("projects", "list", "--json").json
    assert (alpha["id"], alpha["name"], default["id"]) == ("alpha", "Alpha", "default")
    (_, first, second) = entente_.ok("projects", "list").out.splitlines()
    assert first.split()[:2] == ["alpha", "Alpha"]
    assert first.split()[2].endswith("Z")
    assert second.split() == ["default", "default", "-", "-", "-"]
    entente_.ok("projects", "archive", "alpha")
    assert [p["id"] for p in entente_.ok("projects", "list", "--json").json] == ["default"]
    assert "alpha" in entente_.ok("projects", "list", "--all").out
    assert entente_("projects", "archive", "default").status == 1


def test_keys_are_changed_and_rotated(entente_: Runner) -> None:
    """`none` takes away; the secret is another one, the key is the same."""
    made = entente_.ok(
        "keys", "create", "--name", "bob", "--user", "ann", "--tags", "a,b", "--expires", "30d",
        "--rpm", "5", "--json",
    ).json  # fmt: skip
    assert (made["user"], made["tags"], made["requests_per_minute"]) == ("ann", ["a", "b"], 5)
    assert made["expires"] is not None
    changed = entente_.ok(
        "keys", "set", "bob", "--user", "none", "--tags", "none", "--expires", "none",
        "--rpm", "none", "--tpm", "7", "--json",
    ).json  # fmt: skip
    assert (changed["user"], changed["tags"], changed["expires"]) == (None, [], None)
    assert (changed["requests_per_minute"], changed["tokens_per_minute"]) == (None, 7)
    rotated = entente_.ok("keys", "rotate", "bob", "--grace", "0s", "--json").json
    assert rotated["id"] == made["id"]
    assert rotated["key"] != made["key"]
    for wrong in (("--expires", "soon"), ("--expires", "2001-01-01"), ("--rpm", "-1")):
        failed = entente_("keys", "set", "bob", *wrong)
        assert failed.status != 0, wrong


def test_webhooks_from_begin_to_end(entente_: Runner) -> None:
    """The secret is shown once; a test waits for a server to deliver it."""
    secret = entente_.ok("webhooks", "add", HOOK, "--events", "key.created,key.revoked").out
    assert secret.startswith("whsec_")
    (webhook,) = entente_.ok("webhooks", "list", "--json").json
    assert webhook["events"] == ["key.created", "key.revoked"]
    assert secret.strip() not in entente_.ok("webhooks", "list").out
    entente_.ok("webhooks", "set", webhook["id"], "--events", "all", "--disable")
    (webhook,) = entente_.ok("webhooks", "list", "--json").json
    assert webhook["events"] == []
    assert webhook["disabled"] is not None
    delivery = entente_.ok("webhooks", "test", webhook["id"], "--json").json
    (waiting,) = entente_.ok("webhooks", "deliveries", "--state", "pending", "--json").json
    assert waiting == delivery
    again = entente_.ok("webhooks", "redeliver", delivery["id"], "--json").json
    assert (again["event"], again["id"] == delivery["id"]) == (delivery["event"], False)
    assert len(entente_.ok("webhooks", "deliveries").out.splitlines()) == 3
    entente_.ok("webhooks", "remove", webhook["id"])
    assert entente_.ok("webhooks", "list", "--json").json == []
    for wrong in (("add", "http://a.b/"), ("add", HOOK, "--events", "x"), ("remove", "wh_0")):
        assert entente_("webhooks", *wrong).status == 1


def test_the_audit_has_it_all(entente_: Runner) -> None:
    """Newest first, one line of JSON each; grants, too."""
    key = entente_.ok("keys", "create", "--name", "bob", "--budget-usd", "2", "--json").json
    entente_.ok("budgets", "grant", "bob", "--usd", "1")
    lines = entente_.ok("audit", "list", "--object", key["id"], "--json").out.splitlines()
    changes = [json.loads(line) for line in lines]
    assert [c["action"] for c in changes] == ["budget.grant", "budget.grant", "key.create"]
    assert (changes[0]["before"]["granted"], changes[0]["after"]["granted"]) == ("2", "3")
    assert key["key"] not in "".join(lines)
    assert len(entente_.ok("audit", "list", "--limit", "1").out.splitlines()) == 2
