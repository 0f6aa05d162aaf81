"""Requests for embeddings, sound and pictures that nobody would send; and hard budgets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.run import PROPERTY
from tests.support.matrix import fuzzing
from tests.support.standins.media import SOUND

if TYPE_CHECKING:
    from tests.support.media import Desk
    from tests.support.server import Got, Key

MODELS: Final = st.sampled_from(
    ["embed", "base64", "azure-embed", "gemini", "titan", "cohere", "instruct", "azure-instruct",
     "chatty", "moderation", "tts", "speaker", "dalle", "painter", "azure-painter", "retired"]
)  # fmt: skip
BODIES: Final = fuzzing.bodies(MODELS)
FUZZ: Final = settings(PROPERTY, max_examples=60)
FORM: Final = {"content-type": "multipart/form-data; boundary=b0"}
RECORDING: Final = ("a.wav", SOUND[:100], "audio/wav")


def form(**fields: bytes) -> bytes:
    """Write a form with a file, and plain fields."""
    head = b'--b0\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    parts = [head % (name.encode(), b"", data) for name, data in fields.items()]
    parts += [head % (name, b'; filename="a"', b"\x00\r\n--b") for name in (b"file", b"image")]
    return b"".join(parts) + b"--b0--\r\n"


def settled(desk: Desk, key: Key, got: Got) -> None:
    """See that a request broke nothing, and that what was held is settled."""
    assert got.status < 500, got.body
    if got.status >= 400:
        assert got.json["error"]["message"]
    assert len(desk.server.settlements(key)) <= 1


@pytest.mark.parametrize("path", BODIES)
def test_requests_of_any_form(desk: Desk, path: str) -> None:
    """Every member odd, missing, or as it should be; to every provider."""

    @FUZZ
    @given(BODIES[path])
    def holds(body: Any) -> None:
        key = desk.key()
        data = fuzzing.encoded(body)
        got = desk.server.ask("POST", path, key=key.secret, body=data)
        settled(desk, key, got)

    holds()
    assert desk.server.get("/healthz").status == 200
    desk.server.verify_at_rest()


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/audio/transcriptions", {"model": b"whisper", "response_format": b"json"}),
        ("/v1/audio/translations", {"model": b"azure-whisper"}),
        ("/v1/images/edits", {"model": b"painter", "prompt": b"x", "n": b"2", "stream": b"true"}),
        ("/v1/images/variations", {"model": b"dalle", "n": b"1"}),
    ],
)
def test_forms_of_nearly_any_bytes(desk: Desk, path: str, fields: dict[str, bytes]) -> None:
    """A good form with some bytes changed."""
    good = form(**fields)

    @FUZZ
    @given(fuzzing.mutated(good))
    def holds(data: bytes) -> None:
        key = desk.key()
        got = desk.server.ask("POST", path, key=key.secret, body=data, headers=FORM)
        settled(desk, key, got)

    holds()
    desk.server.verify_at_rest()


@pytest.mark.parametrize(
    ("model", "fits_nano"),
    [("tts", 5 * 15_000), ("dalle", 40_000_000), ("whisper", 60_000_000), ("embed", 60_000)],
)
def test_a_hard_budget_holds_for_what_is_counted(desk: Desk, model: str, fits_nano: int) -> None:
    """A request that fits is served, and the next one, that does not, is refused unsent."""

    def ask(client: openai.OpenAI) -> object:
        match model:
            case "tts":
                return client.audio.speech.create(model=model, voice="alloy", input="Hello")
            case "dalle":
                return client.images.generate(model=model, prompt="x")
            case "whisper":
                return client.audio.transcriptions.create(
                    model=model, file=RECORDING, response_format="text"
                )
        return client.embeddings.create(model=model, input="x")

    small = desk.server.make_key(budget_nano=1000)
    with pytest.raises(openai.RateLimitError) as refused:
        ask(desk.openai(small, strict=False))
    assert refused.value.code == "insufficient_quota"
    enough = desk.server.make_key(budget_nano=fits_nano)
    ask(desk.openai(enough, strict=False))
    (entry,) = desk.server.settlements(enough)
    assert entry.cost_nano is not None
    assert 0 < entry.cost_nano <= fits_nano


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/audio/speech", {"model": "whisper", "input": "x", "voice": "alloy"}),
        ("/v1/images/generations", {"model": "tts", "prompt": "x"}),
        ("/v1/completions", {"model": "embed", "prompt": "x"}),
    ],
)
def test_a_price_for_something_else_is_none(desk: Desk, path: str, body: Any) -> None:
    """Under a hard budget a model is unpriced for what its price does not count."""
    key = desk.server.make_key(budget_nano=10**12)
    got = desk.server.ask("POST", path, key=key.secret, body=json.dumps(body).encode())
    assert (got.status, got.error["code"]) == (403, "model_not_priced")
    assert desk.server.settlements(key) == []


def test_tokens_that_nobody_told_cost_the_hold(desk: Desk) -> None:
    """Under a hard budget, which must not give away what it cannot count."""
    key = desk.server.make_key(budget_nano=10**12)
    desk.openai(key).audio.speech.create(model="speaker", voice="alloy", input="Hello")
    (entry,) = desk.server.settlements(key)
    assert entry.estimated
    assert entry.cost_nano is not None
    assert entry.cost_nano >= 1000 * 12_000
