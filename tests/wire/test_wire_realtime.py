"""Realtime events: what is read of them, and that reading cannot be led astray."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Status
from entente.domain.errors import BudgetExceeded, EntenteError, InvalidParameter
from entente.domain.usage import Usage
from entente.wire import openai_realtime as events
from entente.wire.openai_realtime import client_secrets


def usage_of(**usage: Any) -> Usage | None:
    """Read the usage of a response."""
    event = {"type": "response.done", "response": {"id": "r", "usage": usage}}
    return events.read_response(json.dumps(event).encode()).usage


def test_usage_is_split_into_classes_that_do_not_overlap() -> None:
    """As the specification's example has it, with cached audio, and without details."""
    details = {
        "text_tokens": 119,
        "audio_tokens": 13,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4},
    }
    out = {"text_tokens": 30, "audio_tokens": 91}
    assert usage_of(
        input_tokens=132,
        output_tokens=121,
        input_token_details=details,
        output_token_details=out,
    ) == Usage(input=59, cache_read=64, audio_input=9, output=30, audio_output=91)
    assert usage_of(input_tokens=5, output_tokens=7) == Usage(input=5, output=7)
    assert usage_of(input_tokens=5) is None
    assert usage_of() is None


counts = st.integers(-5, 200)
details_of_tokens = st.fixed_dictionaries(
    {"text_tokens": counts, "audio_tokens": counts, "image_tokens": counts}
)


@given(
    counts,
    counts,
    st.none() | details_of_tokens,
    counts,
    st.none() | details_of_tokens,
)
def test_usage_is_never_negative(
    took: int, gave: int, details: dict[str, int] | None, cached: int, out: dict[str, int] | None
) -> None:
    """Whatever a provider counts."""
    given_details = None if details is None else {**details, "cached_tokens": cached}
    usage = usage_of(
        input_tokens=took,
        output_tokens=gave,
        input_token_details=given_details,
        output_token_details=out,
    )
    assert usage is not None
    assert min(usage.counts()) >= 0


@pytest.mark.parametrize(
    ("said", "reason", "status"),
    [
        ("completed", None, Status.COMPLETE),
        ("cancelled", "turn_detected", Status.CANCELLED),
        ("failed", None, Status.FAILED),
        ("incomplete", "max_output_tokens", Status.LENGTH),
        ("incomplete", "content_filter", Status.FILTERED),
        ("incomplete", None, Status.TRUNCATED),
        ("in_progress", None, Status.TRUNCATED),
    ],
)
def test_how_a_response_ended(said: str, reason: str | None, status: Status) -> None:
    """One status each."""
    response = {"id": "r1", "status": said, "status_details": {"reason": reason}}
    done = events.read_response(json.dumps({"response": response}).encode())
    assert (done.id, done.status, done.usage) == ("r1", status, None)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_reading_never_fails(data: bytes) -> None:
    """What cannot be read governs nothing; a client is told so."""
    events.type_of(data)
    events.read_response(data)
    events.read_transcript(data)
    events.read_session(data)
    events.read_error(data)
    try:
        events.hear(data)
    except EntenteError as error:
        assert isinstance(error, InvalidParameter)  # noqa: PT017 - either is fine


@pytest.mark.parametrize(
    ("session", "automatic", "transcriber"),
    [
        ({}, None, None),
        ({"turn_detection": None}, False, None),
        ({"turn_detection": {"type": "server_vad"}}, True, None),
        ({"turn_detection": {"type": "server_vad", "create_response": False}}, False, None),
        ({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}, True, None),
        ({"audio": {"input": {"turn_detection": None}}}, False, None),
        ({"type": "transcription", "audio": {"input": {}}}, False, None),
        ({"audio": {"input": {"transcription": {"model": "w"}}}}, None, "w"),
        ({"input_audio_transcription": {"model": "w"}}, None, "w"),
        ({"audio": {"input": {"transcription": {}}}}, None, ""),
    ],
)
def test_what_a_session_may_do(
    session: dict[str, Any], automatic: bool | None, transcriber: str | None
) -> None:
    """In the interface's form, and in its beta's."""
    data = json.dumps({"type": "session.updated", "session": session}).encode()
    shape = events.read_session(data)
    assert (shape.automatic, shape.transcriber) == (automatic, transcriber)


def test_events_that_begin_nothing_keep_their_bytes() -> None:
    """Nothing is decoded but the type; odd spacing stays."""
    data = b' {"audio" : "AAAA",  "type":"input_audio_buffer.append" , "event_id":"e"} '
    heard = events.hear(data)
    assert (heard.type, heard.data, heard.event_id) == ("input_audio_buffer.append", data, "e")


def test_bounds_on_output() -> None:
    """Set where they are missing at the start, lowered where they are larger, else untouched."""
    small = b'{"type":"response.create","response":{"max_output_tokens": 5}}'
    assert events.limit_output(small, 10) is small
    assert events.limit_output(small, None) is small
    for value in (b"11", b'"inf"', b"null", b"1e9"):
        data = b'{"type":"response.create","response":{"max_output_tokens":%b}}' % value
        limited = json.loads(events.limit_output(data, 10))
        assert limited["response"]["max_output_tokens"] == 10
    opening = events.opening_event(b'{"model":"m"}', 10, beta=True, transcribes=False)
    assert opening is not None
    assert json.loads(opening)["session"] == {"max_response_output_tokens": 10}
    assert events.opening_event(None, None, beta=False, transcribes=False) is None


def test_errors_are_events() -> None:
    """In the vendor's form, naming the client's event."""
    said = json.loads(events.error_event(BudgetExceeded("No."), "event_9", "mine"))
    assert said == {
        "type": "error",
        "event_id": "event_9",
        "error": {
            "type": "insufficient_quota",
            "code": "insufficient_quota",
            "message": "No.",
            "param": None,
            "event_id": "mine",
        },
    }


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_requests_for_keys_are_read_or_refused(body: bytes) -> None:
    """No body leads to anything but a key or one of our errors."""
    for read in (
        client_secrets.read_client_secret,
        client_secrets.read_session,
        client_secrets.read_transcription_session,
    ):
        try:
            assert read(body).model
        except EntenteError as error:
            assert error.message  # noqa: PT017 - either is fine
