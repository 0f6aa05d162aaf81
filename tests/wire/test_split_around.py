"""A long body that is split around its messages: as if it were split whole, or not at all."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entente.wire.members import AROUND_BYTES_MAX, LONG_BYTES_MIN, split, split_around


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str | None


TEXTS: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(list[_Message])
LONG: Final = "It was a dark and stormy night. " * (LONG_BYTES_MIN // 32)
SAID: Final = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": LONG}]
MESSAGES: Final = json.dumps(SAID).encode()
GAP: Final = b"-0.0e-0"


def found(body: bytes) -> dict[str, bytes] | None:
    """Split around the messages; what comes of it is what splitting the whole gives."""
    members = split_around(body, TEXTS)
    if members is None:
        return None
    whole = split(body)
    assert whole is not None
    kept = {name: bytes(raw) for name, raw in members.items()}
    assert list(kept.items()) == [(name, bytes(raw)) for name, raw in whole.items()]
    assert TEXTS.decode(kept["messages"])
    return kept


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize(
    "body",
    [
        {"model": "m", "messages": SAID},
        {"messages": SAID, "model": "m", "temperature": 0.5, "stop": ["]}", '"}]}']},
        {"stream": True, "messages": [*SAID, {"role": "user", "content": None}], "user": "}],"},
        {"messages": SAID, "model": "m", "tools": [{"type": "function", "function": {"a": [{}]}}]},
    ],
)
def test_usual_bodies(body: dict[str, Any], separators: tuple[str, str]) -> None:
    """Bodies as clients' libraries write them are split so."""
    members = found(json.dumps(body, separators=separators).encode())
    assert members is not None
    assert members.keys() == body.keys()


@pytest.mark.parametrize(
    "body",
    [
        b"%b" % MESSAGES,
        b'{"messages":%b' % MESSAGES,
        b'{"messages":%b}}' % MESSAGES,
        b'{"messages":%b,}' % MESSAGES,
        b'{"messages":%b "model":"m"}' % MESSAGES,
        b'{"messages":[%b]}' % MESSAGES,
        b'{"messages":[%b}' % MESSAGES,
        b'{"messages":%b,"messages":null}' % MESSAGES,
        b'{"messages":%b,"messages":[],"model":"m"}' % MESSAGES,
        b'{"messages":%b,"\\u006dessages":7}' % MESSAGES,
        b'{"messages":%b,"messages":%b}' % (GAP, MESSAGES),
        b'{"metadata":{"messages":%b},"model":"m"}' % MESSAGES,
        b'{"metadata":{"messages":%b},"messages":null}' % MESSAGES,
        b'{"metadata":{"messages":%b},"messages":%b}' % (MESSAGES, GAP),
        b'{"metadata":{"messages":%b},"messages":%b}' % (MESSAGES, MESSAGES),
        b'{"user":"\\"messages\\":%b"}' % MESSAGES,
        b'{"user":"\\"messages\\":%b","messages":%b}' % (MESSAGES, GAP),
        b'{"messages":%b}' % MESSAGES.replace(b"dark", b"dar\xff"),
        b'{"messages":%b}' % MESSAGES.replace(b'"content": "Be', b'"image": "Be'),
        b'{"messages":[%b]}' % (b" " * LONG_BYTES_MIN),
        b'{"user":"%b","messages":%b}' % (b"u" * AROUND_BYTES_MAX, MESSAGES),
        b'{"messages":%b,"user":"%b"}' % (MESSAGES, b"u" * AROUND_BYTES_MAX),
        b'{"messages":[{"role":"user","content":"short"}]}',
    ],
)
def test_other_bodies(body: bytes) -> None:
    """What is no such body, or would have to be looked at more closely, is left to `split`."""
    assert found(body) is None


_MEMBERS: Final = st.sampled_from(
    [
        b'"messages":%b' % MESSAGES,
        b'"messages":%b' % MESSAGES,
        b'"messages" : %b' % MESSAGES.replace(b"night", b'\\"}],\\"model\\":\\"x'),
        b'"messages":null',
        b'"messages":%b' % GAP,
        b'"messages":[{"role":"user","content":"hi"}]',
        b'"m\\u0065ssages":%b' % MESSAGES,
        b'"metadata":{"messages":%b}' % MESSAGES,
        b'"metadata":[%b]' % MESSAGES,
        b'"model":"m"',
        b'"model":"other"',
        b'"user":"\\"messages\\":[{\\"a\\":\\"b\\"}],"',
        b'"stop":["a"]',
        b'"tools":[{"a":"b"}]',
        b'"n":%b' % GAP,
    ]
)
_FLAWS: Final = st.sampled_from(
    [b"", b"", b"", b",", b"{", b"}", b"[", b"]", b'"', b"\\", b"null", b"\xff", b" ", b":", GAP]
)


@given(st.lists(_MEMBERS, max_size=5), _FLAWS, st.integers(0, 2**32), st.integers(0, 2))
@example([b'"model":"m"', b'"messages":%b' % MESSAGES], b"", 0, 0)
def test_any_body(members: list[bytes], flaw: bytes, at: int, cut: int) -> None:
    """Whatever stands beside, inside or in place of the messages, and with any flaw in it."""
    body = b"{%b}" % b",".join(members)
    # Half of the flaws are near an end, where what is around is.
    places = len(body) + 1
    place = at % places if at % 2 else (at % 129 - 64) % places
    found(body[:place] + flaw + body[place + cut :])
