"""Servers killed or stopped, and a ledger away, inside batches: no line is lost or runs twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from entente.db import DATABASE_NAME, connect
from tests.support.loops import run, until
from tests.support.server import EntenteServer, Key, wait_until
from tests.support.upstream import Upstream, completion, config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.rawserver import Peer

SEED: Final = 20261122
LINES: Final = 60
BATCHES: Final = "/v1/batches"
_ID: Final = re.compile(rb"text-(\d+)")


async def _answer(
    peer: Peer,
    request: dict[str, Any],
    *,
    pause_s: float,
    may: Callable[[], bool] = lambda: True,
) -> None:
    """Answer after a moment, so that something is always running, and not before it may."""
    await asyncio.sleep(pause_s)
    await until(may)
    said = request["messages"][0]["content"]
    await peer.answer(completion(f"re: {said}", prompt_tokens=2, completion_tokens=3))


def _input() -> bytes:
    lines = (
        {
            "custom_id": f"id-{n}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "m", "messages": [{"role": "user", "content": f"text-{n}"}]},
        }
        for n in range(LINES)
    )
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _begin(server: EntenteServer, key: Key) -> str:
    form = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="i.jsonl"\r\n\r\n'
        + _input()
        + b"\r\n--b--\r\n"
    )
    kind = {"content-type": "multipart/form-data; boundary=b"}
    file = server.ask("POST", "/v1/files", key=key.secret, body=form, headers=kind).json["id"]
    asked = {
        "input_file_id": file,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    made = server.ask("POST", BATCHES, key=key.secret, body=json.dumps(asked).encode())
    assert made.status == 200, made.body
    return str(made.json["id"])


def _finished(server: EntenteServer, key: Key, id: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def look() -> bool:
        found.update(server.get(f"{BATCHES}/{id}", key=key.secret).json)
        return found["status"] in ("completed", "failed", "cancelled", "expired")

    wait_until(look, "the batch to end")
    return found


def _results(server: EntenteServer, key: Key, batch: dict[str, Any]) -> list[dict[str, Any]]:
    files = [batch[name] for name in ("output_file_id", "error_file_id") if batch[name]]
    return [
        json.loads(line)
        for file in files
        for line in server.get(f"/v1/files/{file}/content", key=key.secret).body.splitlines()
    ]


def _asked(upstream: Upstream) -> Counter[int]:
    """Count how often the upstream was asked each line."""
    return Counter(
        int(found[1]) for found in (_ID.search(body) for body in upstream.bodies) if found
    )


def _check(server: EntenteServer, key: Key, upstream: Upstream, results: list[Any]) -> None:
    """Hold results, upstream and ledger against each other."""
    assert sorted(one["custom_id"] for one in results) == sorted(f"id-{n}" for n in range(LINES))
    times = _asked(upstream)
    by_line = {int(one["custom_id"][3:]): one for one in results}
    for number, one in by_line.items():
        assert times[number] <= one.get("attempts", 1)
        if one["error"] is None:
            said = one["response"]["body"]["choices"][0]["message"]["content"]
            assert said == f"re: text-{number}"
        else:
            assert (one["error"]["code"], one["attempts"]) == ("request_interrupted", 2)
    settled = server.settlements(key)
    assert len(settled) >= len(upstream.bodies)
    complete = {entry.id for entry in settled if entry.status == "complete"}
    named = {one["response"]["request_id"] for one in results if one["error"] is None}
    assert named <= complete
    server.verify_at_rest()


def test_kill_9_loses_no_line_and_runs_none_more_than_twice(tmp_path: Path, kills: int) -> None:
    """Killed again and again on the same data, the batch ends with each line's one outcome."""
    chance = random.Random(SEED)  # noqa: S311 - the same drill every time
    wanted = 0

    async def drill() -> None:
        nonlocal wanted

        def may() -> bool:
            """Keep the batch from its end, however late a kill or a start comes."""
            return upstream.calls <= wanted

        async with Upstream(partial(_answer, pause_s=0.02, may=may)) as upstream:
            text = config(upstream.base_url) + "[files]\nfree_bytes_min = 0\n"
            text += "[batches]\nrequests_max = 3\n"
            server = EntenteServer(tmp_path, text)
            with server:
                key = await asyncio.to_thread(server.make_key)
                id = await asyncio.to_thread(_begin, server, key)
                for _ in range(kills):
                    wanted = upstream.calls + chance.randint(1, LINES // kills)
                    await until(lambda: upstream.calls >= wanted)  # noqa: B023
                    await asyncio.to_thread(server.kill, whole=chance.random() < 0.5)
                    await asyncio.to_thread(server.start)
                wanted = upstream.calls + 3 * LINES
                batch = await asyncio.to_thread(_finished, server, key, id)
                assert batch["status"] == "completed"
                results = await asyncio.to_thread(_results, server, key, batch)
                assert any("attempts" in one for one in results)
                counts = batch["request_counts"]
                assert counts["completed"] + counts["failed"] == counts["total"] == LINES
                await asyncio.to_thread(_check, server, key, upstream, results)
                await until(lambda: not list(server.data_dir.glob("files/batch*")))
                assert await asyncio.to_thread(server.stop) == 0

    run(drill())


def test_an_orderly_stop_runs_nothing_twice(tmp_path: Path) -> None:
    """Running requests finish, the rest waits for the next server; each is asked once."""

    async def drill() -> None:
        def may() -> bool:
            """Say whether some lines are enough, or the server has been told to stop."""
            return upstream.calls < 20 or b"Stopping" in server.out_log.read_bytes()

        async with Upstream(partial(_answer, pause_s=0.02, may=may)) as upstream:
            text = config(upstream.base_url) + "[files]\nfree_bytes_min = 0\n"
            server = EntenteServer(tmp_path, text)
            with server:
                key = await asyncio.to_thread(server.make_key)
                id = await asyncio.to_thread(_begin, server, key)
                await until(lambda: upstream.calls >= 20)
                assert await asyncio.to_thread(server.stop) == 0
                assert upstream.calls < LINES
                await asyncio.to_thread(server.start)
                batch = await asyncio.to_thread(_finished, server, key, id)
                results = await asyncio.to_thread(_results, server, key, batch)
                assert not any("attempts" in one for one in results)
                assert set(_asked(upstream).values()) == {1}
                await asyncio.to_thread(_check, server, key, upstream, results)
                assert await asyncio.to_thread(server.stop) == 0

    run(drill())


def test_what_waits_to_be_asked_again_is_left_to_the_next_server(tmp_path: Path) -> None:
    """Stopped however often meanwhile: it was refused for a while only, and used nothing."""
    refusing = True

    async def busy(peer: Peer, request: dict[str, Any]) -> None:
        if refusing:
            await peer.send(b"HTTP/1.1 429 Busy\r\nRetry-After: 60\r\nContent-Length: 2\r\n\r\n{}")
        else:
            await _answer(peer, request, pause_s=0)

    async def drill() -> None:
        nonlocal refusing
        async with Upstream(busy) as upstream:
            text = config(upstream.base_url) + "[files]\nfree_bytes_min = 0\n"
            text += f"[batches]\nrequests_max = {LINES}\n"
            server = EntenteServer(tmp_path, text)
            with server:
                key = await asyncio.to_thread(server.make_key)
                id = await asyncio.to_thread(_begin, server, key)
                for time in (1, 2, 3):
                    await until(
                        lambda: all(_asked(upstream)[line] >= time for line in range(LINES))  # noqa: B023
                    )
                    assert await asyncio.to_thread(server.stop) == 0
                    refusing = time < 3
                    await asyncio.to_thread(server.start)
                batch = await asyncio.to_thread(_finished, server, key, id)
                assert batch["request_counts"]["failed"] == 0
                results = await asyncio.to_thread(_results, server, key, batch)
                assert not any("attempts" in one for one in results)
                assert sorted(one["custom_id"] for one in results) == sorted(
                    f"id-{n}" for n in range(LINES)
                )
                server.verify_at_rest()
                assert await asyncio.to_thread(server.stop) == 0

    run(drill())


def test_a_line_is_not_begun_a_third_time(tmp_path: Path) -> None:
    """Killed twice while the same request runs, it fails and says why; the ledger has both."""

    async def never(peer: Peer, request: dict[str, Any]) -> None:
        if request["messages"][0]["content"] == "text-0":
            await asyncio.Event().wait()
        await _answer(peer, request, pause_s=0)

    async def drill() -> None:
        async with Upstream(never) as upstream:
            text = config(upstream.base_url) + "[files]\nfree_bytes_min = 0\n"
            server = EntenteServer(tmp_path, text)
            with server:
                key = await asyncio.to_thread(server.make_key)
                id = await asyncio.to_thread(_begin, server, key)
                for time in (1, 2):
                    await until(lambda: _asked(upstream)[0] == time)  # noqa: B023
                    await asyncio.to_thread(server.kill)
                    await asyncio.to_thread(server.start)
                batch = await asyncio.to_thread(_finished, server, key, id)
                results = await asyncio.to_thread(_results, server, key, batch)
                failed = [one for one in results if one["error"]]
                assert "id-0" in [one["custom_id"] for one in failed]
                await asyncio.to_thread(_check, server, key, upstream, results)
                assert sum(entry.recovered for entry in server.settlements(key)) >= 2
                assert await asyncio.to_thread(server.stop) == 0

    run(drill())


def _rename(database: Path, table: str, name: str) -> None:
    with contextlib.closing(connect(database)) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO {name}")


def _wait_for_failed(server: EntenteServer, key: Key, id: str) -> None:
    def look() -> bool:
        counts = server.get(f"{BATCHES}/{id}", key=key.secret).json["request_counts"]
        return bool(counts["failed"])

    wait_until(look, "a line to fail")


def test_what_cannot_be_settled_is_not_asked_again(tmp_path: Path) -> None:
    """The ledger is away when providers answer: those lines fail, the rest waits for it."""

    async def drill() -> None:
        async def answer(peer: Peer, request: dict[str, Any]) -> None:
            if upstream.calls == 1:
                _rename(database, "entries", "elsewhere")
            await _answer(peer, request, pause_s=0)

        async with Upstream(answer) as upstream:
            text = config(upstream.base_url) + "[files]\nfree_bytes_min = 0\n"
            server = EntenteServer(tmp_path, text)
            database = server.data_dir / DATABASE_NAME
            with server:
                key = await asyncio.to_thread(server.make_key)
                id = await asyncio.to_thread(_begin, server, key)
                await asyncio.to_thread(_wait_for_failed, server, key, id)
                await asyncio.to_thread(_rename, database, "elsewhere", "entries")
                batch = await asyncio.to_thread(_finished, server, key, id)
                results = await asyncio.to_thread(_results, server, key, batch)
                assert set(_asked(upstream).values()) == {1}
                for one in results:
                    if one["response"]["status_code"] != 200:
                        error = one["response"]["body"]["error"]
                        assert error["code"] == "ledger_unavailable", one
                settled = await asyncio.to_thread(server.settled, key, LINES)
                assert {(entry.status, entry.usage.output) for entry in settled} == {
                    ("complete", 3)
                }
                assert await asyncio.to_thread(server.stop) == 0
                server.verify_at_rest()

    run(drill())
