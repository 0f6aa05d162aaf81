"""The control plane of several workers on PostgreSQL: one truth, whichever of them is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.admin import PRICED, SCRIPT, Admin
from tests.support.hosts import WorkersServer
from tests.support.receiver import Receiver
from tests.support.server import Key, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = PRICED + "\n[webhooks]\nallow_private = true\n"
ROUNDS = 16
"""Each on a connection of its own, which any worker may take."""
THRESHOLD = "budget.threshold_reached"


@pytest.fixture
def server(tmp_path: Path, postgres_url: str) -> Iterator[WorkersServer]:
    """Run two workers."""
    (tmp_path / "script.toml").write_text(SCRIPT)
    with WorkersServer(
        tmp_path, CONFIG, postgres_url, server="shutdown_s = 2", workers=2
    ) as running:
        yield running


def test_whichever_worker_is_asked(server: WorkersServer) -> None:
    """A change by one counts with all; each thing is told once, whoever saw it."""
    admin = Admin(server)
    with Receiver() as receiver:
        webhook = admin.post("/webhooks", {"url": receiver.url})
        names = {"Idempotency-Key": "one"}
        made = [admin.ask("POST", "/keys", {"name": "bob"}, headers=names) for _ in range(ROUNDS)]
        assert {got.status for got in made} == {201}
        assert len({got.json["id"] for got in made}) == 1
        key = Key(next(got.json["key"] for got in made if got.json["key"]), made[0].json["id"])
        wait_until(lambda: server.everywhere(key, 200), "the key to work")
        admin.post(
            "/rules",
            {"level": "key", "name": key.id, "unit": "requests", "amount": "10",
             "window": "year", "thresholds": [50, 100]},
        )  # fmt: skip
        wait_until(lambda: _is_limited(server, key), "the limit to be reached")
        told = receiver.wait_for(THRESHOLD, 2)
        assert sorted(event["data"]["threshold_percent"] for event in told) == [50, 100]
        assert len(receiver.wait_for("limit.exceeded")) == 1
        admin.post(f"/keys/{key.id}/revoke")
        wait_until(lambda: server.everywhere(key, 401), "the revocation to count")
        receiver.wait_for("key.revoked")
        for each in receiver.got:
            assert each.is_genuine(webhook["secret"])
        for kind in ("key.created", "key.revoked", "limit.exceeded"):
            assert len(receiver.of(kind)) == 1


def _is_limited(server: WorkersServer, key: Key) -> bool:
    return server.chat(key.secret, max_tokens=1).status == 429


def test_grants_reach_every_worker(server: WorkersServer) -> None:
    """A budget of nothing ends everywhere when something is granted; the audit has both ways."""
    admin = Admin(server)
    made = admin.post("/keys", {"budget_usd": "0"})
    key = Key(made["key"], made["id"])
    wait_until(lambda: server.everywhere(key, 200), "the key to work")
    assert {server.chat(key.secret, max_tokens=1).status for _ in range(4)} == {429}
    admin.post(f"/keys/{key.id}/grants", {"usd": "50"})
    wait_until(
        lambda: all(server.chat(key.secret, max_tokens=1).status == 200 for _ in range(4)),
        "the grant to be seen",
    )
    budget = admin.get(f"/keys/{key.id}/budget")
    assert budget["granted"] == "50"
    assert float(budget["spent"]) > 0
    assert server.cli("budgets", "grant", key.id, "--usd", "1").returncode == 0
    assert admin.get(f"/keys/{key.id}/budget")["granted"] == "51"
    done = server.cli("audit", "list", "--object", key.id, "--json")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["action"], each["actor"]["name"]) for each in said] == [
        ("budget.grant", "command line"),
        ("budget.grant", "bootstrap-admin"),
        ("key.create", "bootstrap-admin"),
    ]


def test_zeros_in_names(server: WorkersServer) -> None:
    """PostgreSQL keeps none: a client that sends one is counted, and harms nobody else."""
    admin = Admin(server)
    with Receiver() as receiver:
        admin.post("/webhooks", {"url": receiver.url, "events": [THRESHOLD]})
        admin.post(
            "/rules",
            {"level": "end_user", "name": "*", "unit": "requests", "amount": "2",
             "window": "year", "thresholds": [100]},
        )  # fmt: skip
        wait_until(lambda: _is_full(server, "a\0b"), "the limit to be reached")
        assert not _is_full(server, "another")
        told = receiver.wait_for(THRESHOLD)
        assert told[0]["data"]["name"] == "a\N{REPLACEMENT CHARACTER}b"
    for name in ("keys", "projects", "rules", "webhooks", "deliveries"):
        assert admin.ask("GET", f"/{name}/%00").status == 404
        assert admin.ask("GET", f"/{name}?after=%00").status == 200
    assert admin.get("/keys?project=%00")["data"] == []
    assert admin.get("/audit?object=%00")["data"] == []


def _is_full(server: WorkersServer, user: str) -> bool:
    """Ask for an end user; say whether a limit is reached."""
    got = server.chat(user=user)
    assert got.status in (200, 429), got.body
    return got.status == 429
