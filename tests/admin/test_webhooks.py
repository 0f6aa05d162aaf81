"""Webhooks: a real server, a real receiver, and what happens when either is not there."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.admin import PRICED, SCRIPT, Admin
from tests.support.receiver import Receiver
from tests.support.server import EntenteServer, wait_until
from tests.support.system import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PRIVATE = PRICED + "\n[webhooks]\nallow_private = true\n"
IMPATIENT = """
from entente.control import delivering, queue
delivering.POLL_S = 0.05
queue.BACKOFF_S = (0, 0, 0, 600)
"""
SOON_AGAIN = IMPATIENT + "queue.CLAIM_S = 1\n"
"""What a server that died had taken is due a second later."""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., EntenteServer]]:
    """Give a maker of servers that try again at once."""
    (tmp_path / "script.toml").write_text(SCRIPT)
    with contextlib.ExitStack() as stack:

        def maker(config: str = PRIVATE, prelude: str = IMPATIENT) -> EntenteServer:
            made = EntenteServer(tmp_path, config, server="shutdown_s = 1", prelude=prelude)
            return stack.enter_context(made)

        yield maker


def states(admin: Admin, webhook: str) -> list[tuple[str, int]]:
    """Give state and attempts of each delivery of a webhook, oldest first."""
    found = admin.get(f"/deliveries?webhook={webhook}&limit=100")["data"]
    return [(each["state"], each["attempts"]) for each in reversed(found)]


def has_trouble(admin: Admin, delivery: str) -> bool:
    """Say whether an attempt is known to have failed."""
    return admin.get(f"/deliveries/{delivery}")["trouble"] is not None


def test_what_happens_to_keys_is_told_signed(make: Callable[..., EntenteServer]) -> None:
    """By the API and by the command line; the signature is what the specification says."""
    server = make()
    admin = Admin(server)
    with Receiver() as receiver:
        webhook = admin.post("/webhooks", {"url": receiver.url})
        key = admin.post("/keys", {"name": "bob"})
        assert server.cli("keys", "revoke", "bob").returncode == 0
        assert server.cli("keys", "create", "--name", "eve", "--expires", "1s").returncode == 0
        (created, _) = receiver.wait_for("key.created", 2)
        (revoked,) = receiver.wait_for("key.revoked")
        (expired,) = receiver.wait_for("key.expired")
        assert created["data"]["key"] == admin.get(f"/keys/{key['id']}") | {"revoked": None}
        assert revoked["data"]["key"]["id"] == key["id"]
        assert expired["data"]["key"]["name"] == "eve"
        for each in receiver.got:
            assert each.is_genuine(webhook["secret"])
            assert not each.is_genuine("whsec_" + "QUJD" * 8)
            assert each.path == "/hook?a=b"
            assert abs(int(each.headers["webhook-timestamp"]) - time.time()) < 60
            assert each.headers["content-type"] == "application/json"
            assert key["key"] not in each.body.decode()
        wait_until(
            lambda: states(admin, webhook["id"]) == [("delivered", 1)] * 4, "all to be delivered"
        )


def test_only_what_was_asked_for_is_told(make: Callable[..., EntenteServer]) -> None:
    """And nothing while a webhook rests."""
    admin = Admin(make())
    with Receiver() as receiver:
        some = admin.post("/webhooks", {"url": receiver.url, "events": ["key.revoked"]})
        key = admin.post("/keys")
        admin.ask("PATCH", f"/webhooks/{some['id']}", {"enabled": False})
        admin.post(f"/keys/{key['id']}/revoke")
        admin.ask("PATCH", f"/webhooks/{some['id']}", {"enabled": True})
        other = admin.post("/keys")
        admin.post(f"/keys/{other['id']}/revoke")
        told = receiver.wait_for("key.revoked")
        assert [event["data"]["key"]["id"] for event in told] == [other["id"]]
        assert len(receiver.got) == 1


def test_a_receiver_that_fails_is_asked_again(make: Callable[..., EntenteServer]) -> None:
    """With the same id and body; anything but 2xx has failed, a redirect is not followed."""
    admin = Admin(make())
    answers = iter([500, 302, 204])
    with Receiver(lambda _: next(answers)) as receiver:
        webhook = admin.post("/webhooks", {"url": receiver.url})
        admin.post(f"/webhooks/{webhook['id']}/test")
        got = receiver.wait(3, "three attempts")
        assert len({(each.id, each.body, each.path) for each in got}) == 1
        wait_until(lambda: states(admin, webhook["id"]) == [("delivered", 3)], "the delivery")
        assert len(got) == 3


def test_a_receiver_that_is_down_gets_it_later(make: Callable[..., EntenteServer]) -> None:
    """What went wrong can be seen; `redeliver` does not wait for the next turn."""
    server = make()
    admin = Admin(server)
    port = free_port()
    webhook = admin.post("/webhooks", {"url": f"http://127.0.0.1:{port}/"})
    delivery = admin.post(f"/webhooks/{webhook['id']}/test")
    wait_until(lambda: states(admin, webhook["id"]) == [("pending", 4)], "four attempts")
    wait_until(partial(has_trouble, admin, delivery["id"]), "the reason")
    seen = admin.get(f"/deliveries/{delivery['id']}")
    assert (seen["status"], seen["state"]) == (None, "pending")
    assert f"127.0.0.1:{port}" in seen["trouble"]
    with Receiver(port=port) as receiver:
        again = json.loads(server.cli("webhooks", "redeliver", delivery["id"], "--json").stdout)
        assert again["event"] == delivery["event"]
        got = receiver.wait(1, "the delivery")
        assert got[0].id == delivery["event"]


def test_an_address_that_is_gone_is_left_alone(make: Callable[..., EntenteServer]) -> None:
    """410 ends it: the webhook rests from then on."""
    admin = Admin(make())
    with Receiver(lambda _: 410) as receiver:
        webhook = admin.post("/webhooks", {"url": receiver.url})
        admin.post(f"/webhooks/{webhook['id']}/test")
        wait_until(lambda: states(admin, webhook["id"]) == [("dead", 1)], "the end")
        assert admin.get(f"/webhooks/{webhook['id']}")["disabled"] is not None


def test_nothing_is_tried_for_ever(make: Callable[..., EntenteServer]) -> None:
    """Past its days a delivery is dead, and can be sent again by hand."""
    late = IMPATIENT.replace("600)", "9 * 24 * 3600)")
    admin = Admin(make(prelude=late))
    with Receiver(lambda _: 500) as receiver:
        webhook = admin.post("/webhooks", {"url": receiver.url})
        delivery = admin.post(f"/webhooks/{webhook['id']}/test")
        wait_until(lambda: states(admin, webhook["id"]) == [("dead", 4)], "the end")
        again = admin.post(f"/deliveries/{delivery['id']}/redeliver")
        assert again["id"] != delivery["id"]
        receiver.wait(5, "another attempt")


def test_a_removed_webhook_gets_nothing_more(make: Callable[..., EntenteServer]) -> None:
    """Neither what waits for it nor what comes."""
    admin = Admin(make())
    port = free_port()
    webhook = admin.post("/webhooks", {"url": f"http://127.0.0.1:{port}/"})
    admin.post(f"/webhooks/{webhook['id']}/test")
    admin.ask("DELETE", f"/webhooks/{webhook['id']}")
    assert admin.ask("GET", f"/webhooks/{webhook['id']}").status == 404
    assert admin.get("/deliveries")["data"] == []


def test_kill_between_outbox_and_delivery(make: Callable[..., EntenteServer]) -> None:
    """The receiver has it in hand when the server dies; it gets it again, and nothing is lost."""
    server = make(prelude=SOON_AGAIN)
    admin = Admin(server)
    began, dead = threading.Event(), threading.Event()

    def answer(_: Any) -> int:
        if not began.is_set():
            began.set()
            server.kill()
            dead.set()
        return 204

    with Receiver(answer) as receiver:
        webhook = admin.post("/webhooks", {"url": receiver.url})
        made = server.cli("keys", "create", "--name", "bob")
        assert made.returncode == 0
        receiver.wait(1, "the first attempt")
        wait_until(dead.is_set, "the death")
        server._prelude = IMPATIENT  # it needs no third attempt, however long the second takes
        server.start()
        first, *_, last = receiver.wait(2, "the second attempt")
        assert (first.id, first.body) == (last.id, last.body)
        assert last.is_genuine(webhook["secret"])
        wait_until(lambda: states(admin, webhook["id"]) == [("delivered", 2)], "the delivery")


def test_an_event_without_its_server_waits(make: Callable[..., EntenteServer]) -> None:
    """What the command line does while no server runs is told by the next one."""
    server = make()
    admin = Admin(server)
    with Receiver() as receiver:
        admin.post("/webhooks", {"url": receiver.url})
        assert server.stop() == 0
        assert server.cli("keys", "create", "--name", "bob").returncode == 0
        server.start()
        (event,) = receiver.wait_for("key.created")
        assert event["data"]["key"]["name"] == "bob"


def test_what_nobody_needs_any_more_is_forgotten(make: Callable[..., EntenteServer]) -> None:
    """All of it, however much came at once."""
    bounds = "delivering.SWEEP_S = 0\nfrom entente.control import outbox\noutbox.SWEPT_MAX = 2\n"
    server = make(prelude=f"{IMPATIENT}{bounds}delivering.POLL_S = 600\n")
    assert server.stop() == 0
    with contextlib.closing(sqlite3.connect(server.data_dir / "entente.db")) as database:
        database.executemany(
            "INSERT INTO outbox (id, type, at_ns, body) VALUES (?, 'key.created', 1, x'7b7d')",
            [(f"evt_{n}",) for n in range(9)],
        )
        database.executemany(
            "INSERT INTO deliveries (id, webhook, event, state, attempts, created_ns, due_ns)"
            " VALUES (?, 'gone', ?, 'dead', 1, 1, 1)",
            [(f"del_{n}", f"evt_{n}") for n in range(9)],
        )
        database.commit()
        server.start()

        def left() -> tuple[int, ...]:
            events = "SELECT count(*) FROM outbox WHERE id LIKE 'evt__'"
            deliveries = "SELECT count(*) FROM deliveries"
            return tuple(database.execute(each).fetchone()[0] for each in (events, deliveries))

        wait_until(lambda: left() == (0, 0), "the old ones to go")


def test_no_webhook_reaches_what_only_the_server_reaches(
    make: Callable[..., EntenteServer],
) -> None:
    """Refused when it is written; and when a name turns out to be private, never connected to."""
    server = make(PRICED)
    admin = Admin(server)
    with Receiver() as receiver:
        for url in (
            receiver.url,
            f"https://127.0.0.1:{receiver.port}/",
            f"https://[::ffff:127.0.0.1]:{receiver.port}/",
            f"https://localhost:{receiver.port}/",
            "https://169.254.169.254/latest/meta-data",
            "https://10.1.2.3/",
            "https://intranet/",
            "https://2130706433/",
            "https://0x7f000001/",
        ):
            got = admin.ask("POST", "/webhooks", {"url": url})
            assert (got.status, got.error["code"]) == (400, "invalid_url"), url
        webhook = admin.post("/webhooks", {"url": f"https://hooks.example:{receiver.port}/"})
        # What is written in the database, however it came there, is checked again.
        for url in (f"https://localhost.:{receiver.port}/", f"http://127.0.0.1:{receiver.port}/"):
            with contextlib.closing(sqlite3.connect(server.data_dir / "entente.db")) as database:
                database.execute("UPDATE webhooks SET url = ?", (url,))
                database.commit()
            delivery = admin.post(f"/webhooks/{webhook['id']}/test")
            wait_until(partial(has_trouble, admin, delivery["id"]), "the refusal")
        assert receiver.got == []


def test_a_slow_receiver_does_not_hold_up_others(make: Callable[..., EntenteServer]) -> None:
    """At most four deliveries of one webhook run at once, however many more of it wait."""
    admin = Admin(make(prelude=f"{IMPATIENT}queue.LOOKED_AT_MAX = 8\n"))
    gate = threading.Event()

    def wait(_: Any) -> int:
        gate.wait(30)
        return 204

    with Receiver(wait) as slow, Receiver() as quick:
        first = admin.post("/webhooks", {"url": slow.url})
        second = admin.post("/webhooks", {"url": quick.url})
        for _ in range(20):
            admin.post(f"/webhooks/{first['id']}/test")
        for _ in range(5):
            admin.post(f"/webhooks/{second['id']}/test")
        quick.wait(5, "the quick one's")
        assert len(slow.got) == 4
        gate.set()
        slow.wait(20, "the slow one's")
