"""Vectors in their two forms, and recorded answers."""

from __future__ import annotations

import json
import struct
from base64 import b64decode, b64encode
from typing import Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import RequestError, UpstreamProtocolError
from entente.domain.usage import Usage
from entente.wire.embeddings import decode_embeddings, follow, packed, unpacked
from tests.kit.house import ROOT
from tests.kit.run import PROPERTY

CAPTURE: Final = (
    ROOT.parent
    / "shared"
    / "api"
    / "captures"
    / "openllmetry-test_embeddings-test_azure_openai_embeddings.yaml"
)
FLOATS: Final = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1)


def _answer(embedding: object) -> bytes:
    item = {"object": "embedding", "index": 0, "embedding": embedding}
    body = {"object": "list", "data": [item], "model": "m", "extra": 1}
    return json.dumps({**body, "usage": {"prompt_tokens": 3, "total_tokens": 3}}).encode()


@PROPERTY
@given(FLOATS)
def test_going_over_and_back_is_exact(vector: list[float]) -> None:
    """Numbers of single precision are the same 32 bits in either form."""
    octets = struct.pack(f"<{len(vector)}f", *vector)
    there, usage = follow(_answer(vector), "base64")
    assert b64decode(json.loads(there)["data"][0]["embedding"]) == octets
    back, _ = follow(there, "float")
    assert packed(json.loads(back)["data"][0]["embedding"]) == octets
    assert unpacked(octets) == tuple(vector)
    assert usage == Usage(input=3)
    assert json.loads(there)["extra"] == 1


@pytest.mark.parametrize("wanted", ["float", "base64"])
def test_what_is_as_wanted_keeps_its_bytes(wanted: str) -> None:
    """Also where nobody else would write them so."""
    text = b64encode(struct.pack("<2f", 1.5, -2)).decode() if wanted == "base64" else [1.50, -2e0]
    body = b" " + _answer(text).replace(b",", b" , ")
    assert follow(body, wanted)[0] is body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"data":1}',
        b'{"data":[{"embedding":[1',
        _answer("AAA"),
        _answer("AAAAAAA="),
        _answer([1e300]),
        _answer([None]),
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    """It is the provider's fault, and nobody gets half a vector."""
    turned = "float" if b'"AA' in body else "base64"
    with pytest.raises(UpstreamProtocolError):
        follow(body, turned)


@PROPERTY
@given(st.binary(max_size=64) | st.sampled_from([b'{"model":"m","input":"\xff"}', b"{}", b"null"]))
def test_requests_of_any_bytes(body: bytes) -> None:
    """They are read, or refused."""
    try:
        call = decode_embeddings(body)
    except RequestError:
        return
    assert call.model


def test_the_recorded_answers() -> None:
    """Azure's own traffic passes byte for byte, with its usage; and can be read as numbers."""
    if not CAPTURE.exists():
        pytest.skip("the recordings are not there")
    recorded = yaml.safe_load(CAPTURE.read_text())["interactions"]
    answers = [one["response"] for one in recorded if one["response"]["status"]["code"] == 200]
    bodies = [answer["body"]["string"].encode() for answer in answers]
    assert len(bodies) >= 2
    for body in bodies:
        shown, usage = follow(body, "base64")
        assert shown is body
        assert usage == Usage(input=8)
        numbers = json.loads(follow(body, "float")[0])["data"][0]["embedding"]
        octets = b64decode(json.loads(body)["data"][0]["embedding"])
        assert struct.pack(f"<{len(numbers)}f", *numbers) == octets
