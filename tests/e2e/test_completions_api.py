"""Completions of plain text: native where a provider has them, translated where it chats."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest

from entente.domain.usage import Usage
from tests.wire.responses_schema import vendor_defects

if TYPE_CHECKING:
    from tests.support.media import Desk


@pytest.mark.parametrize("model", ["instruct", "azure-instruct"])
def test_native(desk: Desk, model: str) -> None:
    """Every parameter of the API passes, and the answer validates strictly."""
    key = desk.key()
    answer = desk.openai(key).completions.create(
        model=model, prompt="Say", max_tokens=2, n=2, best_of=3, echo=True, logprobs=2, suffix="!"
    )
    assert [choice.text for choice in answer.choices] == ["Say one two"] * 2
    sent = desk.sent
    assert (sent["echo"], sent["logprobs"], sent["suffix"], sent["best_of"]) == (True, 2, "!", 3)
    entry = desk.settlement(key)
    assert (entry.status, entry.usage) == ("length", Usage(input=5, output=4))


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("model", ["instruct", "azure-instruct", "chatty"])
def test_streams(desk: Desk, model: str, asks: bool) -> None:
    """The provider is asked for the usage; the client sees it if it asked as well."""
    key = desk.key()
    options: Any = {"stream_options": {"include_usage": True}} if asks else {}
    with desk.openai(key, strict=False).completions.create(
        model=model, prompt="one two three", stream=True, **options
    ) as stream:
        chunks = list(stream)
    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert text.split() == ["one", "two", "three"]
    assert (chunks[-1].usage is not None) is asks
    assert any("usage" in chunk.model_fields_set for chunk in chunks) is asks
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    entry = desk.settlement(key)
    assert (entry.status, entry.usage.output, entry.estimated) == ("complete", 3, False)


def test_many_prompts(desk: Desk) -> None:
    """Each has its choices, whole and as a stream, and all of them have to end."""
    key = desk.key()
    client = desk.openai(key, strict=False)
    answer = client.completions.create(model="instruct", prompt=["a", "b"], n=2)
    assert len(answer.choices) == 4
    with client.completions.create(model="instruct", prompt=["a", "b"], stream=True) as stream:
        ended = {c.choices[0].index for c in stream if c.choices and c.choices[0].finish_reason}
    assert ended == {0, 1}
    assert {entry.status for entry in desk.server.settlements(key)} <= {"complete", "length"}


def test_a_provider_that_only_chats(desk: Desk) -> None:
    """The prompt is a user's message, and sixteen tokens are the bound, as the API has it."""
    key = desk.key()
    words = " ".join(str(number) for number in range(40))
    raw = desk.openai(key).completions.with_raw_response.create(model="chatty", prompt=words)
    body = json.loads(raw.content)
    assert vendor_defects({**body, "choices": []}, "CreateCompletionResponse") == []
    assert body["id"].startswith("cmpl-")
    assert body["choices"] == [
        {
            "text": " ".join(words.split()[:16]),
            "index": 0,
            "logprobs": None,
            "finish_reason": "length",
        }
    ]
    assert desk.settlement(key).usage == Usage(input=40, output=16)


REFUSED: Final[list[tuple[str, Any, str]]] = [
    ("echo", True, "unsupported_parameter"),
    ("logprobs", 1, "unsupported_parameter"),
    ("suffix", "end", "unsupported_parameter"),
    ("best_of", 2, "unsupported_parameter"),
    ("max_tokens", 0, "unsupported_parameter"),
    ("prompt", ["a", "b"], "unsupported_value"),
    ("prompt", [1, 2], "unsupported_value"),
]


@pytest.mark.parametrize(("name", "value", "code"), REFUSED)
def test_what_only_a_model_without_a_chat_can_do(
    desk: Desk, name: str, value: Any, code: str
) -> None:
    """It is refused, naming the parameter, and costs nothing."""
    key = desk.key()
    fields: dict[str, Any] = {"prompt": "x", name: value}
    with pytest.raises(openai.BadRequestError) as refused:
        desk.openai(key).completions.create(model="chatty", **fields)
    assert (refused.value.param, refused.value.code) == (name, code)
    assert desk.settlement(key).usage == Usage()


def test_a_hard_budget_bounds_the_output(desk: Desk) -> None:
    """The API's own default is written out, for a server that has another one, and held for."""
    key = desk.server.make_key(budget_nano=100_000)
    client = desk.openai(key)
    client.completions.create(model="instruct", prompt="x")
    assert desk.sent["max_tokens"] == 16
    with pytest.raises(openai.RateLimitError) as refused:
        client.completions.create(model="instruct", prompt="x", max_tokens=100_000)
    assert refused.value.code == "insufficient_quota"


def test_annotations_are_for_clients_of_azure(desk: Desk) -> None:
    """On the classic surface every choice has them, on OpenAI's none."""
    key = desk.key()
    theirs = desk.azure(key).completions.create(model="instruct", prompt="x")
    assert "content_filter_results" in (theirs.choices[0].model_extra or {})
    ours = desk.openai(key).completions.create(model="azure-instruct", prompt="x")
    assert not ours.choices[0].model_extra


@pytest.mark.parametrize(
    ("scene", "status"), [("breaks", "truncated"), ("stops", "truncated"), ("fails", "failed")]
)
def test_a_stream_that_breaks_off(desk: Desk, scene: str, status: str) -> None:
    """An error event in place of the end; what came is estimated by its bytes."""
    key = desk.key()
    with (
        pytest.raises(openai.APIError),
        desk.openai(key, strict=False).completions.create(
            model="instruct", prompt=f"scene:{scene}", stream=True
        ) as stream,
    ):
        list(stream)
    (entry,) = desk.server.settled(key)
    assert (entry.status, entry.estimated) == (status, True)
    assert 3 <= entry.usage.output <= 200
