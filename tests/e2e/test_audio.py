"""Speech, transcription and translation with the official clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest

from entente.domain.usage import Usage
from tests.support.standins.media import SOUND
from tests.wire.responses_schema import vendor_defects

if TYPE_CHECKING:
    from tests.support.media import Desk

RECORDING: Final = ("a.wav", b"RIFF\r\n--not-a-boundary\r\n" + SOUND, "audio/wav")
TOKENS: Final = Usage(input=4, audio_input=10, output=5)
WHISPERED: Final = Usage(audio_ms=9000)


@pytest.mark.parametrize(
    ("model", "usage", "cost_nano"),
    [
        ("whisper", WHISPERED, 900_000),
        ("azure-whisper", WHISPERED, 900_000),
        ("scribe", TOKENS, 4 * 1000 + 10 * 6000 + 5 * 2000),
        ("free", WHISPERED, None),
    ],
)
def test_transcription_in_json(desk: Desk, model: str, usage: Usage, cost_nano: int | None) -> None:
    """By the minute and by the token; the recording arrives byte for byte."""
    key = desk.key()
    answer = desk.openai(key).audio.transcriptions.create(
        model=model, file=RECORDING, language="de", temperature=0.5
    )
    assert answer.text == "Grüße from a stand-in."
    assert desk.studio.fields["file"] == [RECORDING[1]]
    assert desk.studio.fields["language"] == [b"de"]
    entry = desk.settlement(key)
    assert (entry.status, entry.usage, entry.cost_nano) == ("complete", usage, cost_nano)


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_transcription_as_text(desk: Desk, form: Any) -> None:
    """Nobody says how long it was: the longest that the model takes is counted, and marked."""
    key = desk.key()
    answer = desk.openai(key).audio.transcriptions.create(
        model="whisper", file=RECORDING, response_format=form
    )
    assert "Grüße" in str(answer)
    entry = desk.settlement(key)
    assert (entry.usage.audio_ms, entry.estimated) == (600_000, True)
    assert entry.cost_nano == 60_000_000


def test_a_transcription_with_everything(desk: Desk) -> None:
    """Verbose JSON tells its length twice; the provider's report counts."""
    key = desk.key()
    answer = desk.openai(key).audio.transcriptions.create(
        model="whisper",
        file=RECORDING,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert answer.duration == 8.47
    assert desk.studio.fields["timestamp_granularities[]"] == [b"word", b"segment"]
    assert desk.settlement(key).usage == WHISPERED


def test_a_transcription_as_a_stream(desk: Desk) -> None:
    """Its last event has the usage, and comes after the settlement."""
    key = desk.key()
    with desk.openai(key).audio.transcriptions.create(
        model="scribe", file=RECORDING, stream=True
    ) as stream:
        events = list(stream)
    assert [event.type for event in events] == [
        "transcript.text.delta",
        "transcript.text.delta",
        "transcript.text.done",
    ]
    for event in events:
        shown = json.loads(event.model_dump_json(exclude_unset=True))
        assert vendor_defects(shown, "CreateTranscriptionResponseStreamEvent") == []
    assert desk.settlement(key).usage == TOKENS


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_translation(desk: Desk) -> None:
    """The same, into English."""
    key = desk.key()
    answer = desk.openai(key).audio.translations.create(model="whisper", file=RECORDING)
    assert answer.text == "Grüße from a stand-in."
    assert desk.studio.requests[-1].target == "/v1/audio/translations"
    assert desk.settlement(key).usage == WHISPERED


@pytest.mark.parametrize(
    ("model", "cost_nano"), [("tts", 11 * 15_000), ("azure-tts", 11 * 15_000), ("speaker", None)]
)
def test_speech_as_sound(desk: Desk, model: str, cost_nano: int | None) -> None:
    """The characters are counted; what tokens they made is unknown, which is not zero."""
    key = desk.key()
    answer = desk.openai(key).audio.speech.create(model=model, voice="alloy", input="Hello wörld")
    assert answer.content == SOUND
    assert answer.response.headers["content-type"] == "audio/mpeg"
    entry = desk.settlement(key)
    assert (entry.status, entry.usage) == ("complete", Usage(characters=11))
    assert entry.cost_nano == cost_nano


def test_speech_as_events(desk: Desk) -> None:
    """There the tokens are told."""
    key = desk.key()
    answer = desk.openai(key).audio.speech.create(
        model="speaker", voice="alloy", input="Hello", stream_format="sse"
    )
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    assert [event["type"] for event in events] == ["speech.audio.delta"] * 2 + ["speech.audio.done"]
    for event in events:
        assert vendor_defects(event, "CreateSpeechResponseStreamEvent") == []
    entry = desk.settlement(key)
    assert entry.usage == Usage(characters=5, input=14, audio_output=101)
    assert entry.cost_nano == 14 * 1000 + 101 * 12_000


def test_the_classic_surface_of_azure(desk: Desk) -> None:
    """The deployment is in the path, also of a form, whose own model means nothing."""
    key = desk.key()
    client = desk.azure(key)
    assert client.audio.transcriptions.create(model="whisper", file=RECORDING).text
    assert desk.studio.fields["model"] == [b"whisper-1"]
    assert client.audio.transcriptions.create(model="azure-whisper", file=RECORDING).text
    assert desk.studio.requests[-1].path.endswith("/deployments/whisper-1/audio/transcriptions")
    assert client.audio.speech.create(model="azure-tts", voice="alloy", input="x").content == SOUND
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.speech.create(model="chatty", voice="alloy", input="x")
    assert refused.value.code == "OperationNotSupported"


def test_sound_that_breaks_off_is_no_sound(desk: Desk) -> None:
    """The client's connection is cut, for there is no room in it for an error."""
    key = desk.key()
    with pytest.raises(openai.APIConnectionError):
        desk.openai(key).audio.speech.create(model="tts", voice="alloy", input="scene:breaks")
    (entry,) = desk.server.settled(key)
    assert (entry.status, entry.estimated) == ("truncated", True)
    assert entry.usage.characters == len("scene:breaks")


@pytest.mark.parametrize(
    ("scene", "status"), [("breaks", "truncated"), ("stops", "truncated"), ("fails", "failed")]
)
def test_events_that_break_off(desk: Desk, scene: str, status: str) -> None:
    """The client gets an error event in place of the end, and the ledger knows."""
    key = desk.key()
    client = desk.openai(key)
    with (
        pytest.raises(openai.APIError),
        client.audio.transcriptions.create(
            model="scribe", file=RECORDING, stream=True, prompt=f"scene:{scene}"
        ) as stream,
    ):
        list(stream)
    (entry,) = desk.server.settled(key)
    assert (entry.status, entry.estimated) == (status, True)


TWICE: Final = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n'
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n'
)
WRONG_FORMS: Final[list[tuple[bytes, bytes, str | None]]] = [
    (b"{}", b"application/json", None),
    (b"--b\r\nnothing", b"multipart/form-data; boundary=b", None),
    (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b--\r\n',
        b"multipart/form-data; boundary=b",
        "file",
    ),
    (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n',
        b"multipart/form-data; boundary=b",
        None,
    ),
    (
        TWICE,
        b"multipart/form-data; boundary=b",
        "model",
    ),
]


@pytest.mark.parametrize(("body", "kind", "param"), WRONG_FORMS)
def test_forms_that_are_none(desk: Desk, body: bytes, kind: bytes, param: str | None) -> None:
    """They are refused before anything is held or sent."""
    key = desk.key()
    got = desk.server.ask(
        "POST",
        "/v1/audio/transcriptions",
        key=key.secret,
        body=body,
        headers={"content-type": kind.decode()},
    )
    assert (got.status, got.error["param"]) == (400, param)
    assert desk.server.settlements(key) == []
