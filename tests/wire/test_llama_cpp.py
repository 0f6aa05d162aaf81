"""What the local runtime says otherwise than OpenAI, and that nothing else is touched."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Surface
from entente.wire import llama_cpp


def test_only_a_completion_without_a_bound_is_bounded() -> None:
    """Bodies keep their bytes otherwise."""
    plain = b'{"model": "m", "prompt":"x", "max_tokens":null}'
    bounded = json.loads(llama_cpp.request(Surface.COMPLETIONS, plain))
    assert bounded == {"model": "m", "prompt": "x", "max_tokens": 16}
    for body in (b'{ "prompt":"x","max_tokens":0}', b"[]", b"x"):
        assert llama_cpp.request(Surface.COMPLETIONS, body) == body
    assert llama_cpp.request(Surface.CHAT, plain) == plain


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b'{"error":"x"}', b'{"error":{"code":1}}'])
def test_errors_of_another_form_stay(body: bytes) -> None:
    """Whoever wrote them."""
    assert llama_cpp.refusal(503, body) == (503, body)


def test_an_error_keeps_its_words() -> None:
    """Its code is the status there, which is no code of OpenAI's."""
    body = b'{"error":{"code":500,"message":"Out of luck","type":"server_error"}}'
    status, said = llama_cpp.refusal(500, body)
    assert (status, json.loads(said)["error"]) == (
        500,
        {"message": "Out of luck", "type": "server_error", "param": None, "code": None},
    )


def test_offsets_are_those_of_the_text() -> None:
    """Of completions, token after token."""
    tokens: list[dict[str, object]] = [
        {"token": word, "logprob": -1.0, "top_logprobs": []} for word in ("ab", "", "c")
    ]
    answer = {"choices": [{"text": "abc", "logprobs": {"content": tokens}}]}
    (choice,) = json.loads(llama_cpp.answer(json.dumps(answer).encode()))["choices"]
    assert choice["logprobs"]["text_offset"] == [0, 2, 2]


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["choices", "message", "logprobs", "content", "error", "token"]),
                inner,
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_answer_is_told(body: bytes) -> None:
    """As it is, where it has another form."""
    assert isinstance(llama_cpp.answer(body), bytes)
    assert llama_cpp.refusal(500, body)[0] in (400, 500)
