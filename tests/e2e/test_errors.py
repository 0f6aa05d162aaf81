"""What a client is told, to the letter, in each case of OpenAI's table that happens here."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.server import EntenteServer, Key, chat_body

SAID: Final = [{"role": "user", "content": "hi"}]

BODIES: Final = [
    (b"", None, None, "We could not parse"),
    (b"{", None, None, "We could not parse"),
    (b"[]", None, None, "We could not parse"),
    (b'"x"', None, None, "We could not parse"),
    (b'{"model":"m","messages":[{}]} x', None, None, "We could not parse"),
    (b"\xef\xbb\xbf{}", None, None, "We could not parse"),
    (b"{}", None, None, "you must provide a model parameter"),
    (b'{"model":""}', None, None, "you must provide a model parameter"),
    (b'{"model":"m"}', "messages", "missing_required_parameter", "Missing required parameter"),
    (
        b'{"model":"m","messages":"hi"}',
        "messages",
        "invalid_type",
        "Invalid type for 'messages': expected an array of objects, but got a string instead.",
    ),
    (
        b'{"model":"m","messages":[ ]}',
        "messages",
        "empty_array",
        "Invalid 'messages': empty array. Expected an array with minimum length 1,",
    ),
    (
        b'{"model":"m","messages":[{}],"n":"2"}',
        "n",
        "invalid_type",
        "Invalid type for 'n': expected an integer, but got a string instead.",
    ),
    (
        b'{"model":"m","messages":[{}],"n":0}',
        "n",
        "integer_below_min_value",
        "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead.",
    ),
    (
        b'{"model":"m","messages":[{}],"n":129}',
        "n",
        "integer_above_max_value",
        "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead.",
    ),
    (b'{"model":"m","messages":[{}],"stream":"yes"}', "stream", "invalid_type", "Invalid type"),
    (b'{"model":7,"messages":[{}]}', "model", "invalid_type", "Invalid type for 'model'"),
    (
        b'{"model":"m","messages":[{}],"max_tokens":-1}',
        "max_tokens",
        "integer_below_min_value",
        "Invalid 'max_tokens'",
    ),
    (
        b'{"model":"m","messages":[{}],"stream":true,"stream_options":7}',
        "stream_options",
        "invalid_type",
        "Invalid type for 'stream_options'",
    ),
]


@pytest.mark.parametrize(("body", "param", "code", "message"), BODIES)
def test_bad_bodies(
    server: EntenteServer, key: Key, body: bytes, param: str | None, code: str | None, message: str
) -> None:
    """A body that cannot be served is a 400 in OpenAI's words, and costs nothing."""
    got = server.ask("POST", "/v1/chat/completions", key=key.secret, body=body)
    assert got.status == 400
    assert set(got.error) == {"message", "type", "param", "code"}
    assert got.error["type"] == "invalid_request_error"
    assert (got.error["param"], got.error["code"]) == (param, code)
    assert got.error["message"].startswith(message)
    assert got.headers["x-request-id"].startswith("req_")
    assert server.settlements(key) == []


def test_no_key_and_a_wrong_one(server: EntenteServer) -> None:
    """Both are 401; only the wrong one has a code, and it is shown by its ends only."""
    none = server.chat(None)
    assert (none.status, none.error["code"]) == (401, None)
    assert none.error["message"].startswith("You didn't provide an API key.")
    wrong = "sk-" + "x" * 20 + "SECRET" + "y" * 20
    got = server.chat(wrong)
    assert (got.status, got.error["code"]) == (401, "invalid_api_key")
    assert got.error["message"].startswith("Incorrect API key provided: sk-xxxxx***yyyy.")
    assert "SECRET" not in got.body.decode()


def test_unknown_model(server: EntenteServer, key: Key) -> None:
    """A model that is not there is 404 with OpenAI's code; the path's too."""
    for got in (
        server.chat(key.secret, model="gpt-9"),
        server.get("/v1/models/gpt-9", key=key.secret),
    ):
        assert got.status == 404
        assert got.error == {
            "message": "The model `gpt-9` does not exist or you do not have access to it.",
            "type": "invalid_request_error",
            "param": None,
            "code": "model_not_found",
        }


def test_body_over_the_bound(server: EntenteServer, key: Key) -> None:
    """413 names the bound; the request never gets to a hold."""
    got = server.chat(key.secret, text="x" * 200_001)
    assert (got.status, got.error["code"]) == (413, "request_too_large")
    assert "200000 bytes" in got.error["message"]
    assert server.settlements(key) == []


def test_compressed_body(server: EntenteServer, key: Key) -> None:
    """A compressed body is refused with the reason, not called malformed."""
    got = server.ask(
        "POST",
        "/v1/chat/completions",
        key=key.secret,
        body=chat_body(),
        headers={"content-encoding": "gzip"},
    )
    assert (got.status, got.error["code"]) == (400, "unsupported_content_encoding")


def test_requests_per_minute(server: EntenteServer) -> None:
    """The answer says where the key stands; past the limit 429 says when to come back."""
    key = server.make_key(requests_per_minute=2)
    first = server.chat(key.secret)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"].endswith("s")
    got = next(
        (g for g in (server.chat(key.secret) for _ in range(5)) if g.status != 200),
        first,  # five requests fit into two minutes of two only if the clock jumps
    )
    assert got.status == 429
    assert (got.error["type"], got.error["code"]) == ("requests", "rate_limit_exceeded")
    assert "on requests per min (RPM): Limit 2, Used 2, Requested 1" in got.error["message"]
    assert got.headers["x-should-retry"] == "true"
    assert 0 < int(got.headers["retry-after-ms"]) <= 60_000
    assert 0 < int(got.headers["retry-after"]) <= 60


def test_tokens_per_minute(server: EntenteServer) -> None:
    """A request that no minute can hold is not to be retried; one that fits gives back."""
    key = server.make_key(tokens_per_minute=5_000)
    got = server.chat(key.secret, max_tokens=5_000)
    assert (got.status, got.error["type"]) == (429, "tokens")
    assert got.error["message"].startswith(
        "Request too large for m with this key on tokens per min (TPM)"
    )
    assert got.headers["x-should-retry"] == "false"
    for _ in range(3):  # three holds of 4,000 fit into 5,000, since each gives back
        assert server.chat(key.secret, max_tokens=4_000).status == 200


def test_budget_that_is_spent(server: EntenteServer) -> None:
    """429 with OpenAI's code, a sentence with the amounts, and no retry."""
    key = server.make_key(budget_nano=1_000)
    got = server.chat(key.secret, max_tokens=10)
    assert got.status == 429
    assert (got.error["type"], got.error["code"]) == ("insufficient_quota",) * 2
    assert "has 0.000001 USD left" in got.error["message"]
    assert got.headers["x-should-retry"] == "false"
    assert "retry-after" not in got.headers


def test_unpriced_model_under_a_budget(server: EntenteServer) -> None:
    """Unknown is not zero: a hard budget cannot hold what has no price."""
    key = server.make_key(budget_nano=10**12)
    got = server.chat(key.secret, model="unpriced")
    assert (got.status, got.error["code"]) == (403, "model_not_priced")
    assert server.settlements(key) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": None, "n": None, "stream": None, "stream_options": None},
        {"max_completion_tokens": 5, "max_tokens": 3},
        {"temperature": 0.5, "zzz": {"unknown": [1, None]}, "metadata": {"a": "b"}},
        {"stop": ["\u0000", "😀"], "user": "\ud83d\ude00"},
    ],
)
def test_odd_but_good_bodies(server: EntenteServer, key: Key, fields: dict[str, Any]) -> None:
    """Nulls, two token bounds, and fields that we have never heard of are all served."""
    assert server.chat(key.secret, **fields).status == 200
