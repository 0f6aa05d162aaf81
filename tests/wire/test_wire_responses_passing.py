"""Streams of responses that pass as they are: bytes, end, status and usage."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Status
from entente.domain.errors import UpstreamClosed
from entente.domain.events import (
    Event,
)
from entente.domain.usage import Usage
from entente.wire import openai_responses
from entente.wire.dialect import Head
from entente.wire.openai_responses import (
    ResponsesStream,
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
