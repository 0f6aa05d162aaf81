"""Responses and their streams in canonical values: what is written reads back as it was."""

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
from entente.domain.errors import UpstreamClosed, UpstreamProtocolError, UpstreamTimeout
from entente.domain.events import (
    Ended,
    Event,
    Failed,
    Failure,
    LogprobsDelta,
    RedactedThinkingPart,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Used,
)
from entente.domain.inference import (
    STATUSES,
    ChatAnswer,
    Choice,
    Part,
    RedactedThinking,
    Refusal,
    Stop,
    Text,
    Thinking,
    ToolCall,
)
from entente.domain.usage import Usage
from entente.wire import openai_responses
from entente.wire.dialect import Head, Inbound, Outbound, StreamReader
from entente.wire.openai_responses import (
    ResponsesStream,
    decode_responses,
    head,
    read_request,
)
from tests.kit.run import PROPERTY
from tests.wire.responses import responses_answers, responses_streams
from tests.wire.responses_schema import read_events, response_defects, stream_defects

CAPTURES = Path(__file__).parent / "captures"
RECORDED = (CAPTURES / "openai-responses-text.sse").read_bytes()
HEAD = Head(id="req_1", model="asked", created_s=7)
INBOUND: Inbound = openai_responses
OUTBOUND: Outbound = openai_responses


def _write(*events: Event) -> bytes:
    writer = INBOUND.stream_writer(HEAD)
    return b"".join([*map(writer.feed, events), writer.end()])


def _follow(data: bytes, *cuts: int) -> tuple[StreamReader, list[Event]]:
    """Read a stream to its end, cut into pieces at these places."""
    reader = OUTBOUND.stream_reader()
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[start:stop] for start, stop in itertools.pairwise(at)]
    found = [event for piece in pieces for event in reader.feed(piece)]
    return reader, found + reader.close()


def _types(data: bytes) -> list[str]:
    return [event["type"] for event in read_events(data)]


# ---- whole answers ----


def _unsealed(part: Part) -> Part:
    """Take off what a provider's seal adds to the signature that our client sees."""
    match part:
        case Thinking(text=text, signature=str(signature)):
            return Thinking(text, signature.split(":", 3)[3])
        case RedactedThinking(data=data):
            return RedactedThinking(data.split(":", 3)[3])
        case _:
            return part


@PROPERTY
@given(responses_answers())
def test_answers_read_back_as_they_were(answer: ChatAnswer) -> None:
    """With their logprobs, reasons and usage in disjoint classes."""
    body = INBOUND.write_answer(answer, HEAD)
    assert response_defects(body) == []
    read = OUTBOUND.read_answer(body)
    assert read is not None
    (choice,) = read.choices
    parts = tuple(_unsealed(part) for part in choice.parts)
    again = Choice(parts=parts, stop=choice.stop, logprobs=choice.logprobs)
    assert (
        ChatAnswer(
            id=read.id,
            model=read.model,
            choices=(again,),
            usage=read.usage,
            created_s=read.created_s,
            service_tier=read.service_tier,
        )
        == answer
    )


@PROPERTY
@given(responses_answers())
def test_an_answer_is_the_input_of_the_next_turn(answer: ChatAnswer) -> None:
    """Its items come back with every signature that they had, whoever's it is."""
    output = json.loads(INBOUND.write_answer(answer, HEAD))["output"]
    call = decode_responses(
        json.dumps({"model": "m", "input": [*output, {"role": "user", "content": "go"}]}).encode()
    )
    messages = read_request(call).messages
    said = messages[0].parts if len(messages) > 1 else ()
    assert said == answer.choices[0].parts


def test_a_recorded_answer() -> None:
    """As Azure gave it, with members that are only its own."""
    body = (CAPTURES / "azure-responses.json").read_bytes()
    assert OUTBOUND.read_answer(body) == ChatAnswer(
        id="resp_036b62cf8c9abbe6006a6771240b088193b20bf84ec3e66e67",
        model="gpt-5.4",
        choices=(Choice(parts=(Text("Paris"),), stop=Stop.END),),
        usage=Usage(input=18, output=5),
        created_s=1785164068,
        service_tier="default",
    )


USED = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 150,
}


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (USED, Usage(input=30, cache_read=60, cache_write=10, output=30, reasoning=20)),
        ({"input_tokens": 3, "output_tokens": 2}, Usage(input=3, output=2)),
        ({**USED, "output_tokens": 10}, None),
        ({"input_tokens": 3}, None),
        ({"input_tokens": 2**60, "output_tokens": 1}, None),
        ("x", None),
        (None, None),
    ],
)
def test_usage_in_disjoint_classes(usage: Any, read: Usage | None) -> None:
    """Or unknown, never half a truth; and written as it was."""
    body = json.dumps({"object": "response", "status": "completed", "usage": usage}).encode()
    answer = OUTBOUND.read_answer(body)
    assert answer is not None
    assert answer.usage == read
    written = json.loads(INBOUND.write_answer(answer, HEAD))
    assert ("usage" in written) == (read is not None)
    if usage == USED:
        assert written["usage"] == USED


@pytest.mark.parametrize(
    ("status", "reason", "stop"),
    [
        ("completed", None, Stop.END),
        ("incomplete", "max_output_tokens", Stop.LENGTH),
        ("incomplete", "content_filter", Stop.FILTERED),
        ("incomplete", None, Stop.LENGTH),
        ("incomplete", "something_new", Stop.PAUSE),
        ("failed", None, None),
        ("in_progress", None, None),
        ("cancelled", None, None),
    ],
)
def test_how_an_answer_ended(status: str, reason: str | None, stop: Stop | None) -> None:
    """What has no end of its own is not whole."""
    body = {"status": status, "incomplete_details": {"reason": reason} if reason else None}
    answer = OUTBOUND.read_answer(json.dumps(body).encode())
    assert answer is not None
    assert answer.choices[0].stop is stop


def test_items_of_hosted_tools_have_no_place() -> None:
    """What is said, and what the client runs, has one; a custom tool's text is wrapped."""
    output = [
        {"type": "web_search_call", "id": "ws", "action": {"type": "search"}, "content": 5},
        {"type": "custom_tool_call", "call_id": "c", "name": "g", "input": "raw"},
        {"type": "function_call", "id": "fc", "name": "f", "arguments": None},
        "nonsense",
    ]
    body = {"object": "response", "status": "completed", "output": output}
    answer = OUTBOUND.read_answer(json.dumps(body).encode())
    assert answer is not None
    assert answer.choices[0].stop is Stop.TOOL_CALLS
    assert answer.choices[0].parts == (
        ToolCall("c", "g", '{"input":"raw"}'),
        ToolCall("fc", "f", ""),
    )


def test_an_answer_that_was_not_ended_is_a_failure() -> None:
    """Never a completed one."""
    answer = ChatAnswer(id="", model="", choices=(Choice(parts=(Text("a"),), stop=None),))
    written = json.loads(INBOUND.write_answer(answer, HEAD))
    assert (written["status"], written["error"]["code"]) == ("failed", "server_error")
    assert written["output"][0]["status"] == "incomplete"
    empty = json.loads(INBOUND.write_answer(ChatAnswer(id="", model="", choices=()), HEAD))
    assert (empty["status"], empty["output"], empty["model"]) == ("failed", [], "asked")
    assert (empty["id"], empty["created_at"]) == ("resp_req_1", 7)


def test_a_response_repeats_its_request() -> None:
    """The client's own values, with the API's defaults around them."""
    body = (
        b'{"model":"m","input":"hi","temperature":0.50,"instructions":"Be brief.",'
        b'"metadata":{"a":"b"},"tools":[{"type":"function","name":"f"},{"type":"custom","name":"c"}],'
        b'"reasoning":{"effort":"low"},"text":{"verbosity":"low"},"top_p":null,"user":"u"}'
    )
    call = decode_responses(body)
    answer = ChatAnswer(id="resp_1", model="x", choices=(Choice(parts=(), stop=Stop.END),))
    data = INBOUND.write_answer(answer, head(call, id="req_1", created_s=7, stored=True))
    assert b'"temperature":0.50' in data
    assert response_defects(data) == []
    written = json.loads(data)
    assert written["tools"] == [
        {"type": "function", "name": "f", "description": None, "parameters": None, "strict": False},
        {"type": "custom", "name": "c"},
    ]
    assert written["reasoning"] == {"effort": "low", "summary": None}
    assert written["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    expected = {"instructions": "Be brief.", "metadata": {"a": "b"}, "user": "u", "top_p": 1.0}
    assert expected.items() <= written.items()
    assert (written["store"], written["background"]) == (True, False)


# ---- streams ----


@PROPERTY
@given(responses_streams(), st.lists(st.integers(0, 10**6), max_size=8))
def test_streams_read_back_as_they_were(events: list[Event], cuts: list[int]) -> None:
    """However the bytes are cut, and each event valid."""
    data = _write(*events)
    assert stream_defects(data) == []
    reader, found = _follow(data, *cuts)
    assert [_plain(event) for event in found] == events
    assert (reader.done, reader.whole) == (True, True)
    assert Used(reader.usage or Usage()) == events[-1]


def _plain(event: Event) -> Event:
    """Take off what a provider's seal adds to a signature."""
    match event:
        case ThinkingDelta(text=text, signature=str(signature)):
            return ThinkingDelta(text, signature.split(":", 3)[3])
        case RedactedThinkingPart(data=data):
            return RedactedThinkingPart(data.split(":", 3)[3])
        case _:
            return event


TEXT = [
    Started("resp_058d81c1884c3b50006a91e2b58db887d0bcfa4d1b65e9bdeb", "gpt-5.6-terra", 1787945653),
    TextDelta("pong"),
    Ended(Stop.END),
    Used(Usage(input=7, output=5)),
]


@pytest.mark.parametrize("step", [1, 7, 64, 10**6])
def test_a_recorded_stream(step: int) -> None:
    """Read, and written again with the same events and members."""
    reader, found = _follow(RECORDED, *range(0, len(RECORDED), step))
    assert found == TEXT
    assert (reader.done, reader.status) == (True, Status.COMPLETE)
    theirs, ours = read_events(RECORDED), read_events(_write(*found))
    for their, our in zip(theirs, ours, strict=True):
        assert our["type"] == their["type"]
        assert our.keys() == their.keys() - {"obfuscation"}
        for name in ("item", "part"):
            if name in their:
                assert our[name].keys() == their[name].keys() - {"phase"}
        if "response" in their:
            assert our["response"].keys() >= their["response"].keys() - {"service_tier"}
            assert our["response"]["status"] == their["response"]["status"]


def test_the_order_of_events() -> None:
    """SURFACE 3.4: a thought, text, a refusal, parallel calls; each ends before the next."""
    data = _write(
        Started("", ""),
        ThinkingDelta("hm"),
        ThinkingDelta("", "Eq="),
        TextDelta("a"),
        TextDelta("b"),
        RefusalDelta("c"),
        ToolCallStarted(0, "c0", "f"),
        ToolArgumentsDelta(0, "{}"),
        ToolCallStarted(1, "c1", "g"),
        RedactedThinkingPart("x"),
        Ended(Stop.TOOL_CALLS),
        Used(Usage(input=1, output=2)),
    )
    assert stream_defects(data) == []
    assert [kind.removeprefix("response.") for kind in _types(data)] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "output_item.added",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    last = read_events(data)[-1]["response"]
    assert [item["type"] for item in last["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
        "reasoning",
    ]
    assert last["output"][0]["encrypted_content"] == "thinking:Eq="
    assert last["output"][4]["encrypted_content"] == "redacted:x"
    assert [part["type"] for part in last["output"][1]["content"]] == ["output_text", "refusal"]


def test_calls_that_take_turns() -> None:
    """None ends before its arguments are whole, and all stand in the order of their beginning."""
    data = _write(
        Started("", ""),
        ToolCallStarted(0, "c0", "f"),
        ToolCallStarted(1, "c1", "g"),
        ToolArgumentsDelta(1, '{"b":'),
        ToolArgumentsDelta(0, '{"a":1}'),
        ToolArgumentsDelta(1, "2}"),
        Ended(Stop.TOOL_CALLS),
    )
    assert stream_defects(data) == []
    output = read_events(data)[-1]["response"]["output"]
    assert [item["arguments"] for item in output] == ['{"a":1}', '{"b":2}']
    assert len({item["id"] for item in output}) == 2


@pytest.mark.parametrize("stop", list(Stop))
def test_every_reason_keeps_its_status(stop: Stop) -> None:
    """A response is completed, or incomplete with the reason, and so is its last item."""
    data = _write(Started("", ""), TextDelta("x"), Ended(stop))
    reader, _ = _follow(data)
    assert reader.status is STATUSES[stop]
    last = read_events(data)[-1]
    whole = STATUSES[stop] is Status.COMPLETE
    assert last["type"] == ("response.completed" if whole else "response.incomplete")
    assert last["response"]["output"][0]["status"] == ("completed" if whole else "incomplete")
    assert "usage" not in last["response"]


@pytest.mark.parametrize(
    ("failure", "code", "alone"),
    [
        (Failure.SERVER, "server_error", "server_error"),
        (Failure.OVERLOADED, "server_error", "server_is_overloaded"),
        (Failure.RATE_LIMITED, "rate_limit_exceeded", "rate_limit_exceeded"),
        (Failure.TIMEOUT, "server_error", "timeout"),
        (Failure.INVALID, "invalid_prompt", "invalid_prompt"),
    ],
)
def test_a_provider_that_fails(failure: Failure, code: str, alone: str) -> None:
    """Promise 5: a failed response with what was said, or an error where none had begun."""
    data = _write(Started("", ""), TextDelta("x"), Ended(Stop.END), Failed(failure, "Sorry."))
    assert stream_defects(data) == []
    last = read_events(data)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": code, "message": "Sorry."}
    assert last["response"]["output"][0]["status"] == "incomplete"
    assert "response.completed" not in data.decode()
    reader, found = _follow(data)
    assert (reader.status, found[-1]) == (Status.FAILED, Failed(found[-1].kind, "Sorry."))  # type: ignore[union-attr]
    (event,) = read_events(_write(Failed(failure, "Sorry.")))
    assert (event["type"], event["code"], event["message"]) == ("error", alone, "Sorry.")


@pytest.mark.parametrize("events", [[], [Started("", "")], [Started("", ""), TextDelta("x")]])
def test_an_answer_that_breaks_off(events: list[Event]) -> None:
    """An error event, numbered behind the others, and nothing that looks like an end."""
    data = _write(*events)
    assert stream_defects(data) == []
    last = read_events(data)[-1]
    assert (last["type"], last["code"]) == ("error", "upstream_failed")
    assert last["message"].startswith("The provider's answer broke off")
    assert _follow(data)[0].status is Status.FAILED
    writer = INBOUND.stream_writer(HEAD)
    written = writer.feed(Started("", "")) + writer.fail(UpstreamTimeout("Slow.", phase="idle"))
    assert read_events(written)[-1] == {
        "type": "error",
        "code": "timeout",
        "message": "Slow.",
        "param": None,
        "sequence_number": 2,
    }


def test_an_endless_answer_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer has to keep what it wrote, so there is a bound."""
    module = importlib.import_module("entente.wire.openai_responses.stream_writer")
    monkeypatch.setattr(module, "OUTPUT_CHARS_MAX", 5)
    writer = INBOUND.stream_writer(HEAD)
    writer.feed(TextDelta("12345"))
    with pytest.raises(UpstreamProtocolError):
        writer.feed(TextDelta("6"))


# ---- variants of other servers ----


def _sse(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (str(event.get("type")).encode(), json.dumps(event).encode())
        for event in events
    )


def _event(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **members}


DONE = _event("completed", response={"status": "completed"})


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([_event("output_text.done", text="a")], [TextDelta("a")]),
        (
            [_event("output_text.delta", delta="a"), _event("output_text.done", text="a")],
            [TextDelta("a")],
        ),
        (
            [
                _event(
                    "output_item.done",
                    item={
                        "type": "message",
                        "content": [
                            {"type": "output_text", "text": "a"},
                            {"type": "refusal", "refusal": "b"},
                        ],
                    },
                )
            ]
            * 2,
            [TextDelta("a"), RefusalDelta("b")],
        ),
        (
            [
                _event(
                    "output_item.done",
                    item={"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                ),
                _event("function_call_arguments.delta", delta="stray", output_index=9),
            ],
            [ToolCallStarted(0, "c", "f"), ToolArgumentsDelta(0, "{}")],
        ),
        (
            [
                _event("reasoning_summary_text.delta", delta="a", summary_index=0),
                _event("reasoning_text.delta", delta="not both"),
                _event("reasoning_summary_text.delta", delta="b", summary_index=1),
                _event(
                    "output_item.done",
                    item={"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "g"},
                ),
            ],
            [
                ThinkingDelta("a"),
                ThinkingDelta("\n\n"),
                ThinkingDelta("b"),
                ThinkingDelta("", "openai:rs:g"),
            ],
        ),
        (
            [
                _event(
                    "output_item.done",
                    item={
                        "type": "reasoning",
                        "summary": [],
                        "content": [{"type": "reasoning_text", "text": "raw"}],
                        "encrypted_content": "g",
                    },
                )
            ],
            [ThinkingDelta("raw"), ThinkingDelta("", "openai::g")],
        ),
        (
            [_event("output_text.delta", delta="a", logprobs=[{"token": "a", "logprob": -1}])],
            [LogprobsDelta, TextDelta("a")],
        ),
        ([{"type": "ping"}, _event("web_search_call.searching"), {"type": 5}], []),
    ],
)
def test_variants_of_other_servers(events: list[dict[str, Any]], expected: list[Any]) -> None:
    """What comes only in whole is read there, what comes twice once."""
    reader, found = _follow(_sse(*events, DONE))
    called = any(isinstance(event, ToolCallStarted) for event in found)
    ended = Ended(Stop.TOOL_CALLS if called else Stop.END)
    kinds = [LogprobsDelta if isinstance(e, LogprobsDelta) else e for e in found]
    assert kinds == [Started("", ""), *expected, ended]
    assert reader.status is Status.COMPLETE


ERROR = {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down."}


@pytest.mark.parametrize(
    ("data", "status", "failed"),
    [
        (b"", Status.TRUNCATED, None),
        (RECORDED[:-40], Status.TRUNCATED, None),
        (RECORDED[:-2], Status.COMPLETE, None),
        (_sse(_event("output_text.delta", delta="a")), Status.TRUNCATED, None),
        (_sse({"type": "response.completed"}), Status.TRUNCATED, None),
        (_sse(_event("completed", response=5)), Status.TRUNCATED, None),
        (_sse(ERROR), Status.FAILED, Failed(Failure.RATE_LIMITED, "Slow down.")),
        (
            _sse(ERROR, _event("failed", response={"error": {"code": "x", "message": "y"}})),
            Status.FAILED,
            Failed(Failure.RATE_LIMITED, "Slow down."),
        ),
        (
            _sse({"error": {"message": "x", "code": 503}}),
            Status.FAILED,
            Failed(Failure.SERVER, "x"),
        ),
        (_sse({"error": "x"}), Status.FAILED, Failed(Failure.SERVER, "x")),
        (
            _sse({"type": "error", "error": [1]}),
            Status.FAILED,
            Failed(Failure.SERVER, "The provider failed while it answered."),
        ),
        (
            _sse(_event("incomplete", response={"incomplete_details": {"reason": "x"}})),
            Status.COMPLETE,
            None,
        ),
        (
            _sse(_event("incomplete", response={"incomplete_details": None})),
            Status.LENGTH,
            None,
        ),
    ],
)
def test_how_a_stream_ended(data: bytes, status: Status, failed: Failed | None) -> None:
    """The end of the bytes alone is no end; a failure is told once; the meter agrees."""
    reader, found = _follow(data)
    assert reader.status is status
    assert [event for event in found if isinstance(event, Failed)] == ([failed] if failed else [])
    meter = ResponsesStream()
    meter.feed(data)
    meter.close()
    assert meter.status is status


@PROPERTY
@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(data: bytes) -> None:
    """Garbage is truncated; it never breaks the reader."""
    assert _follow(data)[0].status is Status.TRUNCATED
    assert OUTBOUND.read_answer(data) is None


# ---- bytes that pass ----


@pytest.mark.parametrize("step", [1, 7, 64, 10**6])
def test_a_stream_passes_byte_for_byte(step: int) -> None:
    """All but the last event, which is kept back; status and usage are known by then."""
    meter = ResponsesStream()
    sent = b"".join([meter.feed(RECORDED[at : at + step]) for at in range(0, len(RECORDED), step)])
    sent += meter.close()
    assert sent + meter.end == RECORDED
    assert meter.end.startswith(b"event: response.completed\n")
    assert b"response.completed" not in sent
    assert (meter.done, meter.whole, meter.status) == (True, True, Status.COMPLETE)
    assert meter.usage == Usage(input=7, output=5)
    assert meter.output_tokens_bound == len(RECORDED)


@PROPERTY
@given(responses_streams(), st.lists(st.integers(0, 10**6), max_size=8))
def test_any_stream_passes_byte_for_byte(events: list[Event], cuts: list[int]) -> None:
    """However it is cut; and the meter knows what the reader does."""
    data = _write(*events)
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    meter = ResponsesStream()
    sent = b"".join([meter.feed(data[start:stop]) for start, stop in itertools.pairwise(at)])
    assert sent + meter.close() + meter.end == data
    reader, _ = _follow(data)
    assert (meter.status, meter.usage) == (reader.status, reader.usage)


def test_a_stream_that_we_break_off() -> None:
    """The error is numbered behind what the client has."""
    meter = ResponsesStream()
    sent = meter.feed(RECORDED[:-60])
    assert meter.close() == b""
    assert meter.status is Status.TRUNCATED
    event = read_events(sent + meter.fail(UpstreamClosed("Gone.")))[-1]
    assert (event["sequence_number"], event["code"]) == (8, "upstream_failed")
    assert b'"sequence_number":0' in ResponsesStream().fail(UpstreamClosed("Gone."))


def test_a_refused_answer_is_no_text() -> None:
    """The words of refusing stay what they are."""
    answer = ChatAnswer(id="r", model="m", choices=(Choice(parts=(Refusal("no"),), stop=Stop.END),))
    read = OUTBOUND.read_answer(INBOUND.write_answer(answer, HEAD))
    assert read is not None
    assert read.choices == answer.choices
