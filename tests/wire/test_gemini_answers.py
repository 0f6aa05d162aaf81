"""Answers and streams of Gemini, in the form of Google's reference and of its traffic."""

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
    LogprobsDelta,
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
    Stop,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
)
from entente.domain.usage import Usage
from entente.wire import gemini
from tests.kit.run import PROPERTY

ID = "Il0taoSYJ5Cez7IPr_b32QI"
USAGE = {
    "promptTokenCount": 100,
    "candidatesTokenCount": 20,
    "totalTokenCount": 157,
    "cachedContentTokenCount": 40,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 90},
        {"modality": "AUDIO", "tokenCount": 10},
    ],
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 40}],
    "thoughtsTokenCount": 30,
    "toolUsePromptTokenCount": 7,
}
DISJOINT = Usage(input=57, cache_read=40, audio_input=10, output=20, reasoning=30)


def response(*parts: object, reason: str | None = "STOP", **members: object) -> dict[str, Any]:
    """Make a response with one candidate."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate],
        "usageMetadata": USAGE,
        "modelVersion": "gemini-3.1-pro-preview",
        "responseId": ID,
        **members,
    }


def choice_of(value: dict[str, Any]) -> Choice:
    """Read an answer's one choice."""
    read = gemini.read_answer(json.dumps(value).encode())
    assert read is not None
    (choice,) = read.choices
    return choice


THOUGHT = {"text": "Hm.", "thought": True}
FIRST = {
    "functionCall": {"name": "f", "args": {"city": "Paris"}, "id": "fc1"},
    "thoughtSignature": "c2ln",
}
SECOND = {"functionCall": {"name": "g"}}


def test_a_whole_answer() -> None:
    """Thoughts, text, signed and unsigned calls, media; usage, names and ids."""
    picture = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    last = {"text": "", "thoughtSignature": "ZW5k"}
    read = gemini.read_answer(
        json.dumps(response(THOUGHT, {"text": "I look."}, FIRST, SECOND, picture, last)).encode()
    )
    assert read is not None
    assert (read.id, read.model, read.usage) == (ID, "gemini-3.1-pro-preview", DISJOINT)
    (choice,) = read.choices
    assert choice.stop is Stop.TOOL_CALLS
    assert choice.parts == (
        Thinking("Hm."),
        Text("I look."),
        Thinking("", "gemini:c2ln"),
        ToolCall("fc1", "f", '{"city": "Paris"}'),
        ToolCall(f"call_{ID}_1", "g", "{}"),
        Image(Inline("image/png", "aGk=")),
        Thinking("", "gemini:ZW5k"),
    )


def test_a_signature_closes_the_thought_before_it() -> None:
    """So that a client has one part for both; and it goes back to the call."""
    choice = choice_of(response(THOUGHT, FIRST))
    assert choice.parts[0] == Thinking("Hm.", "gemini:c2ln")
    signed = choice_of(response({"text": "Yes.", "thoughtSignature": "c2ln"}))
    assert signed.parts == (Text("Yes."), Thinking("", "gemini:c2ln"))


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("STOP", Stop.END),
        ("MAX_TOKENS", Stop.LENGTH),
        ("SAFETY", Stop.FILTERED),
        ("RECITATION", Stop.FILTERED),
        ("PROHIBITED_CONTENT", Stop.FILTERED),
        ("CONTINUATION", Stop.PAUSE),
        ("SOMETHING_NEW", Stop.END),
        ("MALFORMED_FUNCTION_CALL", None),
        ("FINISH_REASON_UNSPECIFIED", None),
        (None, None),
    ],
)
def test_stop_reasons(reason: str | None, stop: Stop | None) -> None:
    """Each in canonical words; what is no answer has none."""
    assert choice_of(response({"text": "a"}, reason=reason)).stop is stop


def test_a_prompt_that_was_blocked() -> None:
    """An answer of nothing, filtered, with the usage of the prompt."""
    body = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
    }
    read = gemini.read_answer(json.dumps(body).encode())
    assert read is not None
    assert read.choices == (Choice(parts=(), stop=Stop.FILTERED),)
    assert read.usage == Usage(input=9)


def test_cut_off_before_the_first_part() -> None:
    """A candidate without content."""
    body = {"candidates": [{"finishReason": "SAFETY", "index": 0}]}
    assert choice_of(body) == Choice(parts=(), stop=Stop.FILTERED)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, DISJOINT),
        (
            {"candidatesTokenCount": None, "thoughtsTokenCount": None},
            Usage(input=57, cache_read=40, audio_input=10),
        ),
        ({"promptTokenCount": None}, None),
        ({"cachedContentTokenCount": 200}, None),
        ({"candidatesTokenCount": 2**60}, None),
        (
            {"candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 15}]},
            Usage(input=57, cache_read=40, audio_input=10, output=5, reasoning=30, audio_output=15),
        ),
    ],
)
def test_usage(changes: dict[str, Any], expected: Usage | None) -> None:
    """Cached and heard tokens are taken out of the prompt, thoughts stand beside the answer."""
    body = json.dumps(response(usageMetadata={**USAGE, **changes})).encode()
    read = gemini.read_answer(body)
    assert read is not None
    assert read.usage == expected


LOGPROBS = {
    "chosenCandidates": [
        {"token": "Yes", "tokenId": 1, "logProbability": -0.1},
        {"token": ".", "logProbability": -0.2},
    ],
    "topCandidates": [{"candidates": [{"token": "No", "logProbability": -2.0}]}],
}
TOKENS = (
    TokenLogprob("Yes", -0.1, top=(TokenLogprob("No", -2.0),)),
    TokenLogprob(".", -0.2),
)


def test_logprobs() -> None:
    """With the likeliest ones, where they were asked for."""
    body = response({"text": "Yes."})
    body["candidates"][0]["logprobsResult"] = LOGPROBS
    assert choice_of(body).logprobs == TOKENS
    assert choice_of(response({"text": "Yes."})).logprobs is None


ERROR = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", json.dumps(ERROR).encode(), b"[" * 10_000, b'{"candidates":1}']
)
def test_what_is_no_answer(body: bytes) -> None:
    """Is none."""
    assert gemini.read_answer(body) is None


def test_errors() -> None:
    """The sentence of an error's body."""
    assert gemini.read_error(json.dumps(ERROR).encode()) == "Overloaded."
    for body in (b"", b"{}", b'{"error":{}}', b"<html>", b"[" * 10_000):
        assert gemini.read_error(body) is None


# ---- streams ----


def sse(value: object) -> bytes:
    """Write an event as Google does."""
    return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"


def early(tokens: int) -> dict[str, int]:
    """Make the usage of an event in the middle."""
    return {
        "promptTokenCount": 100,
        "candidatesTokenCount": tokens,
        "totalTokenCount": 100 + tokens,
    }


EVERYTHING = [
    sse(response(THOUGHT, reason=None, usageMetadata=early(0))),
    sse(response({"text": "Bon"}, reason=None, usageMetadata=early(1))),
    sse(response({"text": "jour"}, reason=None, usageMetadata=early(1))),
    sse(response(FIRST, SECOND, reason=None)),
    sse(response({"text": "", "thoughtSignature": "ZW5k"})),
]
EVENTS: list[Event] = [
    Started(ID, "gemini-3.1-pro-preview"),
    ThinkingDelta("Hm."),
    Used(Usage(input=100)),
    TextDelta("Bon"),
    Used(Usage(input=100, output=1)),
    TextDelta("jour"),
    ThinkingDelta("", "gemini:c2ln"),
    ToolCallStarted(0, "fc1", "f"),
    ToolArgumentsDelta(0, '{"city": "Paris"}'),
    ToolCallStarted(1, f"call_{ID}_1", "g"),
    ToolArgumentsDelta(1, "{}"),
    Used(DISJOINT),
    ThinkingDelta("", "gemini:ZW5k"),
    Ended(Stop.TOOL_CALLS),
]


def read_all(*pieces: bytes, choices: int = 1) -> tuple[list[Event], gemini.stream_reader]:
    """Read a stream in one piece, to its end."""
    reader = gemini.stream_reader(choices=choices)
    return reader.feed(b"".join(pieces)) + reader.close(), reader


def test_a_whole_stream() -> None:
    """Thoughts, text, calls that come whole, usage that grows, and the reason at the end."""
    got, reader = read_all(*EVERYTHING)
    assert got == EVENTS
    assert reader.whole
    assert reader.status is Status.COMPLETE
    assert reader.usage == DISJOINT
    assert reader.output_tokens_bound > 0


@PROPERTY
@given(st.lists(st.integers(min_value=1, max_value=300), max_size=200))
def test_any_split(sizes: list[int]) -> None:
    """However it is cut, it says the same."""
    data, reader, got = b"".join(EVERYTHING), gemini.stream_reader(), []
    for size in (*sizes, len(data)):
        got += reader.feed(data[:size])
        data = data[size:]
    assert got + reader.close() == EVENTS


@pytest.mark.parametrize("count", range(len(EVERYTHING)))
def test_breaking_off_is_no_end(count: int) -> None:
    """The end of the bytes alone ends nothing."""
    _, reader = read_all(*EVERYTHING[:count])
    assert not reader.whole
    assert reader.status is Status.TRUNCATED


PROMPT_ONLY = {"promptTokenCount": 100, "totalTokenCount": 100}


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([PROMPT_ONLY], None),
        ([PROMPT_ONLY, PROMPT_ONLY], None),
        ([early(5)], Usage(input=100, output=5)),
        ([early(5), None], None),
        ([None, early(5)], Usage(input=100, output=5)),
    ],
)
def test_what_an_early_report_leaves_out_is_not_nothing(
    usages: list[dict[str, int] | None], expected: Usage | None
) -> None:
    """Models before the last event report the prompt alone: what came is not free by that."""
    body = [response({"text": "word"}, reason=None, usageMetadata=usage) for usage in usages]
    _, reader = read_all(*map(sse, body))
    assert reader.usage == expected
    _, whole = read_all(*map(sse, body), sse(response({"text": "."}, usageMetadata=early(9))))
    assert whole.usage == Usage(input=100, output=9)


def test_an_end_without_its_blank_line() -> None:
    """The last event counts if it is whole, and says nothing if it is not."""
    whole = b"".join(EVERYTHING)
    assert read_all(whole.rstrip())[0] == EVENTS
    got, reader = read_all(whole[:-10])
    assert got == EVENTS[:-2]
    assert reader.status is Status.TRUNCATED


def test_several_candidates() -> None:
    """Each with its own reason; fewer than were asked for are whole at the clean end."""
    pieces = [
        sse({"candidates": [{"content": {"parts": [{"text": t}]}, "index": i, "finishReason": r}]})
        for t, i, r in (("a", 0, "STOP"), ("b", 1, "MAX_TOKENS"), ("late", 1, "STOP"))
    ]
    got, reader = read_all(*pieces, choices=2)
    assert got == [
        Started("", ""),
        TextDelta("a"),
        Ended(Stop.END),
        TextDelta("b", 1),
        Ended(Stop.LENGTH, choice=1),
    ]
    assert reader.status is Status.LENGTH
    _, fewer = read_all(pieces[0], choices=2)
    assert fewer.status is Status.COMPLETE
    open_one = sse({"candidates": [{"content": {"parts": [{"text": "b"}]}, "index": 1}]})
    _, half = read_all(pieces[0], open_one, choices=2)
    assert half.status is Status.TRUNCATED


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ({"code": 503, "status": "UNAVAILABLE"}, Failure.OVERLOADED),
        ({"code": 429, "status": "RESOURCE_EXHAUSTED"}, Failure.RATE_LIMITED),
        ({"code": 504, "status": "DEADLINE_EXCEEDED"}, Failure.TIMEOUT),
        ({"code": 400, "status": "INVALID_ARGUMENT"}, Failure.INVALID),
        ({"code": 500, "status": "INTERNAL"}, Failure.SERVER),
        ({"code": 429}, Failure.RATE_LIMITED),
        ({}, Failure.SERVER),
    ],
)
def test_errors_in_the_middle(error: dict[str, Any], failure: Failure) -> None:
    """Each is the last thing said, whatever still comes."""
    broken = sse({"error": {**error, "message": "Broken."}})
    got, reader = read_all(EVERYTHING[0], broken, *EVERYTHING[1:])
    assert got == [*EVENTS[:3], Failed(failure, "Broken.")]
    assert reader.status is Status.FAILED


def test_an_answer_that_is_none() -> None:
    """A malformed call is a failure, in the model's own words."""
    body = response(reason="MALFORMED_FUNCTION_CALL")
    body["candidates"][0]["finishMessage"] = "Malformed function call: f("
    got, reader = read_all(sse(body))
    assert got[1] == Failed(Failure.SERVER, "Malformed function call: f(")
    assert reader.status is Status.FAILED


def test_a_blocked_prompt_in_a_stream() -> None:
    """Ends the answer, filtered."""
    got, reader = read_all(sse({"promptFeedback": {"blockReason": "SAFETY"}}), choices=2)
    assert got == [Started("", ""), Ended(Stop.FILTERED)]
    assert reader.status is Status.FILTERED


def test_logprobs_in_a_stream() -> None:
    """Behind their text."""
    body = response({"text": "Yes."}, reason=None, usageMetadata=None)
    body["candidates"][0]["logprobsResult"] = LOGPROBS
    assert read_all(sse(body))[0][1:] == [TextDelta("Yes."), LogprobsDelta(TOKENS)]


def test_what_says_nothing_is_passed_over() -> None:
    """Comments, empty events, another dialect's end marker, unknown parts."""
    pieces = (b": hi\n\n", b"data:\n\n", b"data: [DONE]\n\n", b"event: x\n\n")
    assert read_all(*pieces)[0] == []
    unknown = response({"executableCode": {"code": "1"}}, reason=None, usageMetadata=None)
    assert len(read_all(sse(unknown))[0]) == 1


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: [1]\n\n", b'data: {"candidates":1}\n\n'])
def test_what_cannot_be_read_is_refused(data: bytes) -> None:
    """It is not taken for a stream that goes on."""
    with pytest.raises(UpstreamProtocolError):
        gemini.stream_reader().feed(data)


def test_an_id_of_our_own() -> None:
    """Without any id of the answer's, a call's is made of what it says, always the same."""
    body = response(SECOND, responseId=None)
    (call,) = choice_of(body).parts
    assert isinstance(call, ToolCall)
    assert call.id == choice_of(body).parts[0].id  # type: ignore[union-attr]
    assert len(call.id) <= 64
