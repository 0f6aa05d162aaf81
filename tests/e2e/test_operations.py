"""What operators rely on: restarts, limits of the server itself, failover, tampering."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from entente.db import DATABASE_NAME
from tests.support.loops import run, until
from tests.support.rawclient import Reply, connection, exchange, post, read_reply
from tests.support.server import ADMIN_KEY, EntenteServer, Key, chat_body, wait_until
from tests.support.system import free_port
from tests.support.upstream import (
    EVENTS_HEAD,
    Upstream,
    chunk,
    completion,
    config,
    piece,
    play_words,
)

if TYPE_CHECKING:
    from tests.support.rawserver import Peer

_ECHO = (
    '[providers.fake]\nkind = "scripted"\n[models."m"]\n'
    'targets = [{{ provider = "fake", model = "m" }}]\n{more}'
    'price = {{ currency = "USD", per = "1M tokens", input = "1", output = "1" }}\n'
)
ECHO = _ECHO.format(more="")


def start_in_vain(server: EntenteServer) -> str:
    """Start a server that cannot serve; give the one thing that it says."""
    server.launch()
    assert server.wait() == 1
    said = server.err_log.read_text()
    assert "Traceback" not in said
    return said


def test_port_in_use(tmp_path: Path) -> None:
    """The line names the port and another one to try."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = EntenteServer(tmp_path, ECHO)
        text = server.config_path.read_text().replace("port = 0", f"port = {port}")
        server.config_path.write_text(text)
        said = start_in_vain(server)
    assert f"Port {port} on 127.0.0.1 is in use" in said
    assert "--port" in said


def test_as_many_open_files_as_the_system_allows(tmp_path: Path) -> None:
    """A running request takes two; where the usual limit is 1024, 512 would be all."""
    few = (
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (256, r.getrlimit(r.RLIMIT_NOFILE)[1]))"
    )
    with EntenteServer(tmp_path, ECHO, prelude=few) as server:
        limits = Path(f"/proc/{server.pid}/limits").read_text(encoding="utf-8")
    soft, hard = re.findall(r"Max open files +(\d+) +(\d+)", limits)[0]
    assert soft == hard


def test_data_folder_in_use(tmp_path: Path) -> None:
    """Two servers never share a data folder; the first goes on undisturbed."""
    with EntenteServer(tmp_path, ECHO) as first:
        second = EntenteServer(tmp_path, ECHO)
        said = start_in_vain(second)
        assert "Another entente serves from the data folder" in said
        assert first.chat().status == 200
        assert first.stop() == 0


def test_admin_key_can_be_changed(tmp_path: Path) -> None:
    """A new ENTENTE_ADMIN_KEY replaces the old one at the next start."""
    with EntenteServer(tmp_path, ECHO) as server:
        assert server.chat(ADMIN_KEY).status == 200
        server.stop()
    other = "sk-another-admin-key-0123456789"
    with EntenteServer(tmp_path, ECHO, environ={"ENTENTE_ADMIN_KEY": other}) as server:
        assert server.chat(other).status == 200
        assert server.chat(ADMIN_KEY).status == 401
        server.stop()


def test_limits_and_budgets_survive_a_crash(tmp_path: Path) -> None:
    """What a key used before `kill -9` counts after it."""
    server = EntenteServer(tmp_path, ECHO)
    limited = server.make_key(requests_per_minute=3)
    budgeted = server.make_key(budget_nano=1_000_000)
    with server:
        for _ in range(3):
            server.chat(limited.secret)
        assert server.chat(budgeted.secret, max_tokens=5).status == 200
        before = server.cli("budgets", "show", budgeted.id, "--json").stdout
        server.kill()
        server.start()
        again = [server.chat(limited.secret).status for _ in range(4)]
        assert 429 in again  # at once, or behind three more of a new minute
        assert server.cli("budgets", "show", budgeted.id, "--json").stdout == before
        (line,) = json.loads(before)
        assert (line["spent"], line["held"]) == ("0.000002", "0")
        server.stop()


def test_tampering_is_found(tmp_path: Path) -> None:
    """One changed byte in the past: verify names the entry, and the server does not start."""
    server = EntenteServer(tmp_path, ECHO)
    with server:
        for _ in range(3):
            assert server.chat().status == 200
        server.kill()
    with closing(sqlite3.connect(server.data_dir / DATABASE_NAME)) as db:
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            db.execute("UPDATE entries SET line = x'00' WHERE seq = 3")
        db.execute("DROP TRIGGER entries_are_never_edited")
        (line,) = db.execute("SELECT line FROM entries WHERE seq = 2").fetchone()
        changed = line.replace(b"complete", b"failed")
        db.execute("UPDATE entries SET line = ? WHERE seq = 2", (changed,))
        db.commit()
    done = server.cli("ledger", "verify")
    assert done.returncode == 1
    assert "entry 2" in done.stderr
    assert "damaged at entry 2" in start_in_vain(server)


def test_too_many_at_once(tmp_path: Path) -> None:
    """Past its own bound the server says so, with a time to come back; nothing is held."""
    (tmp_path / "script.toml").write_text('[[replies]]\ntext = "x"\nfirst_delay_ms = 60000\n')
    text = ECHO.replace('"scripted"\n', '"scripted"\nscript = "script.toml"\n')
    with EntenteServer(tmp_path, text, server="inflight_max = 4\nshutdown_s = 0") as server:

        async def drill() -> Reply:
            request = post(chat_body(), ADMIN_KEY)
            waiting = [asyncio.create_task(exchange(server.port, request)) for _ in range(4)]
            await until(lambda: len(server.entries()) == 4)
            refused = await exchange(server.port, request)
            assert await asyncio.to_thread(server.stop) == 0
            for reply in await asyncio.gather(*waiting):
                assert reply.status == 503
            return refused

        reply = run(drill())
    assert reply.status == 503
    assert json.loads(reply.body)["error"]["code"] == "server_is_overloaded"
    assert reply.headers["x-should-retry"] == "true"
    assert len(server.settlements()) == 4
    server.verify_at_rest()


def test_failover_is_one_request(tmp_path: Path) -> None:
    """A target that is down, then one that is busy, then one that answers: paid once."""

    async def busy(peer: Peer, _: dict[str, Any]) -> None:
        await peer.send(b"HTTP/1.1 429 No\r\nContent-Length: 2\r\n\r\n{}")

    async def drill() -> None:
        async with Upstream(busy) as second, Upstream(play_words) as third:
            urls = {
                "first": f"http://127.0.0.1:{free_port()}/v1",
                "second": f"{second.base_url}/v1",
                "third": f"{third.base_url}/v1",
            }
            text = "".join(
                f'[providers.{name}]\nkind = "openai"\nbase_url = "{url}"\n'
                for name, url in urls.items()
            )
            targets = ", ".join(f'{{ provider = "{name}", model = "{name}" }}' for name in urls)
            text += f'[models."m"]\ntargets = [{targets}]\n'
            text += 'price = { currency = "USD", per = "1 token", input = "1", output = "1" }\n'
            with EntenteServer(tmp_path, text) as server:
                replies = [
                    await exchange(server.port, post(chat_body(stream=stream), ADMIN_KEY))
                    for stream in (False, True)
                ]
                assert await asyncio.to_thread(server.stop) == 0
            assert [r.status for r in replies] == [200, 200]
            assert [json.loads(b)["model"] for b in third.bodies] == ["third", "third"]
            assert second.calls == 2
            for entry in server.settlements():
                assert (entry.status, entry.attempts, entry.target) == (
                    "complete",
                    3,
                    "third/third",
                )
                assert entry.cost_nano == 8 * 10**9
            server.verify_at_rest()

    run(drill())


def test_large_bodies_pass(tmp_path: Path) -> None:
    """Thirty megabytes up, by length and in chunks, and as many down."""
    big = "x" * (30 * 1024 * 1024)

    async def mirror(peer: Peer, request: dict[str, Any]) -> None:
        text = request["messages"][0]["content"]
        await peer.answer(completion(text, prompt_tokens=1, completion_tokens=1))

    async def drill() -> None:
        async with Upstream(mirror) as upstream:
            with EntenteServer(tmp_path, config(upstream.base_url)) as server:
                body = chat_body(text=big)
                reply = await exchange(server.port, post(body, ADMIN_KEY))
                assert json.loads(reply.body)["choices"][0]["message"]["content"] == big
                head = post(b"", ADMIN_KEY)
                async with connection(server.port) as (reader, writer):
                    writer.write(head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
                    for start in range(0, len(body), 1_000_003):
                        writer.write(chunk(body[start : start + 1_000_003]))
                        await writer.drain()
                    writer.write(b"0\r\n\r\n")
                    assert (await read_reply(reader)).status == 200
                assert upstream.bodies == [body, body]
                assert await asyncio.to_thread(server.stop) == 0

    run(drill())


def test_metrics_agree_with_the_ledger(tmp_path: Path) -> None:
    """Requests by status and tokens by class are the same in both."""

    async def drill() -> str:
        async with Upstream(partial(play_words, pause_s=0.0)) as upstream:
            with EntenteServer(tmp_path, config(upstream.base_url)) as server:
                for stream in (True, False, True):
                    await exchange(server.port, post(chat_body(stream=stream), ADMIN_KEY))
                got = await asyncio.to_thread(partial(server.get, key=ADMIN_KEY), "/metrics")
                assert await asyncio.to_thread(server.stop) == 0
            return got.body.decode()

    text = run(drill())
    assert 'entente_requests_total{gen_ai_request_model="m",status="complete"} 3.0' in text
    assert 'entente_tokens_total{gen_ai_request_model="m",gen_ai_token_type="output"} 15.0' in text
    assert "entente_inflight_requests 1.0" in text  # the one that asks
    assert "\nentente_rollups_behind_seconds " in text
    assert "entente_spooled_entries" not in text  # there is no spool


def test_readiness_while_stopping(tmp_path: Path) -> None:
    """A server that stops says so on connections that are still open, and takes nothing new."""
    (tmp_path / "script.toml").write_text('[[replies]]\ntext = "x"\nfirst_delay_ms = 60000\n')
    text = ECHO.replace('"scripted"\n', '"scripted"\nscript = "script.toml"\n')
    with EntenteServer(tmp_path, text, server="shutdown_s = 0.5") as server:

        async def drill() -> None:
            async with connection(server.port) as (reader, writer):
                writer.write(post(chat_body(), ADMIN_KEY))
                await until(lambda: len(server.entries()) == 1)
                server.terminate()
                reply = await read_reply(reader)
                assert reply.status == 503
                assert await reader.read(-1) == b""
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", server.port)

        run(drill())
        assert server.wait() == 0


_FAULT = """
from entente.wire.openai_stream import ChatStream
feed = ChatStream.feed
def broken(self, data):
    if b"three" in data:
        raise ZeroDivisionError("a fault of our own")
    return feed(self, data)
ChatStream.feed = broken
"""


def test_a_fault_of_our_own_hurts_one_request(tmp_path: Path) -> None:
    """An exception that nobody foresaw ends its stream visibly, is settled, and is logged."""
    seen = asyncio.Event()

    async def play(peer: Peer, request: dict[str, Any]) -> None:
        if not request.get("stream"):
            await play_words(peer, request)
            return
        await peer.send(EVENTS_HEAD + chunk(piece("one")))
        await seen.wait()
        await peer.send(chunk(piece(" three")))

    def look(body: bytes) -> bool:
        """Have the provider go on once its stream has begun here."""
        if b"one" in body:
            seen.set()
        return False

    async def drill() -> None:
        async with Upstream(play) as upstream:
            with EntenteServer(tmp_path, config(upstream.base_url), prelude=_FAULT) as server:
                asked = post(chat_body(stream=True), ADMIN_KEY)
                reply = await exchange(server.port, asked, leave_when=look)
                assert (reply.status, reply.whole) == (200, False)
                assert (await exchange(server.port, post(chat_body(), ADMIN_KEY))).status == 200
                assert await asyncio.to_thread(server.stop) == 0
            broken, fine = server.settlements()
            assert (broken.status, broken.estimated) == ("failed", True)
            assert broken.usage.output > 0
            assert fine.status == "complete"
            server.verify_at_rest()
            said = server.err_log.read_text()
            assert "a fault of our own" in said
            assert reply.headers["x-request-id"] in said

    run(drill())


def test_new_key_works_in_a_moment(tmp_path: Path) -> None:
    """The command line makes a key with a budget while the server runs, and it is served."""
    with EntenteServer(tmp_path, ECHO) as server:
        done = server.cli("keys", "create", "--name", "ci", "--budget-usd", "1.5", "--json")
        made = json.loads(done.stdout)
        key = Key(made["key"], made["id"])
        wait_until(lambda: server.chat(key.secret).status == 200, "the key to work")
        assert json.loads(server.cli("budgets", "show", "ci", "--json").stdout)[0]["held"] == "0"
        assert len(server.settlements(key)) == 1
        assert server.stop() == 0
