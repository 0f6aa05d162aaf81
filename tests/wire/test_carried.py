"""Headers of a client's that may go on: by name, one line of plain words, within a bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.wire.carried import (
    ANTHROPICS,
    CARRIED,
    OPENAIS,
    VALUE_BYTES_MAX,
    carried,
    chosen,
)
from tests.kit.run import PROPERTY

Headers = list[tuple[bytes, bytes]]


def test_only_what_is_listed_is_carried() -> None:
    """Credentials, cookies and whatever else a client sends stay here."""
    sent: Headers = [
        (b"authorization", b"Bearer sk-1"),
        (b"x-api-key", b"sk-1"),
        (b"api-key", b"sk-1"),
        (b"cookie", b"a=b"),
        (b"anthropic-version", b"2023-06-01"),
        (b"openai-beta", b"responses=v1"),
        (b"x-stainless-lang", b"python"),
    ]
    found = carried(sent)
    assert found == {b"anthropic-version": b"2023-06-01", b"openai-beta": b"responses=v1"}
    assert chosen(found, ANTHROPICS) == ((b"anthropic-version", b"2023-06-01"),)
    assert chosen(found, OPENAIS) == ((b"openai-beta", b"responses=v1"),)


def test_lines_with_one_name_are_one_list() -> None:
    """As HTTP has it; two versions are none."""
    sent: Headers = [(b"anthropic-beta", b"a-1"), (b"anthropic-beta", b"b-2, c-3")]
    assert carried(sent) == {b"anthropic-beta": b"a-1,b-2, c-3"}
    assert carried([(b"anthropic-version", b"2023-06-01")] * 2) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"anthropic-beta", b""),
        (b"anthropic-beta", b"a b"),
        (b"anthropic-beta", b"a,,b"),
        (b"anthropic-beta", b"a\r\nx-api-key: b"),
        (b"anthropic-beta", b"caf\xe9"),
        (b"anthropic-beta", b"a" * (VALUE_BYTES_MAX + 1)),
        (b"anthropic-beta", b"a," * (VALUE_BYTES_MAX // 2)),
        (b"anthropic-version", b"latest"),
        (b"anthropic-version", b"2023-06-01\n"),
        (b"openai-beta", b"a;b"),
        (b"x-ms-client-request-id", b"a\tb"),
    ],
)
def test_what_is_no_such_value_is_not_carried(name: bytes, value: bytes) -> None:
    """However it came to be there."""
    assert carried([(name, value)]) == {}


@PROPERTY
@given(st.lists(st.tuples(st.sampled_from(sorted(CARRIED)), st.binary(max_size=40)), max_size=6))
def test_no_line_ends_are_carried(sent: Headers) -> None:
    """A value cannot become two headers."""
    for name, value in carried(sent).items():
        assert name in CARRIED
        assert b"\r" not in value
        assert b"\n" not in value
        assert len(value) <= VALUE_BYTES_MAX
