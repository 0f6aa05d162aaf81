"""Requests and answers that nobody would send: nothing breaks, and everything is settled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente.domain.chat import Status
from tests.kit.run import PROPERTY
from tests.support.clients.client import Client, Wish
from tests.support.matrix import features, fuzzing
from tests.support.matrix.features import PASSES
from tests.support.matrix.page import CLIENTS
from tests.support.server import wait_until
from tests.support.standins.responses import SURFACE
from tests.support.standins.scenes import SCENES, Asked, Scene

if TYPE_CHECKING:
    from tests.support.matrix.bench import Bench
    from tests.support.server import Got

REQUESTS: Final = {
    features.OPENAI: fuzzing.OPENAI,
    features.AZURE: fuzzing.OPENAI,
    features.RESPONSES: fuzzing.RESPONSES,
    features.ANTHROPIC: fuzzing.ANTHROPIC,
}
EXAMPLES: Final = 100
"""A few seconds' worth for each test."""
CAPTURES: Final = Path(__file__).parents[1] / "wire" / "captures"
RECORDED: Final = {
    "openai": ("openai-parallel-tools.sse", "tools-with-usage.sse", "text-crlf-comments.sse"),
    "azure": ("azure-text.sse",),
    "anthropic": ("anthropic-tools.sse", "anthropic-refusal.sse"),
    SURFACE: ("openai-responses-text.sse",),
}
"""Streams of the vendors' own; the others' are those of the stand-ins."""
ENDED: Final = (Status.COMPLETE, Status.LENGTH, Status.FILTERED)
MARKS: Final = {
    features.OPENAI: (b"data: [DONE]",),
    features.AZURE: (b"data: [DONE]",),
    features.RESPONSES: (b"event: response.completed", b"event: response.incomplete"),
    features.ANTHROPIC: (b"event: message_stop",),
}
"""With what the event begins that ends a stream."""
PROVIDER_FAULTS: Final = (502, 504)
"""What a provider's answer that cannot be read may become."""
EVERY: Final = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
FUZZ: Final = settings(PROPERTY, max_examples=EXAMPLES)


def send(bench: Bench, client: Client, body: bytes, model: str = "openai") -> Got:
    """Send a body; whatever it is, the answer is no failure of ours, and nothing stays held."""
    key = bench.key()
    got = bench.post(client.path(model), client.headers(key.secret), body)
    if b'"queued"' in got.body:  # it is made in the background, and settles when it is
        wait_until(lambda: len(bench.entries(key)) == 2, "the settlement")
    entries = bench.entries(key)
    kinds = [entry.idempotency_prefix for entry in entries]
    assert kinds in ([], ["hold", "settle"]), got.body
    if got.status >= 400:
        assert client.wrong(got.body).message
    return got


def alive(bench: Bench) -> None:
    """See that the server lives, and that its journal is at rest."""
    assert bench.server.get("/healthz").status == 200
    bench.server.verify_at_rest()


@EVERY
def test_requests_of_any_form(bench: Bench, client: Client) -> None:
    """Every member odd, missing, or as it should be; to every provider."""

    @FUZZ
    @given(REQUESTS[client.name])
    def holds(body: Any) -> None:
        named = body.get("model")
        model = named if isinstance(named, str) and named else "openai"
        got = send(bench, client, fuzzing.encoded(body), model)
        assert got.status < 500, got.body

    holds()
    alive(bench)


@EVERY
def test_requests_of_nearly_json(bench: Bench, client: Client) -> None:
    """A good request with some bytes changed."""

    @FUZZ
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        wish = data.draw(st.sampled_from(WISHES[client.name == features.RESPONSES :]))
        model = data.draw(st.sampled_from(fuzzing.MODELS))
        good = json.dumps(client.body(wish, model), ensure_ascii=False).encode()
        got = send(bench, client, data.draw(fuzzing.mutated(good)), model)
        assert got.status < 500, got.body

    holds()
    alive(bench)


WISHES: Final = (
    Wish(scene="text", system="Be brief.", settings={"temperature": 0.5, "stop": ["a", "b"]}),
    Wish(
        scene="parallel",
        stream=True,
        tools=(("get_weather", {"type": "object", "properties": {"a": {"type": "number"}}}),),
        history=(
            ("user", "text", "And?"),
            ("model", "call", "call_1", "get_weather", {"a": 1}),
            ("user", "result", "call_1", "sunny"),
        ),
    ),
    Wish(scene="json", form={"type": "object"}, parts=(("image", "image/png", "aGk="),)),
)


def recorded(
    bench: Bench, client: Client, provider: str, scene: str, *, stream: bool
) -> list[bytes]:
    """Give answers of a provider to change: its stand-in's, and recorded ones."""
    passing = client.name == features.RESPONSES and (client.name, provider) in PASSES
    surface = SURFACE if passing else "chat"
    standin = bench.vendors[provider].standin
    assert standin is not None
    asked = Asked(surface=surface, model="m", stream=stream, said=())
    played: Scene = SCENES[scene]
    if not stream:
        return [standin.whole(played, asked)]
    first, end = standin.events(played, asked)
    names = RECORDED.get(surface if passing else provider, ())
    return [b"".join(first + end), *((CAPTURES / name).read_bytes() for name in names)]


@EVERY
@pytest.mark.parametrize("provider", ["openai", "azure", "anthropic", "gemini", "bedrock"])
def test_streams_with_some_bytes_changed(bench: Bench, client: Client, provider: str) -> None:
    """What the client gets is valid, and has an end exactly where the ledger says so.

    Of the same dialect the bytes pass, and only an end that is none would be a lie.
    """
    standin = bench.vendors[provider].standin
    assert standin is not None
    body = json.dumps(client.body(Wish(scene="text", stream=True), provider)).encode()

    @settings(FUZZ, max_examples=EXAMPLES // 4)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        scene = data.draw(st.sampled_from(["text", "thinking", "parallel", "filtered"]))
        good = data.draw(st.sampled_from(recorded(bench, client, provider, scene, stream=True)))
        standin.raw = data.draw(fuzzing.mutated(good))
        key = bench.key()
        translated = (client.name, provider) not in PASSES
        got = bench.post(
            client.path(provider), client.headers(key.secret), body, as_specified=translated
        )
        settled = bench.settlement(key)
        assert got.status == 200
        ended = got.body.strip().rpartition(b"\n\n")[2].startswith(MARKS[client.name])
        assert settled.status in ENDED or not ended, got.body[-300:]
        if translated:
            assert ended is (settled.status in ENDED), got.body[-300:]
            assert (client.read_stream(got.body).failure is None) is ended

    try:
        holds()
    finally:
        standin.raw = None
    alive(bench)


@EVERY
@pytest.mark.parametrize("provider", ["openai", "azure", "anthropic", "gemini", "bedrock"])
def test_answers_with_some_bytes_changed(bench: Bench, client: Client, provider: str) -> None:
    """A whole answer is one, or is the provider's fault, and is charged for once."""
    standin = bench.vendors[provider].standin
    assert standin is not None
    body = json.dumps(client.body(Wish(scene="text"), provider)).encode()

    @settings(FUZZ, max_examples=EXAMPLES // 4)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        scene = data.draw(st.sampled_from(["text", "thinking", "parallel", "filtered"]))
        (good,) = recorded(bench, client, provider, scene, stream=False)
        standin.raw = data.draw(fuzzing.mutated(good))
        key = bench.key()
        translated = (client.name, provider) not in PASSES
        got = bench.post(
            client.path(provider), client.headers(key.secret), body, as_specified=translated
        )
        settled = bench.settlement(key)
        if got.status in PROVIDER_FAULTS:
            assert client.wrong(got.body).message
            assert settled.status is Status.FAILED
        else:
            assert got.status == 200

    try:
        holds()
    finally:
        standin.raw = None
    alive(bench)
