"""The watch over what official clients receive: that it sees what is wrong, and hears everything.

Everything else rests on it, so it is shown answers that no vendor would give.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Final

import anthropic
import openai
import pytest
from websockets.asyncio.server import serve

from tests.support.contract.answers import SCHEMAS, defects_of
from tests.support.contract.schemas import SLIM, SPECIFICATION
from tests.support.contract.slim import slim_copy
from tests.support.contract.watch import WATCH, Watch
from tests.support.node import drive
from tests.support.rawserver import Peer, RawServer

CHUNK: Final = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}],
}
WRONG: Final = {**CHUNK, "created": "now"}


@pytest.fixture
def watch(pytestconfig: pytest.Config) -> Watch:
    """Give the watch of all tests, at rest; who takes what it saw does not fail for it."""
    watch = pytestconfig.stash[WATCH]
    watch.answers = watch.events = 0
    return watch


def stream(*events: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    """Write a stream."""
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events) + end


async def answering(body: bytes, kind: str, status: int, use: Any) -> None:
    """Answer one request with these bytes; `use` makes it."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n"
        await peer.send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)

    async with RawServer(handle) as server:
        await use(server.base_url)


SSE: Final = "text/event-stream"
JSON: Final = "application/json"


@pytest.mark.parametrize(
    ("body", "kind", "status", "found"),
    [
        (stream(CHUNK, WRONG), SSE, 200, ["$.created is 'now', not of type integer"]),
        (stream(CHUNK, end=b""), SSE, 200, []),
        (stream(end=b"data: {no\n\n"), SSE, 200, ["unreadable"]),
        (b'{"id":"c"}', JSON, 200, ["$.choices is missing"]),
        (b'{"error":{"message":"x","type":"y","param":null}}', JSON, 400, ["$.error.code"]),
    ],
    ids=["a chunk", "no wrong one", "no json", "an answer", "an error"],
)
@pytest.mark.parametrize("is_async", [False, True], ids=["waits", "does not wait"])
def test_what_openais_clients_get(
    watch: Watch, body: bytes, kind: str, status: int, found: list[str], *, is_async: bool
) -> None:
    """Chunks, whole answers and errors, of the client that waits and of the one that does not."""

    async def use(root: str) -> None:
        asked: Any = {"model": "m", "messages": [], "stream": kind == SSE}
        options: Any = {"base_url": f"{root}/v1", "api_key": "k", "max_retries": 0}
        with contextlib.suppress(openai.APIError, json.JSONDecodeError):
            if is_async:
                async with openai.AsyncOpenAI(**options) as client:
                    answer = await client.chat.completions.create(**asked)
                    if kind == SSE:
                        [one async for one in answer]
                return
            await asyncio.to_thread(ask_and_wait, options, asked)

    asyncio.run(answering(body, kind, status, use))
    wrong = watch.take()
    assert watch.answers == 1
    assert bool(wrong) is bool(found)
    assert all(any(each in one for one in wrong) for each in found), wrong


def ask_and_wait(options: Any, asked: Any) -> None:
    """Ask with the client that waits."""
    with openai.OpenAI(**options) as client:
        answer = client.chat.completions.create(**asked)
        if asked["stream"]:
            list(answer)


def test_a_stream_that_its_client_leaves(watch: Watch) -> None:
    """Is looked at as far as it was read, and what was cut in the middle is not taken for wrong."""

    async def use(root: str) -> None:
        async with openai.AsyncOpenAI(base_url=f"{root}/v1", api_key="k") as client:
            chunks = await client.chat.completions.create(model="m", messages=[], stream=True)
            await anext(aiter(chunks))
            await chunks.close()

    asyncio.run(answering(stream(WRONG, end=b'data: {"id'), SSE, 200, use))
    (wrong,) = watch.take()
    assert "created" in wrong


@pytest.mark.parametrize(
    ("scenario", "body", "kind", "status", "found"),
    [
        ("unary", b'{"id":"c","choices":[],"created":"now"}', JSON, 200, "$.created"),
        ("stream", stream(CHUNK, WRONG), SSE, 200, "$.created"),
        ("cancel", stream(CHUNK, WRONG, end=b'data: {"id'), SSE, 200, "$.created"),
        ("unary", b'{"error":{"message":"x","type":"y","param":null}}', JSON, 400, "$.error.code"),
    ],
    ids=["an answer", "a chunk", "a stream that is left", "an error"],
)
def test_what_nodes_client_gets(
    watch: Watch, scenario: str, body: bytes, kind: str, status: int, found: str
) -> None:
    """In another process, whose script may fail of it."""

    async def use(root: str) -> None:
        await asyncio.to_thread(drive, scenario, f"{root}/v1", "k")

    asyncio.run(answering(body, kind, status, use))
    assert watch.answers == 1
    assert any(found in each for each in watch.take())


def test_what_anthropics_client_gets(watch: Watch) -> None:
    """By the same hook; a list of models is OpenAI's or Anthropic's as was asked."""
    body = b'event: ping\ndata: {"type":"message_stop"}\n\n'

    async def use(root: str) -> None:
        async with anthropic.AsyncAnthropic(base_url=root, api_key="k") as client:
            events = await client.messages.create(model="m", max_tokens=1, messages=[], stream=True)
            [one async for one in events]

    asyncio.run(answering(body, SSE, 200, use))
    (wrong,) = watch.take()
    assert "is called 'ping' and 'message_stop'" in wrong

    async def models(root: str) -> None:
        async with anthropic.AsyncAnthropic(base_url=root, api_key="k") as client:
            await client.models.list()

    asyncio.run(answering(b'{"object":"list","data":[]}', JSON, 200, models))
    assert any("has_more is missing" in each for each in watch.take())


def test_what_a_session_says(watch: Watch) -> None:
    """Events that the vendor has; of those that it does not have it says nothing."""

    async def drill() -> None:
        async def talk(socket: Any) -> None:
            await socket.send('{"type":"novel"}')
            await socket.send('{"type":"session.created","session":{}}')

        async with serve(talk, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            url = f"http://127.0.0.1:{port}/v1"
            async with (
                openai.AsyncOpenAI(base_url=url, api_key="k") as client,
                client.realtime.connect(model="m") as connection,
            ):
                await connection.recv()
                await connection.recv()

    asyncio.run(drill())
    wrong = watch.take()
    assert watch.events == 2
    assert any("session.created: $.event_id is missing" in each for each in wrong)
    assert not any("novel" in each for each in wrong)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/openai/v1/files", True),
        ("/openai/files?api-version=2024-10-21", True),
        ("/v1/files", False),
    ],
)
def test_azures_files_are_azures(path: str, *, wrong: bool) -> None:
    """A purpose that only OpenAI has, on either's paths."""
    file = {"id": "f", "object": "file", "bytes": 1, "created_at": 1, "filename": "a"}
    body = json.dumps({**file, "purpose": "vision", "status": "processed"}).encode()
    found = defects_of("POST", path, 200, {"content-type": JSON}, body)
    assert any("$.purpose" in each for each in found) is wrong


def test_the_slim_copy_is_current() -> None:
    """Where the specification is at hand, the committed cut of it is what would be cut now."""
    if not SPECIFICATION.exists():
        pytest.skip("the specification is not there")
    assert slim_copy() == SLIM.read_text(encoding="utf-8")
    assert json.loads(SLIM.read_bytes()).keys() >= SCHEMAS
