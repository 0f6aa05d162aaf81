"""Embeddings with the official clients, from every provider that has them."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest

from entente.domain.usage import Usage
from tests.support.server import Got
from tests.support.standins.media import numbers
from tests.wire.responses_schema import vendor_defects

if TYPE_CHECKING:
    from tests.support.media import Desk

TEXTS: Final = ["Grüße", "two words"]


def ask(desk: Desk, key: str, **fields: Any) -> Got:
    """Send a request as it is."""
    body = json.dumps(fields, ensure_ascii=False).encode()
    return desk.server.ask("POST", "/v1/embeddings", key=key, body=body)


@pytest.mark.parametrize("model", ["embed", "floats", "base64"])
@pytest.mark.parametrize("form", ["float", "base64", None])
def test_both_forms_whatever_the_provider_gives(desk: Desk, model: str, form: str | None) -> None:
    """Bit for bit the same vectors; what the provider gives as asked keeps its bytes."""
    key = desk.key()
    asked = {} if form is None else {"encoding_format": form}
    got = ask(desk, key.secret, model=model, input=TEXTS, **asked)
    assert got.status == 200
    for item, text in zip(got.json["data"], TEXTS, strict=True):
        vector = item["embedding"]
        assert isinstance(vector, str) is (form == "base64")
        packed = b64decode(vector) if form == "base64" else struct.pack("<8f", *vector)
        assert packed == struct.pack("<8f", *numbers(text))
        if form != "base64":
            assert vector == numbers(text)
            assert vendor_defects(item, "Embedding") == []
    assert desk.settlement(key).usage == Usage(input=6)
    assert desk.settlement(key).cost_nano == 6 * 1000


@pytest.mark.parametrize("model", ["embed", "azure-embed", "gemini", "cohere", "cohere-old"])
def test_the_official_client(desk: Desk, model: str) -> None:
    """It asks for base64 by itself, and reads the same numbers from every provider."""
    key = desk.key()
    client = desk.openai(key, strict=False)
    answer = client.embeddings.create(model=model, input=TEXTS)
    assert [item.embedding for item in answer.data] == [numbers(text) for text in TEXTS]
    assert [item.index for item in answer.data] == [0, 1]
    entry = desk.settlement(key)
    assert entry.status == "complete"
    known = not model.startswith(("gemini", "cohere"))
    assert entry.estimated is not known
    assert answer.usage.prompt_tokens == entry.usage.input
    assert entry.usage.output == 0


def test_titan_takes_one_text(desk: Desk) -> None:
    """It says how many tokens that was; two texts are refused before anything is sent."""
    key = desk.key()
    client = desk.openai(key, strict=False)
    answer = client.embeddings.create(model="titan", input="one", dimensions=16)
    assert answer.data[0].embedding == numbers("one", 16)
    assert desk.sent == {"inputText": "one", "dimensions": 16}
    assert desk.settlement(key).usage == Usage(input=4)
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="titan", input=TEXTS)
    assert refused.value.code == "array_above_max_length"


def test_dimensions_reach_each_provider_under_its_name(desk: Desk) -> None:
    """Where a model has no such parameter, that is refused."""
    client = desk.openai(desk.key(), strict=False)
    for model in ("embed", "gemini", "cohere"):
        answer = client.embeddings.create(model=model, input="x", dimensions=16)
        assert answer.data[0].embedding == numbers("x", 16), model
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="cohere-old", input="x", dimensions=16)
    assert refused.value.param == "dimensions"


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]])
def test_tokens_in_place_of_text(desk: Desk, tokens: Any) -> None:
    """They pass to OpenAI; to a model with another tokenizer they would mean another text."""
    client = desk.openai(desk.key(), strict=False)
    answer = client.embeddings.create(model="embed", input=tokens)
    assert len(answer.data) == (2 if isinstance(tokens[0], list) else 1)
    assert desk.sent["input"] == tokens
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="gemini", input=tokens)
    assert refused.value.param == "input"


def test_the_classic_surface_of_azure(desk: Desk) -> None:
    """The deployment is in the path, for the client and for the provider."""
    key = desk.key()
    client = desk.azure(key, strict=False)
    answer = client.embeddings.create(model="azure-embed", input="x")
    assert answer.data[0].embedding == numbers("x")
    assert desk.studio.requests[-1].path == "/openai/deployments/text-embedding-3-small/embeddings"
    assert desk.settlement(key).usage == Usage(input=3)
    with pytest.raises(openai.NotFoundError) as missing:
        client.embeddings.create(model="nope", input="x")
    assert missing.value.code == "DeploymentNotFound"


def test_the_v1_surface_of_azure(desk: Desk) -> None:
    """The model is in the body, and errors are Azure's."""
    base_url = f"http://127.0.0.1:{desk.server.port}/openai/v1"
    client = desk.openai(desk.key(), strict=False).with_options(base_url=base_url)
    assert client.embeddings.create(model="gemini", input="x").data[0].embedding == numbers("x")
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(model="gemini", prompt="x")
    assert refused.value.code == "OperationNotSupported"


def test_vectors_of_a_script(desk: Desk) -> None:
    """The scripted provider's vectors have length 1, and equal texts have equal ones."""
    got = ask(desk, desk.key().secret, model="chatty", input=["a", "b", "a"], dimensions=20)
    first, second, third = (item["embedding"] for item in got.json["data"])
    assert first == third != second
    assert abs(sum(x * x for x in first) - 1) < 1e-6
    assert len(first) == 20


WRONG: Final[list[tuple[dict[str, Any], str | None, str | None]]] = [
    ({"input": "x"}, None, None),
    ({"model": "embed"}, "input", "missing_required_parameter"),
    ({"model": "embed", "input": []}, "input", "empty_array"),
    ({"model": "embed", "input": {}}, "input", "invalid_type"),
    ({"model": "embed", "input": ["a", 1]}, "input", "invalid_value"),
    ({"model": "embed", "input": [[]]}, "input", "invalid_value"),
    ({"model": "embed", "input": ["x"] * 2049}, "input", "array_above_max_length"),
    ({"model": "embed", "input": "x", "dimensions": 0}, "dimensions", "integer_below_min_value"),
    ({"model": "embed", "input": "x", "encoding_format": "x"}, "encoding_format", "invalid_value"),
    ({"model": "embed", "input": "x", "Model": "y"}, "Model", "unknown_parameter"),
]


@pytest.mark.parametrize(("fields", "param", "code"), WRONG)
def test_what_is_wrong_is_said(
    desk: Desk, fields: dict[str, Any], param: str | None, code: str | None
) -> None:
    """In OpenAI's words, and nothing is held or sent."""
    key = desk.key()
    before = len(desk.studio.requests)
    got = ask(desk, key.secret, **fields)
    assert (got.status, got.error["param"], got.error["code"]) == (400, param, code)
    assert desk.server.settlements(key) == []
    assert len(desk.studio.requests) == before


def test_a_model_that_is_not_there(desk: Desk) -> None:
    """As it was recorded."""
    got = ask(desk, desk.key().secret, model="non-existent-embedding-model", input="x")
    assert got.status == 404
    assert got.error == {
        "message": "The model `non-existent-embedding-model` does not exist or you do not have "
        "access to it.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }
