"""Streams of responses in canonical values: what is written reads back as it was."""

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
from entente.domain.errors import UpstreamProtocolError, UpstreamTimeout
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
    Stop,
    TokenLogprob,
)
from entente.domain.usage import Usage
from entente.wire import openai_responses
from entente.wire.dialect import Head, Inbound, Outbound, StreamReader
from entente.wire.openai_responses import (
    ResponsesStream,
)
from tests.kit.run import PROPERTY
from tests.wire.responses import responses_streams
from tests.wire.responses_schema import read_events, stream_defects

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


def test_calls_without_an_end_are_broken_off() -> None:
    """Each new call looks for others that are whole: that takes no time that grows with them."""
    module = importlib.import_module("entente.wire.openai_responses.stream_writer")
    writer = INBOUND.stream_writer(HEAD)
    for number in range(1024):
        writer.feed(ToolCallStarted(number, "c", "f"))
        writer.feed(ToolArgumentsDelta(number, '{"a":"}\\"'))
    with pytest.raises(UpstreamProtocolError, match=str(module.CALLS_OPEN_MAX)):
        writer.feed(ToolCallStarted(1024, "c", "f"))


def test_names_and_probabilities_are_of_what_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are kept, too."""
    module = importlib.import_module("entente.wire.openai_responses.stream_writer")
    monkeypatch.setattr(module, "OUTPUT_CHARS_MAX", 5)
    with pytest.raises(UpstreamProtocolError):
        INBOUND.stream_writer(HEAD).feed(ToolCallStarted(0, "call", "fg"))
    with pytest.raises(UpstreamProtocolError):
        INBOUND.stream_writer(HEAD).feed(LogprobsDelta((TokenLogprob("123456", -1.0),)))


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
