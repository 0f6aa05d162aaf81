"""Decides what an answer sends: status, headers, frames of bytes with their delays, end.

Pure. Every way in which an answer can break is decided here; the provider only plays
the plan.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from entente.providers.scripted import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from entente.providers.scripted.request import ChatRequest
    from entente.providers.scripted.script import Break, ErrorReply, Reply

End: TypeAlias = Literal["eof", "close", "stall", "idle_timeout"]

GARBAGE: Final = b'data: {"choices":[{"delta":\xff\xfe\x00<html>}\n\n'
"""An event that is neither UTF-8 nor JSON."""

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream; charset=utf-8"
_PLAIN: Final = "text/plain; charset=utf-8"
_ENDS: Final[dict[str, End]] = {
    "close": "close",
    "stall": "stall",
    "idle_timeout": "idle_timeout",
}
"""Kinds of break that are not a clean end of the body."""


class Frame(NamedTuple):
    """Bytes that arrive together, after a delay."""

    data: bytes
    delay_ms: int = 0


class Plan(NamedTuple):
    """An answer, ready to be played once. Header names are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    frames: Iterator[Frame]
    end: End = "eof"


def plan_answer(request: ChatRequest, reply: Reply, stamp: wire.Stamp) -> Plan:
    """Plan the answer of a reply that has one: the model's, raw bytes or an error."""
    if reply.error is not None:
        return plan_error(reply.error, stamp, reply.chunk_bytes)
    broken = reply.break_
    raw, streamed = _raw(request, reply)
    if raw is not None:
        frames = _raw_frames(raw, broken)
    elif streamed:
        frames = _stream_frames(request, reply, stamp)
    else:
        frames = _whole_frames(wire.encode_completion(request, reply, stamp), broken)
    headers = _headers(_EVENTS if streamed else _JSON, reply.headers, stamp)
    end = _ENDS.get(broken.kind, "eof") if broken else "eof"
    return Plan(200, headers, _chop(frames, reply.chunk_bytes), end)


def plan_whole(body: bytes, stamp: wire.Stamp) -> Plan:
    """Plan a whole answer in JSON."""
    return Plan(200, _headers(_JSON, {}, stamp), iter((Frame(body),)))


def plan_error(error: ErrorReply, stamp: wire.Stamp, chunk_bytes: int | None = None) -> Plan:
    """Plan an HTTP error."""
    content_type = _JSON if error.body is None else _PLAIN
    frames = (Frame(wire.encode_error(error)),)
    headers = _headers(content_type, error.headers, stamp)
    return Plan(error.status, headers, _chop(frames, chunk_bytes))


def _raw(request: ChatRequest, reply: Reply) -> tuple[bytes | None, bool]:
    """Choose the raw bytes for this request, and tell whether the answer is a stream.

    A reply with only one of the two sends it to every request, as a vendor does that
    ignores `stream`.
    """
    streamed = bool(request.stream)
    if reply.raw_body is None and reply.raw_stream is None:
        return None, streamed
    if reply.raw_stream is not None and (streamed or reply.raw_body is None):
        return reply.raw_stream.encode(), True
    return (reply.raw_body or "").encode(), False


def _stream_frames(request: ChatRequest, reply: Reply, stamp: wire.Stamp) -> Iterator[Frame]:
    """Give the frames of a stream up to where it breaks."""
    parts = wire.encode_stream(request, reply, stamp)
    broken = reply.break_
    if broken is None or broken.after != 0:
        yield from map(Frame, parts.head)
    for number, event in enumerate(islice(parts.pieces, broken.after if broken else None)):
        yield Frame(event, reply.piece_delay_ms if number else 0)
    if broken is None or broken.kind == "no_done":
        yield from map(Frame, parts.tail)
    yield from map(Frame, _last_words(broken))
    if broken is None:
        yield Frame(wire.DONE)


def _whole_frames(body: bytes, broken: Break | None) -> Iterator[Frame]:
    """Give a body without a stream: where it breaks, its first half, or an error instead."""
    if broken is None or broken.kind == "no_done":
        yield Frame(body)
    elif broken.kind == "error_event":
        yield Frame(wire.encode_failure())
    else:
        if broken.after != 0:
            yield Frame(body[: len(body) // 2])
        yield from map(Frame, _last_words(broken))


def _raw_frames(raw: bytes, broken: Break | None) -> Iterator[Frame]:
    """Give raw bytes, which are one piece."""
    if broken is None or broken.after != 0:
        yield Frame(raw)
    yield from map(Frame, _last_words(broken))


def _last_words(broken: Break | None) -> tuple[bytes, ...]:
    """Give what a broken answer says last, if anything."""
    if broken is None:
        return ()
    if broken.kind == "error_event":
        return (wire.encode_failure_event(),)
    return (GARBAGE,) if broken.kind == "garbage" else ()


def _headers(content_type: str, given: dict[str, str], stamp: wire.Stamp) -> dict[bytes, bytes]:
    """Give the headers; those of the script come last and win."""
    usual = {"content-type": content_type, "x-request-id": f"req_{stamp.number:032x}"}
    headers = usual | {name.lower(): value for name, value in given.items()}
    return {name.encode("ascii"): value.encode("latin-1") for name, value in headers.items()}


def _chop(frames: Iterable[Frame], chunk_bytes: int | None) -> Iterator[Frame]:
    """Cut each frame into chunks; the first keeps the delay. Empty ones would be an end."""
    for frame in frames:
        size = chunk_bytes or len(frame.data)
        for start in range(0, len(frame.data), size or 1):
            delay_ms = 0 if start else frame.delay_ms
            yield Frame(frame.data[start : start + size], delay_ms)
