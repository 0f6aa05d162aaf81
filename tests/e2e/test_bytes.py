"""Same dialect, same bytes: what goes up and what comes down, byte for byte."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.loops import run
from tests.support.rawclient import Reply, exchange, post
from tests.support.server import ADMIN_KEY, EntenteServer
from tests.support.upstream import EVENTS_HEAD, LAST_CHUNK, UpstreamThread, chunk, config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.rawserver import Peer

ODD_BODY: Final = (
    b'{ "id":"x",\t"object" : "chat.completion", "new_field":[1.0,1E5,{"a":null}],\r\n'
    b' "choices":[ {"index":0,"message":{"role":"assistant","content":"\\u00e9 \xc3\xa9"},'
    b'"finish_reason":"stop","odd":true} ],"usage": {"prompt_tokens":7,"completion_tokens":3,'
    b'"total_tokens":10,"new_detail":{"z":9}} }\n'
)
DELTA: Final = b'{"id":"x","choices":[{"index":0,"delta":{"content":"%b"},"odd":1}]%b}'
FINISH: Final = b'{"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]%b}'
USAGE: Final = (
    b'{"id":"x","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}'
)


def stream(*, end: bytes, null: bytes, usage: bytes) -> bytes:
    """Write a stream with odd spacing, comments, other fields, and lines that end in `end`."""
    blank = end + end
    return b"".join(
        [
            b": ping" + blank,
            b"data:" + DELTA % (b"one", null) + blank,
            b"event: message" + end + b"id: 7" + end + b"data: " + DELTA % (b" two", null) + blank,
            b"retry: 100" + blank,
            b"data: " + FINISH % null + blank,
            b": ping" + blank,
            b"data: " + usage + blank if usage else b"",
            b"data: [DONE]" + blank,
        ]
    )


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[EntenteServer, UpstreamThread]]:
    """Run a server in front of an upstream whose bytes each test chooses."""
    with UpstreamThread() as thread:
        folder = tmp_path_factory.mktemp("bytes")
        model = '[models."renamed"]\ntargets = [{ provider = "up", model = "their \\"name\\"" }]'
        with EntenteServer(folder, config(thread.upstream.base_url, model=model)) as server:
            yield server, thread
            assert server.stop() == 0
            server.verify_at_rest()


def ask(server: EntenteServer, body: bytes) -> Reply:
    """Send exactly these bytes; give exactly what came back."""
    return run(exchange(server.port, post(body, ADMIN_KEY)))


def play_stream(
    thread: UpstreamThread, data: bytes, *, chunk_bytes: int = 65536, head: bytes = EVENTS_HEAD
) -> None:
    """Let the upstream stream `data` in chunks of a size."""

    async def play(peer: Peer, _: dict[str, Any]) -> None:
        await peer.send(head)
        for start in range(0, len(data), chunk_bytes):
            await peer.send(chunk(data[start : start + chunk_bytes]))
            if start % 64 == 0:
                await asyncio.sleep(0)
        await peer.send(LAST_CHUNK)

    thread.upstream.play = play


def request(**fields: Any) -> bytes:
    """Write a streamed request."""
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}], **fields}
    return json.dumps(body).encode()


def test_whole_answer_is_not_touched(bench: tuple[EntenteServer, UpstreamThread]) -> None:
    """Unknown fields, spacing, number forms and escapes arrive as the upstream sent them."""
    server, thread = bench

    async def play(peer: Peer, _: dict[str, Any]) -> None:
        await peer.answer(ODD_BODY, b"Content-Type: application/json; charset=UTF-8\r\n")

    thread.upstream.play = play
    reply = ask(server, request(stream=False))
    assert reply.body == ODD_BODY
    assert reply.headers["content-type"] == "application/json; charset=UTF-8"
    entry = server.settlements()[-1]
    assert (entry.status, entry.usage.input, entry.usage.output) == ("complete", 7, 3)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 65536])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_stream_is_not_touched_when_usage_was_asked_for(
    bench: tuple[EntenteServer, UpstreamThread], end: bytes, chunk_bytes: int
) -> None:
    """Comments, ids, spacing, any line end, cut anywhere: the same bytes come out."""
    server, thread = bench
    data = stream(end=end, null=b', "usage":null', usage=USAGE)
    play_stream(thread, data, chunk_bytes=chunk_bytes)
    reply = ask(server, request(stream_options={"include_usage": True}))
    assert reply.body == data
    entry = server.settlements()[-1]
    assert (entry.status, entry.usage.output, entry.estimated) == ("complete", 2, False)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 65536])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("null", [b',"usage":null', b' , "usage" : null'])
def test_usage_that_was_not_asked_for_is_taken_out_and_nothing_else(
    bench: tuple[EntenteServer, UpstreamThread], end: bytes, chunk_bytes: int, null: bytes
) -> None:
    """Without the usage event and `"usage":null`, the bytes are those of a plain stream."""
    server, thread = bench
    play_stream(thread, stream(end=end, null=null, usage=USAGE), chunk_bytes=chunk_bytes)
    reply = ask(server, request())
    left = b" " if null.startswith(b" ") else b""  # white space before the comma stays
    assert reply.body == stream(end=end, null=left, usage=b"")
    entry = server.settlements()[-1]
    assert (entry.status, entry.usage.output, entry.estimated) == ("complete", 2, False)


def test_content_that_looks_like_the_protocol_is_content(
    bench: tuple[EntenteServer, UpstreamThread],
) -> None:
    """Text that says `[DONE]`, "usage" or "error" is passed on as text."""
    server, thread = bench
    tricky = rb"[DONE] \"usage\":null, \"error\":{\"a\":1} \"finish_reason\":\"stop\" data: [DONE]"
    data = stream(end=b"\n", null=b"", usage=b"").replace(b"one", tricky)
    play_stream(thread, data)
    assert ask(server, request(stream_options={"include_usage": True})).body == data
    assert server.settlements()[-1].status == "complete"


def test_request_goes_up_byte_for_byte(bench: tuple[EntenteServer, UpstreamThread]) -> None:
    """Where nothing has to change, the upstream gets the client's own bytes."""
    server, thread = bench
    play_stream(thread, stream(end=b"\n", null=b"", usage=USAGE))
    for body in (
        b'{ "model" : "m",\n\t"messages":[{"role":"user","content":"\\u0068i"}], "zzz":1.50 }\r\n',
        b'{"model":"m","messages":[{}],"stream":true,"stream_options":{"include_usage":true}}',
        b'{"messages":[{"content":"\xf0\x9f\x98\x80"}],"model":"m","n":1, "max_tokens":5 }',
        b'{"messages": [{"model": 1, "n": 2, "stream": 3}], "model": "m", "tools": [{"n": 1}]}',
    ):
        ask(server, body)
        assert thread.upstream.bodies[-1] == body


def test_only_what_has_to_change_changes(bench: tuple[EntenteServer, UpstreamThread]) -> None:
    """The model's name and `stream_options` are rewritten; every other value keeps its bytes."""
    server, thread = bench
    play_stream(thread, stream(end=b"\n", null=b"", usage=USAGE))
    odd = b'[{"role":"user","content":"\\u0068i"} , {"x" : 1.50}]'
    ask(server, b'{ "a":1E5,"model":"m","stream":true, "messages":%b, "zzz" : [ ] }' % odd)
    sent = thread.upstream.bodies[-1]
    assert odd in sent
    assert b'"a":1E5' in sent
    assert json.loads(sent) == {
        "a": 1e5,
        "model": "m",
        "stream": True,
        "messages": json.loads(odd),
        "zzz": [],
        "stream_options": {"include_usage": True},
    }
    ask(server, b'{"model":"renamed","stream":true,"stream_options":{"include_usage":false,"k":2},'
        b'"messages":%b}' % odd)  # fmt: skip
    sent = thread.upstream.bodies[-1]
    assert odd in sent
    assert json.loads(sent)["model"] == 'their "name"'
    assert json.loads(sent)["stream_options"] == {"include_usage": True, "k": 2}


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","model":"renamed","messages":[{}]}',
        b'{"model":"m","mod\\u0065l":"renamed","messages":[{}]}',
        b'{"model":"renamed","max_tokens":1,"max_tokens":99,"messages":[{}]}',
        b'{"messages":[{"a":1}],"model":"renamed","messages":[{"b":1}]}',
        b'{"model":"renamed","n":1,"\\u006e":2,"messages":[{}]}',
    ],
)
def test_a_member_is_never_sent_twice(
    bench: tuple[EntenteServer, UpstreamThread], body: bytes
) -> None:
    """What governs a request is what the upstream gets: the last of equal members, once."""
    server, thread = bench
    play_stream(thread, stream(end=b"\n", null=b"", usage=USAGE))
    ask(server, body)
    pairs = json.loads(thread.upstream.bodies[-1], object_pairs_hook=list)
    names = [name for name, _ in pairs]
    assert sorted(names) == sorted(set(names))
    expected = {**json.loads(body), "model": 'their "name"'}
    assert dict(json.loads(thread.upstream.bodies[-1])) == expected


def test_provider_gets_our_credentials_and_no_header_of_the_client(
    bench: tuple[EntenteServer, UpstreamThread],
) -> None:
    """The client's key and headers stay here."""
    server, thread = bench
    play_stream(thread, stream(end=b"\n", null=b"", usage=USAGE))
    extra = b"X-Forwarded-Host: evil\r\nCookie: a=b\r\nApi-Key: other\r\n"
    run(exchange(server.port, post(request(), ADMIN_KEY, headers=extra)))
    head = thread.upstream.heads[-1].lower()
    for secret in (ADMIN_KEY.encode(), b"evil", b"a=b", b"other"):
        assert secret not in head
