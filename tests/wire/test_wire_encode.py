"""Writing chat requests: the client's own bytes, and nothing that two parsers read differently."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import InvalidParameter
from entente.wire.openai import decode_chat, encode_chat
from tests.kit.run import PROPERTY

MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def _both(body: bytes) -> dict[str, Any]:
    """Read a body as a parser that keeps the first of two equal names, and one that keeps the last.

    At the top they must agree.
    """
    last = json.loads(body)
    names = [name for name, _ in json.loads(body, object_pairs_hook=list)]
    assert len(names) == len(set(names)), body
    assert json.loads(body, object_pairs_hook=_first_wins).keys() == last.keys()
    assert isinstance(last, dict)
    return last


UNCHANGED = [
    b'{"model":"m",' + MESSAGES + b"}",
    b' {\n "model" : "m" ,\t' + MESSAGES + b'\r\n, "temperature":1.50e0 } \n',
    b'{"new_field":{"b":1,  "a":[ ]},"model":"m",' + MESSAGES + b',"logit_bias":{"50256":-100}}',
    b'{"model": "m", "messages": [{"content": "say \\"n\\": \\u0041 \\"stream\\""}]}',
    b'{ "model":"m","messages":[{"model":"x","n":3,"messages":["stream"]}],"n":1}',
    b'{ "model":"m",' + MESSAGES + b',"tools":[{"properties":{"model":{},"stream":{},"n":{}}}]}',
    '{ "model":"m","messages":[{"content":"größe 😀"}],"größe":1}'.encode(),
    b'{ "model":"m",' + MESSAGES + b',"caf\\u00e9":1}',
    b'{"model":"m",' + MESSAGES + b',"stream":true,"stream_options":{"include_usage":true}}',
    b'{ "model":"m",' + MESSAGES + b',"max_tokens":5,"stream":false}',
    b'{ "model":"m",' + MESSAGES + b',"a":-0.0,"b":1e2,"c":12345678901234567890123}',
]


@pytest.mark.parametrize("body", UNCHANGED)
def test_nothing_changes_when_nothing_has_to(body: bytes) -> None:
    """Promise 4: the very bytes, odd spacing and unknown fields included."""
    assert encode_chat(decode_chat(body), model="m", output_tokens_max=None) is body


@pytest.mark.parametrize("body", UNCHANGED)
def test_only_what_has_to_change_changes(body: bytes) -> None:
    """Another name and a cap: every other member keeps its bytes and its place."""
    written = encode_chat(decode_chat(body), model='prov"ider', output_tokens_max=9)
    before, after = json.loads(body), _both(written)
    assert list(after)[: len(before)] == list(before)
    assert after["model"] == 'prov"ider'
    if "max_tokens" not in before:
        assert after["max_completion_tokens"] == 9
    for name in before.keys() - {"model"}:
        assert after[name] == before[name]
    start = body.index(b'"messages"') + len(b'"messages"')
    value = body[start:].lstrip(b" :")
    assert value[: value.index(b"]") + 1] in written, "nested bytes are untouched"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
    ],
)
def test_a_stream_is_made_to_report_its_usage(options: object, expected: object) -> None:
    """Other options of the stream stay as they are."""
    members: dict[str, object] = {"model": "m", "messages": [{}], "stream": True}
    if options is not None:
        members["stream_options"] = options
    written = encode_chat(
        decode_chat(json.dumps(members).encode()), model="m", output_tokens_max=None
    )
    assert _both(written) == {**members, "stream_options": expected}


@pytest.mark.parametrize(
    ("members", "cap"),
    [
        ({}, 9),
        ({"max_tokens": None, "max_completion_tokens": None}, 9),
        ({"max_tokens": 100}, None),
        ({"max_completion_tokens": 100}, 100),
    ],
)
def test_a_cap_is_added_only_where_the_client_gave_none(
    members: dict[str, object], cap: int | None
) -> None:
    """The client's own bound is what was held for."""
    body = json.dumps({"model": "m", "messages": [{}], **members}).encode()
    written = _both(encode_chat(decode_chat(body), model="m", output_tokens_max=9))
    assert written.get("max_completion_tokens") == cap


TWICE = [
    (b'"model":"a","model":"b"', "model", "b"),
    (b'"model":"a","mod\\u0065l":"b"', "model", "b"),
    (b'"mod\\u0065l":"a","model":"b"', "model", "b"),
    (b'"\\u006dodel":"b"', "model", "b"),
    (b'"model":"b","max_tokens":1,"max_tokens":99', "max_tokens", 99),
    (b'"model":"b","max_tokens":1,"max\\u005ftokens":99', "max_tokens", 99),
    (b'"model":"b","max_tokens":1,"max\\u005Ftokens":99', "max_tokens", 99),
    (b'"model":"b","max_tokens" : 7 , "max_tokens" : 7', "max_tokens", 7),
    (b'"model":"b","n":1,"\\u006e":5', "n", 5),
    (b'"model":"b","stream":true,"stream":false', "stream", False),
    (b'"model":"b","x":1,"x":2', "x", 2),
    (b'"model":"b","n":12,"n":1', "n", 1),
    (b'"model":"b","n":1,"n":12', "n", 12),
    (b'"model":"b","n":1,"n":1', "n", 1),
]


@pytest.mark.parametrize(("members", "name", "value"), TWICE)
@pytest.mark.parametrize("space", [b"", b" "])
def test_a_member_that_stands_twice_is_sent_once(
    members: bytes, name: str, value: object, space: bytes
) -> None:
    """What we checked is what the provider reads, whichever of the two it would take."""
    for body in (members + b"," + MESSAGES, MESSAGES + b"," + members):
        call = decode_chat(b"{" + space + body + b"}")
        written = encode_chat(call, model="b", output_tokens_max=None)
        assert _both(written)[name] == value
        assert b"\\u" not in written


@pytest.mark.parametrize(
    "name", ["Model", "MODEL", "\u017ftream", "max_to\u212aens", "N", "Messages"]
)
def test_another_spelling_of_a_governing_member_is_refused(name: str) -> None:
    """Go's JSON ignores case, with Unicode's folding: it would act on what nobody checked."""
    body = json.dumps({"model": "m", "messages": [{}], name: 1}, ensure_ascii=False)
    with pytest.raises(InvalidParameter, match="Unknown parameter"):
        decode_chat(body.encode())


NAMES = st.sampled_from(
    ["model", "messages", "stream", "n", "max_tokens", "stream_options", "x", "größe", 'q"']
)
SPACE = st.sampled_from(["", " ", "\n\t", "\r\n  "])
VALUES = {
    "model": st.sampled_from(['"a"', '"b"', '"\\u0061"']),
    "messages": st.sampled_from(['[{"model":"z","n":9}]', '[ {} , "x" ]']),
    "stream": st.sampled_from(["true", "false", "null"]),
    "n": st.sampled_from(["1", "2", "null"]),
    "max_tokens": st.sampled_from(["5", "6", "null"]),
    "stream_options": st.sampled_from(
        ['{"include_usage":true}', '{ "include_usage" : false, "k":[1 ]}', "null"]
    ),
}


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw a request with members in any order, twice or escaped, spaced in any way."""
    names = ["model", "messages", *draw(st.lists(NAMES, max_size=5))]
    pairs = []
    for name in draw(st.permutations(names)):
        literal = json.dumps(name, ensure_ascii=draw(st.booleans()))
        if draw(st.integers(0, 5)) == 0 and name[0].isascii():
            literal = f'"\\u{ord(name[0]):04x}' + literal[2:]
        value = draw(VALUES.get(name, st.sampled_from(["1", '{"a": [ ] }', '"\\u00e9"'])))
        pairs.append(
            "".join([draw(SPACE), literal, draw(SPACE), ":", draw(SPACE), value, draw(SPACE)])
        )
    return (draw(SPACE) + "{" + ",".join(pairs) + "}" + draw(SPACE)).encode()


@PROPERTY
@given(bodies(), st.sampled_from(["a", "other"]), st.none() | st.just(7))
def test_provider_and_gateway_never_disagree(body: bytes, model: str, cap: int | None) -> None:
    """What is sent says what was decoded but for the changes, to every kind of parser."""
    call = decode_chat(body)
    written = encode_chat(call, model=model, output_tokens_max=cap)
    if written is body:
        assert model == call.model
    expected = json.loads(body)
    expected["model"] = model
    if call.stream and not call.wants_usage:
        expected["stream_options"] = {
            **(expected.get("stream_options") or {}),
            "include_usage": True,
        }
    if cap is not None and call.output_tokens_max is None:
        expected["max_completion_tokens"] = cap
    assert _both(written) == expected
    again = decode_chat(written)
    assert (again.stream, again.choices) == (call.stream, call.choices)
    for name, raw in call.members.items():
        if name not in ("model", "stream_options", "max_completion_tokens"):
            assert bytes(raw) in written
