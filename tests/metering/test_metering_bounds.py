"""Upper bounds of what a call can use."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.usage import Usage
from entente.metering.bounds import Bound, bound
from entente.wire.openai import decode_chat
from tests.kit.run import PROPERTY


def _body(**members: object) -> bytes:
    return json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    ).encode()


def _bound(body: bytes, context_tokens: int | None = None) -> Bound:
    return bound(
        decode_chat(body),
        output_tokens_max=100,
        attachment_tokens_max=1000,
        context_tokens=context_tokens,
    )


@pytest.mark.parametrize(
    ("members", "output"),
    [
        ({}, 100),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 7, "max_completion_tokens": 9}, 9),
        ({"max_tokens": None, "max_completion_tokens": None}, 100),
        ({"max_tokens": 5000}, 5000),
        ({"n": 3}, 300),
        ({"n": 3, "max_tokens": 7}, 21),
    ],
)
def test_output(members: dict[str, object], output: int) -> None:
    """The client's own bound, or the model's, for every choice."""
    assert _bound(_body(**members)).output_tokens == output


def test_input_is_at_most_a_token_a_byte() -> None:
    """No tokenizer gives more tokens than bytes; the context is a bound as well."""
    body = _body()
    assert _bound(body).input_tokens == len(body)
    assert _bound(body, 20) == Bound(20, 20)
    assert _bound(_body(n=2), 20).output_tokens == 40


def test_what_is_named_by_reference_counts_at_the_models_bound() -> None:
    """Its bytes are elsewhere."""
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    body = _body(messages=[{"role": "user", "content": [part, part]}])
    assert _bound(body).input_tokens == len(body) + 2 * 1000


@PROPERTY
@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_as_usage(inward: int, outward: int) -> None:
    """The bound as if all of it had been used adds up to its total."""
    most = Bound(inward, outward)
    assert most.as_usage() == Usage(input=inward, output=outward)
    assert most.as_usage().total == most.total == inward + outward
