"""The bodies of the scripted provider: raw, cut, broken, abandoned."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from entente.domain.chat import Surface
from entente.domain.errors import (
    UpstreamClosed,
    UpstreamConnectError,
    UpstreamProtocolError,
    UpstreamTimeout,
)
from entente.providers.base import Answer, Ask
from entente.providers.scripted import ScriptedProvider, parse_script

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

BYTES_MAX = 1_000_000


async def _no_sleep(_seconds: float) -> None:
    """Stand in for the clock where no delay is scripted."""


def provider_of(
    text: str, sleep: Callable[[float], Awaitable[None]] = _no_sleep
) -> ScriptedProvider:
    """Make a provider from TOML."""
    return ScriptedProvider("main", parse_script(text), now_ns=lambda: 0, sleep=sleep)


def ask(said: str = "hello", **fields: object) -> Ask:
    """Make a call that says this to the model `m`."""
    body = {"model": "m", "messages": [{"role": "user", "content": said}], **fields}
    return Ask(
        surface=Surface.CHAT,
        model="m",
        body=json.dumps(body).encode(),
        stream=bool(fields.get("stream")),
        request_id="req_1",
    )


async def until_the_break(answer: Answer) -> list[bytes]:
    """Read chunks up to a clean end."""
    chunks = []
    while piece := await answer.chunk():
        chunks.append(piece)
    return chunks


async def stuck(reading: Coroutine[object, object, bytes]) -> asyncio.Task[bytes]:
    """Start to read and make sure that it waits."""
    task = asyncio.create_task(reading)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


def contents(chunks: list[bytes]) -> list[str | None]:
    """Give the content of each event, None where there is none."""
    events = [json.loads(chunk.removeprefix(b"data: ")) for chunk in chunks]
    return [event["choices"][0]["delta"].get("content") for event in events]


@pytest.mark.parametrize(
    ("after", "said"), [("0", []), ("1", ["", "a"]), ("9", ["", "a", "b", "c"])]
)
@pytest.mark.parametrize("kind", ["close", "eof", "stall", "idle_timeout"])
def test_a_stream_breaks_after_so_many_pieces(kind: str, after: str, said: list[str]) -> None:
    """What came before arrives whole; no finish event and no [DONE] follow."""
    text = f"[[replies]]\npieces = ['a', 'b', 'c']\nbreak = {{ kind = '{kind}', after = {after} }}"

    async def body() -> None:
        """Read what arrives, then meet the break."""
        provider = provider_of(text)
        answer = await provider.open(ask(stream=True))
        assert contents([await answer.chunk() for _ in said]) == said
        if kind == "eof":
            assert await answer.chunk() == b""
            assert await answer.chunk() == b""
        elif kind == "stall":
            task = await stuck(answer.chunk())
            await answer.aclose()
            with pytest.raises(UpstreamClosed):
                await task
        else:
            broken = UpstreamClosed if kind == "close" else UpstreamTimeout
            for _ in range(2):
                with pytest.raises(broken):
                    await answer.chunk()
        assert provider.open_answers == 0

    asyncio.run(body())


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        ("no_done", b'"finish_reason":"stop"}]}\n\n'),
        ("error_event", b'"type":"server_error","param":null,"code":null}}\n\n'),
        ("garbage", b"\xff\xfe\x00<html>}\n\n"),
    ],
)
def test_a_stream_ends_cleanly_on_the_wrong_words(kind: str, last: bytes) -> None:
    """The body ends as HTTP wants it, but not as the dialect does."""
    text = f"[[replies]]\ntext = 'a b'\nbreak = {{ kind = '{kind}' }}"

    async def body() -> None:
        """Read to the end."""
        chunks = await until_the_break(await provider_of(text).open(ask(stream=True)))
        assert chunks[-1].endswith(last)
        assert contents(chunks[:3]) == ["", "a", " b"]
        assert len(chunks) == 4

    asyncio.run(body())


def test_a_whole_answer_breaks_in_its_middle() -> None:
    """Half of the body arrives, or nothing of it with `after = 0`."""
    text = """
    replies = [
        { times = 1, text = "a", usage = "none" },
        { times = 1, text = "a", usage = "none", break = { kind = "eof" } },
        { times = 1, text = "a", usage = "none", break = { kind = "close", after = 0 } },
        { text = "a", usage = "none", break = { kind = "close", after = 1 } },
    ]
    """

    async def body() -> None:
        """Compare the whole body with its broken forms."""
        provider = provider_of(text)
        whole, half, none, closed = [await provider.open(ask()) for _ in range(4)]
        size = len(await whole.read(BYTES_MAX))
        assert len(await half.read(BYTES_MAX)) == size // 2
        with pytest.raises(UpstreamClosed):
            await none.chunk()
        assert len(await closed.chunk()) == size // 2
        with pytest.raises(UpstreamClosed):
            await closed.chunk()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("kind", "end"),
    [("no_done", b"}"), ("error_event", b'"code":null}}'), ("garbage", b"<html>}\n\n")],
)
def test_a_whole_answer_with_the_wrong_words(kind: str, end: bytes) -> None:
    """Without a stream there is no [DONE] to leave out, and an error is the whole body."""
    text = f"[[replies]]\ntext = 'a'\nbreak = {{ kind = '{kind}' }}"

    async def body() -> None:
        """Read a body that ends cleanly."""
        answer = await provider_of(text).open(ask())
        raw = await answer.read(BYTES_MAX)
        assert (answer.status, raw[-len(end) :]) == (200, end)
        if kind == "garbage":
            with pytest.raises(ValueError, match="decode"):
                json.loads(raw)
        else:
            assert ("error" in json.loads(raw)) == (kind == "error_event")

    asyncio.run(body())


def test_raw_bytes_are_sent_as_they_are() -> None:
    """Each form gets its own; `chunk_bytes` cuts wherever it falls, even inside a letter."""
    text = """
    [[replies]]
    raw_body = '{"x":  1}'
    raw_stream = "data: \\u00e9\\r\\n\\r\\n"
    chunk_bytes = 7
    headers = { X-Region = "here" }
    """

    async def body() -> None:
        """Ask for both forms."""
        provider = provider_of(text)
        whole, streamed = await provider.open(ask()), await provider.open(ask(stream=True))
        assert await until_the_break(whole) == [b'{"x":  ', b"1}"]
        assert await until_the_break(streamed) == [b"data: \xc3", b"\xa9\r\n\r\n"]
        assert whole.headers[b"content-type"] == b"application/json"
        assert streamed.headers[b"content-type"] == b"text/event-stream; charset=utf-8"
        assert streamed.headers[b"x-region"] == b"here"

    asyncio.run(body())


def test_one_raw_form_alone_answers_every_request() -> None:
    """A vendor may ignore `stream`; an empty body is a body."""
    text = "[[replies]]\ntimes = 1\nraw_body = '{}'\n[[replies]]\nraw_stream = ''"

    async def body() -> None:
        """Ask for the form that is not there."""
        provider = provider_of(text)
        plain, empty = await provider.open(ask(stream=True)), await provider.open(ask())
        assert plain.headers[b"content-type"] == b"application/json"
        assert await until_the_break(plain) == [b"{}"]
        assert await until_the_break(empty) == []

    asyncio.run(body())


def test_raw_bytes_may_break() -> None:
    """All of them arrive and then the connection closes."""
    text = "[[replies]]\nraw_stream = 'data: {'\nbreak = { kind = 'close' }"

    async def body() -> None:
        """Read up to the break."""
        answer = await provider_of(text).open(ask(stream=True))
        assert await answer.chunk() == b"data: {"
        with pytest.raises(UpstreamClosed):
            await answer.chunk()

    asyncio.run(body())


def test_events_are_cut_but_never_joined() -> None:
    """`chunk_bytes` on a generated stream keeps every byte, in chunks within an event."""
    text = "[[replies]]\necho = true\nchunk_bytes = 10"

    async def body() -> None:
        """Compare with the stream that is not cut."""
        cut = await until_the_break(await provider_of(text).open(ask(stream=True)))
        whole = provider_of("[[replies]]\necho = true")
        assert b"".join(cut) == await (await whole.open(ask(stream=True))).read(BYTES_MAX)
        assert max(map(len, cut)) == 10

    asyncio.run(body())


def test_events_are_written_as_they_are_read() -> None:
    """The echo of a long message costs no more memory than its words."""
    said = "word " * 100_000

    async def body() -> None:
        """Read only the start of a stream of some 3 GB."""
        provider = provider_of("[[replies]]\necho = true")
        tracemalloc.start()
        answer = await provider.open(ask(said, stream=True, n=128))
        assert contents([await answer.chunk() for _ in range(129)])[-1] == "word"
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
        await answer.aclose()

    try:
        asyncio.run(body())
    finally:
        tracemalloc.stop()


def test_read_has_a_bound() -> None:
    """A body of the bound's length passes, one byte more does not."""

    async def body() -> None:
        """Read nine bytes with a bound of nine, then of eight."""
        provider = provider_of("[[replies]]\nraw_body = '123456789'")
        assert await (await provider.open(ask())).read(9) == b"123456789"
        answer = await provider.open(ask())
        with pytest.raises(UpstreamProtocolError, match="longer than 8 bytes"):
            await answer.read(8)
        await answer.aclose()
        assert provider.open_answers == 0

    asyncio.run(body())


def test_a_cancelled_open_leaves_nothing_behind() -> None:
    """The call is on the log, since it reached the provider; no answer stays open."""
    text = "[[replies]]\nfirst_delay_ms = 1\ntext = 'a'"

    async def body() -> None:
        """Cancel while the head is awaited."""
        never = asyncio.Event()

        async def wait(_seconds: float) -> None:
            """Sleep for good."""
            await never.wait()

        provider = provider_of(text, wait)
        task = asyncio.create_task(provider.open(ask()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (provider.calls_total, provider.open_answers) == (1, 0)

    asyncio.run(body())


def test_a_cancelled_chunk_loses_no_bytes() -> None:
    """The next `chunk` gives what the cancelled one would have given; also in a stall."""
    text = """
    [[replies]]
    pieces = ["a", "b"]
    piece_delay_ms = 1
    break = { kind = "stall" }
    """

    async def body() -> None:
        """Cancel during the delay, read on, cancel in the stall, close."""
        gate = asyncio.Event()

        async def wait(_seconds: float) -> None:
            """Sleep until the gate opens."""
            await gate.wait()

        provider = provider_of(text, wait)
        answer = await provider.open(ask(stream=True))
        assert contents([await answer.chunk(), await answer.chunk()]) == ["", "a"]
        task = await stuck(answer.chunk())
        task.cancel()
        gate.set()
        assert contents([await answer.chunk()]) == ["b"]
        task = await stuck(answer.chunk())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert provider.open_answers == 1
        await answer.aclose()
        await answer.aclose()
        assert provider.open_answers == 0

    asyncio.run(body())


def test_closing_the_provider_closes_its_answers() -> None:
    """Whoever waits is told, a call in its delay too, and nobody gets in any more."""
    text = """
    replies = [
        { times = 1, text = "a", break = { kind = "stall", after = 0 } },
        { text = "b", first_delay_ms = 1 },
    ]
    """

    async def body() -> None:
        """Close while one answer stalls and one call waits for its head."""
        gate = asyncio.Event()

        async def wait(_seconds: float) -> None:
            """Sleep until the gate opens."""
            await gate.wait()

        provider = provider_of(text, wait)
        reading = await stuck((await provider.open(ask(stream=True))).chunk())
        opening = asyncio.create_task(provider.open(ask()))
        await asyncio.sleep(0)
        await provider.aclose()
        gate.set()
        with pytest.raises(UpstreamClosed):
            await reading
        with pytest.raises(UpstreamClosed):
            await opening
        with pytest.raises(UpstreamConnectError):
            await provider.open(ask())
        assert provider.open_answers == 0

    asyncio.run(body())
