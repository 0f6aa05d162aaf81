"""Streams of responses that pass as they are: bytes, end, status and usage."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Call, Status
from entente.domain.errors import UpstreamClosed
from entente.domain.events import (
    Event,
)
from entente.domain.usage import Usage
from entente.wire import openai_responses
from entente.wire.dialect import Head
from entente.wire.openai_responses import (
    ResponsesStream,
    decode_responses,
    read_end,
    retelling,
)
from tests.kit.run import PROPERTY
from tests.wire.responses import responses_streams
from tests.wire.responses_schema import read_events

CAPTURES = Path(__file__).parent / "captures"
RECORDED = (CAPTURES / "openai-responses-text.sse").read_bytes()
HEAD = Head(id="req_1", model="asked", created_s=7)


def _write(*events: Event) -> bytes:
    writer = openai_responses.stream_writer(HEAD)
    return b"".join([*map(writer.feed, events), writer.end()])


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
    reader = openai_responses.stream_reader()
    reader.feed(data)
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


# ---- what is said in another way than the provider does ----


def _kept(**members: Any) -> Call:
    body = json.dumps({"model": "m", "input": "hi", **members}).encode()
    return msgspec.structs.replace(decode_responses(body, with_store=True), stored=True)


def test_an_answer_that_is_kept_here_says_so() -> None:
    """Whole and streamed: the provider was asked to keep nothing, and knows no earlier turn."""
    call = _kept(previous_response_id="resp_0", background=True)
    told = retelling(call, "req_1")
    body = (
        b'{"id":"resp_2","store":false,"previous_response_id":null,"odd":1.50,"background":false}'
    )
    assert told.body(body) == (
        b'{"id":"resp_1","store":true,"previous_response_id":"resp_0","odd":1.50,"background":true}'
    )
    meter = ResponsesStream(told)
    at = [RECORDED[start : start + 100] for start in range(0, len(RECORDED), 100)]
    events = read_events(b"".join(map(meter.feed, at)) + meter.close() + meter.end)
    whole = [event["response"] for event in events if "response" in event]
    assert len(whole) == 3
    assert all((r["store"], r["previous_response_id"]) == (True, "resp_0") for r in whole)
    recorded = read_events(RECORDED)
    assert [event["type"] for event in events] == [event["type"] for event in recorded]
    assert [e for e in events if "response" not in e] == [
        e for e in recorded if "response" not in e
    ]
    assert (meter.status, meter.usage) == (Status.COMPLETE, Usage(input=7, output=5))


def test_a_last_event_without_its_blank_line_is_retold_too() -> None:
    """It is the whole response all the same."""
    meter = ResponsesStream(retelling(_kept(), "req_1"))
    sent = meter.feed(RECORDED.rstrip(b"\n")) + meter.close() + meter.end
    assert sent.count(b'"store":true') == 3


@pytest.mark.parametrize("given", ["conv_1", {"id": "conv_1"}])
def test_a_conversation_is_named_by_its_id(given: Any) -> None:
    """In the longer form, whichever the client used."""
    told = retelling(_kept(conversation=given), "req_1")
    assert json.loads(told.body(b'{"id":"r"}'))["conversation"] == {"id": "conv_1"}


def test_nothing_is_retold_where_nothing_differs() -> None:
    """The bytes pass."""
    call = decode_responses(b'{"model":"m","input":"hi","previous_response_id":null}')
    told = retelling(call, "req_1")
    assert not told
    body = b'{ "id" : "r" }'
    assert told.body(body) is body
    assert retelling(_kept(), "req_1").body(b"[]") == b"[]"


@pytest.mark.parametrize(
    ("body", "status", "usage"),
    [
        (b'{"status":"completed"}', Status.COMPLETE, None),
        (b'{"status":"in_progress"}', Status.TRUNCATED, None),
        (b'{"status":"queued"}', Status.TRUNCATED, None),
        (b'{"status":"cancelled"}', Status.FAILED, None),
        (
            b'{"status":"completed","usage":{"input_tokens":3,"output_tokens":2}}',
            Status.COMPLETE,
            Usage(input=3, output=2),
        ),
        (b'{"status":"completed","usage":{"input_tokens":"x"}}', Status.COMPLETE, None),
    ],
)
def test_the_end_of_a_whole_response(body: bytes, status: Status, usage: Usage | None) -> None:
    """One status; a usage that makes no sense is unknown."""
    end = read_end(body)
    assert end is not None
    assert (end.status, end.usage) == (status, usage)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"status":7}', b'{"error":{}}'])
def test_what_is_no_response(body: bytes) -> None:
    """Has no end."""
    assert read_end(body) is None
