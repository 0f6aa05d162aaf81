"""Anthropic's official Python client against the real server, with providers of all dialects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import anthropic
import pytest
from anthropic.types import Message, MessageParam, ToolParam

from tests.support.matrix.page import PROVIDERS
from tests.support.standins.gemini import SIGNATURE
from tests.support.standins.scenes import SCENES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.matrix.bench import Bench
    from tests.support.server import EntenteServer, Key

WEATHER: Final[ToolParam] = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CITIES: Final = [{"city": "Paris"}, {"city": "Rome"}]


def said(text: str) -> list[MessageParam]:
    """Write a conversation of one user message."""
    return [{"role": "user", "content": text}]


def connect(server: EntenteServer, key: Key, prefix: str = "") -> anthropic.Anthropic:
    """Make a client as its users do, without retries."""
    return anthropic.Anthropic(
        base_url=f"http://127.0.0.1:{server.port}{prefix}",
        api_key=key.secret,
        max_retries=0,
        http_client=anthropic.DefaultHttpxClient(trust_env=False),
        _strict_response_validation=True,
    )


def text_of(message: Message) -> str:
    """Give the text of a message."""
    return "".join(block.text for block in message.content if block.type == "text")


@pytest.fixture
def client(server: EntenteServer, key: Key) -> Iterator[anthropic.Anthropic]:
    """Give a client of the shared server."""
    with connect(server, key) as made:
        yield made


@pytest.mark.parametrize("prefix", ["", "/anthropic"])
def test_unary_answer_is_read_and_settled(server: EntenteServer, key: Key, prefix: str) -> None:
    """Under both addresses: valid, named by its request, and in the ledger by then."""
    with connect(server, key, prefix) as client:
        raw = client.messages.with_raw_response.create(
            model="m", max_tokens=50, messages=said("one two")
        )
    message = raw.parse()
    assert text_of(message) == "one two"
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (2, 2)
    (entry,) = server.settlements(key)
    assert message._request_id == raw.headers["request-id"] == entry.id
    assert (entry.status, entry.usage.input, entry.usage.output) == ("complete", 2, 2)


@pytest.mark.parametrize("prefix", ["", "/anthropic"])
def test_stream_is_accumulated(server: EntenteServer, key: Key, prefix: str) -> None:
    """The client's own accumulator gives the whole message, with its usage."""
    with (
        connect(server, key, prefix) as client,
        client.messages.stream(model="m", max_tokens=50, messages=said("a b c")) as stream,
    ):
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert "".join(pieces) == "a b c"
    assert len(pieces) == 3
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 3)
    (entry,) = server.settlements(key)
    assert (entry.usage.input, entry.usage.output, entry.estimated) == (3, 3, False)


def test_beta_calls_and_bearer_tokens(server: EntenteServer, key: Key) -> None:
    """`?beta=true` is the same route, and a token may stand in the other header."""
    with anthropic.Anthropic(
        base_url=f"http://127.0.0.1:{server.port}",
        auth_token=key.secret,
        max_retries=0,
        http_client=anthropic.DefaultHttpxClient(trust_env=False),
    ) as client:
        message = client.beta.messages.create(
            model="m", max_tokens=50, messages=[{"role": "user", "content": "hi there"}]
        )
    assert [block.text for block in message.content if block.type == "text"] == ["hi there"]


def test_tools_and_their_results(client: anthropic.Anthropic) -> None:
    """Both calls come, their results go back, and the model speaks."""
    first = client.messages.create(
        model="m", max_tokens=50, messages=said("weather?"), tools=[WEATHER]
    )
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [call.input for call in calls] == CITIES
    assert len({call.id for call in calls}) == 2
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls
    ]
    talk = [
        *said("weather?"),
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    second = client.messages.create(
        model="m", max_tokens=50, messages=cast("Any", talk), tools=[WEATHER]
    )
    assert text_of(second) == "It is sunny in Paris."


def test_streamed_tool_arguments(client: anthropic.Anthropic) -> None:
    """Arguments are put together from their pieces, call by call."""
    with client.messages.stream(
        model="m", max_tokens=50, messages=said("weather?"), tools=[WEATHER]
    ) as stream:
        message = stream.get_final_message()
    assert [block.input for block in message.content if block.type == "tool_use"] == CITIES
    assert message.stop_reason == "tool_use"


def test_errors_are_the_clients_own(client: anthropic.Anthropic) -> None:
    """Each refusal is the exception that the client has for it, in Anthropic's words."""
    create = client.messages.create
    with pytest.raises(anthropic.NotFoundError) as missing:
        create(model="nope", max_tokens=5, messages=said("hi"))
    assert missing.value.body == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "model: nope"},
        "request_id": missing.value.request_id,
    }
    with pytest.raises(anthropic.BadRequestError, match="at least one message is required"):
        create(model="m", max_tokens=5, messages=[])
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: Field required"):
        create(model="m", messages=said("hi"), max_tokens=cast("int", anthropic.omit), stream=True)
    with pytest.raises(anthropic.BadRequestError, match="Unexpected role"):
        create(model="m", max_tokens=5, messages=[{"role": cast("Any", "bogus"), "content": "x"}])
    with pytest.raises(anthropic.AuthenticationError) as unknown:
        client.with_options(api_key="sk-wrong").messages.create(
            model="m", max_tokens=5, messages=said("hi")
        )
    assert cast("Any", unknown.value.body)["error"]["type"] == "authentication_error"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve("msgbatch_nothing")


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("fails twice with 500 for anthropic", 3),
        ("fails twice with 429 for anthropic", 3),
        ("do retry for anthropic", 2),
    ],
)
def test_retries_end_in_an_answer(
    client: anthropic.Anthropic, server: EntenteServer, key: Key, text: str, calls: int
) -> None:
    """The client retries as the provider asks, and every attempt has an entry of its own."""
    patient = client.with_options(max_retries=2)
    message = patient.messages.create(model="m", max_tokens=50, messages=said(text))
    assert text_of(message) == text
    statuses = [(e.status, e.cost_nano == 0) for e in server.settlements(key)]
    assert statuses == [("failed", True)] * (calls - 1) + [("complete", False)]


def test_should_not_retry_is_honoured(
    client: anthropic.Anthropic, server: EntenteServer, key: Key
) -> None:
    """`x-should-retry: false` reaches the client: one attempt."""
    with pytest.raises(anthropic.InternalServerError):
        client.with_options(max_retries=2).messages.create(
            model="m", max_tokens=5, messages=said("never retry")
        )
    assert len(server.settlements(key)) == 1


@pytest.mark.parametrize("kind", ["close", "eof", "error_event"])
def test_broken_streams(
    client: anthropic.Anthropic, server: EntenteServer, key: Key, kind: str
) -> None:
    """A stream that breaks off raises instead of looking like a short answer."""
    with (
        client.messages.stream(
            model="m", max_tokens=50, messages=said(f"break with {kind}")
        ) as stream,
        pytest.raises(anthropic.APIStatusError) as broken,
    ):
        stream.get_final_message()
    assert broken.value.status_code == 200
    assert cast("Any", broken.value.body)["type"] == "error"
    (entry,) = server.settlements(key)
    assert entry.status == ("failed" if kind == "error_event" else "truncated")


def test_an_end_without_its_marker(
    client: anthropic.Anthropic, server: EntenteServer, key: Key
) -> None:
    """A provider that gave its reason has ended, marker or not; the client gets the marker."""
    with client.messages.stream(
        model="m", max_tokens=50, messages=said("break with no_done")
    ) as stream:
        message = stream.get_final_message()
    assert (message.stop_reason, text_of(message)) == ("end_turn", "Once upon a time")
    assert [entry.status for entry in server.settlements(key)] == ["complete"]


def test_cancelled_stream_is_settled(
    client: anthropic.Anthropic, server: EntenteServer, key: Key
) -> None:
    """A client that closes in the middle leaves one entry: cancelled, with tokens."""
    with client.messages.create(
        model="m", max_tokens=500, messages=said("many words"), stream=True
    ) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                break
    (entry,) = server.settled(key)
    assert (entry.status, entry.estimated) == ("cancelled", True)
    assert entry.usage.output > 0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_tool_loop_with_every_provider(bench: Bench, provider: str) -> None:
    """The answer goes back as it came, thoughts and signatures included, and is understood."""
    talk: list[Any] = [{"role": "user", "content": "scene:parallel"}]
    with connect(bench.server, bench.key()) as client:
        with client.messages.stream(
            model=provider, max_tokens=300, messages=talk, tools=[WEATHER]
        ) as stream:
            first = stream.get_final_message()
        calls = [block for block in first.content if block.type == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls
        ]
        talk.append({"role": "assistant", "content": first.content})
        last: list[Any] = [*results, {"type": "text", "text": "Go on: scene:text"}]
        talk.append({"role": "user", "content": last})
        second = client.messages.create(
            model=provider, max_tokens=300, messages=talk, tools=[WEATHER]
        )
    assert [call.name for call in calls] == ["get_weather"] * 2
    assert text_of(second) == SCENES["text"].text
    standin = bench.vendors[provider].standin
    if standin is not None:
        heard = [part[1:] for part in standin.asked[-1].said if part[1] in {"call", "result"}]
        assert [part[1] for part in heard] == [call.id for call in calls] * 2
        assert [part[2] for part in heard if part[0] == "result"] == ["sunny", "sunny"]
    if provider == "gemini":
        sent = bench.vendors[provider].standin.requests[-1].body  # type: ignore[union-attr]
        assert f'"thoughtSignature":"{SIGNATURE}"'.encode() in sent


@pytest.mark.parametrize("provider", PROVIDERS)
def test_thoughts_are_shown(bench: Bench, provider: str) -> None:
    """Those of a provider that tells them, with the signature that it wants to see again."""
    with connect(bench.server, bench.key()) as client:
        message = client.messages.create(
            model=provider, max_tokens=300, messages=said("scene:thinking")
        )
    told = bench.told[provider].tells(SCENES["thinking"], stream=False)
    thoughts = [block for block in message.content if block.type == "thinking"]
    assert "".join(block.thinking for block in thoughts) == told.thought
    if provider in {"anthropic", "bedrock"}:
        assert [block.signature for block in thoughts] == ["c2lnbmVk"]


@pytest.mark.parametrize("prefix", ["", "/anthropic"])
def test_models_are_listed(server: EntenteServer, key: Key, prefix: str) -> None:
    """The same models as OpenAI's clients see, in Anthropic's form; others are not there."""
    with connect(server, key, prefix) as client:
        listed = [model.id for model in client.models.list()]
        assert listed == [m["id"] for m in server.get("/v1/models", key=key.secret).json["data"]]
        found = client.models.retrieve("m")
        assert (found.id, found.type, found.display_name) == ("m", "model", "m")
        with pytest.raises(anthropic.NotFoundError):
            client.models.retrieve("nothing")
