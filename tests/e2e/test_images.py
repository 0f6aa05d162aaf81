"""Pictures and moderation with the official clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest

from entente.domain.usage import Usage
from tests.support.server import wait_until
from tests.support.standins.media import PICTURE
from tests.wire.responses_schema import vendor_defects

if TYPE_CHECKING:
    from tests.support.media import Desk

PNG: Final = ("a.png", b"\x89PNG\r\n\x00\xff", "image/png")


def painted(count: int) -> Usage:
    """Give what the stand-in says that so many pictures used."""
    return Usage(images=count, input=7 * count, image_input=3 * count, image_output=100 * count)


@pytest.mark.parametrize(
    ("model", "usage", "cost_nano"),
    [
        ("dalle", Usage(images=2), 80_000_000),
        ("azure-dalle", Usage(images=2), 80_000_000),
        ("painter", painted(2), 14 * 1000 + 6 * 10_000 + 200 * 40_000),
        ("azure-painter", painted(2), 14 * 1000 + 6 * 10_000 + 200 * 40_000),
    ],
)
def test_generations(desk: Desk, model: str, usage: Usage, cost_nano: int) -> None:
    """By the picture, and by the token where the model is paid so."""
    key = desk.key()
    raw = desk.openai(key).images.with_raw_response.generate(model=model, prompt="A cat", n=2)
    assert [image.b64_json for image in raw.parse().data or ()] == [PICTURE] * 2
    assert (
        vendor_defects(
            {name: value for name, value in json.loads(raw.content).items() if name != "usage"},
            "ImagesResponse",
        )
        == []
    )
    entry = desk.settlement(key)
    assert (entry.status, entry.usage, entry.cost_nano) == ("complete", usage, cost_nano)


def test_a_stream_with_partial_pictures(desk: Desk) -> None:
    """The whole picture comes last, behind the settlement."""
    key = desk.key()
    with desk.openai(key).images.generate(
        model="painter", prompt="A cat", stream=True, partial_images=1
    ) as stream:
        events = list(stream)
    assert [event.type for event in events] == [
        "image_generation.partial_image",
        "image_generation.completed",
    ]
    for event in events:
        shown = json.loads(event.model_dump_json(exclude_unset=True))
        assert vendor_defects(shown, "ImageGenStreamEvent") == []
    assert desk.settlement(key).usage == painted(1)


def test_edits_as_a_form(desk: Desk) -> None:
    """Several pictures and a mask, each byte for byte."""
    key = desk.key()
    answer = desk.openai(key).images.edit(
        model="painter", image=[PNG, PNG], mask=PNG, prompt="A dog", n=2
    )
    assert len(answer.data or ()) == 2
    assert desk.studio.fields["image[]"] == [PNG[1]] * 2
    assert desk.studio.fields["mask"] == [PNG[1]]
    assert desk.settlement(key).usage == painted(2)


def test_edits_in_json(desk: Desk) -> None:
    """With pictures by reference."""
    key = desk.key()
    body = {"model": "painter", "prompt": "x", "images": [{"image_url": "https://a.example/b"}]}
    got = desk.server.ask(
        "POST", "/v1/images/edits", key=key.secret, body=json.dumps(body).encode()
    )
    assert got.status == 200
    assert desk.sent == {**body, "model": "gpt-image-1"}
    assert desk.settlement(key).usage == painted(1)


def test_edits_as_a_stream_on_azure(desk: Desk) -> None:
    """The classic surface has them, too."""
    key = desk.key()
    with desk.azure(key).images.edit(
        model="azure-painter", image=PNG, prompt="x", stream=True
    ) as stream:
        kinds = [event.type for event in stream]
    assert kinds == ["image_edit.partial_image", "image_edit.completed"]
    assert desk.settlement(key).usage == painted(1)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_variations(desk: Desk) -> None:
    """Azure has none, and says so."""
    client = desk.openai(desk.key())
    assert client.images.create_variation(model="dalle", image=PNG, n=3).data
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.create_variation(model="azure-dalle", image=PNG)
    assert refused.value.code == "unsupported_model"


def test_a_stream_that_breaks_off(desk: Desk) -> None:
    """An error event in place of the picture."""
    key = desk.key()
    with (
        pytest.raises(openai.APIError),
        desk.openai(key).images.generate(
            model="painter", prompt="scene:stops", stream=True
        ) as stream,
    ):
        list(stream)
    (entry,) = desk.server.settled(key)
    assert (entry.status, entry.estimated) == ("truncated", True)
    assert entry.usage.image_output > 0


def test_an_error_of_the_provider_passes(desk: Desk) -> None:
    """Its words, its status, and no cost."""
    key = desk.key()
    with pytest.raises(openai.RateLimitError) as refused:
        desk.openai(key).images.generate(model="painter", prompt="scene:refuses")
    assert "enough for now" in refused.value.message
    assert (desk.settlement(key).status, desk.settlement(key).cost_nano) == ("failed", 0)


def test_moderation(desk: Desk) -> None:
    """A request is what is metered: no tokens are told, and none are counted."""
    key = desk.key()
    shown: list[Any] = [
        {"type": "text", "text": "x"},
        {"type": "image_url", "image_url": {"url": "https://a.example/b"}},
    ]
    answer = desk.openai(key).moderations.create(model="moderation", input=shown)
    assert [result.flagged for result in answer.results] == [False, False]
    assert vendor_defects(answer.to_dict(), "CreateModerationResponse") == []
    entry = desk.settlement(key)
    assert (entry.status, entry.usage, entry.cost_nano) == ("complete", Usage(), 0)


def test_moderation_without_a_model(desk: Desk) -> None:
    """It is the vendor's newest, which here is a model as any other: not there."""
    with pytest.raises(openai.NotFoundError) as missing:
        desk.openai(desk.key()).moderations.create(input="x")
    assert "omni-moderation-latest" in missing.value.message


def test_pictures_in_a_batch(desk: Desk) -> None:
    """The same surface, asked from a file, at the price of the configuration."""
    key = desk.key()
    client = desk.openai(key, strict=False)
    url: Any = "/v1/images/generations"
    line = {"custom_id": "a", "method": "POST", "url": url}
    body = {"model": "dalle", "prompt": "A cat", "n": 2}
    data = json.dumps({**line, "body": body}).encode()
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h")
    wait_until(lambda: client.batches.retrieve(batch.id).status == "completed", "the batch")
    entry = desk.settlement(key)
    assert (entry.usage, entry.cost_nano) == (Usage(images=2), 80_000_000)
