"""Servers that are killed, stopped or left in the middle of their work lose nothing."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.load import Load, assert_nothing_is_lost, until_calls
from tests.support.loops import run, until
from tests.support.rawclient import Reply, connection, exchange, post, read_reply
from tests.support.server import ADMIN_KEY, EntenteServer, chat_body, wait_until
from tests.support.upstream import (
    EVENTS_HEAD,
    FORTY_WORDS,
    LAST_CHUNK,
    Upstream,
    chunk,
    completion,
    config,
    ending,
    piece,
    play_words,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.rawserver import Peer

SEED: Final = 20261121
LARGE: Final = 24 * 1024 * 1024


@pytest.mark.parametrize("durability", ["full", "settle", "async"])
def test_kill_9_at_any_instant_loses_nothing(tmp_path: Path, kills: int, durability: str) -> None:
    """Killed under load again and again on the same data, the ledger accounts for every call."""
    chance = random.Random(f"{SEED} {durability}")  # noqa: S311 - the same drill every time

    async def drill() -> None:
        async with Upstream(play_words) as upstream:
            text = config(upstream.base_url) + f'[ledger]\ndurability = "{durability}"\n'
            server = EntenteServer(tmp_path, text)
            load = Load(SEED)
            with server:
                for _ in range(kills):
                    load.stopping = False
                    running = asyncio.create_task(load.run(server))
                    await until_calls(upstream, upstream.calls + chance.randint(1, 120))
                    load.stopping = True
                    await asyncio.to_thread(server.kill, whole=chance.random() < 0.5)
                    await running
                    before = server.verify()
                    await asyncio.to_thread(server.start)
                    assert server.verify_at_rest().recovered >= before.open_holds
                    assert_nothing_is_lost(server, load.sent, upstream.bodies)
                assert sum(one.answered for one in load.sent) > 0
                assert await asyncio.to_thread(server.stop) == 0
            verified = server.cli("ledger", "verify")
            assert (verified.returncode, verified.stdout[:3]) == (0, "ok:")

    run(drill())


def test_a_killed_writer_is_replaced_under_load(tmp_path: Path, kills: int) -> None:
    """The process that writes the journal is killed; the server goes on, nothing is lost."""
    chance = random.Random(SEED)  # noqa: S311 - the same drill every time

    async def drill() -> None:
        async with Upstream(play_words) as upstream:
            with EntenteServer(tmp_path, config(upstream.base_url)) as server:
                load = Load(SEED)
                running = asyncio.create_task(load.run(server))
                for _ in range(kills):
                    await until_calls(upstream, upstream.calls + chance.randint(1, 120))
                    (writer,) = server.children()
                    os.kill(writer, signal.SIGKILL)
                    await until(lambda: server.children() not in ([], [writer]))  # noqa: B023
                load.stopping = True
                await running
                assert all(one.answered for one in load.sent)
                assert server.verify_at_rest().recovered == 0
                assert_nothing_is_lost(server, load.sent, upstream.bodies)
                assert await asyncio.to_thread(server.stop) == 0

    run(drill())


def test_sigterm_under_load(tmp_path: Path) -> None:
    """Every request is answered whole or refused; the ledger is at rest; the status is 0."""

    async def drill() -> None:
        async with Upstream(partial(play_words, pause_s=0.02)) as upstream:
            with EntenteServer(tmp_path, config(upstream.base_url)) as server:
                load = Load(SEED)
                running = asyncio.create_task(load.run(server))
                await until_calls(upstream, 60)
                server.terminate()
                load.stopping = True
                await running
                assert await asyncio.to_thread(server.wait) == 0
            for one in load.sent:
                assert one.answered or one.reply.status in (0, 503), one
            assert sum(one.answered for one in load.sent) >= 40
            assert_nothing_is_lost(server, load.sent, upstream.bodies)
            assert server.err_log.read_text() == ""

    run(drill())


async def _endless(peer: Peer, request: dict[str, Any]) -> None:
    """Answer without ever coming to an end."""
    if not request.get("stream"):
        await asyncio.Event().wait()
    await peer.send(EVENTS_HEAD)
    while True:
        await peer.send(chunk(piece("on and")))
        await asyncio.sleep(0.01)


def test_sigterm_does_not_wait_for_ever(tmp_path: Path) -> None:
    """Past the bound, running requests are cut: refused or visibly broken off, and settled."""

    async def drill() -> None:
        async with Upstream(_endless) as upstream:
            text = config(upstream.base_url)
            with EntenteServer(tmp_path, text, server="shutdown_s = 0.2") as server:
                bodies = [chat_body(stream=stream) for stream in (True, False)]
                asked = [
                    asyncio.create_task(exchange(server.port, post(body, ADMIN_KEY)))
                    for body in bodies
                ]
                await until_calls(upstream, 2)
                assert await asyncio.to_thread(server.stop) == 0
                stream, unary = await asyncio.gather(*asked)
        assert stream.status in (0, 200)
        assert not stream.whole
        assert (unary.status, unary.headers.get("x-should-retry")) == (503, "true")
        assert [e.status for e in server.settlements()] == ["cancelled", "cancelled"]
        assert all(e.estimated and e.usage.output > 0 for e in server.settlements())
        server.verify_at_rest()

    run(drill())


async def _large(peer: Peer, _: dict[str, Any]) -> None:
    """Answer with more than fits into any buffer on the way."""
    await peer.answer(completion("x" * LARGE, prompt_tokens=3, completion_tokens=5))


def test_sigterm_lets_a_slow_reader_finish(tmp_path: Path) -> None:
    """An answer that is on its way when the server is told to stop arrives whole."""

    async def drill() -> None:
        async with Upstream(_large) as upstream:
            with EntenteServer(tmp_path, config(upstream.base_url)) as server:
                async with connection(server.port) as (reader, writer):
                    writer.write(post(chat_body(), ADMIN_KEY))
                    await asyncio.to_thread(
                        wait_until, lambda: bool(server.settlements()), "the settlement"
                    )
                    server.terminate()
                    reply = await read_reply(reader)
                assert reply.whole
                assert len(reply.body) > LARGE
                assert await asyncio.to_thread(server.wait) == 0

    run(drill())


def test_clients_that_leave_at_random_points(tmp_path: Path) -> None:
    """A hundred streams left at a hundred points: each has one entry, a status and tokens."""
    chance = random.Random(SEED)  # noqa: S311 - the same drill every time
    points = [chance.randrange(3_400) for _ in range(100)]
    ended_early = 0

    async def play(peer: Peer, _: dict[str, Any]) -> None:
        """Answer in forty words, the last ones not before most clients have left."""
        await peer.send(EVENTS_HEAD)
        for number, word in enumerate(FORTY_WORDS):
            if number == 30:
                await until(lambda: ended_early > 50)
            await peer.send(chunk(piece(word)))
            await asyncio.sleep(0.002)
        await peer.send(chunk(ending(prompt_tokens=3, completion_tokens=40)) + LAST_CHUNK)

    async def one(server: EntenteServer, point: int) -> Reply:
        nonlocal ended_early
        request = post(chat_body(stream=True), ADMIN_KEY)
        reply = await exchange(server.port, request, leave_when=lambda body: len(body) >= point)
        ended_early += not reply.done
        return reply

    async def drill() -> None:
        async with Upstream(play) as upstream:
            with EntenteServer(tmp_path, config(upstream.base_url)) as server:
                replies = await asyncio.gather(*(one(server, point) for point in points))
                await asyncio.to_thread(
                    wait_until, lambda: len(server.settlements()) >= 100, "a hundred entries"
                )
                ended = server.settlements()
                assert len({e.id for e in ended}) == len(ended) == upstream.calls == 100
                # The upstream came to its end each time, so its own count is the truth.
                assert {(e.usage.input, e.usage.output, e.estimated) for e in ended} == {
                    (3, 40, False)
                }
                whole = sum(reply.done for reply in replies)
                statuses = [str(e.status) for e in ended]
                assert statuses.count("complete") >= whole
                assert statuses.count("cancelled") > 50
                assert set(statuses) <= {"complete", "cancelled"}
                assert await asyncio.to_thread(server.stop) == 0
            server.verify_at_rest()

    run(drill())


def test_upstream_that_is_killed(tmp_path: Path) -> None:
    """Another entente as the upstream dies by `kill -9` in the middle of streams."""
    script = '[[replies]]\npieces = ["a", " b", " c"]\npiece_delay_ms = 60000\n'
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "script.toml").write_text(script)
    scripted = (
        '[providers.fake]\nkind = "scripted"\nscript = "script.toml"\n'
        '[models."m"]\ntargets = [{ provider = "fake", model = "m" }]\n'
    )

    async def drill() -> None:
        with EntenteServer(tmp_path / "up", scripted) as upstream:
            text = config(upstream.base_url.removesuffix("/v1"), provider='api_key = "env:UP_KEY"')
            with EntenteServer(tmp_path, text, environ={"UP_KEY": ADMIN_KEY}) as server:
                asked = [
                    asyncio.create_task(
                        exchange(server.port, post(chat_body(stream=True), ADMIN_KEY))
                    )
                    for _ in range(8)
                ]
                await until(lambda: len(upstream.entries()) == 8)
                await asyncio.to_thread(upstream.kill)
                replies = await asyncio.gather(*asked)
                refused = await asyncio.to_thread(server.chat)
                assert (refused.status, refused.error["code"]) == (502, "upstream_unavailable")
                assert await asyncio.to_thread(server.stop) == 0
            for reply in replies:
                assert b"[DONE]" not in reply.body
                assert reply.status == 502 or b'"error":{' in reply.body
            statuses = [e.status for e in server.settlements()]
            assert len(statuses) == 9
            assert set(statuses) <= {"failed", "truncated"}
            server.verify_at_rest()
            await asyncio.to_thread(upstream.start)
            assert upstream.verify_at_rest().recovered == 8

    run(drill())
