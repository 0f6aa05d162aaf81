"""A disk that fills up under load: a clear 503, nothing lost, and recovery by itself."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.disk import CannotMount, fill, small_disk
from tests.support.load import Load, assert_nothing_is_lost
from tests.support.loops import run, until
from tests.support.server import ADMIN_KEY, EntenteServer, wait_until
from tests.support.upstream import Upstream, config, play_words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DISK_BYTES: Final = 6 * 1024 * 1024
SEED: Final = 20261121


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of a few megabytes as `data`; skip where that is not allowed."""
    folder = tmp_path / "data"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(small_disk(folder, DISK_BYTES))
        except CannotMount as reason:
            pytest.skip(str(reason))
        yield folder


def test_full_disk(small_disk: Path, tmp_path: Path) -> None:
    """Full under load: refused before the upstream is asked, settled when there is room."""

    async def drill() -> None:
        async with Upstream(partial(play_words, pause_s=0.005)) as upstream:
            with EntenteServer(tmp_path, config(upstream.base_url)) as server:
                load = Load(SEED)
                running = asyncio.create_task(load.run(server))
                await until(lambda: sum(one.answered for one in load.sent) >= 50)
                while not any(one.reply.status == 503 for one in load.sent):
                    fill(small_disk / "filler")  # again: a checkpoint may have made room
                    await asyncio.sleep(0.001)
                assert server.running
                load.stopping = True
                await running

                await asyncio.to_thread(_check_refusal, server, upstream)
                await asyncio.to_thread(os.unlink, small_disk / "filler")
                await asyncio.to_thread(
                    wait_until, lambda: server.get("/readyz").status == 200, "readiness"
                )
                after = await load.one(server.port)
                assert after.answered
                assert server.verify().open_holds == 0
                assert_nothing_is_lost(server, load.sent, upstream.bodies)
                assert await asyncio.to_thread(server.stop) == 0
            for one in load.sent:
                assert one.answered or one.reply.status in (200, 503)
                if one.reply.status == 200 and not one.answered:
                    assert one.stream
                    assert b'"error":{' in one.reply.body
            server.verify_at_rest()
            with server:
                assert server.verify_at_rest().recovered == 0
                assert (await load.one(server.port)).answered

    run(drill())


def _check_refusal(server: EntenteServer, upstream: Upstream) -> None:
    """Check what a full disk looks like from outside."""
    fill(server.data_dir / "filler")
    got = server.chat(max_tokens=999)
    while got.status == 200:
        fill(server.data_dir / "filler")
        got = server.chat(max_tokens=999)
    calls = upstream.calls
    got = server.chat(max_tokens=998)
    assert (got.status, got.error["code"]) == (503, "ledger_unavailable")
    assert got.headers["x-should-retry"] == "true"
    assert int(got.headers["retry-after"]) >= 1
    assert upstream.calls == calls
    ready = server.get("/readyz")
    assert (ready.status, ready.json["status"]) == (503, "unavailable")
    assert "disk is full" in ready.json["trouble"]["ledger"]
    assert server.get("/healthz").status == 200
    assert server.get("/v1/models", key=ADMIN_KEY).status == 200


def test_data_folder_without_room_at_the_start(small_disk: Path, tmp_path: Path) -> None:
    """A server that cannot write its first page says why in a line, and does not start."""
    fill(small_disk / "filler")
    server = EntenteServer(tmp_path, config("http://127.0.0.1:9"))
    server.launch()
    assert server.wait() == 1
    said = server.err_log.read_text()
    assert "Traceback" not in said
    assert "full" in said.lower() or os.strerror(errno.ENOSPC) in said
