"""The official SDKs against the model that comes with the product, with no configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

import openai
import pytest

from entente.engine import builtin_model_path
from tests.support.node import play
from tests.support.server import EntenteServer, Key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

MODEL: Final = "entente-tiny"
KEYS: Final = 24
EXTRACT: Final = "Extract name and age as JSON: Anna is 34 years old."
SCHEMA: Final = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather for a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def said(text: str) -> list[ChatCompletionMessageParam]:
    """Write a conversation of one user message."""
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def serving(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[EntenteServer, Iterator[Key]]]:
    """Run a server as a new user does: no provider and no model in its configuration."""
    assert builtin_model_path().is_file(), "the built-in model belongs to the product"
    server = EntenteServer(tmp_path_factory.mktemp("builtin"), "", server="drain_s = 0.5")
    keys = [server.make_key(budget_nano=10**9) for _ in range(KEYS)]
    with server:
        yield server, iter(keys)
        assert server.stop() == 0
        server.verify_at_rest()


@pytest.fixture
def server(serving: tuple[EntenteServer, Iterator[Key]]) -> EntenteServer:
    """Give the server with the built-in model."""
    return serving[0]


@pytest.fixture
def key(serving: tuple[EntenteServer, Iterator[Key]]) -> Key:
    """Give a key of the test's own."""
    return next(serving[1])


@pytest.fixture
def client(server: EntenteServer, key: Key) -> Iterator[openai.OpenAI]:
    """Give a strict client without retries."""
    with openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
        _strict_response_validation=True,
    ) as made:
        yield made


def test_it_says_who_it_is(client: openai.OpenAI, server: EntenteServer, key: Key) -> None:
    """A whole answer validates strictly; its usage is the runtime's and costs nothing."""
    answer = client.chat.completions.create(
        model=MODEL, messages=said("Who are you?"), temperature=0
    )
    assert "entente-tiny" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    (entry,) = server.settlements(key)
    assert answer.usage is not None
    assert (entry.status, entry.estimated, entry.cost_nano) == ("complete", False, 0)
    assert entry.usage.output == answer.usage.completion_tokens > 0


def test_it_streams_the_same(client: openai.OpenAI, server: EntenteServer, key: Key) -> None:
    """A stream adds up to the whole answer, with and without the usage event."""
    whole = client.chat.completions.create(
        model=MODEL, messages=said("Who are you?"), temperature=0
    )
    for options in ({}, {"stream_options": {"include_usage": True}}):
        with client.chat.completions.create(
            model=MODEL,
            messages=said("Who are you?"),
            temperature=0,
            stream=True,
            **cast("Any", options),
        ) as stream:
            chunks = list(stream)
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == whole.choices[0].message.content
        assert any(c.usage for c in chunks) == bool(options)
    assert [(e.status, e.estimated) for e in server.settlements(key)] == [("complete", False)] * 3


def test_it_calls_a_tool(client: openai.OpenAI) -> None:
    """Its one tool is called with the city of the request, whole and streamed."""
    asked = said("What is the weather in Paris?")
    answer = client.chat.completions.create(
        model=MODEL, messages=asked, tools=[WEATHER], temperature=0
    )
    calls = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert calls is not None
    assert calls[0].type == "function"
    assert calls[0].function.name == "get_weather"
    assert json.loads(calls[0].function.arguments) == {"city": "Paris"}
    with client.chat.completions.stream(
        model=MODEL, messages=asked, tools=[WEATHER], temperature=0
    ) as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    assert streamed is not None
    assert json.loads(streamed[0].function.arguments) == {"city": "Paris"}


def test_it_keeps_to_a_json_schema(client: openai.OpenAI) -> None:
    """The runtime makes the answer fit the schema, whatever the model would rather say."""
    answer = client.chat.completions.create(
        model=MODEL,
        messages=said(EXTRACT),
        temperature=0,
        max_tokens=100,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "person", "strict": True, "schema": cast("Any", SCHEMA)},
        },
    )
    found = json.loads(answer.choices[0].message.content or "")
    assert set(found) == {"name", "age"}
    assert isinstance(found["age"], int)


def test_it_gives_one_choice(client: openai.OpenAI, server: EntenteServer, key: Key) -> None:
    """Two choices are refused by name, at no cost: the runtime would count one of them only."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=said("Hello"), n=2)
    assert (refused.value.param, refused.value.code) == ("n", "unsupported_value")
    assert [(e.status, e.usage.total) for e in server.settlements(key)] == [("failed", 0)]


def test_it_completes_plain_text(client: openai.OpenAI, server: EntenteServer, key: Key) -> None:
    """Natively: whole, as a stream, and with what no conversation could express."""
    asked: dict[str, Any] = {"model": MODEL, "prompt": "The capital of", "max_tokens": 4}
    whole = client.completions.create(**asked, temperature=0)
    assert whole.choices[0].finish_reason == "length"
    body = json.dumps({**asked, "temperature": 0, "stream": True}).encode()
    got = server.ask("POST", "/v1/completions", key=key.secret, body=body)
    *chunks, done, rest = got.body.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    texts = [json.loads(chunk[6:])["choices"][0]["text"] for chunk in chunks]
    assert "".join(texts) == whole.choices[0].text
    entries = server.settlements(key)
    assert [(e.status, e.usage.output, e.estimated) for e in entries] == [("length", 4, False)] * 2
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=MODEL, input="x")
    assert refused.value.code == "unsupported_model"


def test_a_completion_that_nobody_bounds(client: openai.OpenAI) -> None:
    """Ends where OpenAI ends it, not with the context; its log probabilities are OpenAI's, too."""
    usual = client.completions.create(model=MODEL, prompt="Hi", temperature=0)
    assert usual.usage is not None
    assert usual.usage.completion_tokens == 16
    told = client.completions.create(model=MODEL, prompt="Hi", max_tokens=2, logprobs=2)
    logprobs = told.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or ()) == told.choices[0].text
    assert [len(each) for each in logprobs.top_logprobs or ()] == [2, 2]


@pytest.mark.parametrize(
    ("kind", "part", "words"),
    [
        (
            "image_url",
            {"image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            "this one takes no image",
        ),
        (
            "input_audio",
            {"input_audio": {"data": "aGk=", "format": "wav"}},
            "this one takes no audio",
        ),
    ],
)
def test_what_it_cannot_be_shown(
    client: openai.OpenAI, server: EntenteServer, key: Key, kind: str, part: Any, words: str
) -> None:
    """Is the request's fault and not the server's, streamed or not; nothing is charged."""
    messages = [{"role": "user", "content": [{"type": kind, **part}]}]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match=words) as refused:
            client.chat.completions.create(
                model=MODEL, messages=cast("Any", messages), stream=stream
            )
        assert refused.value.param == "messages"
    assert [(e.status, e.cost_nano) for e in server.settlements(key)] == [("failed", 0)] * 2


def test_what_is_longer_than_its_context(client: openai.OpenAI) -> None:
    """Is refused in OpenAI's words, with its code, which clients cut conversations by."""
    with pytest.raises(openai.BadRequestError, match="maximum context length is 2048") as refused:
        client.chat.completions.create(model=MODEL, messages=said("a b c " * 4000))
    assert (refused.value.param, refused.value.code) == ("messages", "context_length_exceeded")


def test_a_bound_ends_it(client: openai.OpenAI, server: EntenteServer, key: Key) -> None:
    """`max_tokens` is kept, and the ledger calls it a length."""
    answer = client.chat.completions.create(
        model=MODEL, messages=said("Count from 1 to 20"), max_tokens=3, temperature=0
    )
    assert answer.choices[0].finish_reason == "length"
    (entry,) = server.settlements(key)
    assert (entry.status, entry.usage.output) == ("length", 3)


def test_a_client_that_leaves(client: openai.OpenAI, server: EntenteServer, key: Key) -> None:
    """A stream that is closed after its first piece has one entry, with tokens."""
    with client.chat.completions.create(
        model=MODEL, messages=said("Count from 1 to 20"), stream=True, max_tokens=400
    ) as stream:
        next(iter(stream))
    (entry,) = server.settled(key)
    assert entry.status in ("cancelled", "complete")
    assert entry.usage.output > 0


def test_its_errors_are_openais(client: openai.OpenAI) -> None:
    """An unknown model and a body that the runtime refuses both raise the SDK's own errors."""
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-4o", messages=said("Hi"))
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model=MODEL, messages=cast("Any", [{"role": "user", "content": 7}])
        )


@pytest.mark.parametrize("scenario", ["unary", "stream", "tools", "schema"])
def test_node_sdk(server: EntenteServer, key: Key, scenario: str) -> None:
    """The Node SDK gets answers of the same shape from the built-in model."""
    seen = play(
        scenario,
        server,
        key,
        MODEL=MODEL,
        JSON_TEXT=EXTRACT,
        SCHEMA=json.dumps(SCHEMA),
        WEATHER="What is the weather in Paris?",
    )
    if scenario == "tools":
        assert seen == {"unary": ["Paris"], "streamed": ["Paris"]}
    if scenario == "schema":
        assert set(seen) == {"name", "age"}
    assert seen
