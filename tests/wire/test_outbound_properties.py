"""Any request into Converse and Gemini, and their streams out to any client."""

from __future__ import annotations

import json
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Status
from entente.domain.errors import InvalidParameter, UpstreamProtocolError
from entente.domain.events import Event, Used
from entente.domain.features import HINTS, OnLoss
from entente.domain.inference import (
    ChatAnswer,
    ChatRequest,
    JsonSchema,
    Message,
    Role,
    Text,
    ToolCall,
)
from entente.wire import anthropic, bedrock, gemini, openai_chat
from entente.wire.dialect import Head, Outbound, Written
from tests.kit.aws import converse_defects
from tests.kit.run import PROPERTY
from tests.wire import test_bedrock_answers as converse
from tests.wire import test_gemini_answers as generate
from tests.wire.canonical import anthropic_requests, openai_requests

HEAD = Head(id="req_1", model="asked", created_s=7)
CONVERSE_MODELS = st.sampled_from(
    [
        "us.anthropic.claude-opus-4-7-v1:0",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "amazon.nova-2-lite-v1:0",
        "openai.gpt-oss-120b-1:0",
        "meta.llama3-3-70b-instruct-v1:0",
    ]
)
GEMINI_MODELS = st.sampled_from(["gemini-3.1-pro", "gemini-2.5-flash", "gemini-flash-latest"])
REQUESTS = openai_requests() | anthropic_requests()
KINDS = {
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
}


def test_both_are_outbound_dialects() -> None:
    """The types agree with the protocol."""
    dialects: list[Outbound] = [bedrock, gemini]
    assert len(dialects) == 2


def write(
    dialect: Outbound, request: ChatRequest, model: str, on_loss: OnLoss = OnLoss.DROP
) -> Written:
    """Write a request without a bound of ours."""
    return dialect.write_request(request, model=model, output_tokens_max=None, on_loss=on_loss)


@PROPERTY
@given(REQUESTS, CONVERSE_MODELS)
def test_any_request_is_one_of_converse(request: ChatRequest, model: str) -> None:
    """AWS's own SDK finds nothing wrong with it, and the turns alternate."""
    body = write(bedrock, request, model).body
    assert converse_defects(body) == ""
    roles = [message["role"] for message in json.loads(body).get("messages", [])]
    assert all(one != other for one, other in pairwise(roles))


@PROPERTY
@given(REQUESTS, GEMINI_MODELS)
def test_any_request_is_one_of_gemini(request: ChatRequest, model: str) -> None:
    """Each part is exactly one thing, and the turns alternate."""
    body = json.loads(write(gemini, request, model).body)
    contents = body.get("contents", [])
    assert all(one["role"] != other["role"] for one, other in pairwise(contents))
    for content in contents:
        assert content["parts"]
        for part in content["parts"]:
            assert len(KINDS & set(part)) == 1
            assert set(part) <= KINDS | {"thoughtSignature"}


@PROPERTY
@given(REQUESTS, st.sampled_from([bedrock, gemini]), CONVERSE_MODELS | GEMINI_MODELS)
def test_nothing_is_lost_unsaid(request: ChatRequest, dialect: ModuleType, model: str) -> None:
    """Where losses are refused, a request is refused exactly if it loses more than hints."""
    lost = set(write(dialect, request, model).dropped)
    if lost <= HINTS:
        refusing = write(dialect, request, model, OnLoss.REFUSE)
        assert set(refusing.dropped) == lost
    else:
        with pytest.raises(InvalidParameter):
            write(dialect, request, model, OnLoss.REFUSE)


@pytest.mark.parametrize("dialect", [openai_chat, anthropic])
@pytest.mark.parametrize("events", [converse.EVENTS, generate.EVENTS])
def test_streams_reach_any_client(dialect: Any, events: list[Event]) -> None:
    """Written for a client and read back as one does: texts, calls, arguments and usage."""
    writer = dialect.stream_writer(HEAD)
    data = b"".join(writer.feed(event) for event in events) + writer.end()
    reader = dialect.stream_reader()
    got = reader.feed(data) + reader.close()
    assert reader.whole

    def said(stream: list[Event], kind: str) -> list[object]:
        return [event for event in stream if type(event).__name__ == kind]

    for kind in ("TextDelta", "ToolCallStarted", "ToolArgumentsDelta", "Ended"):
        assert said(got, kind) == said(events, kind)
    (used,) = (event for event in events[-3:] if isinstance(event, Used))
    assert reader.usage is not None
    assert reader.usage.total == used.usage.total


EDITS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 8),
        st.sampled_from([b"", b"null", b"-1", b"1e400", b'"', b"{", b"[]", b"\xff", b"true"]),
    ),
    min_size=1,
    max_size=4,
)
CALL = {"functionCall": {"name": "f", "args": {"a": "\u00fc"}}}
TOOL_USE = {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": "\u00fc"}}}
ANSWERS = [
    (gemini, generate.response(generate.THOUGHT, generate.FIRST, CALL)),
    (bedrock, converse.answer({"text": "x"}, TOOL_USE, stop="tool_use")),
]


def edited(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """Replace some pieces of bytes by others."""
    for place, length, piece in edits:
        at = int(place * len(data))
        data = data[:at] + piece + data[at + length :]
    return data


@PROPERTY
@given(EDITS, st.sampled_from(ANSWERS))
def test_no_answer_breaks_a_reader(
    edits: list[tuple[float, int, bytes]], which: tuple[ModuleType, dict[str, Any]]
) -> None:
    """Whatever a provider sends, it is an answer or none."""
    dialect, value = which
    body = edited(json.dumps(value, ensure_ascii=False).encode(), edits)
    assert isinstance(dialect.read_answer(body), ChatAnswer | None)
    assert isinstance(dialect.read_error(body), str | None)


@PROPERTY
@given(EDITS)
def test_no_stream_breaks_a_reader(edits: list[tuple[float, int, bytes]]) -> None:
    """It gives events, or the one error that says that this is no stream."""
    reader = gemini.stream_reader()
    try:
        reader.feed(edited(b"".join(generate.EVERYTHING), edits))
        reader.close()
    except UpstreamProtocolError:
        pass
    assert reader.status in set(Status)


def test_bytes_that_are_no_text() -> None:
    """In the arguments of an answer they become signs that say so; a schema is refused."""
    for dialect, value in ANSWERS:
        body = json.dumps(value, ensure_ascii=False).encode().replace("\u00fc".encode(), b"\xff")
        answer = dialect.read_answer(body)
        assert isinstance(answer, ChatAnswer)
        call = answer.choices[0].parts[-1]
        assert isinstance(call, ToolCall)
        assert json.loads(call.arguments) == {"a": "\ufffd"}
    asked = ChatRequest(
        model="m",
        messages=(Message(Role.USER, (Text("Hi"),)),),
        response_format=JsonSchema(b'{"title":"\xff"}'),
    )
    with pytest.raises(InvalidParameter, match="UTF-8"):
        write(bedrock, asked, "amazon.nova-pro-v1:0")
