"""Counting an input: by the provider that would get it, or as an estimate that says so."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest

from tests.support.server import EntenteServer, Got, Key
from tests.wire.responses_schema import vendor_defects
from tests.wire.stored_schema import assert_is

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT: Final = "/v1/responses/input_tokens"
CONFIG: Final = """
[providers.openai]
kind = "openai"
base_url = "{url}/v1"
responses = true
api_key = "env:KEY"

[providers.chat]
kind = "openai"
base_url = "{url}/v1"
api_key = "env:KEY"

[providers.anthropic]
kind = "anthropic"
base_url = "{url}"
api_key = "env:KEY"

[providers.gemini]
kind = "gemini"
base_url = "{url}/v1beta"
api_key = "env:KEY"

[providers.fake]
kind = "scripted"

[models."openai"]
targets = [{{ provider = "openai", model = "gpt" }}]
[models."chat"]
targets = [{{ provider = "chat", model = "gpt" }}]
[models."anthropic"]
targets = [{{ provider = "anthropic", model = "claude" }}]
[models."gemini"]
targets = [{{ provider = "gemini", model = "gemini-2" }}]
[models."detour"]
targets = [{{ provider = "fake", model = "f" }}, {{ provider = "gemini", model = "gemini-2" }}]
[models."fake"]
targets = [{{ provider = "fake", model = "f" }}]
"""
ANSWERS: Final = {
    "/v1/responses/input_tokens": {"object": "response.input_tokens", "input_tokens": 11},
    "/v1/messages/count_tokens": {"input_tokens": 22},
    "/v1beta/models/gemini-2:countTokens": {"totalTokens": 33},
}


class Vendors(ThreadingHTTPServer):
    """Counts as vendors do, and remembers what was asked; any other path does not exist."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), _Asked)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.status = 200


class _Asked(BaseHTTPRequestHandler):
    server: Vendors

    def do_POST(self) -> None:
        """Count."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append((self.path, json.loads(body)))
        found = ANSWERS.get(self.path)
        said = json.dumps(found or {"error": "no such path"}).encode()
        self.send_response(self.server.status if found else 404)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    """Run the vendors."""
    with Vendors() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def counting(
    tmp_path_factory: pytest.TempPathFactory, vendors: Vendors
) -> Iterator[tuple[EntenteServer, Key]]:
    """Run a server in front of them."""
    url = f"http://127.0.0.1:{vendors.server_port}"
    folder = tmp_path_factory.mktemp("counting")
    with EntenteServer(folder, CONFIG.format(url=url), environ={"KEY": "sk-vendor"}) as server:
        yield server, server.make_key()
        assert server.stop() == 0
        server.verify_at_rest()


def count(counting: tuple[EntenteServer, Key], model: str, **fields: Any) -> Got:
    """Ask for a count."""
    server, key = counting
    body = {"model": model, "input": "hello there", **fields}
    return server.ask("POST", COUNT, key=key.secret, body=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("model", "tokens"), [("openai", 11), ("anthropic", 22), ("gemini", 33), ("detour", 33)]
)
def test_the_provider_counts(
    counting: tuple[EntenteServer, Key], vendors: Vendors, model: str, tokens: int
) -> None:
    """It is asked in its own form, for what it would be sent, and nothing is recorded."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
    fields: dict[str, Any] = {"instructions": "Be brief.", "tools": [tool]}
    got = count(counting, model, **fields, personality="friendly", truncation="auto")
    assert (got.status, got.json["input_tokens"]) == (200, tokens)
    assert "x-entente-estimated" not in got.headers
    assert_is("TokenCountsResource", got.json)
    path, asked = vendors.asked[-1]
    assert ANSWERS[path] is not None
    if model == "openai":
        assert asked == {"model": "gpt", "input": "hello there", **fields}
        assert vendor_defects(asked, "TokenCountsBody") == []
    elif model == "anthropic":
        assert asked.keys() == {"model", "messages", "system", "tools"}
    else:
        request = asked["generateContentRequest"]
        assert request["model"] == "models/gemini-2"
        assert request["contents"][0]["parts"][0]["text"] == "hello there"
    assert all(entry.model == "fake" for entry in counting[0].settlements())


def test_nobody_counts(counting: tuple[EntenteServer, Key], vendors: Vendors) -> None:
    """Then it is an estimate, and the answer says so: chats, scripts, and vendors that fail."""
    for model, status in (("chat", 200), ("fake", 200), ("openai", 500), ("gemini", 429)):
        vendors.status = status
        got = count(counting, model)
        vendors.status = 200
        assert (got.status, got.headers["x-entente-estimated"]) == (200, "input_tokens")
        assert got.json["input_tokens"] == 4 + len("hello there") // 4 + 1


def test_what_a_call_builds_on_is_counted(
    counting: tuple[EntenteServer, Key], vendors: Vendors
) -> None:
    """By the SDK: an earlier response and a conversation are part of the input."""
    server, key = counting
    with openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as client:
        made = client.responses.create(model="fake", input="one two three")
        counted = client.responses.input_tokens.count(model="openai", previous_response_id=made.id)
        assert counted.input_tokens == 11
        assert len(vendors.asked[-1][1]["input"]) == 2
        talk = client.conversations.create(items=[{"role": "user", "content": "said before"}])
        client.responses.input_tokens.count(model="openai", conversation=talk.id, input="now")
        assert [item["content"] for item in vendors.asked[-1][1]["input"]] == [
            "said before",
            "now",
        ]


def test_what_is_wrong_is_refused(counting: tuple[EntenteServer, Key]) -> None:
    """As when a response is created; and the minute's requests count."""
    cases: list[tuple[dict[str, Any], int]] = [
        ({"model": "nope"}, 400),
        ({"input": None}, 400),
        ({"input": 1}, 400),
        ({"previous_response_id": "resp_x"}, 400),
        ({"conversation": "conv_x"}, 404),
    ]
    for fields, status in cases:
        assert count(counting, **{"model": "openai", **fields}).status == status
    server, _ = counting
    slow = server.make_key(requests_per_minute=1)
    statuses = [count((server, slow), "openai").status for _ in range(3)]
    assert (statuses[0], 429 in statuses) == (200, True)  # the minute may change once
