"""A key that is revoked: refused at once, and what runs for it is cut, drained and settled.

The provider here says half of its answer and goes on only when the test says so. So whatever
a client gets before that, it gets because its key has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest

from tests.support.batches import CHAT, jsonl, line
from tests.support.gate import SEEN, USED, Gate
from tests.support.loops import run
from tests.support.rawclient import Reply, connection, post, read_reply
from tests.support.server import ADMIN_KEY, EntenteServer, Key, chat_body, wait_until
from tests.support.upstream import (
    LAST_CHUNK,
    UpstreamThread,
    config,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


MESSAGES: Final = "/v1/messages"
RESPONSES: Final = "/v1/responses"
AZURE: Final = "/openai/deployments/m/chat/completions?api-version=2024-10-21"


@contextlib.contextmanager
def staged(folder: Path, *, drain_s: float) -> Iterator[tuple[EntenteServer, UpstreamThread]]:
    """Run a server in front of a provider; its journal is checked in the end."""
    with UpstreamThread() as upstream:
        written = config(upstream.upstream.base_url, model="output_tokens_max = 50")
        written += "\n[files]\nfree_bytes_min = 0\n"
        bounds = f"drain_s = {drain_s}\nshutdown_s = 5"
        with EntenteServer(folder, written, server=bounds) as server:
            yield server, upstream
            assert server.stop() == 0
            server.verify_at_rest()
            assert server.err_log.read_text() == ""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EntenteServer, Any]]:
    """Run a server that waits for its provider until the test lets it go on."""
    with staged(tmp_path_factory.mktemp("revoked"), drain_s=60) as made:
        yield made


@pytest.fixture
def server(stage: tuple[EntenteServer, Any]) -> EntenteServer:
    """Give the server."""
    return stage[0]


@pytest.fixture
def gate(stage: tuple[EntenteServer, UpstreamThread]) -> Iterator[Gate]:
    """Hold the provider back."""
    with Gate(stage[1]) as closed:
        yield closed


async def cut(
    server: EntenteServer, key: Key, gate: Gate, request: bytes, *, streams: bool
) -> Reply:
    """Send a request, revoke its key in the middle of the answer, and give what came."""
    async with connection(server.port) as (reader, writer):
        writer.write(request)
        if streams:
            seen = await reader.readuntil(SEEN)
        else:
            await asyncio.to_thread(wait_until, lambda: gate.waiting > 0, "the provider")
        await asyncio.to_thread(server.revoke, key)
        if not streams:
            return await read_reply(reader)
        head, _, begun = seen.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        return Reply(200, {}, begun + await reader.read(), whole=True)


def sdk(server: EntenteServer, key: Key) -> openai.OpenAI:
    """Make a client as users do, without retries."""
    return openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )


def ended(server: EntenteServer, key: Key) -> tuple[str, bool, int, int]:
    """Give how the only request of a key was settled."""
    (entry,) = server.settled(key)
    return str(entry.status), entry.estimated, entry.usage.input, entry.usage.output


@pytest.mark.parametrize(
    ("path", "body", "tells"),
    [
        (CHAT, {}, b'data: {"error":'),
        (AZURE, {}, b'data: {"error":'),
        (MESSAGES, {"max_tokens": 50}, b"event: error\n"),
        (RESPONSES, {"messages": None, "input": "hi"}, b'"type":"error"'),
        (CHAT, {"store": True}, b'data: {"error":'),
    ],
    ids=["chat", "azure", "messages", "responses", "kept"],
)
def test_stream_is_cut(
    server: EntenteServer, gate: Gate, path: str, body: dict[str, Any], tells: bytes
) -> None:
    """The client gets its dialect's error and the end at once; the usage is still learned."""
    key = server.make_key(budget_nano=10**9)
    fields = {"stream": True, "messages": [{"role": "user", "content": "hi"}], **body}
    sent = json.dumps({"model": "m", **{k: v for k, v in fields.items() if v is not None}})
    request = post(sent.encode(), key.secret, path=path)
    reply = run(cut(server, key, gate, request, streams=True))
    assert tells in reply.body
    assert b"revoked" in reply.body
    assert b"[DONE]" not in reply.body
    assert b"message_stop" not in reply.body
    assert reply.body.endswith(LAST_CHUNK)
    assert server.chat(key.secret).status == 401
    gate.open()
    assert ended(server, key) == ("cancelled", False, *USED)


def test_whole_answer_is_cut(server: EntenteServer, gate: Gate) -> None:
    """A client that waits for its answer is refused in its stead; the usage is exact."""
    key = server.make_key(budget_nano=10**9)
    request = post(chat_body(), key.secret)
    reply = run(cut(server, key, gate, request, streams=False))
    assert (reply.status, reply.whole) == (401, True)
    assert json.loads(reply.body)["error"]["code"] == "invalid_api_key"
    assert reply.headers["connection"] == "close"
    gate.open()
    assert ended(server, key) == ("cancelled", False, *USED)


@pytest.mark.parametrize("streams", [True, False])
def test_provider_that_never_ends(tmp_path: Path, streams: bool) -> None:
    """It is drained within the server's bound, and then estimated."""
    with staged(tmp_path, drain_s=0.5) as (server, upstream), Gate(upstream) as gate:
        key = server.make_key(budget_nano=10**9)
        request = post(chat_body(stream=streams, text="endless"), key.secret)
        run(cut(server, key, gate, request, streams=streams))
        status, estimated, _, output = ended(server, key)
        assert (status, estimated) == ("cancelled", True)
        assert output > 0


def test_others_go_on(server: EntenteServer, gate: Gate) -> None:
    """Only what runs for that key is cut, all of it."""

    async def drill() -> None:
        mine, other = server.make_key(), server.make_key()
        request = chat_body(stream=True)
        async with contextlib.AsyncExitStack() as stack:
            opened = []
            for key in (mine, other, mine):
                reader, writer = await stack.enter_async_context(connection(server.port))
                writer.write(post(request, key.secret))
                await reader.readuntil(SEEN)
                opened.append(reader)
            await asyncio.to_thread(server.revoke, mine)
            for reader in (opened[0], opened[2]):
                assert b"revoked" in await reader.read()
            gate.open()
            assert b"[DONE]" in await opened[1].readuntil(b"[DONE]")
        assert await asyncio.to_thread(ended, server, other) == ("complete", False, *USED)

    run(drill())


def test_response_in_the_background_is_cut(server: EntenteServer, gate: Gate) -> None:
    """It is cancelled for all who can see it, before its provider has ended."""
    key, friend = server.make_key(), server.make_key()
    body = json.dumps({"model": "m", "input": "hi", "background": True, "stream": True}).encode()

    async def drill() -> tuple[bytes, bytes]:
        async with connection(server.port) as (reader, writer):
            writer.write(post(body, key.secret, path=RESPONSES))
            begun = await reader.readuntil(SEEN)
            await asyncio.to_thread(server.revoke, key)
            return begun, await reader.read()

    begun, rest = run(drill())
    assert rest.endswith(LAST_CHUNK)
    assert b"response.completed" not in rest
    id = json.loads(begun.split(b"data: ")[1].split(b"\n")[0])["response"]["id"]

    def status() -> str:
        found: str = server.get(f"{RESPONSES}/{id}", key=friend.secret).json["status"]
        return found

    assert status() == "cancelled"
    gate.open()
    assert ended(server, key) == ("cancelled", False, *USED)
    assert status() == "cancelled"
    told = server.get(f"{RESPONSES}/{id}?stream=true", key=friend.secret).body
    assert b"event: response.incomplete" in told


def test_line_of_a_batch_is_cut(server: EntenteServer, gate: Gate) -> None:
    """Its result is that the key is not valid any more, and its usage is exact."""
    key, friend = server.make_key(), server.make_key()
    with sdk(server, key) as client:
        file = client.files.create(file=("in.jsonl", jsonl(line("a"), line("b"))), purpose="batch")
        begun = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    wait_until(lambda: gate.waiting == 2, "both lines")
    server.revoke(key)
    wait_until(lambda: server.get("/v1/models", key=key.secret).status == 401, "its end")
    gate.open()
    entries = server.settled(key, 2)
    assert {(str(e.status), e.estimated, e.usage.output) for e in entries} == {
        ("cancelled", False, USED[1])
    }

    with sdk(server, friend) as client:
        wait_until(lambda: client.batches.retrieve(begun.id).status == "completed", "the end")
        file_id = client.batches.retrieve(begun.id).error_file_id
        errors = client.files.content(file_id or "").text
    lines = [json.loads(one) for one in errors.splitlines()]
    assert [one["response"]["status_code"] for one in lines] == [401, 401]


def test_upload_is_cut(server: EntenteServer) -> None:
    """What is still coming in is not waited for."""
    key = server.make_key()

    async def drill() -> Reply:
        async with connection(server.port) as (reader, writer):
            head = (
                b"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
                b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n"
            )
            writer.write(head % key.secret.encode() + b"--b\r\n")
            await writer.drain()
            await asyncio.to_thread(server.chat, ADMIN_KEY, model="none")
            await asyncio.to_thread(server.revoke, key)
            return await read_reply(reader)

    reply = run(drill())
    assert (reply.status, reply.whole) == (401, True)


def test_by_the_command_line(server: EntenteServer, gate: Gate) -> None:
    """`entente keys revoke` is all that it takes."""
    key = server.make_key()

    async def drill() -> bytes:
        async with connection(server.port) as (reader, writer):
            writer.write(post(chat_body(stream=True), key.secret))
            await reader.readuntil(SEEN)
            done = await asyncio.to_thread(server.cli, "keys", "revoke", key.id)
            assert done.returncode == 0, done.stderr
            return await reader.read()

    assert b"revoked" in run(drill())
    gate.open()
    assert ended(server, key) == ("cancelled", False, *USED)
