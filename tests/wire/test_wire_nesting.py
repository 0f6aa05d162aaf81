"""How deep JSON is: never guessed, whatever its strings hold."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entente.domain.errors import MalformedJson
from entente.wire.nesting import DEPTH_MAX, check_depth, is_deep
from entente.wire.openai_assembly import ChatAssembly
from tests.kit.run import PROPERTY

TEXTS: Final = st.text(alphabet='[]{}",:\\ a\n\u00e9', max_size=12)
JSON: Final = st.recursive(
    st.none() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def levels(value: Any) -> int:
    """Count the levels of a value as one would by hand."""
    if isinstance(value, dict):
        return 1 + max(map(levels, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(levels, value), default=0)
    return 0


def within(value: Any, depth: int) -> Any:
    """Put a value inside so many arrays and objects."""
    for level in range(depth):
        value = {'"]}': value} if level % 2 else ["[[{", value, "\\"]
    return value


@PROPERTY
@given(JSON, st.integers(DEPTH_MAX - 6, DEPTH_MAX), st.sampled_from([None, 1]), st.booleans())
@example([], DEPTH_MAX - 1, None, False)  # noqa: FBT003  (hypothesis takes values by position)
@example([], DEPTH_MAX, None, False)  # noqa: FBT003
@example("]" * 500, DEPTH_MAX, None, False)  # noqa: FBT003
@example(["["] * 500, DEPTH_MAX - 2, 1, True)  # noqa: FBT003
def test_levels_are_counted(value: Any, depth: int, indent: int | None, is_ascii: bool) -> None:
    """Whatever stands in its strings, and however it is written."""
    whole = within(value, depth)
    text = json.dumps(whole, indent=indent, ensure_ascii=is_ascii).encode()
    assert is_deep(text) == (levels(whole) > DEPTH_MAX)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"]" * 5000,
        b"]" * 5000 + b"[" * 5000,
        b'"' + b"[" * 500 + b"]" * 500,
        b'{"a":"' + b"[]" * 5000,
        b"--x\r\n\r\n" + b"[" * 500 + b"]" * 500 + b"\r\n--x--\r\n",
        b"ID3" + bytes(range(256)) * 2000,
    ],
)
def test_what_is_no_json_is_for_its_reader(text: bytes) -> None:
    """Broken JSON, a form, sound: another says what they are."""
    assert not is_deep(text)


def test_a_stream_that_is_nested_deep_is_not_kept() -> None:
    """A provider may send it, twice for the same place; its client has got it."""
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    whole = ChatAssembly()
    for _ in range(2):
        whole.feed(b'data: {"id":"c","choices":[{"index":0,"delta":%b}]}\n\n' % deep)
    assert whole.failed
    assert whole.whole() is None


def test_the_refusal_says_how_deep() -> None:
    """And what to do."""
    text = b"[" * DEPTH_MAX + b"]" * DEPTH_MAX
    check_depth(text)
    with pytest.raises(MalformedJson, match=rf"more than {DEPTH_MAX} levels deep\. Send"):
        check_depth(b' \n{"a":' + text + b"}")
