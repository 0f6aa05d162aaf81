"""How answers end: one status, an honest end for the client, a usage that says what it is."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from tests.support.loops import run, until
from tests.support.rawclient import Reply, exchange, post
from tests.support.server import ADMIN_KEY, EntenteServer, Key, chat_body
from tests.support.upstream import (
    EVENTS_HEAD,
    LAST_CHUNK,
    UpstreamThread,
    chunk,
    completion,
    config,
    ending,
    event,
    piece,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entente.ledger.model import Settlement
    from tests.support.rawserver import Peer

FINISHED: Final = b'"finish_reason":"stop"'


def talk(server: EntenteServer, key: str, *, stream: bool, text: str = "hi") -> Reply:
    """Ask, and give all that came back."""
    return run(exchange(server.port, post(chat_body(text=text, stream=stream), key)))


def assert_ends_in_an_error(reply: Reply) -> None:
    """Check that a stream that broke says so: an error event last, no end marker, no reason."""
    assert reply.status == 200
    assert b"[DONE]" not in reply.body
    assert FINISHED not in reply.body
    last = reply.body.rstrip().rpartition(b"\n\n")[2]
    assert json.loads(last.removeprefix(b"data: "))["error"]["type"] == "server_error"


def only(server: EntenteServer, key: Key) -> Settlement:
    """Give the one entry of a request."""
    (entry,) = server.settlements(key)
    return entry


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("close", "truncated"),
        ("eof", "truncated"),
        ("idle_timeout", "truncated"),
        ("garbage", "truncated"),
        ("error_event", "failed"),
    ],
)
def test_stream_that_breaks(server: EntenteServer, key: Key, kind: str, status: str) -> None:
    """What came before the break is passed on; then the client is told, and the ledger knows."""
    reply = talk(server, key.secret, stream=True, text=f"break with {kind}")
    assert b'"content":"Once"' in reply.body
    assert_ends_in_an_error(reply)
    entry = only(server, key)
    assert (entry.status, entry.estimated) == (status, True)
    assert 2 <= entry.usage.output <= 1000
    assert entry.target == "fake/m"


def test_stream_without_end_marker(server: EntenteServer, key: Key) -> None:
    """Every choice gave its reason, so it is complete; no marker is made up."""
    reply = talk(server, key.secret, stream=True, text="break with no_done")
    assert FINISHED in reply.body
    assert b"[DONE]" not in reply.body
    assert b'"error"' not in reply.body
    entry = only(server, key)
    assert (entry.status, entry.estimated, entry.usage.output) == ("complete", False, 4)


@pytest.mark.parametrize("stream", [True, False])
def test_stalled_answer_is_left(server: EntenteServer, key: Key, stream: bool) -> None:
    """A provider that stops for good is let go soon after the client has left."""

    async def leave() -> None:
        request = post(chat_body(text="break with stall", stream=stream), key.secret)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request)
        if stream:
            await reader.readuntil(b" upon")
        else:  # the hold is written before the provider is asked
            await until(lambda: any(e.key == key.id for e in server.entries()))
        writer.close()

    run(leave())
    (entry,) = server.settled(key)
    assert (entry.status, entry.estimated) == ("cancelled", True)
    assert entry.usage.output > 0


@pytest.mark.parametrize(
    ("kind", "status", "http_status"),
    [
        ("close", "failed", 502),
        ("eof", "failed", 502),
        ("idle_timeout", "failed", 504),
        ("garbage", "failed", 502),
        ("error_event", "failed", 200),
        ("no_done", "complete", 200),
    ],
)
def test_whole_answer_that_breaks(
    server: EntenteServer, key: Key, kind: str, status: str, http_status: int
) -> None:
    """Half an answer is no answer; an error that the provider sent is passed on as it is."""
    reply = talk(server, key.secret, stream=False, text=f"break with {kind}")
    assert reply.whole
    assert reply.status == http_status
    assert ("error" in json.loads(reply.body)) == (status == "failed")
    entry = only(server, key)
    assert entry.status == status
    assert entry.estimated == (status == "failed")


# ---- a real connection that breaks ----


class Case(NamedTuple):
    """What the upstream does with a stream, and how it must end."""

    sent: tuple[bytes, ...]
    status: str
    ends: str
    """`error`, `done`, or `end`: whole, without a marker."""
    estimated: bool = True
    reset: bool = False


HASTY: Final = """
[providers.hasty]
kind = "openai"
base_url = "{url}/v1"
first_byte_s = 0.5

[models."hasty"]
targets = [{{ provider = "hasty", model = "m" }}]
"""
"""The same upstream, for which nobody waits long."""
ONE: Final = chunk(piece("one"))
WEIRD_USAGE: Final = event(
    {"choices": [{"index": 0, "finish_reason": "stop"}], "usage": {"prompt_tokens": "x"}}
)
NESTED: Final = b'data: {"error":null,"x":' + b"[" * 5000 + b"]" * 5000 + b"}\n\n"
END: Final = ending(prompt_tokens=3, completion_tokens=1)
DONE: Final = b"data: [DONE]\n\n"

CASES: Final = {
    "reset in the middle": Case((EVENTS_HEAD, ONE), "truncated", "error", reset=True),
    "close in the middle": Case((EVENTS_HEAD, ONE), "truncated", "error"),
    "close inside a chunk": Case((EVENTS_HEAD, ONE, b"ff\r\ndata"), "truncated", "error"),
    "not a chunk": Case((EVENTS_HEAD, ONE, b"zz\r\nxx\r\n"), "truncated", "error"),
    "clean end without reason": Case((EVENTS_HEAD, ONE, LAST_CHUNK), "truncated", "error"),
    "marker without reason": Case(
        (EVENTS_HEAD, ONE, chunk(DONE), LAST_CHUNK), "truncated", "error"
    ),
    "half an event last": Case(
        (EVENTS_HEAD, ONE, chunk(END[:40]), LAST_CHUNK), "truncated", "error"
    ),
    "close after the end": Case(
        (EVENTS_HEAD, ONE, chunk(END)), "complete", "done", estimated=False
    ),
    "marker without blank line": Case(
        (EVENTS_HEAD, ONE, chunk(END[:-1]), LAST_CHUNK), "complete", "end", estimated=False
    ),
    "usage of a wrong type": Case(
        (EVENTS_HEAD, ONE, chunk(WEIRD_USAGE + DONE), LAST_CHUNK), "complete", "done"
    ),
    "deeply nested event": Case(
        (EVENTS_HEAD, ONE, chunk(NESTED + END), LAST_CHUNK), "complete", "done", estimated=False
    ),
}


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[EntenteServer, UpstreamThread]]:
    """Run a server in front of an upstream that breaks as each test chooses."""
    with UpstreamThread() as thread:
        url = thread.upstream.base_url
        text = config(url, model=HASTY.format(url=url))
        with EntenteServer(tmp_path_factory.mktemp("endings"), text) as server:
            yield server, thread
            assert server.stop() == 0
            server.verify_at_rest()


def play_bytes(thread: UpstreamThread, *sent: bytes, reset: bool = False) -> None:
    """Let the upstream send these bytes and end the connection."""

    async def play(peer: Peer, _: dict[str, Any]) -> None:
        for data in sent:
            await peer.send(data)
        if reset:
            peer.reset()
        raise ConnectionAbortedError

    thread.upstream.play = play


@pytest.mark.parametrize("name", CASES)
def test_real_stream_that_breaks(bench: tuple[EntenteServer, UpstreamThread], name: str) -> None:
    """One status, and the same for client and ledger, however the connection ends."""
    server, thread = bench
    case = CASES[name]
    play_bytes(thread, *case.sent, reset=case.reset)
    reply = talk(server, ADMIN_KEY, stream=True)
    assert reply.whole
    if case.ends == "error":
        assert_ends_in_an_error(reply)
    else:
        assert b'"error":{' not in reply.body
        assert reply.done == (case.ends == "done")
    entry = server.settlements()[-1]
    assert (entry.status, entry.estimated) == (case.status, case.estimated)


@pytest.mark.parametrize(
    ("sent", "http_status"),
    [
        ((), 502),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",), 502),
        ((b"garbage\r\n\r\n",), 502),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",), 502),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",), 502),
        ((b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n{}",), 502),
        ((b"HTTP/1.1 418 Tea\r\nContent-Length: 2\r\n\r\n{}",), 418),
    ],
)
def test_real_answer_that_breaks(
    bench: tuple[EntenteServer, UpstreamThread], sent: tuple[bytes, ...], http_status: int
) -> None:
    """Anything but a whole answer is an error for the client, and failed in the ledger."""
    server, thread = bench
    play_bytes(thread, *sent)
    before = len(server.settlements())
    reply = talk(server, ADMIN_KEY, stream=False)
    assert (reply.status, reply.whole) == (http_status, True)
    (entry,) = server.settlements()[before:]
    assert entry.status == "failed"


@pytest.mark.parametrize("asks_stream", [True, False])
@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"]
)
def test_the_form_that_was_not_asked_for(
    bench: tuple[EntenteServer, UpstreamThread], path: str, asks_stream: bool
) -> None:
    """A stream for a whole answer, or the reverse: an error of the dialect, and the usage known."""
    server, thread = bench

    async def play(peer: Peer, _: dict[str, Any]) -> None:
        if asks_stream:
            body = completion("four words and no more", prompt_tokens=3, completion_tokens=5)
            await peer.answer(body, b"Content-Type: application/json\r\n")
            return
        said = piece("four") + ending(prompt_tokens=3, completion_tokens=5)
        await peer.send(EVENTS_HEAD + chunk(said) + LAST_CHUNK)

    thread.upstream.play = play
    said = [{"role": "user", "content": "hi"}]
    bodies: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": said},
        "/v1/completions": {"prompt": "hi"},
        "/v1/messages": {"messages": said, "max_tokens": 9},
        "/v1/responses": {"input": "hi"},
    }
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    body = json.dumps({"model": "m", "stream": asks_stream, **bodies[path]}).encode()
    got = server.ask("POST", path, headers=headers, body=body)
    kind = "api_error" if path == "/v1/messages" else "server_error"
    error = json.loads(got.body)["error"]
    assert (got.status, error["type"]) == (502, kind)
    assert "`stream`" in error["message"]
    entry = server.settlements()[-1]
    assert (entry.status, entry.estimated) == ("failed", False)
    assert (entry.usage.input_total, entry.usage.output) == (3, 5)


def test_silent_upstream_times_out(bench: tuple[EntenteServer, UpstreamThread]) -> None:
    """No byte within the provider's patience: 504, and the most that it could cost."""
    server, thread = bench

    async def play(_: Peer, __: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    thread.upstream.play = play
    reply = run(exchange(server.port, post(chat_body(model="hasty"), ADMIN_KEY)))
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (504, "timeout")
    entry = server.settlements()[-1]
    assert (entry.status, entry.estimated) == ("failed", True)


def test_weird_usage_of_a_whole_answer(bench: tuple[EntenteServer, UpstreamThread]) -> None:
    """Counts that make no sense leave a good answer good, and its usage estimated."""
    server, thread = bench
    good = json.loads(completion("hi", prompt_tokens=1, completion_tokens=1))
    for usage in (
        {"prompt_tokens": "many"},
        {"prompt_tokens": 1.5, "completion_tokens": None},
        {"prompt_tokens": 1, "completion_tokens": -4},
        {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 7}},
        "none",
        None,
    ):
        body = json.dumps({**good, "usage": usage}).encode()

        async def play(peer: Peer, _: dict[str, Any], body: bytes = body) -> None:
            await peer.answer(body)

        thread.upstream.play = play
        assert talk(server, ADMIN_KEY, stream=False).body == body
        entry = server.settlements()[-1]
        assert (entry.status, entry.estimated) == ("complete", True), usage


def test_counts_past_belief_are_no_report(bench: tuple[EntenteServer, UpstreamThread]) -> None:
    """A provider that counts in numbers past 64 bits has reported nothing, and breaks nothing."""
    server, thread = bench
    body = completion("hi", prompt_tokens=10**25, completion_tokens=1)

    async def play(peer: Peer, _: dict[str, Any]) -> None:
        await peer.answer(body)

    thread.upstream.play = play
    assert talk(server, ADMIN_KEY, stream=False).status == 200
    entry = server.settlements()[-1]
    assert (entry.status, entry.estimated) == ("complete", True)
    assert entry.usage.input < 10**6


def test_compressed_answer_although_we_asked_for_none(
    bench: tuple[EntenteServer, UpstreamThread],
) -> None:
    """Bytes that the client could not read are not passed off as JSON."""
    server, thread = bench
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: application/json\r\n"
    play_bytes(thread, head + b"Content-Length: 4\r\n\r\n\x1f\x8b\x08\x00")
    assert talk(server, ADMIN_KEY, stream=False).status == 502
    stream_head = head.replace(b"application/json", b"text/event-stream")
    play_bytes(thread, stream_head + b"Content-Length: 4\r\n\r\n\x1f\x8b\x08\x00")
    assert talk(server, ADMIN_KEY, stream=True).status == 502


def test_what_follows_the_end_marker_is_bounded(
    bench: tuple[EntenteServer, UpstreamThread],
) -> None:
    """A provider that goes on behind its end marker is left, and its answer is whole."""
    server, thread = bench

    async def play(peer: Peer, __: dict[str, Any]) -> None:
        await peer.send(EVENTS_HEAD)
        await peer.send(ONE + chunk(END))
        more = chunk(b": %b\n\n" % (b"more" * 16_384))
        for _ in range(1024):
            await peer.send(more)
        await asyncio.Event().wait()

    thread.upstream.play = play
    reply = talk(server, ADMIN_KEY, stream=True)
    assert reply.whole
    assert reply.body.count(b"[DONE]") == 1
    assert len(reply.body) < 2 * 1024 * 1024
    entry = server.settlements()[-1]
    assert (entry.status, entry.estimated) == ("complete", False)


def test_an_error_in_our_words_has_our_headers(
    bench: tuple[EntenteServer, UpstreamThread],
) -> None:
    """A compressed error that is said anew for Azure's clients is not announced as compressed."""
    server, thread = bench
    head = b"HTTP/1.1 404 No\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n"
    play_bytes(thread, head + b"Content-Length: 4\r\n\r\n\x1f\x8b\x08\x00")
    path = "/openai/deployments/m/chat/completions?api-version=2024-10-21"
    got = server.ask("POST", path, key=ADMIN_KEY, body=chat_body(text="hi"))
    assert (got.status, got.headers["content-type"]) == (404, "application/json")
    assert "content-encoding" not in got.headers
    assert json.loads(got.body)["error"]["code"] == "DeploymentNotFound"


@pytest.mark.parametrize("tier", ["x" * 100_000, "a\0b", "Über", "flex "], ids=range(4))
@pytest.mark.parametrize("surface", ["messages", "responses"])
def test_a_tier_that_is_no_name_is_not_kept(
    bench: tuple[EntenteServer, UpstreamThread], surface: str, tier: str
) -> None:
    """What a provider calls its tier goes into the ledger: a name does, and nothing else."""
    server, thread = bench
    answer: dict[str, Any] = {
        **json.loads(completion("hi", prompt_tokens=1, completion_tokens=1)),
        "service_tier": tier,
    }
    if surface == "responses":
        answer |= {"object": "response", "status": "completed", "output": []}
        answer["usage"] |= {"input_tokens": 1, "output_tokens": 1}

    async def play(peer: Peer, _: dict[str, Any]) -> None:
        await peer.answer(json.dumps(answer).encode())

    thread.upstream.play = play
    asked: dict[str, Any] = {"model": "m", "max_tokens": 9}
    asked["messages"] = [{"role": "user", "content": "hi"}]
    if surface == "responses":
        asked = {"model": "m", "input": "hi", "store": False}
    got = server.ask(
        "POST",
        f"/v1/{surface}",
        key=ADMIN_KEY,
        body=json.dumps(asked).encode(),
        as_specified=False,
    )
    assert got.status == 200
    entry = server.settlements()[-1]
    assert (entry.status, entry.estimated, entry.service_tier) == ("complete", False, "")


@pytest.mark.parametrize("reset", [False, True])
def test_a_request_that_is_sent_twice_is_two_calls(
    bench: tuple[EntenteServer, UpstreamThread], reset: bool
) -> None:
    """An upstream that takes a request on a reused connection and dies has had a call.

    It may have computed, and may bill, what it took. If the request is sent again the
    entry must say that there were two attempts.
    """
    server, thread = bench

    async def good(peer: Peer, _: dict[str, Any]) -> None:
        await peer.answer(completion("hi", prompt_tokens=1, completion_tokens=1))

    async def bad(peer: Peer, _: dict[str, Any]) -> None:
        thread.upstream.play = good
        if reset:
            peer.reset()
        raise ConnectionAbortedError

    thread.upstream.play = good
    assert talk(server, ADMIN_KEY, stream=False).status == 200
    calls, entries = thread.upstream.calls, len(server.settlements())
    thread.upstream.play = bad
    talk(server, ADMIN_KEY, stream=False)
    made = server.settlements()[entries:]
    assert sum(entry.attempts for entry in made) == thread.upstream.calls - calls
