"""What we write, as OpenAI's own client reads it in strict validation; what it sends, as we do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from openai.types.responses import ResponseFunctionToolCall, ResponseReasoningItem
from pydantic import BaseModel

from entente.domain.events import (
    Ended,
    Event,
    Failed,
    Failure,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.inference import (
    ChatAnswer,
    ChatRequest,
    Choice,
    Image,
    Inline,
    JsonSchema,
    Message,
    Reasoning,
    Role,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from entente.domain.usage import Usage
from entente.wire import openai_responses
from entente.wire.dialect import Head
from entente.wire.openai_responses import decode_responses, read_request
from tests.kit.run import PROPERTY
from tests.wire.responses import responses_answers, responses_streams

HEAD = Head(id="req_1", model="asked", created_s=7)
CALLED: list[Event] = [
    Started("resp_1", "m", 5),
    ThinkingDelta("hm"),
    ThinkingDelta("", "Eq="),
    TextDelta("Let me "),
    TextDelta("look."),
    ToolCallStarted(0, "call_0", "look"),
    ToolArgumentsDelta(0, '{"city":'),
    ToolArgumentsDelta(0, '"Paris"}'),
    ToolCallStarted(1, "call_1", "look"),
    ToolArgumentsDelta(1, '{"city":"Rome"}'),
    Ended(Stop.TOOL_CALLS),
    Used(Usage(input=10, cache_read=20, output=5, reasoning=3)),
]


class City(BaseModel):
    """What an answer of a schema is parsed into."""

    city: str


@contextmanager
def _client(body: bytes, sent: list[bytes] | None = None) -> Iterator[openai.OpenAI]:
    """Give the SDK's client, for which every answer is this one."""
    kind = "text/event-stream" if body.startswith(b"event:") else "application/json"

    def answer(request: httpx2.Request) -> httpx2.Response:
        if sent is not None:
            sent.append(request.read())
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    with openai.OpenAI(
        base_url="http://entente.test/v1",
        api_key="k",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
        _strict_response_validation=True,
    ) as client:
        yield client


def _stream(*events: Event) -> bytes:
    writer = openai_responses.stream_writer(HEAD)
    return b"".join([*map(writer.feed, events), writer.end()])


@PROPERTY
@given(responses_answers())
def test_any_answer_validates_strictly(answer: ChatAnswer) -> None:
    """And says to its users what the model said."""
    with _client(openai_responses.write_answer(answer, HEAD)) as client:
        read = client.responses.create(model="m", input="hi")
    texts = [part.text for part in answer.choices[0].parts if isinstance(part, Text)]
    assert read.output_text == "".join(texts)
    if answer.usage is not None:
        assert read.usage is not None
        assert read.usage.total_tokens == answer.usage.total


@PROPERTY
@given(responses_streams())
def test_any_stream_validates_strictly(events: list[Event]) -> None:
    """Each event is one of those that the SDK knows, and the last has the whole answer."""
    with _client(_stream(*events)) as client:
        read = list(client.responses.create(model="m", input="hi", stream=True))
    assert [event.sequence_number for event in read] == list(range(len(read)))
    last = read[-1]
    assert last.type in ("response.completed", "response.incomplete")
    texts = [event.text for event in events if isinstance(event, TextDelta)]
    assert last.response.output_text == "".join(texts)


def test_the_sdk_adds_a_stream_up() -> None:
    """What it gathers from the deltas is what the last event says."""
    with (
        _client(_stream(*CALLED)) as client,
        client.responses.stream(model="m", input="hi") as stream,
    ):
        snapshots = [
            event.snapshot for event in stream if event.type == "response.output_text.delta"
        ]
        final = stream.get_final_response()
    assert snapshots == ["Let me ", "Let me look."]
    assert final.output_text == "Let me look."
    thought, _, *calls = final.output
    assert isinstance(thought, ResponseReasoningItem)
    assert (thought.summary[0].text, thought.encrypted_content) == ("hm", "thinking:Eq=")
    for call, city in zip(calls, ("Paris", "Rome"), strict=True):
        assert isinstance(call, ResponseFunctionToolCall)
        assert json.loads(call.arguments) == {"city": city}
    assert final.usage is not None
    assert final.usage.input_tokens_details.cached_tokens == 20
    assert final.usage.output_tokens_details.reasoning_tokens == 3


def test_the_sdk_sees_a_failure_and_no_end() -> None:
    """Of a provider that failed, and of an answer that broke off."""
    with _client(_stream(*CALLED[:5], Failed(Failure.SERVER, "Sorry."))) as client:
        failed = list(client.responses.create(model="m", input="hi", stream=True))[-1]
    assert failed.type == "response.failed"
    assert failed.response.error is not None
    assert failed.response.error.message == "Sorry."
    with _client(_stream(*CALLED[:5])) as client:
        broken = list(client.responses.create(model="m", input="hi", stream=True))[-1]
    assert broken.type == "error"
    assert broken.code == "upstream_failed"
    with (
        _client(_stream(*CALLED[:5])) as client,
        client.responses.stream(model="m", input="hi") as stream,
        pytest.raises(RuntimeError, match="completed"),
    ):
        stream.get_final_response()


def test_a_refusal_is_one_for_the_sdk() -> None:
    """Not text of the model's."""
    data = _stream(Started("", ""), RefusalDelta("No."), Ended(Stop.END))
    with _client(data) as client, client.responses.stream(model="m", input="hi") as stream:
        final = stream.get_final_response()
    assert final.output_text == ""
    assert final.output[0].type == "message"
    assert final.output[0].content[0].type == "refusal"


def _sent(**asked: Any) -> ChatRequest:
    """Read what the SDK sends."""
    answer = ChatAnswer(
        id="r", model="m", choices=(Choice(parts=(Text('{"city":"Rome"}'),), stop=Stop.END),)
    )
    sent: list[bytes] = []
    with _client(openai_responses.write_answer(answer, HEAD), sent) as client:
        client.responses.parse(model="m", **asked)
    return read_request(decode_responses(sent[0], strict=True))


def test_what_the_sdk_sends() -> None:
    """Tools, an image, a schema from a class, reasoning; strictly, nothing of it is unknown."""
    tool = {
        "type": "function",
        "name": "look",
        "parameters": City.model_json_schema(),
        "strict": True,
    }
    content = [
        {"type": "input_text", "text": "Where?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
    ]
    asked = _sent(
        input=[{"role": "user", "content": content}],
        instructions="Be brief.",
        tools=[tool],
        tool_choice={"type": "function", "name": "look"},
        text_format=City,
        reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content"],
        max_output_tokens=100,
        store=False,
        metadata={"a": "b"},
        parallel_tool_calls=False,
    )
    assert asked.others == ()
    assert asked.messages == (
        Message(Role.SYSTEM, (Text("Be brief."),)),
        Message(Role.USER, (Text("Where?"), Image(Inline("image/png", "AAAA")))),
    )
    assert asked.tool_choice == ToolChoice(ToolMode.NAMED, "look")
    assert asked.reasoning == Reasoning(enabled=True, effort="low", summary="auto")
    assert isinstance(asked.response_format, JsonSchema)
    assert (asked.response_format.name, asked.response_format.strict) == ("City", True)
    assert (asked.sampling.output_tokens_max, asked.parallel_tool_calls) == (100, False)


def test_the_sdk_sends_an_answer_back() -> None:
    """The output of one turn as the input of the next, as the SDK's users do it."""
    with (
        _client(_stream(*CALLED)) as client,
        client.responses.stream(model="m", input="hi") as stream,
    ):
        output = [item.model_dump(exclude_none=True) for item in stream.get_final_response().output]
    for item in output:
        item.pop("parsed_arguments", None)
        for part in item.get("content", ()):
            part.pop("parsed", None)
    results = [
        {"type": "function_call_output", "call_id": f"call_{at}", "output": "sunny"}
        for at in range(2)
    ]
    said = _sent(input=[{"role": "user", "content": "hi"}, *output, *results])
    assert said.messages[1:] == (
        Message(
            Role.ASSISTANT,
            (
                Thinking("hm", "Eq="),
                Text("Let me look."),
                ToolCall("call_0", "look", '{"city":"Paris"}'),
                ToolCall("call_1", "look", '{"city":"Rome"}'),
            ),
        ),
        Message(
            Role.TOOL,
            (ToolResult("call_0", (Text("sunny"),)), ToolResult("call_1", (Text("sunny"),))),
        ),
    )
