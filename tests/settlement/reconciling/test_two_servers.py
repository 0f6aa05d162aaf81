"""One Entente is the provider of another: what the one counts and charges is what the other has.

The provider's usage and costs come from its own `/v1/organization/…`, and its requests from its
ledger; both servers run, and every kind of answer is among the requests.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.support.server import ADMIN_KEY, EntenteServer

PRICE: Final = (
    'price = { currency = "USD", per = "1M tokens", input = "0.15", cached_input = "0.075",'
    ' output = "0.6" }'
)
PROVIDER: Final = f"""
[providers.main]
kind = "scripted"

[models.big]
targets = [{{ provider = "main", model = "big" }}]
{PRICE}
"""
REQUESTS: Final = 12


def gateway(port: int) -> str:
    """Write the settings of the other one."""
    return f"""
[providers.west]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "env:WEST_KEY"

[models.chat]
targets = [{{ provider = "west", model = "big" }}]
{PRICE}
"""


class Pair:
    """Both servers, behind them a few requests of each kind, and the files of the provider."""

    def __init__(self, folder: Path) -> None:
        """Start both, and ask."""
        (folder / "provider").mkdir()
        (folder / "gateway").mkdir()
        self.since_s = int(time.time()) // 86_400 * 86_400
        self.provider = EntenteServer(folder / "provider", PROVIDER)
        self.provider.start()
        key = self.provider.make_key(name="gateway")
        self.gateway = EntenteServer(
            folder / "gateway", gateway(self.provider.port), environ={"WEST_KEY": key.secret}
        )
        self.gateway.start()
        client = self.gateway.make_key(name="client")
        for number in range(REQUESTS):
            said = [{"role": "user", "content": f"word {number} " * (number + 1)}]
            got = self.gateway.chat(
                client.secret, model="chat", messages=said, stream=number % 2 == 1
            )
            assert got.status == 200
        self.client, self.key = client, key

    def report(self, folder: Path, path: str, group: str) -> str:
        """Write a page of the provider's usage or costs."""
        query = f"start_time={self.since_s}&limit=2&group_by={group}"
        got = self.provider.get(f"/v1/organization/{path}?{query}", key=ADMIN_KEY)
        assert got.status == 200, got.body
        file = folder / f"{path.rpartition('/')[2]}.json"
        file.write_bytes(got.body)
        return str(file)

    def requests(self, folder: Path) -> str:
        """Write the provider's ledger, request by request."""
        ended = self.provider.cli("ledger", "export")
        assert ended.returncode == 0, ended.stderr
        file = folder / "requests.jsonl"
        file.write_text(ended.stdout)
        return str(file)

    def reconcile(self, *words: str) -> Any:
        """Reconcile the gateway's ledger."""
        ended = self.gateway.cli("ledger", "reconcile", "--provider", "west", "--json", *words)
        assert ended.returncode == 0, ended.stderr
        return msgspec.json.decode(ended.stdout)

    def stop(self) -> None:
        """Stop both."""
        for server in (self.gateway, self.provider):
            if server.running:
                server.kill()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Give both, in their folders."""
    made = Pair(tmp_path_factory.mktemp("pair"))
    try:
        yield made
    finally:
        made.stop()


def test_usage_and_costs_agree(pair: Pair, tmp_path: Path) -> None:
    """To the nano-unit, while both servers run."""
    files = (
        pair.report(tmp_path, "usage/completions", "model"),
        pair.report(tmp_path, "costs", "line_item"),
    )
    said = pair.reconcile(*files)
    assert said["verdict"] == "agrees", said
    assert said["here"]["requests"] == said["there"]["requests"] == REQUESTS
    assert said["here"]["tokens"] == said["there"]["tokens"]
    assert said["difference"] == "0"
    assert said["here"]["cost"] == said["there"]["cost"] != "0"


def test_every_request_agrees(pair: Pair, tmp_path: Path) -> None:
    """By the id under which the provider answered."""
    said = pair.reconcile(pair.requests(tmp_path))
    assert (said["verdict"], said["compared"], said["differences"]) == ("agrees", REQUESTS, [])


def test_what_went_past_the_gateway_is_found(pair: Pair, tmp_path: Path) -> None:
    """A request with the provider's key that the ledger knows nothing of."""
    got = pair.provider.chat(
        pair.key.secret, model="big", messages=[{"role": "user", "content": "past it"}]
    )
    assert got.status == 200
    said = pair.reconcile(pair.requests(tmp_path))
    assert said["verdict"] == "explained"
    (difference,) = said["differences"]
    assert difference["request"] == got.headers["x-request-id"]
    assert [part["by"] for part in difference["parts"]] == ["missing here"]
