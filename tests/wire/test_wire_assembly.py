"""Completions put together from their streams: what comes out, and what a piece costs."""

from __future__ import annotations

import json
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from entente.wire import openai_assembly
from entente.wire.openai_assembly import ChatAssembly

if TYPE_CHECKING:
    from types import FrameType

LONG_CHARS = 1_000_000


def chunk(delta: dict[str, Any], **more: Any) -> bytes:
    """Write one event of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": None, **more}
    return b"data: %b\n\n" % json.dumps({"id": "c", "choices": [choice]}).encode()


def message_of(*deltas: dict[str, Any]) -> Any:
    """Put a stream together, and give the message that it comes to."""
    assembly = ChatAssembly()
    for delta in deltas:
        assembly.feed(chunk(delta))
    assembly.feed(chunk({}, finish_reason="stop"))
    whole = assembly.whole()
    assert whole == assembly.whole()
    return json.loads(whole or b"{}")["choices"][0]["message"]


def thought(text: str) -> dict[str, Any]:
    """Write a thought as a part of content."""
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def text(said: str) -> dict[str, Any]:
    """Write a text as a part of content."""
    return {"type": "text", "text": said}


def call(index: int, **function: str) -> dict[str, Any]:
    """Write a piece of a call."""
    return {"tool_calls": [{"index": index, "function": function}]}


def test_a_long_stream_of_all_kinds() -> None:
    """Text, thoughts and calls that come in turns: each is whole, in the order of its beginning."""
    pieces = [str(number) for number in range(2_000)]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for number, piece in enumerate(pieces):
        deltas += [
            {"content": piece, "reasoning": f"<{piece}"},
            call(number % 3 + 5, name=f"f{number % 3}", arguments=piece),
        ]
    message = message_of(*deltas)
    assert message == {
        "role": "assistant",
        "content": "".join(pieces),
        "reasoning": "".join(f"<{piece}" for piece in pieces),
        "refusal": None,
        "tool_calls": [
            {"function": {"name": f"f{at}", "arguments": "".join(pieces[at::3])},
             "type": "function"}
            for at in range(3)
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("contents", "whole"),
    [
        ([[thought("a")], [thought("b")]], [thought("a"), thought("b")]),
        (["", [thought("a")], "x", "y", ""], [thought("a"), text("xy")]),
        ([[thought("a"), text("x")], "y", "z"], [thought("a"), text("xyz")]),
        (["x", "y", [thought("a")], "z", None], [text("xy"), thought("a"), text("z")]),
        ([[thought("a")], ""], [thought("a")]),
        ([[], "x", []], "x"),
        ([7, ["x"]], ["x"]),
    ],
)
def test_parts_and_texts_are_both_kept(contents: list[Any], whole: Any) -> None:
    """Models that think tell their thoughts as parts, and the text as parts or as it is."""
    assert message_of(*({"content": each} for each in contents))["content"] == whole


def test_calls_whose_index_is_no_index() -> None:
    """They are of one call, as are those that leave it out."""
    nothing: list[Any] = [[], {}, None]
    calls = [{"index": index, "function": {"arguments": "x"}} for index in nothing]
    message = message_of(*({"tool_calls": [each]} for each in [*calls, {"id": "a"}]))
    assert message["tool_calls"] == [
        {"function": {"arguments": "xxx"}, "id": "a", "type": "function"}
    ]


@pytest.mark.parametrize(
    ("first", "next_"),
    [
        ({"content": "x" * LONG_CHARS}, {"content": "y"}),
        (call(0, arguments="x" * LONG_CHARS), call(0, arguments="y")),
        ({"annotations": [0] * (LONG_CHARS // 2)}, {"annotations": [1]}),
    ],
)
def test_a_piece_does_not_copy_what_came_before(
    first: dict[str, Any], next_: dict[str, Any]
) -> None:
    """Or a long stream would take time by the square of its length, and hold up the server."""
    assembly = ChatAssembly()
    assembly.feed(chunk(first))
    assembly.feed(chunk(next_))  # a list grows once, with room for many
    said = chunk(next_)
    tracemalloc.start()
    try:
        for _ in range(10):
            assembly.feed(said)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < LONG_CHARS // 10


def test_a_call_is_found_at_once_however_many_there_are() -> None:
    """As many steps among a thousand as among two."""
    assert _steps(among=1_000) == _steps(among=2) > 0


def _steps(*, among: int) -> int:
    """Count what the assembly calls to take a piece of the last of so many calls."""
    assembly = ChatAssembly()
    for index in range(among):
        assembly.feed(chunk(call(index, arguments="")))
    said = chunk(call(among - 1, arguments="x"))
    steps = 0

    def count(frame: FrameType, _event: str, _what: object) -> None:
        nonlocal steps
        steps += frame.f_code.co_filename == openai_assembly.__file__

    former = sys.getprofile()
    sys.setprofile(count)
    try:
        assembly.feed(said)
    finally:
        sys.setprofile(former)
    return steps


@pytest.mark.parametrize(
    "nonsense",
    [{"message": "x"}, {"message": [1]}, {"logprobs": [1]}, {"logprobs": "x"}],
)
def test_nonsense_beside_a_delta(nonsense: dict[str, Any]) -> None:
    """It is left out; what comes behind it is read as ever."""
    assembly = ChatAssembly()
    assembly.feed(chunk({"content": "a"}, **nonsense))
    token = {"token": "b", "logprob": -1.0}
    assembly.feed(chunk({"content": "b"}, logprobs={"content": [token]}, finish_reason="stop"))
    (choice,) = json.loads(assembly.whole() or b"{}")["choices"]
    assert choice["message"]["content"] == "ab"
    assert choice["logprobs"] == {"content": [token]}


@pytest.mark.parametrize("index", [{"index": 0}, {}])
def test_calls_of_one_index(index: dict[str, int]) -> None:
    """A named id other than that of the call before begins another; the same one does not."""

    def piece(id: str, name: str, arguments: str) -> dict[str, Any]:
        function = {"name": name, "arguments": arguments}
        return {"tool_calls": [{**index, "id": id, "function": function}]}

    message = message_of(
        piece("one", "f", "{"), piece("one", "f", "}"), piece("two", "f", "{"), piece("", "", "}")
    )
    assert [(c["id"], c["function"]["arguments"]) for c in message["tool_calls"]] == [
        ("one", "{}"),
        ("two", "{}"),
    ]
