"""Following a chat stream: the bytes that go on, the usage, and the one way it ended."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.chat import Status
from entente.domain.usage import Usage
from entente.wire.openai import read_completion
from entente.wire.openai_stream import ChatStream
from tests.kit.run import PROPERTY

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 5, "audio_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 4},
}
SPLIT = Usage(
    input=63, cache_read=30, cache_write=5, audio_input=2, output=26, reasoning=20, audio_output=4
)
DONE = b"data: [DONE]\n\n"


def _event(*choices: dict[str, Any], **more: object) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "choices": list(choices), **more}
    return b"data: %s\n\n" % json.dumps(chunk, separators=(",", ":")).encode()


def _text(text: str, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": {"content": text}, "finish_reason": None}


def _stop(reason: str = "stop", index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": {}, "finish_reason": reason}


def _follow(
    data: bytes, *, hide: bool = False, choices: int = 1, cuts: tuple[int, ...] = ()
) -> tuple[ChatStream, bytes]:
    """Give the stream after `data`, and what went to the client before the settlement."""
    stream = ChatStream(hide_usage=hide, choices=choices)
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[start:stop] for start, stop in itertools.pairwise(at) if start < stop]
    return stream, b"".join([stream.feed(piece) for piece in pieces])


CUTS = st.lists(st.integers(0, 10**6), max_size=8).map(tuple)
ODD = st.sampled_from(
    [
        b": keep-alive\n\n",
        b'data: {"unknown":{"usage":null},"choices":[]}\n\n',
        b'data: { "choices" : [ {"delta":{"content":"\\"usage\\":null, [DONE]"}} ] }\n\n',
        b"event: ping\ndata: {}\n\n",
        b"data: not json\n\n",
        b'data: {"choices":[{"delta":{"content":"\xc3\xa4"}}],"obfuscation":"xy"}\n\n',
        b'data: {"choices":[{"delta":{}}],\r\ndata: "x":1}\r\n\r\n',
    ]
)


@PROPERTY
@given(st.lists(ODD, max_size=6), CUTS, st.booleans())
def test_bytes_pass_untouched_when_usage_was_asked_for(
    odd: list[bytes], cuts: tuple[int, ...], nulls: bool
) -> None:
    """Promise 4, over any cut into chunks: unknown fields, comments and odd spacing included."""
    more = {"usage": None} if nulls else {}
    body = b"".join([_event(_text("hi"), **more), *odd, _event(_stop(), **more)])
    body += _event(usage=USAGE)
    stream, sent = _follow(body + DONE + b": bye\n\n", cuts=cuts)
    assert sent + stream.close() + stream.end == body + DONE + b": bye\n\n"
    assert sent == body, "the end marker waits for the settlement"
    assert (stream.status, stream.usage) == (Status.COMPLETE, SPLIT)


@PROPERTY
@given(st.lists(ODD, max_size=6), CUTS)
def test_exactly_the_usage_is_removed_when_only_we_asked(
    odd: list[bytes], cuts: tuple[int, ...]
) -> None:
    """What the client gets is what the provider would have sent without our asking."""
    ours = [_event(_text("hi"), usage=None), *odd, _event(_stop(), usage=None)]
    plain = [_event(_text("hi")), *odd, _event(_stop())]
    stream, sent = _follow(b"".join([*ours, _event(usage=USAGE), DONE]), hide=True, cuts=cuts)
    assert sent + stream.end == b"".join([*plain, DONE])
    assert (stream.status, stream.usage) == (Status.COMPLETE, SPLIT)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"choices":[],"usage":null}', '{"choices":[]}'),
        ('{"usage":null,"choices":[]}', '{"choices":[]}'),
        ('{"choices":[] , "usage" : null }', '{"choices":[]  }'),
        ('{"x":{"a":1,"usage":null},"usage":null}', '{"x":{"a":1,"usage":null}}'),
        ('{"usage":null,"x":{"usage":null,"a":1}}', '{"x":{"usage":null,"a":1}}'),
        ('{"x":{"a":1,"usage":null}}', '{"x":{"a":1,"usage":null}}'),
        ('{"choices":[],"x":"\\"usage\\":null"}', '{"choices":[],"x":"\\"usage\\":null"}'),
    ],
)
def test_null_usage_is_removed_at_the_top_only(before: str, after: str) -> None:
    """A vendor's own member of that name is not ours to touch."""
    _, sent = _follow(f"data: {before}\n\n".encode(), hide=True)
    assert sent.decode() == f"data: {after}\n\n"


def test_usage_in_a_chunk_with_choices_stays() -> None:
    """Some providers report it with the last choice: nothing may be lost with it."""
    last = _event(_stop(), usage=USAGE)
    stream, sent = _follow(last + DONE, hide=True)
    assert sent == last
    assert (stream.status, stream.usage) == (Status.COMPLETE, SPLIT)


def test_an_error_with_usage_is_not_swallowed() -> None:
    """It is the client's to see."""
    event = b'data: {"error":{"message":"x"},"usage":{"prompt_tokens":1}}\n\n'
    stream, sent = _follow(event, hide=True)
    assert sent == event
    assert stream.status is Status.FAILED


@pytest.mark.parametrize(
    ("body", "choices", "status"),
    [
        (_event(_stop()) + DONE, 1, Status.COMPLETE),
        (_event(_stop()), 1, Status.COMPLETE),
        (_event(_stop("tool_calls")) + DONE, 1, Status.COMPLETE),
        (_event(_stop("a_new_reason")) + DONE, 1, Status.COMPLETE),
        (_event(_stop("length")) + DONE, 1, Status.LENGTH),
        (_event(_stop("content_filter")) + DONE, 1, Status.FILTERED),
        (_event(_stop("length"), _stop("content_filter", 1)) + DONE, 2, Status.FILTERED),
        (_event(_stop("length")) + _event(_stop("stop", 1)) + DONE, 2, Status.LENGTH),
        (b"", 1, Status.TRUNCATED),
        (_event(_text("hi")), 1, Status.TRUNCATED),
        (_event(_text("hi")) + DONE, 1, Status.TRUNCATED),
        (_event(_stop())[:-1], 1, Status.TRUNCATED),
        (_event(_stop()), 2, Status.TRUNCATED),
        (_event(_stop()) + _event(_stop()), 2, Status.TRUNCATED),
        (_event(_stop()) + DONE, 2, Status.COMPLETE),
        (_event(_text("hi")) + b'data: {"error":{"message":"x"}}\n\n', 1, Status.FAILED),
        (_event(_stop()) + b'data: {"error":"x"}\n\n' + DONE, 1, Status.FAILED),
        (_event(_stop(), error=None) + DONE, 1, Status.COMPLETE),
        (_event(_stop()).replace(b"\n", b"\r\n"), 1, Status.COMPLETE),
        (_event(_stop()).replace(b"\n", b"\r"), 1, Status.COMPLETE),
    ],
)
def test_how_it_ended(body: bytes, choices: int, status: Status) -> None:
    """Promise 5: exactly one way, and the end of the bytes alone is never one."""
    for cuts in ((), tuple(range(0, len(body), 7)), tuple(range(len(body)))):
        stream, _ = _follow(body, choices=choices, cuts=cuts)
        assert stream.status is status


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (USAGE, SPLIT),
        ({"prompt_tokens": 3, "completion_tokens": 0}, Usage(input=3)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage()),
        (
            {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": None},
            Usage(input=3, output=1),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"x": {}}},
            Usage(input=3, output=1),
        ),
        ({}, None),
        ({"total_tokens": 9}, None),
        ({"prompt_tokens": 3}, None),
        ({"prompt_tokens": None, "completion_tokens": 1}, None),
        ({"prompt_tokens": -1, "completion_tokens": 1}, None),
        ({"prompt_tokens": 2**60, "completion_tokens": 1}, None),
        ({"prompt_tokens": 10**400, "completion_tokens": 1}, None),
        ({"prompt_tokens": "3", "completion_tokens": 1}, None),
        ({"prompt_tokens": 3.5, "completion_tokens": 1}, None),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 1,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
            None,
        ),
        ([], None),
        ("none", None),
    ],
)
def test_usage_is_split_or_unknown(usage: object, expected: Usage | None) -> None:
    """Disjoint classes; and where a report makes no sense, unknown, not zero.

    The answer itself is not lost with it: the stream still ended well.
    """
    body = {"choices": [{"finish_reason": "stop"}], "usage": usage}
    completion = read_completion(json.dumps(body).encode())
    assert completion is not None
    assert completion.usage
    assert completion.usage.disjoint() == expected
    stream, sent = _follow(_event(_stop()) + _event(usage=usage) + DONE, hide=True)
    assert (stream.status, stream.usage) == (Status.COMPLETE, expected)
    assert sent == _event(_stop())


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"\xff", b'{"choices":1}', b"[" * 100_000])
def test_what_is_no_completion(body: bytes) -> None:
    """Whatever a provider sends, reading it is no accident."""
    assert read_completion(body) is None


@PROPERTY
@given(st.binary(max_size=200), CUTS, st.booleans())
def test_any_bytes_can_be_followed(data: bytes, cuts: tuple[int, ...], hide: bool) -> None:
    """A stream of garbage is passed on and truncated; it never breaks the follower.

    What is kept back is half an event, or the end marker should chance write one.
    """
    stream, sent = _follow(data, hide=hide, cuts=cuts)
    assert data.startswith(sent)
    assert stream.close() == b""
    assert stream.status is Status.TRUNCATED
    assert stream.usage is None


TEXTS = st.lists(
    st.text(st.sampled_from('ab \n"\\\u00e4\u4e16'), min_size=0, max_size=12),
    min_size=1,
    max_size=8,
)


@PROPERTY
@given(TEXTS, CUTS, st.booleans(), st.booleans(), st.booleans())
def test_an_unreported_stream_is_estimated_from_above(
    texts: list[str], cuts: tuple[int, ...], ascii_only: bool, noisy: bool, hanging: bool
) -> None:
    """A token is at least a byte: however it is cut, escaped, and mixed with comments.

    And not from far above: each chunk counts its text and one more, each comment its bytes.
    The last chunk counts too where its blank line is missing, and then is no more than others.
    """
    body, noise = b"", b": keep-alive\n\n" if noisy else b""
    for text in texts:
        chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]}
        body += noise + b"data: %s\n\n" % json.dumps(chunk, ensure_ascii=ascii_only).encode()
    stream, _ = _follow(body[:-2] if hanging else body, cuts=cuts)
    stream.close()
    written = sum(len(json.dumps(text, ensure_ascii=ascii_only).encode()) - 2 for text in texts)
    assert stream.output_tokens_bound >= sum(len(text.encode()) for text in texts)
    assert stream.output_tokens_bound <= written + (len(noise) + 3) * len(texts)


def test_nothing_sent_is_estimated_as_nothing() -> None:
    """A provider that broke off before its first byte has given no token."""
    assert ChatStream(hide_usage=True, choices=1).output_tokens_bound == 0


def test_a_usage_event_without_its_blank_line_is_read_and_hidden() -> None:
    """A provider may leave out the last line end; its report counts, and stays hidden."""
    data = b'data: {"choices":[{"index":0,"finish_reason":"stop"}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
    stream = ChatStream(hide_usage=True, choices=1)
    assert stream.feed(data + usage) == data
    assert stream.close() == b""
    assert stream.usage == Usage(input=1, output=2)
    assert stream.status is Status.COMPLETE


def test_looking_for_the_usage_to_take_out_has_an_end() -> None:
    """Each place costs a reading of the event: past some the null stays, and harms nobody."""
    for count, taken in ((3, True), (5000, False)):
        inside = b'{"a":1,"usage":null},' * count
        event = b'data: {"choices":[],"x":[%b1],"usage" : null}\n\n' % inside
        shown = ChatStream(hide_usage=True, choices=1).feed(event)
        assert shown == (event.replace(b',"usage" : null', b"") if taken else event)
