"""The official Python SDK, with strict response validation, against the real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import openai
import pytest
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

    from tests.support.server import EntenteServer, Key

WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def said(text: str) -> list[ChatCompletionMessageParam]:
    """Write a conversation of one user message."""
    return [{"role": "user", "content": text}]


@pytest.fixture
def client(server: EntenteServer, key: Key) -> Iterator[openai.OpenAI]:
    """Give a client as the SDK's users make it, without retries."""
    with openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
        _strict_response_validation=True,
    ) as made:
        yield made


def test_unary_answer_is_read_and_settled(
    client: openai.OpenAI, server: EntenteServer, key: Key
) -> None:
    """A whole answer validates strictly, names its request, and is in the ledger by then."""
    raw = client.chat.completions.with_raw_response.create(model="m", messages=said("one two"))
    answer = raw.parse()
    assert answer.choices[0].message.content == "one two"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 2)
    (entry,) = server.settlements(key)
    assert raw.headers["x-request-id"] == entry.id
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert (entry.status, entry.usage.input, entry.usage.output) == ("complete", 2, 2)
    assert (entry.cost_nano, entry.estimated) == (2 * 1000 + 2 * 2000, False)


def test_stream_without_usage_has_none(
    client: openai.OpenAI, server: EntenteServer, key: Key
) -> None:
    """What only the gateway asked for is not shown; the ledger has it exactly all the same."""
    with client.chat.completions.create(model="m", messages=said("a b c"), stream=True) as stream:
        chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "a b c"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all("usage" not in c.model_fields_set for c in chunks)
    (entry,) = server.settlements(key)
    assert (entry.usage.input, entry.usage.output, entry.estimated) == (3, 3, False)


def test_stream_with_usage_has_it_last(client: openai.OpenAI) -> None:
    """A client that asks gets the usage event, after the last choice."""
    with client.chat.completions.create(
        model="m", messages=said("a b"), stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 4
    assert all(c.usage is None and "usage" in c.model_fields_set for c in chunks[:-1])


def test_tool_calls_and_their_results(client: openai.OpenAI) -> None:
    """A tool is called, its result goes back, and the model speaks."""
    first = client.chat.completions.create(model="m", messages=said("weather?"), tools=[WEATHER])
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    calls = [call.function for call in message.tool_calls if call.type == "function"]
    assert [c.arguments for c in calls] == ['{"city": "Paris"}', '{"city": "Rome"}']
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in message.tool_calls
    ]
    talk = [*said("weather?"), message.model_dump(exclude_none=True), *results]
    second = client.chat.completions.create(model="m", messages=cast("Any", talk), tools=[WEATHER])
    assert second.choices[0].message.content == "It is sunny in Paris."


def test_streamed_tool_arguments_are_put_together(client: openai.OpenAI) -> None:
    """The SDK's own accumulator builds both calls from their pieces."""
    with client.chat.completions.stream(
        model="m", messages=said("weather?"), tools=[WEATHER]
    ) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert [c.function.arguments for c in calls] == ['{"city": "Paris"}', '{"city": "Rome"}']
    assert final.choices[0].finish_reason == "tool_calls"


def test_json_schema_is_parsed(client: openai.OpenAI) -> None:
    """`response_format` with a schema goes through, and the SDK parses what comes back."""

    class Trip(BaseModel):
        """What is asked for."""

        city: str
        days: int

    answer = client.chat.completions.parse(
        model="m", messages=said("a trip as json"), response_format=Trip
    )
    assert answer.choices[0].message.parsed == Trip(city="Paris", days=3)


def test_refusal(client: openai.OpenAI) -> None:
    """A refusal is one, and is no content."""
    message = client.chat.completions.create(model="m", messages=said("refuse")).choices[0].message
    assert (message.content, message.refusal) == (None, "I will not.")


def test_two_choices(client: openai.OpenAI, server: EntenteServer, key: Key) -> None:
    """`n=2` gives two, whole and streamed, and both are counted."""
    answer = client.chat.completions.create(model="m", messages=said("x y"), n=2)
    assert [c.message.content for c in answer.choices] == ["x y", "x y"]
    with client.chat.completions.create(
        model="m", messages=said("x y"), n=2, stream=True
    ) as stream:
        reasons = [c.index for chunk in stream for c in chunk.choices if c.finish_reason]
    assert sorted(reasons) == [0, 1]
    assert [(e.status, e.usage.output) for e in server.settlements(key)] == [("complete", 4)] * 2


def test_logprobs(client: openai.OpenAI) -> None:
    """Log probabilities come through."""
    answer = client.chat.completions.create(
        model="m", messages=said("x"), logprobs=True, top_logprobs=1
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert logprobs.content[0].logprob == -0.125


def test_parts_with_an_image(client: openai.OpenAI, server: EntenteServer, key: Key) -> None:
    """Content parts pass; an image by reference widens the hold, which comes back whole."""
    parts = [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
    ]
    talk = cast("Any", [{"role": "user", "content": parts}])
    answer = client.chat.completions.create(model="m", messages=talk, max_tokens=5)
    assert answer.choices[0].message.content == "what is this"
    holds = [e for e in server.entries() if e.key == key.id and e.idempotency_prefix == "hold"]
    assert getattr(holds[0], "input_tokens", 0) > 50_000


def test_length_and_filter_are_told_apart(
    client: openai.OpenAI, server: EntenteServer, key: Key
) -> None:
    """A token bound and a filter each have their status."""
    short = client.chat.completions.create(model="m", messages=said("a b c d"), max_tokens=2)
    assert short.choices[0].finish_reason == "length"
    client.chat.completions.create(model="m", messages=said("filtered"))
    assert [e.status for e in server.settlements(key)] == ["length", "filtered"]


def test_token_classes_do_not_overlap(
    client: openai.OpenAI, server: EntenteServer, key: Key
) -> None:
    """Cached input is taken out of input, reasoning out of output, each at its price."""
    client.chat.completions.create(model="m", messages=said("cached"))
    (entry,) = server.settlements(key)
    usage = entry.usage
    assert (usage.input, usage.cache_read, usage.output, usage.reasoning) == (8, 32, 4, 2)
    assert entry.cost_nano == 8 * 1000 + 32 * 500 + 6 * 2000


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    """Every configured model, one with a slash in its name too."""
    assert [model.id for model in client.models.list()] == ["m", "other/model", "unpriced"]
    assert client.models.retrieve("other/model").owned_by == "entente"
    answer = client.chat.completions.create(model="other/model", messages=said("hi"))
    assert answer.model == "renamed"


def test_unpriced_usage_is_not_free(client: openai.OpenAI, server: EntenteServer, key: Key) -> None:
    """Without a price the cost is unknown, which is not zero."""
    client.chat.completions.create(model="unpriced", messages=said("hi"))
    (entry,) = server.settlements(key)
    assert entry.cost_nano is None


def test_unreported_usage_is_estimated(
    client: openai.OpenAI, server: EntenteServer, key: Key
) -> None:
    """A provider that counts nothing costs an upper bound, and the entry says so."""
    client.chat.completions.create(model="m", messages=said("no usage"))
    with client.chat.completions.create(
        model="m", messages=said("no usage"), stream=True
    ) as stream:
        list(stream)
    for entry in server.settlements(key):
        assert (entry.status, entry.estimated) == ("complete", True)
        assert entry.usage.output >= 4


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("fails twice with 500 for python", 3),
        ("fails twice with 429 for python", 3),
        ("do retry for python", 2),
    ],
)
def test_retries_end_in_an_answer(
    client: openai.OpenAI, server: EntenteServer, key: Key, text: str, calls: int
) -> None:
    """The SDK retries as the provider asks, and every attempt has an entry of its own."""
    patient = client.with_options(max_retries=2)
    answer = patient.chat.completions.create(model="m", messages=said(text))
    assert answer.choices[0].message.content == text
    statuses = [(e.status, e.cost_nano == 0) for e in server.settlements(key)]
    assert statuses == [("failed", True)] * (calls - 1) + [("complete", False)]


def test_should_not_retry_is_honoured(
    client: openai.OpenAI, server: EntenteServer, key: Key
) -> None:
    """`x-should-retry: false` reaches the SDK: one attempt."""
    patient = client.with_options(max_retries=2)
    with pytest.raises(openai.InternalServerError):
        patient.chat.completions.create(model="m", messages=said("never retry"))
    assert len(server.settlements(key)) == 1


def test_broken_stream_raises(client: openai.OpenAI, server: EntenteServer, key: Key) -> None:
    """A stream that breaks off raises in the SDK instead of looking like a short answer."""
    with (
        client.chat.completions.create(
            model="m", messages=said("break with close"), stream=True
        ) as stream,
        pytest.raises(openai.APIError),
    ):
        list(stream)
    assert [e.status for e in server.settlements(key)] in (["truncated"], ["failed"])


def test_cancelled_stream_is_settled(
    client: openai.OpenAI, server: EntenteServer, key: Key
) -> None:
    """A client that closes in the middle leaves one entry: cancelled, with tokens."""
    with client.chat.completions.create(
        model="m", messages=said("many words"), stream=True
    ) as stream:
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
    (entry,) = server.settled(key)
    assert entry.status == "cancelled"
    assert entry.estimated
    assert entry.usage.output > 0


def test_errors_are_the_sdks_own(client: openai.OpenAI) -> None:
    """Each refusal is the exception that the SDK has for it, with OpenAI's code."""
    create = client.chat.completions.create
    with pytest.raises(openai.NotFoundError) as missing:
        create(model="nope", messages=said("hi"))
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as empty:
        create(model="m", messages=[])
    assert (empty.value.code, empty.value.param) == ("empty_array", "messages")
    with pytest.raises(openai.AuthenticationError) as unknown:
        client.with_options(api_key="sk-wrong").models.list()
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError) as unserved:
        client.images.generate(model="m", prompt="x")
    assert unserved.value.code == "unsupported_model"
