"""Compaction: passed to a provider that has it, metered, and refused where none has."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest

from tests.support.server import EntenteServer, Key
from tests.wire.responses_schema import vendor_defects
from tests.wire.stored_schema import assert_is

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG: Final = """
[providers.vendor]
kind = "openai"
base_url = "{url}/v1"
responses = true
api_key = "env:KEY"

[providers.fake]
kind = "scripted"

[models."m"]
targets = [{{ provider = "vendor", model = "gpt-compact" }}]
price = {{ currency = "USD", per = "1M tokens", input = "1", output = "2" }}

[models."fake"]
targets = [{{ provider = "fake", model = "f" }}]
"""
ANSWER: Final = {
    "id": "resp_vendor",
    "object": "response.compaction",
    "created_at": 1_700_000_000,
    "output": [{"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed"}],
    "usage": {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 35,
    },
}


class Vendor(ThreadingHTTPServer):
    """Compacts whatever it is sent, and remembers it."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), _Asked)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.said: object = ANSWER


class _Asked(BaseHTTPRequestHandler):
    server: Vendor

    def do_POST(self) -> None:
        """Compact."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append((self.path, json.loads(body)))
        said = json.dumps(self.server.said).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EntenteServer, Vendor]]:
    """Run a server in front of the vendor."""
    with Vendor() as vendor:
        thread = threading.Thread(target=vendor.serve_forever)
        thread.start()
        config = CONFIG.format(url=f"http://127.0.0.1:{vendor.server_port}")
        folder = tmp_path_factory.mktemp("compaction")
        with EntenteServer(folder, config, environ={"KEY": "sk-vendor"}) as server:
            yield server, vendor
            assert server.stop() == 0
            server.verify_at_rest()
        vendor.shutdown()
        thread.join()


def sdk(server: EntenteServer, key: Key) -> openai.OpenAI:
    """Make a client as users do, without retries."""
    return openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )


def test_a_vendor_compacts_what_was_said(stage: tuple[EntenteServer, Vendor]) -> None:
    """All of it, by whichever model; its bytes pass, and what it used is settled."""
    server, vendor = stage
    key = server.make_key(budget_nano=10**9)
    with sdk(server, server.make_key()) as client:
        made = client.responses.create(model="fake", input="one two")
    with sdk(server, key) as client:
        compacted: Any = client.responses.compact(
            model="m", previous_response_id=made.id, instructions="Keep names."
        )
    assert compacted.output[0].encrypted_content == "sealed"
    path, asked = vendor.asked[-1]
    assert (path, asked["model"]) == ("/v1/responses/compact", "gpt-compact")
    assert asked.keys() == {"model", "input", "instructions"}
    assert [item["role"] for item in asked["input"]] == ["user", "assistant"]
    assert vendor_defects(asked, "CompactResponseMethodPublicBody") == []
    (entry,) = server.settlements(key)
    assert (entry.status, entry.usage.input, entry.usage.output) == ("complete", 30, 5)
    assert entry.cost_nano == 30 * 1000 + 5 * 2000
    body = b'{"model":"m","input":"long"}'
    got = server.ask("POST", "/v1/responses/compact", key=key.secret, body=body)
    assert_is("CompactResource", got.json)
    assert got.json == ANSWER


def test_what_is_no_compaction_is_an_error(stage: tuple[EntenteServer, Vendor]) -> None:
    """And is settled as one."""
    server, vendor = stage
    key = server.make_key()
    vendor.said = {"hello": "there"}
    body = b'{"model":"m","input":"long"}'
    got = server.ask("POST", "/v1/responses/compact", key=key.secret, body=body)
    vendor.said = ANSWER
    assert got.status == 502
    assert server.settlements(key)[0].status == "failed"


def test_models_without_compaction_say_so(stage: tuple[EntenteServer, Vendor]) -> None:
    """Nothing else can write what only a vendor's own model reads."""
    server, _ = stage
    key = server.make_key()
    body = b'{"model":"fake","input":"long"}'
    got = server.ask("POST", "/v1/responses/compact", key=key.secret, body=body)
    assert got.status in (400, 404)
    assert "does not support compaction of responses" in got.error["message"]
    empty = server.ask("POST", "/v1/responses/compact", key=key.secret, body=b'{"model":"m"}')
    assert empty.status == 400
