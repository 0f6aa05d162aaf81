"""Answers and streams of Converse, in the form of AWS's API reference."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Status
from entente.domain.errors import UpstreamProtocolError
from entente.domain.events import (
    Ended,
    Event,
    Failed,
    Failure,
    RedactedThinkingPart,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.inference import (
    Choice,
    Image,
    Inline,
    RedactedThinking,
    Stop,
    Text,
    Thinking,
    ToolCall,
)
from entente.domain.usage import Usage
from entente.wire import bedrock
from entente.wire.aws_event_stream import Message, encode
from tests.kit.aws import event, exception, sdk_answer, sdk_events
from tests.kit.run import PROPERTY

USAGE = {
    "inputTokens": 30,
    "outputTokens": 628,
    "totalTokens": 758,
    "cacheReadInputTokens": 60,
    "cacheWriteInputTokens": 40,
}
DISJOINT = Usage(input=30, cache_read=60, cache_write=40, output=628)


def answer(*content: object, stop: str = "end_turn", **members: object) -> dict[str, Any]:
    """Make an answer as the API reference has it."""
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": stop,
        "usage": USAGE,
        "metrics": {"latencyMs": 1275},
        **members,
    }


def choice_of(value: dict[str, Any]) -> Choice:
    """Read an answer's one choice."""
    read = bedrock.read_answer(json.dumps(value).encode())
    assert read is not None
    (choice,) = read.choices
    return choice


def test_a_whole_answer() -> None:
    """Every kind of block, the usage in classes, and the tier."""
    blocks = [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "ZW5j"}},
        {"text": "I look."},
        {"citationsContent": {"content": [{"text": "As "}, {"text": "said."}], "citations": []}},
        {"toolUse": {"toolUseId": "tooluse_a", "name": "f", "input": {"city": "Paris"}}},
        {"toolUse": {"toolUseId": "tooluse_b", "name": "g", "input": {}}},
        {"toolUse": {"toolUseId": "s", "name": "w", "input": {}, "type": "server_tool_use"}},
        {"image": {"format": "png", "source": {"bytes": "aGk="}}},
    ]
    body = json.dumps(answer(*blocks, stop="tool_use", serviceTier={"type": "flex"})).encode()
    assert len(sdk_answer(body)["output"]["message"]["content"]) == len(blocks)
    read = bedrock.read_answer(body)
    assert read is not None
    assert (read.id, read.model, read.usage, read.service_tier) == ("", "", DISJOINT, "flex")
    assert read.choices[0].stop is Stop.TOOL_CALLS
    assert read.choices[0].parts == (
        Thinking("Hm.", "c2ln"),
        RedactedThinking("ZW5j"),
        Text("I look."),
        Text("As said."),
        ToolCall("tooluse_a", "f", '{"city": "Paris"}'),
        ToolCall("tooluse_b", "g", "{}"),
        Image(Inline("image/png", "aGk=")),
    )


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", Stop.END),
        ("max_tokens", Stop.LENGTH),
        ("stop_sequence", Stop.STOP_SEQUENCE),
        ("guardrail_intervened", Stop.FILTERED),
        ("content_filtered", Stop.FILTERED),
        ("model_context_window_exceeded", Stop.CONTEXT),
        ("something_new", Stop.END),
        ("malformed_tool_use", None),
        ("", None),
    ],
)
def test_stop_reasons(reason: str, stop: Stop | None) -> None:
    """Each in canonical words; what is no answer has none."""
    assert choice_of(answer({"text": "a"}, stop=reason)).stop is stop


def test_the_stop_sequence_that_was_met() -> None:
    """As the model's own field says, which we asked for."""
    met = {"additionalModelResponseFields": {"stop_sequence": "END"}}
    assert choice_of(answer(stop="stop_sequence", **met)).stop_sequence == "END"
    assert choice_of(answer(stop="end_turn", **met)).stop_sequence is None
    nothing = {"additionalModelResponseFields": {"stop_sequence": None}}
    assert choice_of(answer(stop="stop_sequence", **nothing)).stop_sequence is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, DISJOINT),
        ({"inputTokens": 130}, Usage(input=30, cache_read=60, cache_write=40, output=628)),
        ({"totalTokens": None}, DISJOINT),
        ({"cacheReadInputTokens": None, "cacheWriteInputTokens": None}, Usage(30, output=628)),
        (
            {"cacheDetails": [{"ttl": "1h", "inputTokens": 25}, {"ttl": "5m", "inputTokens": 15}]},
            Usage(input=30, cache_read=60, cache_write=15, cache_write_1h=25, output=628),
        ),
        ({"cacheDetails": []}, DISJOINT),
        ({"cacheDetails": [{"ttl": "1h", "inputTokens": 41}]}, None),
        ({"outputTokens": None}, None),
        ({"inputTokens": -1}, None),
        ({"outputTokens": 2**60}, None),
    ],
)
def test_usage(changes: dict[str, Any], expected: Usage | None) -> None:
    """Cached tokens stand beside the input, or within it where the total says so."""
    body = json.dumps(answer(usage={**USAGE, **changes})).encode()
    read = bedrock.read_answer(body)
    assert read is not None
    assert read.usage == expected


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"message":"Too many requests"}', b'{"output":{}}', b"[" * 10_000],
)
def test_what_is_no_answer(body: bytes) -> None:
    """Is none."""
    assert bedrock.read_answer(body) is None


def test_errors() -> None:
    """The sentence of an error's body."""
    assert bedrock.read_error(b'{"message":"Too many requests"}') == "Too many requests"
    for body in (b"", b"{}", b'{"message":null}', b"<html>", b"[" * 10_000):
        assert bedrock.read_error(body) is None


# ---- streams ----

START = event("messageStart", {"role": "assistant", "p": "abc"})
STOP = event("messageStop", {"stopReason": "end_turn"})
METADATA = event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}})


def start(index: int, **tool: str) -> bytes:
    """Write the start of a call."""
    payload = {"contentBlockIndex": index, "start": {"toolUse": tool}}
    return event("contentBlockStart", payload)


def delta(index: int, **said: object) -> bytes:
    """Write a delta; Bedrock pads it with a member `p`, against listeners who count bytes."""
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": said, "p": "abcde"})


def stop(index: int) -> bytes:
    """Write the end of a block."""
    return event("contentBlockStop", {"contentBlockIndex": index})


EVERYTHING = [
    START,
    delta(0, reasoningContent={"text": "H"}),
    delta(0, reasoningContent={"text": "m."}),
    delta(0, reasoningContent={"signature": "c2ln"}),
    stop(0),
    delta(1, reasoningContent={"redactedContent": "ZW5j"}),
    stop(1),
    delta(2, text="Bon"),
    delta(2, text="jour"),
    stop(2),
    start(3, toolUseId="t1", name="f"),
    delta(3, toolUse={"input": ""}),
    delta(3, toolUse={"input": '{"city":'}),
    delta(3, toolUse={"input": '"Paris"}'}),
    stop(3),
    start(4, toolUseId="t2", name="g"),
    stop(4),
    event("messageStop", {"stopReason": "tool_use"}),
    METADATA,
]
EVENTS: list[Event] = [
    Started("", ""),
    ThinkingDelta("H"),
    ThinkingDelta("m."),
    ThinkingDelta("", "c2ln"),
    RedactedThinkingPart("ZW5j"),
    TextDelta("Bon"),
    TextDelta("jour"),
    ToolCallStarted(0, "t1", "f"),
    ToolArgumentsDelta(0, '{"city":'),
    ToolArgumentsDelta(0, '"Paris"}'),
    ToolCallStarted(1, "t2", "g"),
    ToolArgumentsDelta(1, "{}"),
    Ended(Stop.TOOL_CALLS),
    Used(DISJOINT),
]


def read_all(*messages: bytes) -> tuple[list[Event], bedrock.stream_reader]:
    """Read a stream in one piece."""
    reader = bedrock.stream_reader()
    return reader.feed(b"".join(messages)) + reader.close(), reader


def test_a_whole_stream() -> None:
    """Thoughts, text, two calls with arguments that come in pieces, reason and usage."""
    got, reader = read_all(*EVERYTHING)
    assert got == EVENTS
    assert reader.whole
    assert reader.done
    assert reader.status is Status.COMPLETE
    assert reader.usage == DISJOINT
    assert reader.output_tokens_bound > 0


def test_the_fixture_is_a_stream_to_the_sdk() -> None:
    """It reads as many events, and finds in each what its model has."""
    events = sdk_events(b"".join(EVERYTHING))
    assert len(events) == len(EVERYTHING)
    assert all(len(found) == 1 for found in events)
    assert events[-1]["metadata"]["usage"]["cacheWriteInputTokens"] == 40


@PROPERTY
@given(st.lists(st.integers(min_value=1, max_value=200), max_size=200))
def test_any_split(sizes: list[int]) -> None:
    """However it is cut, it says the same."""
    data, reader, got = b"".join(EVERYTHING), bedrock.stream_reader(), []
    for size in (*sizes, len(data)):
        got += reader.feed(data[:size])
        data = data[size:]
    assert got + reader.close() == EVENTS


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("throttlingException", Failure.RATE_LIMITED),
        ("serviceUnavailableException", Failure.OVERLOADED),
        ("modelTimeoutException", Failure.TIMEOUT),
        ("validationException", Failure.INVALID),
        ("internalServerException", Failure.SERVER),
        ("modelStreamErrorException", Failure.SERVER),
        ("brandNewException", Failure.SERVER),
    ],
)
def test_exceptions_in_the_middle(kind: str, failure: Failure) -> None:
    """Each is the last thing said, whatever still comes."""
    broken = exception(kind, {"message": "Too fast."})
    got, reader = read_all(START, delta(0, text="a"), broken, STOP, METADATA)
    assert got == [Started("", ""), TextDelta("a"), Failed(failure, "Too fast.")]
    assert reader.status is Status.FAILED
    assert not reader.whole
    assert reader.usage is None


def test_other_ways_to_fail() -> None:
    """An error of the framing itself, an exception without words, an output that is none."""
    headers = {":message-type": "error", ":error-code": "500", ":error-message": "Broken."}
    assert read_all(encode(Message(dict(headers))))[0] == [Failed(Failure.SERVER, "Broken.")]
    bare = encode(Message({":message-type": "exception", ":exception-type": "x"}, b"<>"))
    assert read_all(bare)[0] == [Failed(Failure.SERVER, "The provider sent x.")]
    original = exception("modelStreamErrorException", {"originalMessage": "Deep."})
    assert read_all(original)[0] == [Failed(Failure.SERVER, "Deep.")]
    malformed = event("messageStop", {"stopReason": "malformed_model_output"})
    (failed,), reader = read_all(malformed)
    assert isinstance(failed, Failed)
    assert reader.status is Status.FAILED


@pytest.mark.parametrize("count", range(len(EVERYTHING)))
def test_breaking_off_is_no_end(count: int) -> None:
    """Only the reason ends an answer; without the usage it stays unknown."""
    _, reader = read_all(*EVERYTHING[:count])
    ended = count == len(EVERYTHING) - 1
    assert reader.whole is ended
    assert reader.status is (Status.COMPLETE if ended else Status.TRUNCATED)
    assert reader.usage is None
    half = bedrock.stream_reader()
    assert half.feed(EVERYTHING[0][:-1]) + half.close() == []


def test_what_says_nothing_is_passed_over() -> None:
    """Events, members and blocks that are newer than this reader, and empty ones."""
    got, _ = read_all(
        event("brandNew", {"a": 1}),
        delta(0, citation={"title": "t"}),
        delta(0, text=""),
        delta(0, reasoningContent={"text": ""}),
        start(1, toolUseId="s", name="web", type="server_tool_use"),
        delta(1, toolUse={"input": "{}"}),
        stop(1),
        event("contentBlockStart", {"contentBlockIndex": 2, "start": {"image": {"format": "png"}}}),
        event("messageStop", {"stopReason": ""}),
        event("metadata", {"metrics": {"latencyMs": 1}}),
    )
    assert got == []


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 500 Broken\r\n\r\n",
        encode(Message({":message-type": "event", ":event-type": "messageStop"}, b"{")),
        event("contentBlockDelta", {"delta": {}}),
        event("metadata", {"usage": {"inputTokens": "many"}}),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes) -> None:
    """It is not taken for a stream that goes on."""
    with pytest.raises(UpstreamProtocolError):
        bedrock.stream_reader().feed(data)
