"""The processes of several workers: started, killed, hung, stopped, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from entente.config import Config, ServerConfig
from entente.http.server import BACKLOG
from entente.workers.ports import doors, port_of
from tests.support.gate import SEEN, USED, Gate
from tests.support.hosts import WORKERS, WorkersServer, kill_process
from tests.support.loops import run, until
from tests.support.rawclient import READ_BYTES, connection, post, read_reply
from tests.support.server import ADMIN_KEY, Key, chat_body, wait_until
from tests.support.upstream import LAST_CHUNK

if TYPE_CHECKING:
    from pathlib import Path

    from tests.workers.conftest import Stage

SCRIPTED: Final = """
[providers.fake]
kind = "scripted"
[models."m"]
targets = [{ provider = "fake", model = "m" }]
"""
TINY: Final = """
[providers.tiny]
kind = "local"
[models."entente-tiny"]
targets = [{ provider = "tiny", model = "entente-tiny" }]
"""
STREAMS: Final = 40
"""Each worker has some of so many connections, but for one time in twenty thousand."""


async def streams(
    stack: contextlib.AsyncExitStack, port: int, key: Key
) -> list[asyncio.StreamReader]:
    """Begin streams, each on a connection of its own; all are in their middle."""
    readers = []
    for _ in range(STREAMS):
        reader, writer = await stack.enter_async_context(connection(port))
        writer.write(post(chat_body(stream=True), key.secret))
        await reader.readuntil(SEEN)
        readers.append(reader)
    return readers


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Read what comes, up to the end of an answer or of the connection."""
    said = b""
    with contextlib.suppress(OSError):
        while not said.endswith(LAST_CHUNK) and (data := await reader.read(READ_BYTES)):
            said += data
    return said


def test_the_port_is_spread_and_nobody_elses() -> None:
    """Each socket gets some of the connections, and no other program can share the port."""
    with port_of(Config(server=ServerConfig(port=0)), WORKERS) as ports:
        sockets = [port.open() for port in ports]
        for each in sockets:
            each.listen(BACKLOG)
        port = sockets[0].getsockname()[1]
        assert {each.getsockname()[1] for each in sockets} == {port}
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(128)]
        counts = []
        for each in sockets:
            accepted = []
            while True:
                try:
                    accepted.append(each.accept()[0])
                except BlockingIOError:
                    break
            counts.append(len(accepted))
            for one in (*accepted,):
                one.close()
        assert sum(counts) == len(clients)
        assert min(counts) > 0
        for client in clients:
            client.close()
        for each_port in ports[1:]:
            each_port.close()
        for _ in range(16):
            with socket.create_connection(("127.0.0.1", port)):
                sockets[0].accept()[0].close()
        assert ports[1].open().getsockname() == sockets[0].getsockname()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


@pytest.mark.parametrize("name", ["data", "d" * 120])
def test_doors_are_for_this_user_only(tmp_path: Path, name: str) -> None:
    """Their folder is closed to others, and goes with the parent."""
    data_dir = tmp_path / name
    data_dir.mkdir()
    with doors(data_dir, 2) as (folder, sockets):
        assert (folder.parent == data_dir) is (name == "data")
        assert folder.stat().st_mode & 0o077 == 0
        assert [each.getsockname() for each in sockets] == [
            str(folder / "1.sock"),
            str(folder / "2.sock"),
        ]
    assert not folder.exists()


def test_a_killed_worker_hurts_no_other(stage: Stage) -> None:
    """Its own streams break; its holds are settled, marked; another one takes its place."""
    server = stage.server
    key = server.make_key()

    async def drill() -> tuple[int, int]:
        async with contextlib.AsyncExitStack() as stack:
            readers = await streams(stack, server.port, key)
            kill_process(server.workers()[-1])
            await until(lambda: len(server.workers()) == WORKERS)
            gate.open()
            ends = [b"[DONE]" in await rest(reader) for reader in readers]
            return ends.count(False), ends.count(True)

    with Gate(stage.upstream) as gate:
        broken, whole = run(drill())
    assert broken > 0
    assert whole > 0
    assert broken + whole == STREAMS
    wait_until(lambda: not server.open_holds(), "the dead worker's chain to be taken over")
    entries = server.settlements(key)
    assert len(entries) == len({entry.id for entry in entries}) == STREAMS
    assert sum(entry.recovered for entry in entries) == broken
    good = [entry for entry in entries if not entry.recovered]
    assert {(str(e.status), e.usage.input, e.usage.output) for e in good} == {("complete", *USED)}
    assert server.get("/readyz").status == 200
    told = "was ended by SIGKILL"
    wait_until(lambda: told in server.err_log.read_text(), "the parent to tell of it")
    assert server.stop() == 0


def test_a_stop_lets_requests_finish(stage: Stage) -> None:
    """SIGTERM to the parent reaches all workers; what runs comes to its end."""
    server = stage.server
    key = server.make_key()

    async def drill() -> list[bool]:
        async with contextlib.AsyncExitStack() as stack:
            readers = await streams(stack, server.port, key)
            server.terminate()
            await until(lambda: b"Stopping" in server.out_log.read_bytes())
            gate.open()
            return [b"[DONE]" in await rest(reader) for reader in readers]

    with Gate(stage.upstream) as gate:
        assert all(run(drill()))
    workers = server.workers()
    assert server.wait() == 0
    assert not [pid for pid in workers if _is_alive(pid)]
    entries = server.settlements(key)
    assert [str(entry.status) for entry in entries] == ["complete"] * STREAMS
    assert server.open_holds() == set()
    assert "worker " not in server.err_log.read_text()


def test_workers_end_with_their_parent(stage: Stage) -> None:
    """A parent that is killed leaves nobody behind, and the next one begins at once."""
    server = stage.server
    workers = server.workers()
    assert len(workers) == WORKERS
    server.kill(whole=False)
    wait_until(lambda: not any(map(_is_alive, workers)), "the workers to end")
    server.start()
    assert server.chat(ADMIN_KEY).status == 200
    assert server.stop() == 0


def test_a_worker_that_hangs_is_replaced(tmp_path: Path, postgres_url: str) -> None:
    """One whose loop does not turn any more is killed."""
    server = WorkersServer(tmp_path, SCRIPTED, postgres_url, workers=2)
    server._prelude = "import entente.workers.parent as parent\nparent.HANG_S = 3.0"
    with server:
        stopped = server.workers()[0]
        os.kill(stopped, signal.SIGSTOP)
        wait_until(lambda: stopped not in server.workers(), "the worker to be killed")
        wait_until(lambda: len(server.workers()) == 2, "another one")
        assert "does not answer any more" in server.err_log.read_text()
        assert server.stop() == 0


def test_the_first_lines_work_when_they_are_pasted(tmp_path: Path, postgres_url: str) -> None:
    """They name the program as the parent was begun, not the worker that wrote them."""
    server = WorkersServer(tmp_path, SCRIPTED, postgres_url, workers=2)
    server._prelude = "import sys\nsys.argv[0] = '/opt/venv/bin/entente'"
    with server:
        assert "Keys: /opt/venv/bin/entente keys create." in server.out_log.read_text()
        assert server.stop() == 0


def test_what_is_wrong_is_told_once(tmp_path: Path, postgres_url: str) -> None:
    """A port in use, or a database that is not there, ends the start with one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = WorkersServer(tmp_path, SCRIPTED, postgres_url)
        done = server.cli("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "is in use" in done.stderr
    server._environ["ENTENTE_TEST_URL"] = postgres_url + "_gone"
    done = server.cli("serve")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "_gone" in done.stderr


def test_more_workers_need_a_database_to_share(tmp_path: Path) -> None:
    """On SQLite the option is refused, with what to do."""
    done = subprocess.run(
        [sys.executable, "-m", "entente.cli", "serve", "--workers", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ledger" in done.stderr
    assert "postgresql://" in done.stderr


def test_the_local_runtime_runs_once(tmp_path: Path, postgres_url: str) -> None:
    """All workers reach the one that their parent runs, through its restarts, too."""
    with WorkersServer(tmp_path, TINY, postgres_url, workers=2) as server:
        wait_until(lambda: server.get("/readyz").status == 200, "the runtime")
        others = [pid for pid in server.children() if pid not in server.workers()]
        assert len(others) == 1
        for _ in range(16):
            assert server.chat(ADMIN_KEY, model="entente-tiny", max_tokens=2).status == 200
        kill_process(others[0])
        wait_until(
            lambda: server.chat(ADMIN_KEY, model="entente-tiny", max_tokens=2).status == 200,
            "the next runtime",
        )
        assert server.stop() == 0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_unread_answers_are_whole(shared_stage: Stage) -> None:
    """One connection stays with one worker, request after request."""

    async def drill() -> None:
        async with connection(shared_stage.server.port) as (reader, writer):
            for _ in range(5):
                writer.write(post(chat_body(), ADMIN_KEY))
                assert (await read_reply(reader)).status == 200

    run(drill())
