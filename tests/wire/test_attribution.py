"""Whom a call is put down to: what a body says of its user, and the header `Entente-Tags`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import InvalidParameter
from entente.domain.origin import END_USER_CHARS_MAX, TAG_CHARS_MAX, TAGS_MAX, USUAL, Origin
from entente.domain.principal import Principal, Role
from entente.gateway.origin import origin_of
from entente.ledger.journal import decode, encode
from entente.ledger.model import Hold, Settlement
from entente.wire.anthropic import decode_messages
from entente.wire.attribution import attributed, read_tags
from entente.wire.openai import decode_chat
from tests.kit.entries import held, settled
from tests.kit.run import PROPERTY

WHO = Principal(key_id="key_1", name="a", role=Role.MEMBER)


def chat(**members: Any) -> Origin:
    """Give the origin of a chat request with these members besides."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    return origin_of(WHO, attributed(decode_chat(json.dumps(body).encode())))


def messages(**members: Any) -> Origin:
    """Give the origin of a messages request with these members besides."""
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    return origin_of(WHO, attributed(decode_messages(json.dumps({**body, **members}).encode())))


def test_the_usual_says_nothing() -> None:
    """A conversation of the default project is one object, and no entry writes it."""
    assert chat() is USUAL
    assert chat(user=None, service_tier=None) is USUAL
    assert b"origin" not in encode(held("r1", 5))


def test_openais_clients_name_their_user() -> None:
    """By the newer member rather than by the older one."""
    assert chat(user="bob").end_user == "bob"
    assert chat(user="bob", safety_identifier="b0b").end_user == "b0b"
    assert chat(safety_identifier="", user="bob").end_user == "bob"
    assert chat(service_tier="flex").service_tier == "flex"


def test_anthropics_clients_name_their_user() -> None:
    """In their metadata; OpenAI's member means nothing there."""
    assert messages(metadata={"user_id": "bob"}).end_user == "bob"
    assert messages(user="bob").end_user == ""
    assert messages(metadata={}).end_user == messages(metadata=None).end_user == ""
    assert messages().api == "messages"


@pytest.mark.parametrize("value", [5, [], {}, True, {"user_id": 5}, [["a"]]])
def test_what_is_no_name_says_nothing(value: object) -> None:
    """The provider may refuse it."""
    assert chat(user=value).end_user == ""
    assert messages(metadata=value).end_user == ""


def test_a_long_name_is_cut() -> None:
    """Characters, not bytes."""
    assert chat(user="é" * (END_USER_CHARS_MAX + 9)).end_user == "é" * END_USER_CHARS_MAX


def test_a_zero_in_a_name() -> None:
    """No database need keep it, and another name is still another one."""
    assert chat(user="a\0b").end_user == "a\N{REPLACEMENT CHARACTER}b"
    assert messages(metadata={"user_id": "\0"}).end_user == "\N{REPLACEMENT CHARACTER}"


def test_tags_are_sorted_and_single() -> None:
    """Spaces around them do not count."""
    assert read_tags(b"team:search , beta,team:search") == ("beta", "team:search")
    assert read_tags(b"a" * TAG_CHARS_MAX) == ("a" * TAG_CHARS_MAX,)
    many = ",".join(f"t{n}" for n in range(TAGS_MAX)).encode()
    assert len(read_tags(many)) == TAGS_MAX


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b",",
        b"a,,b",
        b"a b",
        b"-a",
        b"caf\xe9",
        b"a;b",
        b"a\tb",
        b"a" * (TAG_CHARS_MAX + 1),
        ",".join(f"t{n}" for n in range(TAGS_MAX + 1)).encode(),
    ],
)
def test_wrong_tags_are_refused(value: bytes) -> None:
    """A budget of a tag must not be passed by a slip of the pen."""
    with pytest.raises(InvalidParameter) as refused:
        read_tags(value)
    assert "Entente-Tags" in refused.value.message


@PROPERTY
@given(st.binary(max_size=200))
def test_no_header_breaks_it(value: bytes) -> None:
    """Whatever the bytes are: tags within the bounds, or a refusal."""
    try:
        tags = read_tags(value)
    except InvalidParameter:
        return
    assert 1 <= len(tags) <= TAGS_MAX
    assert all(tag.isascii() and len(tag) <= TAG_CHARS_MAX for tag in tags)


def test_entries_carry_it() -> None:
    """From the hold to the settlement, through the journal, also after a crash."""
    origin = Origin(project="alpha", end_user="bob", tags=("a", "b"), is_batch=True, size="1x1")
    opened = Hold(**{**_members(held("r1", 5)), "origin": origin})
    entry = settled(opened, 3)
    assert entry.origin == origin
    assert decode(encode(opened)) == opened
    assert decode(encode(entry)) == entry


def test_older_entries_read_as_usual() -> None:
    """A line from before there were origins."""
    entry = settled(held("r1", 5), 3)
    line = encode(entry)
    assert b"origin" not in line
    found = decode(line)
    assert isinstance(found, Settlement)
    assert found.origin is USUAL


def _members(entry: Hold) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}
