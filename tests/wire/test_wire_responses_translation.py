"""Between Responses and the other dialects: what is said stays said, what is lost has a name."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given

from entente.domain.chat import Status
from entente.domain.errors import InvalidParameter
from entente.domain.events import (
    Ended,
    Event,
    LogprobsDelta,
    RedactedThinkingPart,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    Used,
)
from entente.domain.features import HINTS, OnLoss
from entente.domain.inference import (
    STATUSES,
    ChatAnswer,
    ChatRequest,
    Refusal,
    Stop,
    Text,
    ToolCall,
)
from entente.wire import anthropic, openai_chat, openai_responses
from entente.wire.dialect import Head
from entente.wire.openai import decode_chat
from tests.kit.run import PROPERTY
from tests.wire.canonical import (
    anthropic_answers,
    anthropic_requests,
    openai_answers,
    openai_requests,
    streams,
)
from tests.wire.responses import responses_answers, responses_requests, responses_streams
from tests.wire.responses_schema import request_defects, response_defects, stream_defects
from tests.wire.test_wire_translation import ANTHROPIC, OPENAI, PNG, SCHEMA

CAPTURES = Path(__file__).parent / "captures"
HEAD = Head(id="req_1", model="asked", created_s=7)
OTHERS = pytest.mark.parametrize("other", [openai_chat, anthropic])
CHAT: dict[str, Any] = {name: value for name, value in OPENAI.items() if name != "stop"}
MESSAGES: dict[str, Any] = {
    name: value for name, value in ANTHROPIC.items() if name != "stop_sequences"
}
RESPONSES = {
    "model": "gpt",
    "input": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Where is this?"},
                {
                    "type": "input_image",
                    "detail": "auto",
                    "image_url": f"data:image/png;base64,{PNG}",
                },
                {
                    "type": "input_image",
                    "detail": "auto",
                    "image_url": "https://example.org/a.png",
                },
            ],
        },
        *(
            {
                "type": "function_call",
                "call_id": f"call_{at}",
                "name": "look",
                "arguments": f'{{"city":"{city}"}}',
            }
            for at, city in enumerate(("Paris", "Rome"))
        ),
        {"type": "function_call_output", "call_id": "call_0", "output": "sunny"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rainy"},
        {"role": "user", "content": "So?"},
    ],
    "tools": [
        {
            "type": "function",
            "name": "look",
            "description": "Looks.",
            "parameters": SCHEMA,
            "strict": True,
        }
    ],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "text": {
        "format": {"type": "json_schema", "name": "response", "schema": SCHEMA, "strict": True}
    },
    "temperature": 0.5,
    "top_p": 0.9,
    "max_output_tokens": 100,
    "reasoning": {"effort": "high"},
    "include": ["reasoning.encrypted_content"],
    "user": "u1",
    "service_tier": "default",
    "store": False,
}


def _read(body: Any, dialect: ModuleType) -> ChatRequest:
    decode = {
        openai_chat: decode_chat,
        anthropic: anthropic.decode_messages,
        openai_responses: openai_responses.decode_responses,
    }[dialect]
    compact = json.dumps(body, separators=(",", ":")).encode()
    read: ChatRequest = dialect.read_request(decode(compact))
    return read


def _to(request: ChatRequest, target: ModuleType, on_loss: OnLoss = OnLoss.REFUSE) -> Any:
    model = "claude" if target is anthropic else "gpt"
    return target.write_request(request, model=model, output_tokens_max=None, on_loss=on_loss)


def test_the_same_request_in_three_dialects() -> None:
    """Text, images, parallel calls, a schema, thinking: each says what the others do."""
    chat = {**CHAT, "messages": [dict(message) for message in CHAT["messages"]]}
    del chat["messages"][2]["content"]
    for source, body in ((openai_chat, CHAT), (anthropic, MESSAGES)):
        written = _to(_read(body, source), openai_responses)
        assert written.dropped == ()
        assert json.loads(written.body) == RESPONSES
        assert request_defects(written.body) == []
    for target, body in ((openai_chat, chat), (anthropic, MESSAGES)):
        written = _to(_read(RESPONSES, openai_responses), target)
        assert written.dropped == ()
        assert json.loads(written.body) == body


LOST: list[tuple[ModuleType, dict[str, Any], str]] = [
    (openai_chat, {"truncation": "auto"}, "truncation"),
    (openai_chat, {"tools": [{"type": "web_search"}]}, "vendor_tools"),
    (openai_chat, {"tools": [{"type": "custom", "name": "g"}]}, "vendor_tools"),
    (openai_chat, {"input": [{"type": "computer_call", "id": "x"}]}, "computer_call"),
    (openai_chat, {"reasoning": {"context": "all_turns"}}, "reasoning.context"),
    (anthropic, {"top_logprobs": 2}, "logprobs"),
    (anthropic, {"text": {"verbosity": "low"}}, "verbosity"),
    (anthropic, {"text": {"format": {"type": "json_object"}}}, "json_object"),
    (anthropic, {"presence_penalty": 1}, "presence_penalty"),
]


@pytest.mark.parametrize(("target", "members", "name"), LOST)
def test_what_cannot_be_said_is_refused_or_named(
    target: ModuleType, members: dict[str, Any], name: str
) -> None:
    """As configured; never silently."""
    request = _read({"model": "m", "input": "hi", **members}, openai_responses)
    with pytest.raises(InvalidParameter):
        _to(request, target)
    assert _to(request, target, OnLoss.DROP).dropped == (name,)


@PROPERTY
@given(openai_requests() | anthropic_requests() | responses_requests())
def test_any_request_can_be_written_with_its_losses_named(request: ChatRequest) -> None:
    """In every dialect; and what is refused is what would be named, or a bound too small."""
    for target in (openai_responses, openai_chat, anthropic):
        if target is openai_responses and (request.sampling.output_tokens_max or 50) < 16:
            continue  # a bound that this API does not take
        written = target.write_request(
            request, model="m", output_tokens_max=50, on_loss=OnLoss.DROP
        )
        assert json.loads(written.body)["model"] == "m"
        if target is openai_responses:
            assert request_defects(written.body) == []
        try:
            strict = target.write_request(
                request, model="m", output_tokens_max=50, on_loss=OnLoss.REFUSE
            )
        except InvalidParameter:
            lost = set(written.dropped) - HINTS
        else:
            lost = set()
            assert strict == written
        assert bool(lost) == bool(set(written.dropped) - HINTS)


# ---- answers ----


@PROPERTY
@given(openai_answers() | anthropic_answers() | responses_answers())
def test_any_answer_has_a_valid_form_in_this_dialect(answer: ChatAnswer) -> None:
    """With the same text and the same usage; sound is counted with the text."""
    body = openai_responses.write_answer(answer, HEAD)
    assert response_defects(body) == []
    read = openai_responses.read_answer(body)
    assert read is not None
    if answer.usage is not None:
        assert read.usage is not None
        assert read.usage.total == answer.usage.total
        assert read.usage.cache_read == answer.usage.cache_read
        assert read.usage.reasoning == answer.usage.reasoning
    if answer.choices[0].stop is not None:
        assert read.choices[0].stop is not None
        assert STATUSES[read.choices[0].stop] is STATUSES[answer.choices[0].stop]


@OTHERS
@PROPERTY
@given(answer=responses_answers())
def test_an_answer_of_this_dialect_says_the_same_elsewhere(
    other: ModuleType, answer: ChatAnswer
) -> None:
    """The same calls, and every word."""
    given_ = openai_responses.read_answer(openai_responses.write_answer(answer, HEAD))
    assert given_ is not None
    read = other.read_answer(other.write_answer(given_, HEAD))

    def words(found: ChatAnswer) -> tuple[str, list[ToolCall]]:
        """Give what is said, refusals last where the dialect has them apart, and the calls."""
        parts = found.choices[0].parts
        spoken = [part for part in parts if isinstance(part, Text | Refusal)]
        if other is openai_chat:
            spoken.sort(key=lambda part: isinstance(part, Refusal))
        calls = [part for part in parts if isinstance(part, ToolCall)]
        return "".join(part.text for part in spoken), calls

    assert read is not None
    assert words(read) == words(answer)


# ---- streams ----


def _translate(data: bytes, source: ModuleType, target: ModuleType, step: int = 100) -> bytes:
    reader, writer = source.stream_reader(), target.stream_writer(HEAD)
    out = b""
    for at in range(0, len(data), step):
        for event in reader.feed(data[at : at + step]):
            out += writer.feed(event)
    for event in reader.close():
        out += writer.feed(event)
    return out + bytes(writer.end())


def _events(data: bytes, dialect: ModuleType) -> list[Event]:
    reader = dialect.stream_reader()
    return [*reader.feed(data), *reader.close()]


def _said(events: list[Event]) -> list[Event]:
    """What a stream says: no head, no thoughts, refusals as text, the status, the last usage."""
    used = [event for event in events if isinstance(event, Used) and event.usage.total]
    said: list[Event] = []
    for event in events:
        match event:
            case Started() | Used() | LogprobsDelta() | ThinkingDelta() | RedactedThinkingPart():
                continue
            case TextDelta(text=text) | RefusalDelta(text=text):
                last = said[-1] if said else None
                if isinstance(last, TextDelta):
                    said[-1] = TextDelta(last.text + text)
                else:
                    said.append(TextDelta(text))
            case Ended(stop=stop):
                status = STATUSES[stop]
                said.append(Ended(Stop.END if status is Status.COMPLETE else stop))
            case ToolArgumentsDelta(text="{}"):
                continue  # Anthropic says so of none
            case _:
                said.append(event)
    said = [Ended(Stop.FILTERED) if event == Ended(Stop.REFUSAL) else event for event in said]
    return [*said, *used[-1:]]


@pytest.mark.parametrize("step", [1, 64, 10**6])
def test_recorded_streams_of_other_dialects(step: int) -> None:
    """Parallel calls with streamed arguments, text and a refusal; each event is valid here."""
    for name, source in (
        ("anthropic-text", anthropic),
        ("anthropic-tools", anthropic),
        ("anthropic-refusal", anthropic),
        ("openai-parallel-tools", openai_chat),
        ("openai-text", openai_chat),
        ("azure-text", openai_chat),
    ):
        data = (CAPTURES / f"{name}.sse").read_bytes()
        out = _translate(data, source, openai_responses, step)
        assert stream_defects(out) == []
        assert _said(_events(out, openai_responses)) == _said(_events(data, source))


@OTHERS
def test_a_recorded_stream_in_other_dialects(other: ModuleType) -> None:
    """With its end marker there."""
    data = (CAPTURES / "openai-responses-text.sse").read_bytes()
    out = _translate(data, openai_responses, other)
    assert out.endswith((b"data: [DONE]\n\n", b'data: {"type":"message_stop"}\n\n'))
    assert _said(_events(out, other)) == _said(_events(data, openai_responses))


@OTHERS
@PROPERTY
@given(events=responses_streams())
def test_streams_say_the_same_elsewhere(other: ModuleType, events: list[Event]) -> None:
    """And thoughts reach Anthropic's clients with a signature that finds its way back."""
    writer = openai_responses.stream_writer(HEAD)
    data = b"".join([*map(writer.feed, events), writer.end()])
    out = _translate(data, openai_responses, other)
    found = _events(out, other)
    refused = any(isinstance(event, RefusalDelta) for event in events)
    if other is anthropic and refused:  # there, refusing is an end of its own
        events = [Ended(Stop.FILTERED) if event == Ended(Stop.END) else event for event in events]
    assert _said(found) == _said(events)
    if other is anthropic:
        seals = [
            event.signature if isinstance(event, ThinkingDelta) else event.data
            for event in found
            if isinstance(event, ThinkingDelta | RedactedThinkingPart)
        ]
        assert all(seal is None or seal.startswith("openai:rs_") for seal in seals)


@PROPERTY
@given(streams(signed=True))
def test_streams_of_anthropic_say_the_same_here(events: list[Event]) -> None:
    """With each thought, and its signature under the client's."""
    writer = anthropic.stream_writer(HEAD)
    data = b"".join([*map(writer.feed, events), writer.end()])
    out = _translate(data, anthropic, openai_responses)
    assert stream_defects(out) == []
    found = _events(out, openai_responses)
    assert _said(found) == _said(_events(data, anthropic))
    thoughts = [event.text for event in events if isinstance(event, ThinkingDelta)]
    assert "".join(e.text for e in found if isinstance(e, ThinkingDelta)) == "".join(thoughts)
    seals = [e.signature for e in events if isinstance(e, ThinkingDelta) and e.signature]
    kept = [e.signature for e in found if isinstance(e, ThinkingDelta) and e.signature]
    assert [seal.split(":", 3)[3] for seal in kept] == seals


@PROPERTY
@given(streams(signed=False))
def test_streams_of_chat_say_the_same_here(events: list[Event]) -> None:
    """From OpenAI's older API into its newer one."""
    writer = openai_chat.stream_writer(HEAD)
    data = b"".join([*map(writer.feed, events), writer.end()])
    out = _translate(data, openai_chat, openai_responses)
    assert stream_defects(out) == []
    assert _said(_events(out, openai_responses)) == _said(_events(data, openai_chat))


FAILING = (
    (openai_chat, b'data: {"error":{"message":"Busy.","type":"server_error","code":null}}\n\n'),
    (
        anthropic,
        b'event: error\ndata: {"type":"error","error":{"type":"x","message":"Busy."}}\n\n',
    ),
    (
        openai_responses,
        b'event: error\ndata: {"type":"error","code":"x","message":"Busy.","param":null}\n\n',
    ),
)


@pytest.mark.parametrize(("source", "failure"), FAILING)
@pytest.mark.parametrize("target", [openai_chat, anthropic, openai_responses])
@pytest.mark.parametrize("said", [True, False])
def test_a_failure_in_the_middle(
    source: ModuleType, failure: bytes, target: ModuleType, said: bool
) -> None:
    """Whether the provider says so or is just gone: one error, no end, the same status."""
    writer = source.stream_writer(HEAD)
    begun = [Started("a", "m", 5), TextDelta("hi"), Ended(Stop.END)]
    data = b"".join(map(writer.feed, begun)) + (failure if said else b"")
    out = _translate(data, source, target)
    reader = target.stream_reader()
    reader.feed(out)
    reader.close()
    assert reader.status is Status.FAILED
    assert (b"Busy." in out) == said
    for end in (b"[DONE]", b"message_stop", b"response.completed", b'"finish_reason":"'):
        assert end not in out
