"""Limits and budgets of any scope on a real server: exact in a crowd, and across a crash."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.loops import run
from tests.support.rawclient import Reply, exchange, post
from tests.support.server import ADMIN_KEY, EntenteServer, Got, chat_body, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS: Final = 256
CONFIG: Final = """
[limits]
budget_wait_s = 25
[providers.fake]
kind = "scripted"
script = "script.toml"
[models."m"]
targets = [{ provider = "fake", model = "m" }]
price = { currency = "USD", per = "1M tokens", input = "0", output = "1" }
[models."other"]
targets = [{ provider = "fake", model = "m" }]
price = { currency = "EUR", per = "1M tokens", input = "0", output = "1" }
[models."unpriced"]
targets = [{ provider = "fake", model = "m" }]
"""
SCRIPT: Final = """
[[replies]]
text = "four words are here"
first_delay_ms = 2
"""


@pytest.fixture
def server(tmp_path: Any) -> Iterator[EntenteServer]:
    """Run a server with the project `alpha`, and find its ledger in order in the end."""
    (tmp_path / "script.toml").write_text(SCRIPT)
    with EntenteServer(tmp_path, CONFIG) as started:
        assert started.cli("projects", "create", "alpha").returncode == 0
        yield started
        assert started.stop() == 0
        started.verify_at_rest()


def limit(server: EntenteServer, *arguments: str) -> str:
    """Add a limit as the command line does; give its id."""
    done = server.cli("limits", "add", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    rule: str = json.loads(done.stdout)["id"]
    return rule


def ask(server: EntenteServer, key: str, *, tags: str = "none", **fields: Any) -> Got:
    """Ask for four words."""
    return server.ask(
        "POST",
        "/v1/chat/completions",
        key=key,
        body=chat_body(max_tokens=4, **fields),
        headers={"Entente-Tags": tags},
    )


def refused(server: EntenteServer, key: str, **fields: Any) -> Got:
    """Wait until a request is refused, which is when a limit has reached the server."""
    got: list[Got] = []

    def limited() -> bool:
        got.append(ask(server, key, **fields))
        return got[-1].status == 429

    wait_until(limited, "the limit to count")
    return got[-1]


async def crowd(server: EntenteServer, keys: list[str]) -> list[Reply]:
    """Let all clients ask at once, by turns with these keys."""
    requests = [post(chat_body(max_tokens=4), keys[n % len(keys)]) for n in range(CLIENTS)]
    return list(await asyncio.gather(*(exchange(server.port, r) for r in requests)))


def test_a_crowd_under_five_budgets(server: EntenteServer) -> None:
    """The tightest holds to the nano, whoever asks; the others count the same."""
    keys = [server.make_key(project="alpha", user="ada").secret for _ in range(4)]
    bulk = server.make_key(project="beta").secret
    for scope, spend in (
        *(("organization", "1"), ("project:alpha", "0.0004"), ("user:ada", "1")),
        *(("model:m", "1"), ("key:*", "1")),
    ):
        limit(server, scope, "--spend", spend, "--window", "year")
    limit(server, "tag:gate", "--requests", "0")
    refused(server, bulk, tags="gate")
    replies = run(crowd(server, keys))
    fine = [r for r in replies if r.status == 200 and r.whole]
    assert (len(fine), len(replies) - len(fine)) == (100, CLIENTS - 100)
    assert all(b'"code":"insufficient_quota"' in r.body for r in replies if r.status == 429)
    assert server.chat(bulk, max_tokens=4).status == 200
    assert server.verify().open_holds == 0


@pytest.mark.parametrize(
    ("scope", "fields", "words"),
    [
        ("organization", {}, "in this organization"),
        ("project:alpha", {}, "in the project `alpha`"),
        ("key:bob", {}, "with this key"),
        ("user:ada", {}, "for the user `ada`"),
        ("end_user:eve", {"user": "eve"}, "for the end user `eve`"),
        ("end_user:*", {"safety_identifier": "mallory"}, "for the end user `mallory`"),
        ("model:m", {}, "across all keys"),
        ("tag:batch", {"tags": "x,batch"}, "under the tag `batch`"),
        ("tag:keyed", {}, "under the tag `keyed`"),
    ],
)
def test_each_level_refuses(
    server: EntenteServer, scope: str, fields: dict[str, Any], words: str
) -> None:
    """Whom it is about, and nobody else, with the vendor's words and headers."""
    bob = server.make_key(name="bob", project="alpha", user="ada", tags=("keyed",)).secret
    eve = server.make_key(name="eve", project="beta").secret
    limit(server, scope, "--requests", "1", "--window", "year")
    got = refused(server, bob, **fields)
    assert got.error["type"] == "requests"
    assert got.error["message"].startswith(
        f"Rate limit reached for m {words} on requests per year (RPY): Limit 1, Used 1, Requested"
    )
    assert int(got.headers["retry-after"]) > 0
    others = server.chat(eve, max_tokens=4)
    assert others.status == (429 if scope in ("organization", "model:m") else 200)


def test_a_kill_forgets_nothing(server: EntenteServer) -> None:
    """What was used of a day is used after a crash, and a change of the limit keeps that."""
    key = server.make_key(project="alpha").secret
    rule = limit(server, "project:alpha", "--requests", "3", "--window", "year")
    while server.chat(key, max_tokens=4).status == 200:
        pass
    used = len(server.settlements())
    server.kill()
    server.start()
    assert server.chat(key, max_tokens=4).status == 429
    done = server.cli("limits", "set", rule, "--requests", "5")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: server.chat(key, max_tokens=4).status == 200, "the change to count")
    assert server.chat(key, max_tokens=4).status == 200
    assert server.chat(key, max_tokens=4).status == 429
    assert len(server.settlements()) == used + 2
    assert server.cli("limits", "end", rule).returncode == 0
    wait_until(lambda: server.chat(key, max_tokens=4).status == 200, "the end to count")


def test_headers_tell_the_tightest_limit(server: EntenteServer) -> None:
    """Of all that a request is under, at its own moment."""
    key = server.make_key(project="alpha", requests_per_minute=1000).secret
    limit(server, "project:alpha", "--requests", "50", "--window", "year")
    limit(server, "organization", "--tokens", "900", "--window", "year")

    def told() -> dict[str, str]:
        headers = server.chat(key, max_tokens=4).headers
        return {name: headers[name] for name in headers if name.startswith("x-ratelimit-limit")}

    both = {"x-ratelimit-limit-requests": "50", "x-ratelimit-limit-tokens": "900"}
    wait_until(lambda: told() == both, "the limits to count")
    left = [
        int(server.chat(key, max_tokens=4).headers["x-ratelimit-remaining-requests"])
        for _ in range(2)
    ]
    assert left[0] - left[1] == 1


def test_a_hard_budget_of_others_asks_for_a_price(server: EntenteServer) -> None:
    """In its own currency; a soft one only counts."""
    key = server.make_key(project="alpha").secret
    rule = limit(server, "project:alpha", "--spend", "1", "--soft")
    assert server.chat(key, model="unpriced").status == 200
    assert server.cli("limits", "set", rule, "--hard").returncode == 0
    wait_until(lambda: server.chat(key, model="unpriced").status != 200, "the budget to count")
    assert "has no price" in server.chat(key, model="unpriced").error["message"]
    assert "a rate of exchange" in server.chat(key, model="other").error["message"]
    assert server.chat(key).status == 200


def test_requests_at_once(server: EntenteServer) -> None:
    """A place is free again once its request has ended, however it ended."""
    key = server.make_key(project="alpha").secret
    limit(server, "project:alpha", "--at-once", "2")
    limit(server, "tag:gate", "--requests", "0")
    refused(server, ADMIN_KEY, tags="gate")
    replies = run(crowd(server, [key]))
    assert {r.status for r in replies} == {200, 429}
    assert all(b"may have 2 at once" in r.body for r in replies if r.status == 429)
    assert server.chat(key, max_tokens=4).status == 200
