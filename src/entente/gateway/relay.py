"""Passing a provider's answer on to the client, all but its last bytes.

The last bytes wait for the settlement: a whole answer is all last bytes, a stream's are
its end marker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from entente.domain.chat import Call, Status
from entente.domain.errors import UpstreamError, UpstreamProtocolError
from entente.gateway.client import Client, Headers
from entente.gateway.outcome import Outcome
from entente.policy.limits import Standing
from entente.providers.base import Answer
from entente.wire import openai
from entente.wire.openai_stream import ChatStream

ANSWER_BYTES_MAX: Final = 256 * 1024 * 1024
ERROR_BYTES_MAX: Final = 1024 * 1024
AFTER_DONE_S: Final = 1.0
"""A provider that keeps its connection open behind `[DONE]` is left after so long."""

_HTTP_NO_ANSWER: Final = 300
_STREAM_TYPE: Final = b"text/event-stream"
_STREAM_HEADERS: Final = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
_PASSED_HEADERS: Final = (
    b"content-encoding",
    b"content-type",
    b"openai-version",
    b"retry-after",
    b"retry-after-ms",
    b"x-should-retry",
)
_BROKEN_OFF: Final = (
    "The provider's answer broke off before its end. What was sent so far is not the whole answer."
)
_COMPRESSED: Final = (
    "The provider compressed its answer although it was asked not to, so it cannot be metered."
)
_NOT_JSON: Final = "The provider's answer is not whole: it does not read as JSON."


class Reply(msgspec.Struct, frozen=True):
    """A whole answer, ready to be sent."""

    status: int
    headers: Headers
    body: bytes


async def relay(
    call: Call, answer: Answer, standings: Iterable[Standing], outcome: Outcome, client: Client
) -> Reply | bytes:
    """Pass an answer on; give what is to be sent once the request is settled."""
    streamed = answer.headers.get(b"content-type", b"").startswith(_STREAM_TYPE)
    headers = _headers(answer, standings, streamed=streamed)
    if answer.status >= _HTTP_NO_ANSWER:
        outcome.refused(answer.status)
        return Reply(answer.status, headers, await answer.read(ERROR_BYTES_MAX))
    if answer.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UpstreamProtocolError(_COMPRESSED)
    if streamed:
        return await _relay_stream(call, answer, headers, outcome, client)
    body = await answer.read(ANSWER_BYTES_MAX)
    _read_unary(body, outcome)
    return Reply(answer.status, headers, body)


async def finish(client: Client, last: Reply | bytes) -> None:
    """Send the last bytes, which for a whole answer are all of them."""
    if isinstance(last, Reply):
        await client.answer(last.status, last.headers, last.body)
    else:
        await client.finish(last)


async def _relay_stream(
    call: Call, answer: Answer, headers: Headers, outcome: Outcome, client: Client
) -> bytes:
    """Pass a stream on block by block; give its last bytes.

    After the client has left the rest is still read, within the bound that the client's
    connection keeps, because the usage comes last. A failure after the first byte ends
    the stream with an error event, never with an end marker.
    """
    stream = ChatStream(hide_usage=not call.wants_usage, choices=call.choices)
    await client.start(answer.status, headers)
    end: bytes
    try:
        while data := await (_end_of_body(answer) if stream.done else answer.chunk()):
            block = stream.feed(data)
            if block:
                await client.write(block)
        last = stream.close()
        outcome.status = stream.status
        end = last + stream.end
        if stream.status is Status.TRUNCATED:
            end = openai.stream_error(UpstreamError(_BROKEN_OFF))
    except UpstreamError as error:
        outcome.status = stream.status
        end = stream.end if stream.whole else openai.stream_error(error)
    finally:
        outcome.report(stream.usage, stream.output_tokens_bound)
    return end


async def _end_of_body(answer: Answer) -> bytes:
    """Read on behind the end marker, where nothing but the end is still awaited, briefly."""
    try:
        async with asyncio.timeout(AFTER_DONE_S):
            return await answer.chunk()
    except TimeoutError:
        return b""


def _read_unary(body: bytes, outcome: Outcome) -> None:
    """Read how a whole answer ended and what it used.

    Raises UpstreamProtocolError for half an answer: what is no JSON is none to anybody.
    """
    completion = openai.read_completion(body)
    if completion is None or completion.failed or not completion.choices:
        outcome.status = Status.FAILED
    elif reasons := completion.reasons:
        outcome.status = openai.ending(reasons.values())
    else:
        outcome.status = Status.TRUNCATED
    usage = completion.usage.disjoint() if completion and completion.usage else None
    outcome.report(usage, len(body))
    if completion is None and not _is_json(body):
        raise UpstreamProtocolError(_NOT_JSON)


def _is_json(body: bytes) -> bool:
    """Say whether a body is JSON, of whatever form."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    except RecursionError:
        pass  # too deep for us to read, which makes it no less JSON
    return True


def _headers(answer: Answer, standings: Iterable[Standing], *, streamed: bool) -> Headers:
    """Choose the provider's headers that a client may see, and add where it stands."""
    theirs = answer.headers
    passed = [(name, theirs[name]) for name in _PASSED_HEADERS if name in theirs]
    if streamed:
        passed += _STREAM_HEADERS
    for standing in standings:
        unit = standing.unit.encode()
        passed += (
            (b"x-ratelimit-limit-" + unit, b"%d" % standing.limit),
            (b"x-ratelimit-remaining-" + unit, b"%d" % standing.remaining),
            (b"x-ratelimit-reset-" + unit, openai.duration(standing.reset_ms).encode()),
        )
    return tuple(passed)
