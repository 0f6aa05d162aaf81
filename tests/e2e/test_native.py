"""Responses to providers that serve them: bytes pass, settled all the same. Azure's headers, too.

And what of a client's headers goes on to a provider of its dialect.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import openai
import pytest

from entente.domain.chat import Status
from entente.domain.usage import Usage
from entente.ledger.model import Settlement
from tests.kit.house import TESTS
from tests.support.rawserver import Peer
from tests.support.server import EntenteServer, Got, Key
from tests.support.upstream import EVENTS_HEAD, LAST_CHUNK, UpstreamThread, chunk

CAPTURES: Final = TESTS / "wire" / "captures"
STREAM: Final = (CAPTURES / "openai-responses-text.sse").read_bytes()
AZURES: Final = (CAPTURES / "azure-responses.json").read_bytes()
ANTHROPICS: Final = (CAPTURES / "anthropic-text.sse").read_bytes()
WORDS: Final = {"input_tokens": 7, "output_tokens": 5}
SEARCH: Final = (
    b'event: response.web_search_call.searching\ndata: {"type":"response.web_search_call.searching"'
    b',"output_index":0,"item_id":"ws_1","sequence_number":2}\n\n'
    b'event: response.novel.thing\ndata: {"type":"response.novel.thing","odd" : [1.50]}\n\n'
)
PROVIDERS: Final = """
[providers.{name}]
kind = "{kind}"
base_url = "{url}"
api_key = "env:VENDOR_KEY"
{more}
[models."{name}"]
targets = [{{ provider = "{name}", model = "their-{name}" }}]
price = {{ currency = "USD", per = "1M tokens", input = "1", output = "2" }}
"""
KINDS: Final = {
    "openai": ("openai", "/v1", "responses = true"),
    "chatty": ("openai", "/v1", ""),
    "azure": ("azure", "", ""),
    "classic": ("azure", "", 'api_version = "2025-04-01-preview"\nresponses = true'),
    "claude": ("anthropic", "", 'betas = ["ours-2026-01-01"]'),
}


class Bench(NamedTuple):
    """A server in front of one upstream that plays every vendor."""

    server: EntenteServer
    upstream: UpstreamThread
    keys: Iterator[Key]

    def plays(
        self, body: bytes, *, status: int = 200, head: bytes = b"", cut: bool = False
    ) -> None:
        """Answer with these bytes, as a stream where they are one; `cut` breaks off behind them."""

        async def play(peer: Peer, _: dict[str, Any]) -> None:
            if body.startswith(b"event:"):
                await peer.send(EVENTS_HEAD.replace(b"\r\n\r\n", b"\r\n" + head + b"\r\n"))
                for at in range(0, len(body), 97):
                    await peer.send(chunk(body[at : at + 97]))
                if cut:
                    peer.reset()
                await peer.send(LAST_CHUNK)
                return
            line = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%b" % (status, head)
            await peer.send(line + b"Content-Length: %d\r\n\r\n" % len(body) + body)

        self.upstream.upstream.play = play

    def post(
        self, path: str, body: dict[str, Any] | bytes, **headers: str
    ) -> tuple[Got, Settlement]:
        """Ask with a key of its own; give the answer and its one settlement."""
        key = next(self.keys)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"authorization": f"Bearer {key.secret}", **names}
        # What passes untouched is as the upstream of these tests says it, in few members.
        got = self.server.ask("POST", path, headers=sent, body=data, as_specified=False)
        (settled,) = self.server.settled(key)
        return got, settled

    @property
    def asked(self) -> dict[str, Any]:
        """The last body that the upstream got."""
        body: dict[str, Any] = json.loads(self.upstream.upstream.bodies[-1])
        return body

    @property
    def head(self) -> bytes:
        """The last head that it got, in lower case."""
        return self.upstream.upstream.heads[-1].lower()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Run it all; at the end the journal has to be whole."""
    folder: Path = tmp_path_factory.mktemp("native")
    with UpstreamThread() as upstream:
        url = upstream.upstream.base_url
        config = "".join(
            PROVIDERS.format(name=name, kind=kind, url=url + path, more=more)
            for name, (kind, path, more) in KINDS.items()
        )
        server = EntenteServer(folder, config, environ={"VENDOR_KEY": "sk-vendor-canary"})
        keys = server.make_keys(100)
        with server:
            yield Bench(server, upstream, iter(keys))
            assert server.stop() == 0
            server.verify_at_rest()
            assert server.err_log.read_text() == ""


# ---- responses ----


def test_a_stream_passes_byte_for_byte(bench: Bench) -> None:
    """Events that nobody here has heard of included; the request but for the model's name."""
    recorded = STREAM.replace(
        b"event: response.output_item.added", SEARCH + b"event: response.output_item.added", 1
    )
    bench.plays(recorded)
    body = (
        b'{"model": "openai","input" :"hi","stream":true, "future":[1.50],"tools":[{"type":'
        b'"web_search","odd":{}}],"include":["reasoning.encrypted_content"],"store" : false}'
    )
    got, settled = bench.post("/v1/responses", body)
    assert got.body == recorded
    assert got.headers["content-type"] == "text/event-stream"
    assert "x-entente-dropped" not in got.headers
    assert bench.upstream.upstream.bodies[-1] == (
        b'{"model":"their-openai","input":"hi","stream":true,"future":[1.50],"tools":[{"type":'
        b'"web_search","odd":{}}],"include":["reasoning.encrypted_content"],"store":false}'
    )
    assert bench.head.startswith(b"post /v1/responses http/1.1\r\n")
    assert (settled.status, settled.usage) == (Status.COMPLETE, Usage(input=7, output=5))
    assert (settled.cost_nano, settled.estimated) == (7 * 1000 + 5 * 2000, False)


def test_a_kept_answer_is_told_as_ours(bench: Bench) -> None:
    """The provider keeps nothing; the client gets an id of ours, and all else as it came."""
    bench.plays(STREAM)
    got, settled = bench.post(
        "/v1/responses", {"model": "openai", "input": "hi", "stream": True, "metadata": {}}
    )
    assert bench.asked["store"] is False
    own = f"resp_{settled.id.removeprefix('req_')}".encode()
    theirs = re.findall(rb'"id":"(resp_[^"]+)"', STREAM)
    assert set(re.findall(rb'"id":"(resp_[^"]+)"', got.body)) == {own}
    plain = got.body.replace(own, theirs[0]).replace(b',"store":true', b"")
    assert plain == STREAM.replace(b',"store":true', b"")
    assert (settled.status, settled.usage) == (Status.COMPLETE, Usage(input=7, output=5))


@pytest.mark.parametrize(
    ("said", "status", "usage"),
    [
        ({"status": "completed"}, Status.COMPLETE, Usage(input=7, output=5)),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            Status.LENGTH,
            Usage(input=7, output=5),
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            Status.FILTERED,
            Usage(input=7, output=5),
        ),
        (
            {"status": "failed", "error": {"code": "server_error", "message": "no"}},
            Status.FAILED,
            Usage(input=7, output=5),
        ),
    ],
)
def test_whole_answers(bench: Bench, said: dict[str, Any], status: Status, usage: Usage) -> None:
    """Bytes as they are; one status, and the usage that was reported."""
    body = json.dumps({"id": "resp_1", "object": "response", **said, "usage": WORDS}).encode()
    bench.plays(body)
    got, settled = bench.post("/v1/responses", {"model": "openai", "input": "hi", "store": False})
    assert (got.status, got.body) == (200, body)
    assert (settled.status, settled.usage) == (status, usage)


def test_a_whole_answer_is_half_or_none(bench: Bench) -> None:
    """Half of one is a failure of the provider's, and costs what was held."""
    bench.plays(b'{"id":"resp_1","object":"response","status":"comp')
    got, settled = bench.post("/v1/responses", {"model": "openai", "input": "hi", "store": False})
    assert (got.status, got.error["code"]) == (502, "upstream_failed")
    assert (settled.status, settled.estimated) == (Status.FAILED, True)


@pytest.mark.parametrize("cut", [True, False])
def test_a_stream_that_breaks_off(bench: Bench, cut: bool) -> None:
    """The error event is numbered behind what came, and nothing says that it is complete."""
    half = STREAM[: STREAM.index(b"event: response.output_text.done")]
    bench.plays(half, cut=cut)
    body = {"model": "openai", "input": "hi", "stream": True, "store": False}
    got, settled = bench.post("/v1/responses", body)
    assert got.body.startswith(half)
    (error,) = re.findall(rb"event: error\ndata: (.*)\n\n", got.body[len(half) :])
    numbers = re.findall(rb'"sequence_number":(\d+)', half)
    assert json.loads(error)["sequence_number"] == int(numbers[-1]) + 1
    assert (settled.status, settled.estimated) == (Status.TRUNCATED, True)


def test_a_failure_in_the_middle(bench: Bench) -> None:
    """What the provider says of it passes, and is the end."""
    failed = (
        b'event: response.failed\ndata: {"type":"response.failed","response":{"id":"r","status":'
        b'"failed","error":{"code":"server_error","message":"no"},"usage":{"input_tokens":3,'
        b'"output_tokens":1}},"sequence_number":9}\n\n'
    )
    data = STREAM[: STREAM.index(b"event: response.output_text.done")] + failed
    bench.plays(data)
    got, settled = bench.post(
        "/v1/responses", {"model": "openai", "input": "hi", "stream": True, "store": False}
    )
    assert got.body == data
    assert (settled.status, settled.usage) == (Status.FAILED, Usage(input=3, output=1))


def test_refusals_pass(bench: Bench) -> None:
    """In the provider's words, byte for byte."""
    body = b'{"error": {"message":"No.","type":"invalid_request_error","param":"x","code":null}}'
    bench.plays(body, status=400)
    got, settled = bench.post(
        "/v1/responses", {"model": "openai", "input": "hi", "x": 1, "store": False}
    )
    assert (got.status, got.body) == (400, body)
    assert (settled.status, settled.usage, settled.cost_nano) == (Status.FAILED, Usage(), 0)


def test_a_provider_without_responses_is_asked_to_chat(bench: Bench) -> None:
    """Which is what most servers that speak OpenAI's dialect take."""
    bench.plays(
        b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
        b'"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
    )
    got, _ = bench.post("/v1/responses", {"model": "chatty", "input": "hi", "store": False})
    assert got.json["output"][0]["content"][0]["text"] == "ok"
    assert bench.head.startswith(b"post /v1/chat/completions ")
    assert bench.asked["messages"] == [{"role": "user", "content": "hi"}]


def test_the_official_client(bench: Bench) -> None:
    """Strictly validated, hosted tools and all."""
    bench.plays(STREAM)
    key = next(bench.keys)
    with (
        openai.OpenAI(
            base_url=bench.server.base_url,
            api_key=key.secret,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(trust_env=False),
            _strict_response_validation=True,
        ) as client,
        client.responses.stream(
            model="openai", input="ping", tools=[{"type": "web_search"}]
        ) as stream,
    ):
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[-1] == "response.completed"
    assert final.output_text == "pong"
    assert bench.asked["tools"] == [{"type": "web_search"}]
    assert bench.server.settled(key)[0].usage == Usage(input=7, output=5)


def test_many_at_once_with_the_asynchronous_client(bench: Bench) -> None:
    """Streams side by side come whole, each settled once."""
    bench.plays(STREAM)
    key = next(bench.keys)

    async def main() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=bench.server.base_url,
            api_key=key.secret,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
        ) as client:

            async def one() -> str:
                stream = await client.responses.create(
                    model="openai", input="ping", stream=True, store=False
                )
                return "".join(
                    [e.delta async for e in stream if e.type == "response.output_text.delta"]
                )

            return list(await asyncio.gather(*(one() for _ in range(20))))

    assert asyncio.run(main()) == ["pong"] * 20
    settled = bench.server.settled(key, 20)
    assert {entry.usage for entry in settled} == {Usage(input=7, output=5)}


# ---- Azure ----


@pytest.mark.parametrize("version", ["2025-04-01-preview", "2024-10-21"])
def test_azures_official_client(bench: Bench, version: str) -> None:
    """On the classic surface, whatever its date; what Azure checked is there to be read."""
    bench.plays(AZURES)
    key = next(bench.keys)
    with openai.AzureOpenAI(
        azure_endpoint=f"http://127.0.0.1:{bench.server.port}",
        api_version=version,
        api_key=key.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as client:
        response = client.responses.create(model="azure", input="Capital?", store=False)
    assert response.output_text == "Paris"
    assert (response.model_extra or {})["content_filters"]
    assert bench.server.settled(key)[0].usage == Usage(input=18, output=5)


@pytest.mark.parametrize(
    ("model", "target"),
    [
        ("azure", b"post /openai/v1/responses http/1.1"),
        ("classic", b"post /openai/responses?api-version=2025-04-01-preview http/1.1"),
    ],
)
def test_azure_serves_responses(bench: Bench, model: str, target: bytes) -> None:
    """The body names the deployment; Azure's clients get the checks, OpenAI's do not."""
    bench.plays(AZURES, head=b"x-ms-region: East US 2\r\nx-ms-rai-invoked: true\r\n")
    asked = {"model": model, "input": "Capital?", "store": False}
    got, settled = bench.post("/openai/v1/responses", asked)
    assert got.body == AZURES
    assert got.headers["x-ms-region"] == "East US 2"
    assert got.headers["x-ms-rai-invoked"] == "true"
    assert got.headers["x-ms-deployment-name"] == model
    assert bench.head.startswith(target + b"\r\n")
    assert b"\r\napi-key: sk-vendor-canary\r\n" in bench.head
    assert bench.asked["model"] == f"their-{model}"
    assert (settled.status, settled.usage) == (Status.COMPLETE, Usage(input=18, output=5))
    plain, _ = bench.post("/v1/responses", asked)
    recorded = json.loads(AZURES)
    assert recorded.pop("content_filters")
    assert plain.json == recorded
    assert "x-ms-region" not in plain.headers


def test_a_stream_of_azures_has_no_checks_for_others(bench: Bench) -> None:
    """Only the events with a whole response are written anew."""
    checked = STREAM.replace(b'"metadata":{}}', b'"metadata":{},"content_filters":[{"a":1}]}')
    assert checked != STREAM
    bench.plays(checked)
    asked = {"model": "azure", "input": "ping", "stream": True, "store": False}
    assert bench.post("/openai/v1/responses", asked)[0].body == checked
    got, settled = bench.post("/v1/responses", asked)
    assert b"content_filters" not in got.body
    assert got.body == STREAM
    assert settled.status is Status.COMPLETE


def test_a_clients_own_id_is_given_back(bench: Bench) -> None:
    """With answers, and with refusals before there is a request."""
    bench.plays(AZURES)
    asked = {"model": "azure", "input": "hi", "store": False}
    got, _ = bench.post("/openai/v1/responses", asked, x_ms_client_request_id="mine-1")
    assert got.headers["x-ms-client-request-id"] == "mine-1"
    assert b"mine-1" not in bench.head
    refused = bench.server.ask(
        "POST", "/openai/v1/responses", headers={"x-ms-client-request-id": "mine-2"}, body=b"{}"
    )
    assert (refused.status, refused.headers["x-ms-client-request-id"]) == (401, "mine-2")
    plain, _ = bench.post("/v1/responses", asked, x_ms_client_request_id="mine-3")
    assert "x-ms-client-request-id" not in plain.headers


FILTERED: Final = {
    "error": {
        "message": "The response was filtered.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"jailbreak": {"filtered": True, "detected": True}},
        },
    }
}
CHAT: Final = {"messages": [{"role": "user", "content": "hi"}]}
CLASSIC: Final = "/openai/deployments/{}/chat/completions?api-version=2024-10-21"


def test_a_filtered_prompt(bench: Bench) -> None:
    """Azure's own words pass; of another provider's refusal the form is Azure's, too."""
    body = json.dumps(FILTERED).encode()
    bench.plays(body, status=400)
    assert bench.post(CLASSIC.format("azure"), CHAT)[0].body == body
    through_openai = bench.post(CLASSIC.format("openai"), CHAT)[0].error
    assert through_openai["innererror"] == FILTERED["error"]["innererror"]
    assert (through_openai["code"], through_openai["status"]) == ("content_filter", 400)
    plain = bench.post("/v1/chat/completions", {"model": "azure", **CHAT})[0].error
    assert plain == {
        "message": "The response was filtered.",
        "type": "invalid_request_error",
        "param": "prompt",
        "code": "content_filter",
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "DeploymentNotFound"),
        (429, "429"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
    ],
)
def test_what_a_provider_refuses_is_said_as_azure_does(
    bench: Bench, status: int, code: str
) -> None:
    """Whatever the dialect it was said in, and on which surface."""
    said = {"message": "Not now.", "type": "t", "param": None, "code": "c"}
    bench.plays(json.dumps({"error": said}).encode(), status=status)
    for path, body in (
        (CLASSIC.format("openai"), CHAT),
        ("/openai/v1/responses", {"model": "openai", "input": "hi", "store": False}),
        (CLASSIC.format("claude"), CHAT),
    ):
        got, _ = bench.post(path, body)
        assert (got.status, got.json) == (status, {"error": {"code": code, "message": "Not now."}})


# ---- headers ----


def test_versions_and_betas_go_on(bench: Bench) -> None:
    """A client's version replaces ours, its betas come behind ours; credentials stay here."""
    bench.plays(ANTHROPICS)
    body = {"model": "claude", "max_tokens": 9, "stream": True, **CHAT}
    got, _ = bench.post(
        "/v1/messages?beta=true",
        body,
        anthropic_version="2023-01-01",
        anthropic_beta="one-1, ours-2026-01-01,two-2",
        x_secret="canary-of-a-client",
        cookie="canary-cookie",
    )
    assert got.body == ANTHROPICS
    assert b"\r\nanthropic-version: 2023-01-01\r\n" in bench.head
    assert b"\r\nanthropic-beta: ours-2026-01-01,one-1,two-2\r\n" in bench.head
    assert b"canary-of" not in bench.head
    assert b"canary-cookie" not in bench.head
    bench.post("/v1/messages", body)
    assert b"\r\nanthropic-version: 2023-06-01\r\n" in bench.head
    assert b"\r\nanthropic-beta: ours-2026-01-01\r\n" in bench.head


@pytest.mark.parametrize("value", ["a\tb", "x" * 1025, "caf\xe9", "a b", ""])
def test_what_is_no_list_of_betas_does_not_go_on(bench: Bench, value: str) -> None:
    """Nor what is too long."""
    bench.plays(ANTHROPICS)
    body = {"model": "claude", "max_tokens": 9, "stream": True, **CHAT}
    bench.post("/v1/messages", body, anthropic_beta=value)
    assert b"\r\nanthropic-beta: ours-2026-01-01\r\n" in bench.head


def test_headers_do_not_cross(bench: Bench) -> None:
    """What one vendor's header means, no other knows; OpenAI's goes to OpenAI's dialect."""
    bench.plays(STREAM)
    asked = {"model": "openai", "input": "hi", "stream": True, "store": False}
    bench.post("/v1/responses", asked, openai_beta="responses=v1", anthropic_beta="one")
    assert b"\r\nopenai-beta: responses=v1\r\n" in bench.head
    assert b"anthropic-beta" not in bench.head
    body = {"model": "chatty", "max_tokens": 9, **CHAT}
    bench.post("/v1/messages", body, anthropic_version="2023-06-01", anthropic_beta="one")
    assert b"anthropic" not in bench.head
