"""Server-sent events: where they end does not depend on how they arrive."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import UpstreamProtocolError
from entente.wire.sse import EVENT_BYTES_MAX, Splitter, events, payload
from tests.kit.run import PROPERTY

LINES = st.lists(
    st.sampled_from(
        [
            "data: a",
            "data:b",
            'data: {"x":"\u00e4"}',
            ": comment",
            "event: e",
            "id: 1",
            "data",
            "data: ",
        ]
    ),
    min_size=1,
    max_size=3,
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Draw whole events with one kind of line end."""
    end = draw(ENDS)
    return [(end.join(draw(LINES)) + end + end).encode() for _ in range(draw(st.integers(0, 6)))]


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(at)]


@PROPERTY
@given(streams(), st.lists(st.integers(0, 10**6), max_size=12), st.sampled_from(["", "data: br"]))
def test_any_cut_gives_the_same_bytes_and_events(
    whole: list[bytes], cuts: list[int], rest: str
) -> None:
    """Nothing is lost, nothing is early: blocks hold whole events only, the rest waits."""
    data = b"".join(whole) + rest.encode()
    splitter = Splitter()
    blocks = [splitter.feed(piece) for piece in _cut(data, cuts) if piece]
    assert b"".join(blocks) + splitter.rest == data
    assert [event for block in blocks for event in events(block)] == whole
    assert splitter.rest == rest.encode()


@PROPERTY
@given(streams())
def test_byte_by_byte(whole: list[bytes]) -> None:
    """The slowest of all providers."""
    splitter = Splitter()
    blocks = [splitter.feed(bytes([byte])) for byte in b"".join(whole)]
    assert [event for block in blocks for event in events(block)] == whole


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\n\n", b"x"),
        (b"data:  x\n\n", b" x"),
        (b"data: x\r\n\r\n", b"x"),
        (b"data: x\r\r", b"x"),
        (b"event: e\ndata: x\nid: 5\n\n", b"x"),
        (b"data: x\ndata: y\n\n", b"x\ny"),
        (b"data: x\r\ndata: y\r\n\r\n", b"x\ny"),
        (b"data: x\n: data: no\n\n", b"x"),
        (b": data: no\n\n", b""),
        (b"data:\n\n", b""),
        (b"\n\n", b""),
        (b"xdata: no\n\n", b""),
    ],
)
def test_payload(event: bytes, data: bytes) -> None:
    """The data lines of an event, joined by LF; comments and other fields are none of it."""
    assert payload(event) == data


def test_an_event_without_end_is_bounded() -> None:
    """A provider cannot make us keep more than the bound."""
    splitter = Splitter()
    assert splitter.feed(b"data: " + b"x" * (EVENT_BYTES_MAX - 6)) == b""
    with pytest.raises(UpstreamProtocolError, match=str(EVENT_BYTES_MAX)):
        splitter.feed(b"x")


def test_a_large_event_within_the_bound_passes() -> None:
    """Images in an answer are large, and come in one event."""
    event = b"data: " + b"x" * (EVENT_BYTES_MAX - 8)
    splitter = Splitter()
    assert splitter.feed(event) == b""
    assert splitter.feed(b"\n\ndata: y") == event + b"\n\n"
    assert splitter.rest == b"data: y"
