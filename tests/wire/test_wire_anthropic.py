"""Messages in canonical values: what is written reads back as it was."""

from __future__ import annotations

import importlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Status
from entente.domain.errors import UpstreamClosed, UpstreamProtocolError
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
from entente.domain.features import OnLoss
from entente.domain.inference import ChatAnswer, ChatRequest, Choice, Refusal, Stop, ToolCall
from entente.domain.usage import Usage
from entente.wire import anthropic
from entente.wire.anthropic.answers import write_usage
from entente.wire.dialect import Head, Inbound, Outbound, StreamReader
from tests.kit.run import PROPERTY
from tests.wire.canonical import ARGUMENTS, anthropic_answers, anthropic_requests, streams

CAPTURES = Path(__file__).parent / "captures"
HEAD = Head(id="req_1", model="asked", created_s=7)
INBOUND: Inbound = anthropic
OUTBOUND: Outbound = anthropic


@PROPERTY
@given(anthropic_requests())
def test_requests_read_back_as_they_were(request: ChatRequest) -> None:
    """Nothing of what this dialect can express is lost on the way through it."""
    written = OUTBOUND.write_request(
        request, model="m", output_tokens_max=None, on_loss=OnLoss.REFUSE
    )
    assert written.dropped == ()
    assert INBOUND.read_request(anthropic.decode_messages(written.body)) == request


@PROPERTY
@given(anthropic_answers())
def test_answers_read_back_as_they_were(answer: ChatAnswer) -> None:
    """With their reasons and usage in disjoint classes."""
    assert OUTBOUND.read_answer(INBOUND.write_answer(answer, HEAD)) == answer


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(at)]


def _follow(data: bytes, *cuts: int) -> tuple[StreamReader, list[Event]]:
    """Read a stream to its end."""
    reader = OUTBOUND.stream_reader()
    found = [event for piece in _pieces(data, list(cuts)) for event in reader.feed(piece)]
    return reader, found + reader.close()


def _write(*events: Event) -> bytes:
    writer = INBOUND.stream_writer(HEAD)
    return b"".join([*map(writer.feed, events), writer.end()])


@PROPERTY
@given(streams(signed=True), st.lists(st.integers(0, 10**6), max_size=8))
def test_streams_read_back_as_they_were(events: list[Event], cuts: list[int]) -> None:
    """However the bytes are cut."""
    reader, found = _follow(_write(*events), *cuts)
    reports = [event for event in found if isinstance(event, Used)]
    said = [event for event in found if not isinstance(event, Used)]
    assert [*said, *reports[-1:]] == events
    assert (reader.done, reader.whole) == (True, True)
    assert Used(reader.usage or Usage()) == events[-1]


@PROPERTY
@given(streams(signed=True))
def test_blocks_come_one_after_the_other(events: list[Event]) -> None:
    """Each is begun, continued and ended in turn, and counted without a gap."""
    opened: list[int] = []
    current: int | None = None
    for event in _events(_write(*events)):
        match event["type"]:
            case "content_block_start":
                assert current is None
                current = event["index"]
                opened.append(event["index"])
            case "content_block_delta":
                assert event["index"] == current
            case "content_block_stop":
                assert event["index"] == current
                current = None
            case _:
                pass
    assert current is None
    assert opened == list(range(len(opened)))


@st.composite
def _turns(draw: st.DrawFn) -> tuple[list[Event], dict[str, str]]:
    """Draw calls that take turns, as OpenAI's index lets them; give their arguments, too."""
    calls = draw(st.lists(ARGUMENTS | st.just(""), min_size=1, max_size=4))
    left = {at: list(text) for at, text in enumerate(calls)}
    found: list[Event] = [Started("msg_a", "m"), TextDelta("Now:")]
    begun = 0
    while begun < len(calls) or any(left.values()):
        choices = [at for at in range(begun) if left[at]]
        if begun < len(calls) and (not choices or draw(st.booleans())):
            found.append(ToolCallStarted(begun, f"call_{begun}", "f"))
            begun += 1
            continue
        at = draw(st.sampled_from(choices))
        count = draw(st.integers(1, 9))
        piece, left[at] = left[at][:count], left[at][count:]
        found.append(ToolArgumentsDelta(at, "".join(piece)))
    if draw(st.booleans()):
        found.append(TextDelta("Done."))
    return [*found, Ended(Stop.TOOL_CALLS)], {f"call_{at}": a for at, a in enumerate(calls)}


@PROPERTY
@given(_turns())
def test_calls_that_take_turns_come_one_after_the_other(
    drawn: tuple[list[Event], dict[str, str]],
) -> None:
    """A client reads the arguments of a call where its block ends: they are whole by then."""
    events, wanted = drawn
    current: dict[str, Any] = {}
    got: dict[str, str] = {}
    for event in _events(_write(*events)):
        match event["type"]:
            case "content_block_start":
                assert not current
                current = {"index": event["index"], "pieces": "", **event["content_block"]}
            case "content_block_delta":
                assert event["index"] == current["index"]
                current["pieces"] += event["delta"].get("partial_json", "")
            case "content_block_stop":
                if current["type"] == "tool_use":
                    got[current["id"]] = current["pieces"]
                current = {}
            case _:
                pass
    assert list(got.items()) == list(wanted.items())


def test_calls_that_never_end_do_not_wait_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that begins calls and ends none is not kept in memory for ever."""
    module = importlib.import_module("entente.wire.anthropic.stream_writer")
    many = INBOUND.stream_writer(HEAD)
    begun = [ToolCallStarted(number, "", "") for number in range(1100)]
    with pytest.raises(UpstreamProtocolError):
        list(map(many.feed, begun))
    monkeypatch.setattr(module, "HELD_CHARS_MAX", 3 * (64 + 3) + 64 + 7)
    writer = INBOUND.stream_writer(HEAD)
    for number in range(4):
        writer.feed(ToolCallStarted(number, "id", "f"))
    writer.feed(ToolArgumentsDelta(1, "1234567"))
    with pytest.raises(UpstreamProtocolError):
        writer.feed(ToolArgumentsDelta(2, "8"))


# ---- the vendor's own streams ----

TEXT = [
    Started("msg_4QpJur2dWWDjF6C758FbBw5vm12BaVipnK", "claude-3-opus-latest"),
    Used(Usage(input=11, output=1)),
    TextDelta("Hello"),
    TextDelta(" there"),
    TextDelta("!"),
    Ended(Stop.END),
    Used(Usage(input=11, output=6)),
]
TOOLS = [
    Started("msg_019Q1hrJbZG26Fb9BQhrkHEr", "claude-sonnet-4-20250514"),
    Used(Usage(input=377, output=1)),
    TextDelta("I"),
    TextDelta("'ll check the current weather in Paris for you."),
    ToolCallStarted(0, "toolu_01NRLabsLyVHZPKxbKvkfSMn", "get_weather"),
    *(ToolArgumentsDelta(0, text) for text in ('{"locati', 'on": "P', "ar", 'is"}')),
    Ended(Stop.TOOL_CALLS),
    Used(Usage(input=377, output=65)),
]
REFUSAL = [
    Started("msg_01RefusalTestMessage123456789", "claude-opus-4-7"),
    Used(Usage(input=20, output=1)),
    Ended(Stop.REFUSAL),
    Used(Usage(input=20)),
]


@pytest.mark.parametrize(
    ("name", "expected", "status"),
    [
        ("text", TEXT, Status.COMPLETE),
        ("tools", TOOLS, Status.COMPLETE),
        ("refusal", REFUSAL, Status.FILTERED),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 64, 10**6])
def test_recorded_streams(name: str, expected: list[Event], status: Status, step: int) -> None:
    """Text, tools and a refusal, however they are cut; written again they say the same."""
    data = (CAPTURES / f"anthropic-{name}.sse").read_bytes()
    reader, found = _follow(data, *range(0, len(data), step))
    assert found == expected
    assert (reader.done, reader.status) == (True, status)
    assert Used(reader.usage or Usage()) == expected[-1]
    again = _follow(_write(*found))[1]
    assert (again[0], again[2:]) == (expected[0], expected[2:])


@pytest.mark.parametrize("name", ["text", "tools", "refusal"])
@pytest.mark.parametrize("step", [1, 7, 64, 10**6])
def test_recorded_streams_pass_untouched(name: str, step: int) -> None:
    """Promise 4; and the end waits for the settlement."""
    data = (CAPTURES / f"anthropic-{name}.sse").read_bytes()
    stream = anthropic.MessagesStream()
    sent = b"".join([stream.feed(data[at : at + step]) for at in range(0, len(data), step)])
    assert sent + stream.close() + stream.end == data
    assert stream.end.startswith(b"event: message_stop")
    reader, _ = _follow(data)
    assert (stream.status, stream.usage, stream.done) == (reader.status, reader.usage, True)
    assert stream.output_tokens_bound == len(data)


@pytest.mark.parametrize("cut", [40, 400, -50, -3, -1])
def test_streams_that_break_off(cut: int) -> None:
    """Half an event never goes on; an answer is whole with its reason, not with its bytes."""
    data = (CAPTURES / "anthropic-text.sse").read_bytes()[:cut]
    stream = anthropic.MessagesStream()
    sent = stream.feed(data) + stream.close()
    assert data.startswith(sent)
    reader, _ = _follow(data)
    assert stream.status is reader.status
    assert stream.whole is (cut in (-50, -3, -1))


def _events(body: bytes) -> list[dict[str, Any]]:
    found = []
    for event in body.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def test_the_form_of_a_stream() -> None:
    """SURFACE 3.5, event by event."""
    usage = Usage(input=3, cache_read=4, cache_write=5, output=6, reasoning=7)
    events: list[Event] = [
        Started("", ""),
        ThinkingDelta("hm"),
        ThinkingDelta("", "sig"),
        TextDelta("hi"),
        ToolCallStarted(0, "c", "f"),
        ToolArgumentsDelta(0, "{}"),
        Ended(Stop.STOP_SEQUENCE, "x"),
        Used(usage),
    ]
    nothing = {
        "input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
    }
    message: dict[str, object] = {
        "id": "msg_req_1",
        "type": "message",
        "role": "assistant",
        "model": "asked",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": nothing,
    }

    def start(index: int, **block: object) -> dict[str, object]:
        return {"type": "content_block_start", "index": index, "content_block": block}

    def delta(index: int, **delta: object) -> dict[str, object]:
        return {"type": "content_block_delta", "index": index, "delta": delta}

    def stop(index: int) -> dict[str, object]:
        return {"type": "content_block_stop", "index": index}

    assert _events(_write(*events)) == [
        {"type": "message_start", "message": message},
        start(0, type="thinking", thinking="", signature=""),
        {"type": "ping"},
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="sig"),
        stop(0),
        start(1, type="text", text=""),
        delta(1, type="text_delta", text="hi"),
        stop(1),
        start(2, type="tool_use", id="c", name="f", input={}),
        delta(2, type="input_json_delta", partial_json="{}"),
        stop(2),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "stop_sequence", "stop_sequence": "x"},
            "usage": {
                "input_tokens": 3,
                "cache_creation_input_tokens": 5,
                "cache_read_input_tokens": 4,
                "output_tokens": 13,
                "output_tokens_details": {"thinking_tokens": 7},
            },
        },
        {"type": "message_stop"},
    ]


@pytest.mark.parametrize(
    ("events", "message", "kind"),
    [
        ([TextDelta("hi")], "The provider's answer broke off", "api_error"),
        ([], "The provider's answer broke off", "api_error"),
        (
            [TextDelta("hi"), Ended(Stop.END), Failed(Failure.OVERLOADED, "Busy.")],
            "Busy.",
            "overloaded_error",
        ),
    ],
)
def test_an_answer_that_breaks_off_has_no_end(events: list[Event], message: str, kind: str) -> None:
    """Promise 5: an error event in place of a reason, and no stop."""
    body = _write(*events)
    last = _events(body)[-1]
    assert last["error"]["message"].startswith(message)
    assert last["error"]["type"] == kind
    assert b"message_stop" not in body
    assert b"message_delta" not in body
    writer = INBOUND.stream_writer(HEAD)
    writer.feed(TextDelta("hi"))
    assert _events(writer.fail(UpstreamClosed("Gone."))) == [
        {"type": "error", "error": {"type": "api_error", "message": "Gone."}}
    ]


def test_a_refusal_is_a_reason() -> None:
    """Another vendor's refusing words are text here, and the reason says what they are."""
    body = _write(RefusalDelta("no"), Ended(Stop.END))
    assert [event["type"] for event in _events(body)].count("content_block_delta") == 1
    assert b'"stop_reason":"refusal"' in body
    answer = ChatAnswer(id="", model="", choices=(Choice(parts=(Refusal("no"),), stop=Stop.END),))
    written = json.loads(INBOUND.write_answer(answer, HEAD))
    assert written["stop_reason"] == "refusal"
    assert written["content"] == [{"type": "text", "text": "no"}]
    assert (written["id"], written["model"]) == ("msg_req_1", "asked")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ('{"a": [1]}', {"a": [1]}),
        ('{"a"', {"INVALID_JSON": '{"a"'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
    ],
)
def test_arguments_that_are_no_object(arguments: str, expected: object) -> None:
    """They go into a wrapper: clients of this dialect read an object."""
    choice = Choice(parts=(ToolCall("c", "f", arguments),), stop=Stop.TOOL_CALLS)
    written = INBOUND.write_answer(ChatAnswer(id="", model="", choices=(choice,)), HEAD)
    assert json.loads(written)["content"][0]["input"] == expected


def _sse(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode())
        for event in events
    )


def test_a_call_without_arguments_has_an_empty_object() -> None:
    """Other dialects want JSON there. What a block has from the start is not lost."""
    tool = {"type": "tool_use", "id": "c", "name": "f"}
    started = {"type": "content_block_start", "index": 0, "content_block": {**tool, "input": {}}}
    full = {"type": "content_block_start", "index": 4, "content_block": {**tool, "input": {"a": 1}}}
    text = {
        "type": "content_block_start",
        "index": 5,
        "content_block": {"type": "text", "text": "x"},
    }
    other = {"type": "content_block_start", "index": 6, "content_block": {"type": "new_kind"}}
    delta = {"type": "input_json_delta", "partial_json": "1"}
    lost = {"type": "content_block_delta", "index": 6, "delta": delta}
    stop = {"type": "content_block_stop", "index": 0}
    _, found = _follow(_sse(started, stop, full, text, other, lost))
    assert found == [
        ToolCallStarted(0, "c", "f"),
        ToolArgumentsDelta(0, "{}"),
        ToolCallStarted(1, "c", "f"),
        ToolArgumentsDelta(1, '{"a": 1}'),
        TextDelta("x"),
    ]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": "x"}, Failure.OVERLOADED),
        ({"type": "rate_limit_error", "message": "x"}, Failure.RATE_LIMITED),
        ({"type": "api_error", "message": "x"}, Failure.SERVER),
        ({"message": "x"}, Failure.SERVER),
    ],
)
def test_the_providers_own_failure(error: dict[str, str], kind: Failure) -> None:
    """It ends the stream, whatever came before."""
    reader, found = _follow(_sse({"type": "error", "error": error}))
    assert found == [Failed(kind, "x")]
    assert reader.status is Status.FAILED
    assert _follow(_write(*found))[1] == found


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"output_tokens": 6}, Usage(input=11, cache_read=2, output=6)),
        ({"output_tokens": 6, "input_tokens": 12}, Usage(input=12, cache_read=2, output=6)),
        (
            {"output_tokens": 6, "output_tokens_details": {"thinking_tokens": 4}},
            Usage(input=11, cache_read=2, output=2, reasoning=4),
        ),
        ({"output_tokens": 6, "output_tokens_details": {"thinking_tokens": 7}}, None),
        ({"output_tokens": -1}, None),
        ({"output_tokens": 2**60}, None),
        ({"output_tokens": "6"}, None),
        (None, None),
    ],
)
def test_usage_is_cumulative_or_unknown(usage: object, expected: Usage | None) -> None:
    """The first report is only the input's: alone it is none of the whole."""
    first = {"input_tokens": 11, "output_tokens": 1, "cache_read_input_tokens": 2}
    message = {"type": "message", "id": "msg_1", "model": "m", "content": [], "usage": first}
    start = {"type": "message_start", "message": message}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    reader, found = _follow(_sse(start, end))
    assert (reader.usage, reader.status) == (expected, Status.COMPLETE)
    assert found[1] == Used(Usage(input=11, cache_read=2, output=1))


@PROPERTY
@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(data: bytes) -> None:
    """A stream of garbage is truncated; it never breaks the reader."""
    assert _follow(data)[0].status is Status.TRUNCATED
    assert anthropic.read_answer(data) is None
    stream = anthropic.MessagesStream()
    assert data.startswith(stream.feed(data))
    assert stream.close() == b""


def test_what_is_cached_for_an_hour_is_a_class_of_its_own() -> None:
    """Reported within what was written to the cache; and told to clients the same way."""
    body = (
        b'{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn",'
        b'"usage":{"input_tokens":3,"cache_creation_input_tokens":50,"cache_read_input_tokens":7,'
        b'"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":40},'
        b'"output_tokens":2}}'
    )
    answer = anthropic.read_answer(body)
    assert answer is not None
    usage = Usage(input=3, cache_read=7, cache_write=10, cache_write_1h=40, output=2)
    assert answer.usage == usage
    written = write_usage(usage)
    assert written["cache_creation_input_tokens"] == 50
    assert written["cache_creation"]["ephemeral_1h_input_tokens"] == 40
    odd = anthropic.read_answer(body.replace(b'h_input_tokens":40', b'h_input_tokens":51'))
    assert odd is not None
    assert odd.usage is None


@pytest.mark.parametrize(("said", "tier"), [("standard", "default"), ("fast", "fast")])
def test_a_fast_answer_is_of_a_tier_of_its_own(said: str, tier: str) -> None:
    """It costs more than the standard rate, so it must not be taken for that."""
    body = (
        '{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn",'
        '"usage":{"input_tokens":3,"output_tokens":2,"service_tier":"standard","speed":"%s"}}'
    )
    answer = anthropic.read_answer((body % said).encode())
    assert answer is not None
    assert answer.service_tier == tier
