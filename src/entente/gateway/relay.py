"""Passing a provider's answer on to the client, all but its last bytes.

The last bytes wait for the settlement: a whole answer is all last bytes, a stream's are
its end marker.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from entente.domain.chat import Call, Status, Surface
from entente.domain.errors import UpstreamError, UpstreamProtocolError
from entente.gateway.client import Client, Fail, Headers
from entente.gateway.outcome import Outcome
from entente.gateway.passages.base import Passage, Stream
from entente.gateway.sides import ClientSide, Made, client_side
from entente.policy.rules import Standing
from entente.providers.base import Answer

ANSWER_BYTES_MAX: Final = 256 * 1024 * 1024
ERROR_BYTES_MAX: Final = 1024 * 1024
AFTER_DONE_S: Final = 1.0
"""A provider that keeps its connection open behind `[DONE]` is left after so long."""
AFTER_DONE_BYTES_MAX: Final = 64 * 1024
"""One that sends more behind it is left, too: it waits in memory for the settlement."""

_HTTP_NO_ANSWER: Final = 300
_BODILESS: Final = frozenset({204, 205, 304})
"""What has no body in HTTP. With ours behind it, it would be taken for the next answer."""
_STREAM_HEADERS: Final = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
_RETRY_HEADERS: Final = (b"retry-after", b"retry-after-ms", b"x-should-retry")
_PASSED_HEADERS: Final = (
    b"content-encoding",
    b"content-type",
    b"openai-version",
    *_RETRY_HEADERS,
)
"""Passed on with an answer whose form does not change."""
_OF_THE_BODY: Final = (b"content-encoding", b"content-type")
_BROKEN_OFF: Final = (
    "The provider's answer broke off before its end. What was sent so far is not the whole answer."
)
_NO_END: Final = (
    "The provider's answer did not come to an end of its own, so it cannot be passed on as a whole "
    "one. What it used is charged. Send the request again."
)
_NO_BODY: Final = "The provider answered with status {}, which says nothing. Send it again."
_NOT_STREAMED: Final = (
    "The provider gave a whole answer although it was asked for a stream, so it cannot be passed "
    "on as one. What it used is charged. Send the request again without `stream`."
)
_STREAMED: Final = (
    "The provider gave a stream although it was asked for a whole answer, so it cannot be passed "
    "on as one. What it used is charged. Send the request again with `stream`."
)
_OF_TWO_FORMS: Final = frozenset(
    {Surface.CHAT, Surface.MESSAGES, Surface.RESPONSES, Surface.COMPLETIONS}
)
"""Where `stream` decides over the form of the answer. Some models of sound leave it unheard."""
_COMPRESSED: Final = (
    "The provider compressed its answer although it was asked not to, so it cannot be metered."
)


class Reply(msgspec.Struct, frozen=True):
    """A whole answer, ready to be sent."""

    status: int
    headers: Headers
    body: bytes


class Tail(NamedTuple):
    """The last bytes of a stream, and what to send in their place after a failure."""

    data: bytes
    fail: Fail


class Reached(NamedTuple):
    """A provider's answer, the way it has to go, and what was lost of the request."""

    answer: Answer
    way: Passage
    dropped: tuple[str, ...]


async def relay(
    call: Call,
    made: Made,
    reached: Reached,
    standings: Iterable[Standing],
    outcome: Outcome,
    client: Client,
) -> Reply | Tail:
    """Pass an answer on; give what is to be sent once the request is settled."""
    answer, way, _ = reached
    side = client_side(call.surface, call.front)
    kind = answer.headers.get(b"content-type", b"").lower()
    streamed = kind.startswith(way.stream_types)
    headers = _headers(call, made, reached, standings, streamed=streamed)
    if answer.status >= _HTTP_NO_ANSWER:
        outcome.refused(answer.status)
    if answer.status in _BODILESS:
        raise UpstreamProtocolError(_NO_BODY.format(answer.status))
    if answer.status >= _HTTP_NO_ANSWER:
        said = await answer.read(ERROR_BYTES_MAX)
        shown = way.refusal(answer.status, said, made.id)
        return Reply(answer.status, headers if shown is said else _retold(headers), shown)
    if answer.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UpstreamProtocolError(_COMPRESSED)
    wrong_form = streamed != call.stream and call.surface in _OF_TWO_FORMS
    if streamed:
        stream = way.stream(call, made, kind)
        if wrong_form:
            await _take(answer, stream, outcome)
            raise UpstreamProtocolError(_STREAMED)
        await client.start(answer.status, headers, fail=stream.fail)
        end = await _relay_stream(side, answer, stream, outcome, client)
        return Tail(end, stream.fail)
    body = await answer.read(ANSWER_BYTES_MAX)
    outcome.report(None, len(body))
    whole = way.whole(call, body, made)
    outcome.served(whole.service_tier)
    if whole.usage is not None:
        outcome.known(whole.usage)
    if way.crosses and whole.status is Status.TRUNCATED:
        raise UpstreamProtocolError(_NO_END)
    if wrong_form:
        raise UpstreamProtocolError(_NOT_STREAMED)
    outcome.status = whole.status
    shown = side.annotate(whole.body) if side.annotate is not None else whole.body
    return Reply(answer.status, headers, shown)


async def finish(client: Client, last: Reply | Tail | None) -> None:
    """Send the last bytes, which for a whole answer are all of them."""
    if isinstance(last, Reply):
        await client.answer(last.status, last.headers, last.body)
    elif last is not None:
        await client.finish(last.data)


async def _relay_stream(
    side: ClientSide, answer: Answer, stream: Stream, outcome: Outcome, client: Client
) -> bytes:
    """Pass a stream on block by block; give its last bytes.

    After the client has left the rest is still read, within the bound that the client's
    connection keeps, because the usage comes last. A failure after the first byte ends
    the stream with an error event, never with an end marker.
    """
    annotator = side.annotator() if side.annotator is not None else None
    end: bytes

    def pass_on(data: bytes) -> bool:
        block = stream.feed(data)
        if annotator is not None:
            block = annotator.feed(block)
        return client.send(block) and not stream.done

    try:
        while await answer.pour(pass_on):
            await client.caught_up()
            if stream.done:
                await _end_of_body(answer, pass_on)
                break
        last = stream.close()
        outcome.status = stream.status
        if stream.status is Status.TRUNCATED:
            end = last + stream.fail(UpstreamError(_BROKEN_OFF))
        else:
            end = last + stream.end
    except UpstreamError as error:
        outcome.status = stream.status
        end = stream.end if stream.whole else stream.fail(error)
    finally:
        outcome.served(stream.service_tier)
        outcome.report(stream.usage, stream.output_tokens_bound)
    return annotator.feed(end) if annotator is not None else end


async def _take(answer: Answer, stream: Stream, outcome: Outcome) -> None:
    """Take a stream that goes to nobody, to know what it used."""
    seen_bytes = 0

    def take(data: bytes) -> bool:
        nonlocal seen_bytes
        seen_bytes += len(data)
        stream.feed(data)
        return not stream.done

    try:
        while seen_bytes <= ANSWER_BYTES_MAX and await answer.pour(take):
            if stream.done:
                break
        stream.close()
    finally:
        outcome.served(stream.service_tier)
        outcome.report(stream.usage, stream.output_tokens_bound)


async def _end_of_body(answer: Answer, pass_on: Callable[[bytes], bool]) -> None:
    """Read on behind the end marker, where nothing but the end is still awaited, briefly."""
    seen_bytes = 0

    def counted(data: bytes) -> bool:
        nonlocal seen_bytes
        seen_bytes += len(data)
        return pass_on(data)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(AFTER_DONE_S):
            while seen_bytes <= AFTER_DONE_BYTES_MAX and await answer.pour(counted):
                pass


def _retold(headers: Headers) -> Headers:
    """Give the headers of an error whose body is not the provider's any more."""
    kept = [header for header in headers if header[0] not in _OF_THE_BODY]
    return (*kept, (b"content-type", b"application/json"))


def _headers(
    call: Call, made: Made, reached: Reached, standings: Iterable[Standing], *, streamed: bool
) -> Headers:
    """Choose the provider's headers that a client may see, and add what is ours to say."""
    side = client_side(call.surface, call.front)
    theirs = reached.answer.headers
    names = _RETRY_HEADERS if reached.way.crosses else _PASSED_HEADERS
    passed = [(name, theirs[name]) for name in names if name in theirs]
    if reached.way.crosses:
        passed.append((b"content-type", b"text/event-stream" if streamed else b"application/json"))
    if reached.dropped:
        passed.append((b"x-entente-dropped", ", ".join(reached.dropped).encode()))
    if streamed:
        passed += _STREAM_HEADERS
    if side.headers is not None:
        passed += side.headers(
            made.id, model=call.named, carried=call.carried, theirs=reached.answer.headers
        )
    for standing in standings:
        passed += side.standing(standing, made.at_ns)
    return tuple(passed)
