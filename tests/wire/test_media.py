"""Sound, pictures and moderation: requests, whole answers, and streams however they are cut."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Call, Status, Surface
from entente.domain.errors import RequestError, UpstreamClosed, UpstreamProtocolError
from entente.domain.usage import Usage
from entente.http.forms import whole_form
from entente.wire.media.answers import EventStream, SoundStream, follow
from entente.wire.media.requests import decode_form, decode_json, encode
from entente.wire.multipart import FormReader, PartHead, with_value
from tests.kit.run import PROPERTY
from tests.support.standins.standin import sse

KIND: Final = b"multipart/form-data; boundary=b0"
JSON_SURFACES: Final = (
    Surface.MODERATIONS,
    Surface.SPEECH,
    Surface.IMAGE_GENERATIONS,
    Surface.IMAGE_EDITS,
)


def call_of(surface: Surface, **fields: Any) -> Call:
    """Make a call of a surface."""
    return Call(surface=surface, model="m", body=b"", members={}, **fields)


def form_of(*parts: tuple[str, bytes]) -> bytes:
    """Write a form of plain fields."""
    head = b'--b0\r\nContent-Disposition: form-data; name="%b"\r\nX-More: kept\r\n\r\n%b\r\n'
    return b"".join(head % (name.encode(), data) for name, data in parts) + b"--b0--\r\n"


def fields_of(form: bytes) -> list[tuple[str, bytes]]:
    """Read a form."""
    reader = FormReader(KIND)
    found: list[tuple[str, bytes]] = []
    for event in reader.feed(form):
        if isinstance(event, PartHead):
            found.append((event.name, b""))
        else:
            found[-1] = (found[-1][0], found[-1][1] + event)
    reader.close()
    return found


@PROPERTY
@given(st.lists(st.binary(max_size=40), max_size=4), st.text("abc-./", min_size=1, max_size=9))
def test_another_model_in_a_form(files: list[bytes], model: str) -> None:
    """Every other byte stays, wherever the field stands, and however it looks."""
    others = [(f"f{at}", data) for at, data in enumerate(files)]
    if any(b"--b0" in data for data in files):
        return
    for at in range(len(others) + 1):
        before = form_of(*others[:at], ("model", b"old"), *others[at:])
        after = with_value(before, KIND, "model", model.encode())
        assert fields_of(after) == [*others[:at], ("model", model.encode()), *others[at:]]
        assert len(after) == len(before) - 3 + len(model)
    without = with_value(form_of(*others, ("z", b"1")), KIND, "model", model.encode())
    assert fields_of(without) == [("model", model.encode()), *others, ("z", b"1")]


def test_one_model_in_a_form() -> None:
    """What is sent on has the model that was authorised, and no other, whoever reads it."""
    sound = b'--b0\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n1\r\n'
    decoy = b'--b0\r\nContent-Disposition: form-data; name="model"; filename=""\r\n\r\n1\r\n'
    good = sound + form_of(("model", b"m"))
    call = decode_form(Surface.TRANSCRIPTIONS, whole_form(good, KIND), good, KIND)
    assert (call.model, encode(call, model="theirs").count(b"theirs")) == ("m", 1)
    for bad in (decoy + good, good.replace(b"m\r\n--", b"\r\n--"), sound + decoy + b"--b0--\r\n"):
        with pytest.raises(RequestError, match="model"):
            decode_form(Surface.TRANSCRIPTIONS, whole_form(bad, KIND), bad, KIND)
    assert b"old" not in with_value(decoy + form_of(("model", b"old")), KIND, "model", b"m")


@PROPERTY
@given(st.sampled_from(JSON_SURFACES), st.binary(max_size=64) | st.just(b'{"input":"x"}'))
def test_requests_of_any_bytes(surface: Surface, body: bytes) -> None:
    """They are read, or refused."""
    try:
        call = decode_json(surface, body)
    except RequestError:
        return
    assert call.model


def test_a_model_that_is_not_named_is_written() -> None:
    """A provider gets the name that it knows; all other members keep their bytes."""
    call = decode_json(Surface.MODERATIONS, b'{"input" : "x"}')
    assert call.model == "omni-moderation-latest"
    assert json.loads(encode(call, model="other")) == {"input": "x", "model": "other"}
    named = decode_json(Surface.MODERATIONS, b'{"input" : "x", "model":"m"}')
    assert encode(named, model="m") is named.body


@pytest.mark.parametrize(
    ("surface", "fields", "body", "usage"),
    [
        (Surface.TRANSCRIPTIONS, {"form": "json"}, {"text": ""}, None),
        (Surface.TRANSCRIPTIONS, {"form": "verbose_json"}, {"duration": 8.4701}, 8471),
        (Surface.TRANSCRIPTIONS, {"form": "verbose_json"}, {"duration": "8.47"}, 8470),
        (Surface.TRANSCRIPTIONS, {"form": "json"}, {"usage": {"seconds": -1}}, None),
        (Surface.TRANSCRIPTIONS, {"form": "json"}, {"usage": {"seconds": 1e300}}, None),
        (Surface.TRANSCRIPTIONS, {"form": "json"}, {"usage": {"seconds": "9"}}, None),
        (Surface.TRANSCRIPTIONS, {"form": "json"}, {"duration": "soon"}, None),
    ],
)
def test_how_long_it_was(
    surface: Surface, fields: dict[str, Any], body: Any, usage: int | None
) -> None:
    """Upwards to whole milliseconds; what makes no sense is unknown."""
    seen = follow(call_of(surface, **fields), json.dumps(body).encode())
    assert seen.status is Status.COMPLETE
    assert seen.usage == (None if usage is None else Usage(audio_ms=usage))


def test_tokens_that_do_not_add_up_are_unknown() -> None:
    """More pictures in the input than there is input."""
    usage = {"input_tokens": 1, "output_tokens": 1, "input_tokens_details": {"image_tokens": 2}}
    body = json.dumps({"data": [{}], "usage": usage}).encode()
    assert follow(call_of(Surface.IMAGE_GENERATIONS), body).usage is None


def test_half_an_answer_and_an_error_in_place_of_one() -> None:
    """The first is no answer; the second is a failed one."""
    call = call_of(Surface.IMAGE_GENERATIONS)
    with pytest.raises(UpstreamProtocolError):
        follow(call, b'{"data":[{"b64_json":"AAAA')
    assert follow(call, b'{"error":{"message":"no"}}').status is Status.FAILED


DELTA: Final = sse({"type": "image_generation.partial_image", "b64_json": "A" * 50})
DONE: Final = sse(
    {
        "type": "image_generation.completed",
        "usage": {
            "input_tokens": 5,
            "output_tokens": 7,
            "input_tokens_details": {"text_tokens": 5, "image_tokens": 0},
        },
    },
    "image_generation.completed",
)
MADE: Final = Usage(images=1, input=5, image_output=7)


def play(data: bytes, step: int, *, choices: int = 1) -> tuple[EventStream, bytes]:
    """Feed a stream in steps; give what goes to the client before the settlement."""
    stream = EventStream(call_of(Surface.IMAGE_GENERATIONS, choices=choices))
    sent = b"".join([stream.feed(data[at : at + step]) for at in range(0, len(data), step)])
    return stream, sent + stream.close()


@pytest.mark.parametrize("step", [1, 7, 64, 10**6])
def test_the_last_event_waits_for_the_settlement(step: int) -> None:
    """However the stream is cut; the bytes are the provider's."""
    stream, sent = play(DELTA + DELTA + DONE, step)
    assert (sent, stream.end) == (DELTA + DELTA, DONE)
    assert (stream.status, stream.usage) == (Status.COMPLETE, MADE)


@pytest.mark.parametrize("step", [1, 64, 10**6])
def test_each_picture_has_its_end(step: int) -> None:
    """The first of two is no end of the answer; an end marker says that no more come."""
    stream, sent = play(DONE, step, choices=2)
    assert (sent, stream.status, stream.usage) == (DONE, Status.TRUNCATED, None)
    stream, _ = play(DONE + DONE, step, choices=2)
    assert stream.usage == Usage(images=2, input=10, image_output=14)
    stream, _ = play(DONE + b"data: [DONE]\n\n", step, choices=2)
    assert (stream.status, stream.usage) == (Status.COMPLETE, MADE)


@pytest.mark.parametrize("step", [1, 64, 10**6])
def test_streams_without_an_end(step: int) -> None:
    """The end of the bytes is none; an error is a failure."""
    stream, _ = play(DELTA, step)
    assert (stream.status, stream.usage) == (Status.TRUNCATED, None)
    stream, _ = play(DELTA + sse({"error": {"message": "no"}}), step)
    assert stream.status is Status.FAILED
    assert b"cut" in stream.fail(UpstreamClosed("cut"))


@PROPERTY
@given(st.lists(st.binary(min_size=1, max_size=9), max_size=9))
def test_sound_keeps_its_last_byte(pieces: list[bytes]) -> None:
    """All bytes arrive, the last one behind the settlement; there is no room for an error."""
    stream = SoundStream(call_of(Surface.SPEECH, characters=3))
    sent = b"".join([stream.feed(piece) for piece in pieces])
    assert (stream.status, stream.usage) == (Status.TRUNCATED, None)
    sent += stream.close()
    whole = b"".join(pieces)
    assert (sent, stream.end) == (whole[:-1], whole[-1:])
    assert (stream.status, stream.usage) == (Status.COMPLETE, Usage(characters=3))
    with pytest.raises(UpstreamClosed):
        stream.fail(UpstreamClosed("cut"))
