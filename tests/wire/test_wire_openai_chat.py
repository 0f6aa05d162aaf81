"""Chat completions in canonical values: what is written reads back as it was."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Status
from entente.domain.errors import UpstreamClosed
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
from entente.domain.features import OnLoss
from entente.domain.inference import (
    ChatAnswer,
    ChatRequest,
    Stop,
    Text,
    Thinking,
    TokenLogprob,
)
from entente.domain.usage import Usage
from entente.wire import openai_chat
from entente.wire.dialect import Head, Inbound, Outbound, StreamReader
from entente.wire.openai import decode_chat
from tests.kit.run import PROPERTY
from tests.wire.canonical import openai_answers, openai_requests, streams

CAPTURES = Path(__file__).parent / "captures"
HEAD = Head(id="req_1", model="asked", created_s=7)
INBOUND: Inbound = openai_chat
OUTBOUND: Outbound = openai_chat


def _read(**members: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    return openai_chat.read_request(decode_chat(json.dumps(body).encode()))


@PROPERTY
@given(openai_requests())
def test_requests_read_back_as_they_were(request: ChatRequest) -> None:
    """Nothing of what this dialect can express is lost on the way through it."""
    written = OUTBOUND.write_request(
        request, model="m", output_tokens_max=None, on_loss=OnLoss.REFUSE
    )
    assert written.dropped == ()
    assert INBOUND.read_request(decode_chat(written.body)) == request


@PROPERTY
@given(openai_answers())
def test_answers_read_back_as_they_were(answer: ChatAnswer) -> None:
    """With their logprobs, reasons and usage in disjoint classes."""
    assert OUTBOUND.read_answer(INBOUND.write_answer(answer, HEAD)) == answer


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(at)]


def _follow(data: bytes, *cuts: int, choices: int = 1) -> tuple[StreamReader, list[Event]]:
    """Read a stream to its end."""
    reader = OUTBOUND.stream_reader(choices=choices)
    found = [event for piece in _pieces(data, list(cuts)) for event in reader.feed(piece)]
    return reader, found + reader.close()


def _write(*events: Event, include_usage: bool = True) -> bytes:
    head = Head(id="req_1", model="asked", created_s=7, include_usage=include_usage)
    writer = INBOUND.stream_writer(head)
    return b"".join([*map(writer.feed, events), writer.end()])


@PROPERTY
@given(streams(signed=False), st.lists(st.integers(0, 10**6), max_size=8))
def test_streams_read_back_as_they_were(events: list[Event], cuts: list[int]) -> None:
    """However the bytes are cut."""
    reader, found = _follow(_write(*events), *cuts)
    assert found == events
    assert (reader.done, reader.whole) == (True, True)
    assert Used(reader.usage or Usage()) == events[-1]


# ---- the vendor's own streams ----

PARALLEL = [
    Started("chatcmpl-ASv9l0RKJrq2fTx2dK5jhJoIr4rMI", "gpt-4o-mini-2024-07-18", 1731456257),
    ToolCallStarted(0, "call_hqkL24CLEwnniv4GDrjk14Iu", "get_current_weather"),
    *(ToolArgumentsDelta(0, text) for text in ('{"lo', "catio", 'n": "S', "eatt", "le, W", 'A"}')),
    ToolCallStarted(1, "call_0s1enkFttXjIR7ozHoGMcnUu", "get_current_weather"),
    *(
        ToolArgumentsDelta(1, text)
        for text in ('{"lo', "catio", 'n": "S', "an F", "ranci", "sco, C", 'A"}')
    ),
    Ended(Stop.TOOL_CALLS),
    Used(Usage(input=75, output=51)),
]
TEXT = [
    Started("chatcmpl-EI641q9iLECfmezx9sQaWT2B9Ahoy", "gpt-5.6-terra", 1787981921),
    TextDelta("pong"),
    Ended(Stop.END),
]
AZURE = [
    Started("chatcmpl-DPTBaSsimU1JbOyrWiQNkSSfOPQE7", "gpt-4.1-mini-2025-04-14", 1774962762),
    TextDelta("Why"),
    Ended(Stop.END),
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("openai-parallel-tools", PARALLEL), ("openai-text", TEXT), ("azure-text", AZURE)],
)
@pytest.mark.parametrize("step", [1, 7, 64, 10**6])
def test_recorded_streams(name: str, expected: list[Event], step: int) -> None:
    """Parallel calls with streamed arguments, and Azure's empty first chunk."""
    data = (CAPTURES / f"{name}.sse").read_bytes()
    reader, found = _follow(data, *range(0, len(data), step))
    assert found == expected
    assert (reader.done, reader.status) == (True, Status.COMPLETE)
    assert _follow(_write(*found))[1] == expected


def _chunk(delta: object, reason: object = None, **more: object) -> dict[str, object]:
    choice = {"index": 0, "delta": delta, **more, "finish_reason": reason}
    return {
        "id": "chatcmpl-req_1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "asked",
        "choices": [choice],
    }


def _data(body: bytes) -> list[object]:
    events = body.decode().split("\n\n")
    assert events.pop() == ""
    assert events.pop() == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events]


def test_the_form_of_a_stream() -> None:
    """SURFACE 3.1: the role comes first, usage only if asked for, the marker last."""
    events: list[Event] = [
        Started("", ""),
        TextDelta("hi"),
        Ended(Stop.LENGTH),
        Used(Usage(input=3, output=1)),
    ]
    role = {"role": "assistant", "content": "", "refusal": None}
    chunks = [_chunk(role), _chunk({"content": "hi"}), _chunk({}, "length")]
    assert _data(_write(*events, include_usage=False)) == chunks
    usage = {
        **_chunk({}),
        "choices": [],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 1,
            "total_tokens": 4,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "cache_write_tokens": 0,
                "audio_tokens": 0,
            },
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }
    assert _data(_write(*events)) == [*({**chunk, "usage": None} for chunk in chunks), usage]


def test_the_form_of_calls_thoughts_and_refusals() -> None:
    """A call begins with its name; a first chunk without text says so."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    events: list[Event] = [
        ToolCallStarted(0, "c", "f"),
        ToolArgumentsDelta(0, "{}"),
        RefusalDelta("no"),
        ThinkingDelta("hm"),
        ThinkingDelta("", "signature"),
        RedactedThinkingPart("secret"),
        Ended(Stop.TOOL_CALLS),
    ]
    assert _data(_write(*events, include_usage=False)) == [
        _chunk({"role": "assistant", "content": None}),
        _chunk({"tool_calls": [call]}),
        _chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
        _chunk({"refusal": "no"}),
        _chunk({"reasoning_content": "hm"}),
        _chunk({}, "tool_calls"),
    ]


def test_choices_and_logprobs() -> None:
    """Each choice has its role, its reason and its logprobs; the latter go with their text."""
    token = TokenLogprob("hi", -0.5, (104, 105), (TokenLogprob("ho", -1.5),))
    events: list[Event] = [
        Started("chatcmpl-a", "m", 5),
        LogprobsDelta((token,)),
        TextDelta("hi"),
        TextDelta("ho", choice=1),
        LogprobsDelta((token,), refusal=True, choice=1),
        RefusalDelta("no", choice=1),
        Ended(Stop.END),
        Ended(Stop.FILTERED, choice=1),
    ]
    reader, found = _follow(_write(*events), choices=2)
    assert found == events
    assert reader.status is Status.FILTERED


@pytest.mark.parametrize(
    ("events", "message", "kind"),
    [
        ([TextDelta("hi")], "The provider's answer broke off", "server_error"),
        ([], "The provider's answer broke off", "server_error"),
        ([TextDelta("a"), TextDelta("b", 1), Ended(Stop.END)], "The provider's", "server_error"),
        (
            [TextDelta("hi"), Ended(Stop.END), Failed(Failure.OVERLOADED, "Busy.")],
            "Busy.",
            "service_unavailable_error",
        ),
    ],
)
def test_an_answer_that_breaks_off_has_no_end(events: list[Event], message: str, kind: str) -> None:
    """Promise 5: an error event in place of a reason, and no marker."""
    body = _write(*events)
    last = json.loads(body.split(b"data: ")[-1])
    assert last["error"]["message"].startswith(message)
    assert last["error"]["type"] == kind
    assert b"[DONE]" not in body
    assert b'"finish_reason":"' not in body
    writer = INBOUND.stream_writer(HEAD)
    writer.feed(TextDelta("hi"))
    assert b'{"error":{"message":"Gone."' in writer.fail(UpstreamClosed("Gone."))


def _sse(*chunks: object) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks)


def _deltas(*deltas: object, reason: str = "stop") -> bytes:
    choices = [{"index": 0, "delta": delta} for delta in deltas]
    last = {"index": 0, "delta": {}, "finish_reason": reason}
    return _sse(*({"id": "chatcmpl-1", "choices": [choice]} for choice in [*choices, last]))


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        (
            [{"reasoning_content": "a"}, {"reasoning": "b"}],
            [ThinkingDelta("a"), ThinkingDelta("b")],
        ),
        ([{"content": None}, {"content": ""}, {}], []),
        (
            [
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]},
                {"content": [{"type": "thinking", "thinking": "b"}, {"type": "text", "text": "c"}]},
                {"content": [{"type": "reference", "reference_ids": [1]}]},
                {"content": "d"},
            ],
            [ThinkingDelta("a"), ThinkingDelta("b"), TextDelta("c"), TextDelta("d")],
        ),
        (
            [{"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}],
            [ToolCallStarted(0, "call_chatcmpl1_0_0", "f"), ToolArgumentsDelta(0, "{}")],
        ),
        (
            [
                {"tool_calls": [{"index": 0, "id": name, "function": {"name": name}}]}
                for name in "fg"
            ],
            [ToolCallStarted(0, "f", "f"), ToolCallStarted(1, "g", "g")],
        ),
        (
            [
                {"tool_calls": [{"index": at, "id": "x", "function": {}} for at in (3, 1)]},
                {"tool_calls": [{"index": 3, "function": {"arguments": "1"}}]},
            ],
            [
                ToolCallStarted(0, "x", ""),
                ToolCallStarted(1, "x", ""),
                ToolArgumentsDelta(0, "1"),
            ],
        ),
    ],
)
def test_variants_of_other_servers(deltas: list[object], expected: list[Event]) -> None:
    """Two names for thoughts; calls without an index, an id, or an index of their own."""
    _, found = _follow(_deltas(*deltas))
    called = any(isinstance(event, ToolCallStarted) for event in expected)
    ended = Ended(Stop.TOOL_CALLS if called else Stop.END)
    assert found == [Started("chatcmpl-1", ""), *expected, ended]


def test_content_that_is_a_list() -> None:
    """A model of Mistral's that thinks tells its thought as a piece of its content."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    message = {"role": "assistant", "content": [thought, {"type": "text", "text": "4"}]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = OUTBOUND.read_answer(json.dumps({"id": "c", "choices": [choice]}).encode())
    assert answer is not None
    assert answer.choices[0].parts == (Thinking("Hm."), Text("4"))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", Status.TRUNCATED),
        (_deltas({"content": "hi"})[:-30], Status.TRUNCATED),
        (_deltas({"content": "hi"}, reason=""), Status.TRUNCATED),
        (_sse({"choices": []}) + b"data: [DONE]\n\n", Status.TRUNCATED),
        (_deltas({"content": "hi"})[:-1], Status.COMPLETE),
        (_deltas(reason="length"), Status.LENGTH),
        (_deltas(reason="content_filter"), Status.FILTERED),
        (_deltas() + _sse({"error": {"message": "x", "code": 503}}), Status.FAILED),
        (_sse({"error": "x"}), Status.FAILED),
        (_sse({"error": [1]}), Status.FAILED),
        (b": comment\n\ndata: no json\n\nevent: x\n\n" + _deltas(), Status.COMPLETE),
    ],
)
def test_how_a_stream_ended(data: bytes, status: Status) -> None:
    """As `ChatStream` has it for bytes that pass through."""
    assert _follow(data)[0].status is status


def test_usage_that_makes_no_sense_is_unknown() -> None:
    """The chunk that reports it counts all the same."""
    chunk = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": "x"}}
    reader, found = _follow(_sse(chunk))
    assert (reader.usage, reader.status) == (None, Status.COMPLETE)
    assert found == [Started("", ""), Ended(Stop.END)]


def test_an_unreported_stream_is_bounded_from_above() -> None:
    """A token is at least a byte."""
    reader, _ = _follow(_deltas({"content": "\u4e16"}, {"reasoning": "abc"}))
    assert 6 <= reader.output_tokens_bound <= 10


@PROPERTY
@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(data: bytes) -> None:
    """A stream of garbage is truncated; it never breaks the reader."""
    assert _follow(data)[0].status is Status.TRUNCATED
    assert openai_chat.read_answer(data) is None


@pytest.mark.parametrize(
    ("created", "read"),
    [("7", 7), ("7.9", 7), ("true", None), ('"7"', None), ("-1", None), ("1e300", None)],
)
def test_when_an_answer_was_made(created: str, read: int | None) -> None:
    """A fraction of a second is cut off; what is no time is unknown, and costs no answer."""
    head = b'{"id":"c","created":%b,"choices":[{"index":0,' % created.encode()
    answer = OUTBOUND.read_answer(head + b'"message":{"content":"a"},"finish_reason":"stop"}]}')
    assert answer is not None
    assert (answer.created_s, answer.choices[0].parts) == (read, (Text("a"),))
    reader = OUTBOUND.stream_reader(choices=1)
    events = reader.feed(b"data: " + head + b'"delta":{"content":"a"}}]}\n\n')
    assert list(events) == [Started("c", "", read), TextDelta("a")]
