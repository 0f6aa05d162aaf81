"""Budgets under a crowd: exact at every entry, nothing held at rest, honest afterwards."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

from entente.ledger.model import Hold
from tests.support.loops import run
from tests.support.rawclient import Reply, exchange, post
from tests.support.server import EntenteServer, Key, chat_body, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS: Final = 256
COST_NANO: Final = 4_000
"""Four words of output; input costs nothing."""
BUDGET_NANO: Final = 100 * COST_NANO
MINUTE_NS: Final = 60 * 10**9
_CONFIG: Final = """
[limits]
budget_wait_s = 25
[providers.fake]
kind = "scripted"
script = "script.toml"
[models."m"]
targets = [{ provider = "fake", model = "m" }]
price = { currency = "USD", per = "1M tokens", input = "0", output = "1" }
"""
_SCRIPT: Final = """
[[replies]]
text = "four words are here"
first_delay_ms = 2
"""


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EntenteServer, list[Key]]]:
    """Run a server, with keys that each may spend a hundred requests."""
    folder = tmp_path_factory.mktemp("money")
    (folder / "script.toml").write_text(_SCRIPT)
    server = EntenteServer(folder, _CONFIG)
    keys = [server.make_key(budget_nano=BUDGET_NANO) for _ in range(4)]
    with server:
        yield server, keys
        assert server.stop() == 0
        server.verify_at_rest()


async def crowd(server: EntenteServer, key: Key, max_tokens: int, seed: int) -> list[Reply]:
    """Let all clients ask at once, some streaming, in an order of the seed."""
    chance = random.Random(seed)  # noqa: S311 - a drill wants the same numbers again
    requests = [
        post(chat_body(max_tokens=max_tokens, stream=chance.random() < 0.5), key.secret)
        for _ in range(CLIENTS)
    ]
    return list(await asyncio.gather(*(exchange(server.port, r) for r in requests)))


@pytest.mark.parametrize(
    ("number", "hold_is", "succeed"), [(0, 1, 100), (1, 10, 91), (2, 100, 1), (3, 33, 68)]
)
def test_a_crowd_spends_the_budget_and_not_a_nano_more(
    bank: tuple[EntenteServer, list[Key]], number: int, hold_is: int, succeed: int
) -> None:
    """So many succeed as the holds allow: a hold of h costs fits while h costs are left."""
    server, keys = bank
    key = keys[number]
    replies = run(crowd(server, key, 4 * hold_is, seed=number))
    fine = [r for r in replies if r.status == 200 and r.whole]
    refused = [r for r in replies if r.status == 429]
    assert (len(fine), len(refused)) == (succeed, CLIENTS - succeed)
    assert all(b'"code":"insufficient_quota"' in r.body for r in refused)
    assert all(r.headers["x-should-retry"] == "false" for r in refused)

    report = server.verify()
    assert report.open_holds == 0
    spent = sum(e.cost_nano or 0 for e in server.settlements(key))
    assert spent == succeed * COST_NANO

    done = server.cli("budgets", "grant", key.id, "--usd", "0.0004", "--json")
    assert done.returncode == 0, done.stderr
    wait_until(
        lambda: server.chat(key.secret, max_tokens=4 * hold_is).status == 200,
        "the top-up to count",
    )
    assert server.verify().open_holds == 0


def test_a_budget_may_shrink_below_what_is_held(bank: tuple[EntenteServer, list[Key]]) -> None:
    """Cutting a budget while requests run refuses the next ones; no hold breaks the new one."""
    server, _ = bank
    key = server.make_key(budget_nano=BUDGET_NANO)

    async def drill() -> list[Reply]:
        crowded = asyncio.create_task(crowd(server, key, 4, seed=9))
        cut = asyncio.to_thread(server.cli, "budgets", "grant", key.id, "--usd", "-0.0003")
        await cut
        return await crowded

    replies = run(drill())
    assert {r.status for r in replies} <= {200, 429, 503}
    wait_until(lambda: server.chat(key.secret, max_tokens=400).status == 429, "the cut to count")
    assert server.verify().open_holds == 0


def test_tokens_per_minute_hold_under_a_crowd(bank: tuple[EntenteServer, list[Key]]) -> None:
    """At most so many requests of a minute pass as their bounds allow, and use gives back."""
    server, _ = bank
    key = server.make_key(requests_per_minute=30)
    replies = run(crowd(server, key, 4, seed=5))
    fine = sum(r.status == 200 for r in replies)
    holds = [e for e in server.entries() if isinstance(e, Hold) and e.key == key.id]
    minutes = Counter(e.at_ns // MINUTE_NS for e in holds)  # two, if it stood at the turn of one
    assert (max(minutes.values()), minutes.total()) == (30, fine)
    for reply in replies:
        if reply.status != 200:
            assert reply.status == 429
            assert 0 < int(reply.headers["retry-after-ms"]) <= 60_000
