"""Reading chat requests: OpenAI's words and order, whatever a client sends."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Call
from entente.domain.errors import EntenteError, InvalidParameter, MalformedJson
from entente.wire.openai import decode_chat
from entente.wire.openai_errors import render
from entente.wire.parameters import MALFORMED
from tests.kit.run import PROPERTY

MESSAGES = '"messages":[{"role":"user","content":"hi"}]'

WRONG = [
    # body, param, code, message
    ("", None, None, MALFORMED),
    ("[]", None, None, MALFORMED),
    ('"text"', None, None, MALFORMED),
    ('{"model":"m",}', None, None, MALFORMED),
    ('{"model":"m"', None, None, MALFORMED),
    ('{"model":"m"} {}', None, None, MALFORMED),
    ("{'model':'m'}", None, None, MALFORMED),
    ("{}", None, None, "you must provide a model parameter"),
    ('{"model":null}', None, None, "you must provide a model parameter"),
    ('{"model":""}', None, None, "you must provide a model parameter"),
    (
        '{"model":5}',
        "model",
        "invalid_type",
        "Invalid type for 'model': expected a string, but got an integer instead.",
    ),
    (
        '{"model":"m"}',
        "messages",
        "missing_required_parameter",
        "Missing required parameter: 'messages'.",
    ),
    (
        '{"model":"m","messages":"hi"}',
        "messages",
        "invalid_type",
        "Invalid type for 'messages': expected an array of objects, but got a string instead.",
    ),
    (
        '{"model":"m","messages":null}',
        "messages",
        "invalid_type",
        "Invalid type for 'messages': expected an array of objects, but got null instead.",
    ),
    *(
        (
            f'{{"model":"m","messages":{empty}}}',
            "messages",
            "empty_array",
            (
                "Invalid 'messages': empty array. Expected an array with minimum length 1, "
                "but got an empty array instead."
            ),
        )
        for empty in ("[]", "[ \n\t]")
    ),
    (
        f'{{"model":"m",{MESSAGES},"n":"1"}}',
        "n",
        "invalid_type",
        "Invalid type for 'n': expected an integer, but got a string instead.",
    ),
    (
        f'{{"model":"m",{MESSAGES},"n":1.5}}',
        "n",
        "invalid_type",
        "Invalid type for 'n': expected an integer, but got a decimal instead.",
    ),
    (
        f'{{"model":"m",{MESSAGES},"n":true}}',
        "n",
        "invalid_type",
        "Invalid type for 'n': expected an integer, but got a boolean instead.",
    ),
    (
        f'{{"model":"m",{MESSAGES},"n":0}}',
        "n",
        "integer_below_min_value",
        "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead.",
    ),
    (
        f'{{"model":"m",{MESSAGES},"n":129}}',
        "n",
        "integer_above_max_value",
        "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead.",
    ),
    (
        f'{{"model":"m",{MESSAGES},"max_tokens":-1}}',
        "max_tokens",
        "integer_below_min_value",
        (
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, "
            "but got -1 instead."
        ),
    ),
    (
        f'{{"model":"m",{MESSAGES},"max_completion_tokens":{{}}}}',
        "max_completion_tokens",
        "invalid_type",
        "Invalid type for 'max_completion_tokens': expected an integer, but got an object instead.",
    ),
    (
        f'{{"model":"m",{MESSAGES},"stream":"yes"}}',
        "stream",
        "invalid_type",
        "Invalid type for 'stream': expected a boolean, but got a string instead.",
    ),
    (
        f'{{"model":"m",{MESSAGES},"stream":true,"stream_options":[]}}',
        "stream_options",
        "invalid_type",
        "Invalid type for 'stream_options': expected an object, but got an array instead.",
    ),
    (
        f'{{"model":"m",{MESSAGES},"Max_Tokens":5}}',
        "Max_Tokens",
        "unknown_parameter",
        "Unknown parameter: 'Max_Tokens'. Did you mean 'max_tokens'?",
    ),
]


@pytest.mark.parametrize(("body", "param", "code", "message"), WRONG)
def test_errors_in_the_vendors_words(
    body: str, param: str | None, code: str | None, message: str
) -> None:
    """SURFACE 5.1, the rows that can happen here: status, type, param, code and message."""
    with pytest.raises((InvalidParameter, MalformedJson)) as caught:
        decode_chat(body.encode())
    reply = render(caught.value)
    assert reply.status == 400
    assert json.loads(reply.body) == {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": param,
            "code": code,
        }
    }


def test_the_order_of_validation() -> None:
    """SURFACE 5.2: model, then messages, then names, then types and bounds."""
    wrong = {"Model": 1, "n": "x"}
    for more, param in (
        ({}, None),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": [1]}, "Model"),
    ):
        with pytest.raises(InvalidParameter) as caught:
            decode_chat(json.dumps({**wrong, **more}).encode())
        assert caught.value.param == param


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"\xff",%s}',
        b'{"model":"m\\ud800",%s}',
        b'{"model":"m","n\xff":1,%s}',
        b'{"model":"m","stream":true,"stream_options":{"a\xff":1},%s}',
        b'{"model":"m","stream":true,"stream_options":{"a":"\xff"},%s}',
        b"\xef\xbb\xbf" + b'{"model":"m",%s}',
        b'{"model":"m","n":NaN,%s}',
        b'{"model":"m","x":01,%s}',
        b'{"model":"m","x":"\x01",%s}',
    ],
)
def test_bytes_that_are_not_json(body: bytes) -> None:
    """Broken UTF-8, lone surrogates, a byte order mark, JavaScript's numbers: 400, never 500."""
    with pytest.raises(MalformedJson):
        decode_chat(body.replace(b"%s", MESSAGES.encode()))


@pytest.mark.parametrize("depth", [10, 100, 900, 1_000, 10_000, 200_000])
@pytest.mark.parametrize("name", ["messages", "n", "stream_options", "x", "model"])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deeply_nested_bodies(depth: int, name: str, opening: str) -> None:
    """A call or a clean error, at any depth and in any place; never another exception."""
    closing = "]" if opening == "[" else "1}"
    nested = opening * depth + closing[0] + closing[-1] * (depth - 1)
    nested = nested if opening == "[" else opening * depth + "1" + "}" * depth
    members = {"model": '"m"', "messages": "[{}]", "image_url": '"\\u0065"', name: nested}
    body = "{" + ",".join(f'"{key}":{value}' for key, value in members.items()) + "}"
    try:
        call = decode_chat(body.encode())
    except EntenteError as error:
        status = render(error).status
    else:
        assert isinstance(call, Call)
        return
    assert status == 400


def test_a_huge_body_is_read_once_and_kept() -> None:
    """Ten megabytes of one message: the body is not copied, and its members are slices."""
    text = "x" * 10_000_000
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    call = decode_chat(body)
    assert call.body is body
    assert len(memoryview(call.members["messages"])) > len(text)


def test_huge_numbers() -> None:
    """Integers that no machine word holds are out of range, not an accident."""
    for number in ("1" + "0" * 30, "9" * 4000, "9" * 5000, "1e400", "-" + "9" * 50):
        with pytest.raises((InvalidParameter, MalformedJson)):
            decode_chat(f'{{"model":"m",{MESSAGES},"max_tokens":{number}}}'.encode())


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"stream": True}, (True, False)),
        ({"stream": True, "stream_options": {"include_usage": True}}, (True, True)),
        ({"stream": True, "stream_options": {"include_usage": False}}, (True, False)),
        ({"stream": True, "stream_options": {"include_usage": None}}, (True, False)),
        ({"stream": True, "stream_options": None}, (True, False)),
        ({"stream": None, "n": None, "max_tokens": None}, (False, False)),
    ],
)
def test_streams_and_usage(members: dict[str, object], expected: tuple[bool, bool]) -> None:
    """Null is absent everywhere."""
    body = {"model": "m", "messages": [{}], **members}
    call = decode_chat(json.dumps(body).encode())
    assert (call.stream, call.wants_usage) == expected


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ('{"type":"image_url","image_url":{"url":"http://x"}}', 1),
        ('{"image_url" : {}} , {"image_url":{}}', 2),
        ('{"type":"file","file":{"file_id":"f"}}', 1),
        ('{"file_url":"http://x"}', 1),
        ('{"image\\u005furl":{}}', 1),
        ('{"\\u0069mage_url":{}}', 1),
        ('{"\\u0049mage_url":{},"file_\\u0069d":"f"}', 1),
        ('{"content":"an \\"image_url\\": in text"}', 0),
        ('{"content":"image_url"}', 0),
    ],
)
def test_attachments_are_counted_through_escapes(text: str, least: int) -> None:
    """Each stands for tokens that the body's length does not cover; none may hide."""
    body = f'{{"model":"m","messages":[{text}]}}'
    counted = decode_chat(body.encode()).attachments
    assert counted >= least
    assert counted == 0 or least > 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@PROPERTY
@given(
    st.dictionaries(
        st.sampled_from(
            ["model", "messages", "stream", "stream_options", "n", "max_tokens", "temperature"]
        ),
        JSON,
    )
)
def test_any_json_is_a_call_or_a_clean_error(members: dict[str, object]) -> None:
    """Nothing that is JSON makes the server fail."""
    try:
        call = decode_chat(json.dumps(members).encode())
    except (InvalidParameter, MalformedJson):
        return
    assert call.model == members["model"]


@PROPERTY
@given(st.binary(max_size=60))
def test_any_bytes_are_a_call_or_a_clean_error(data: bytes) -> None:
    """Nothing that is not JSON does either."""
    for body in (data, b'{"model":"m","messages":[' + data + b"]}"):
        try:
            decode_chat(body)
        except (InvalidParameter, MalformedJson):
            continue
