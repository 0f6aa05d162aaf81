"""Storage that fails while an answer is made: the dialect's error at its end, and exact settlement.

The provider has answered whole by then, so the request is complete and costs what it used; the
client is told that its answer was not kept, by no end that would say it was.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from entente.db import connect
from entente.objects import OBJECTS_NAME
from tests.support.contract import defects_of
from tests.support.disk import CannotMount, fill, small_disk
from tests.support.server import ADMIN_KEY, EntenteServer, Key, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DISK_BYTES: Final = 6 * 1024 * 1024
WORDS: Final = 60
CONFIG: Final = """
[providers.fake]
kind = "scripted"
script = "script.toml"

[models."m"]
targets = [{ provider = "fake", model = "m" }]
price = { currency = "USD", per = "1M tokens", input = "1", output = "2" }
output_tokens_max = 1000

[files]
free_bytes_min = 0
"""
SCRIPT: Final = f"""
[[replies]]
pieces = [{", ".join(['"w "'] * WORDS)}]
piece_delay_ms = 20
usage = {{ prompt_tokens = 7, completion_tokens = {WORDS} }}
"""
SAID: Final = [{"role": "user", "content": "go"}]
ASKED: Final[dict[str, dict[str, Any]]] = {
    "/v1/responses": {"model": "m", "input": "go"},
    "/v1/chat/completions": {"model": "m", "messages": SAID, "store": True},
}
ENDS: Final = (b"response.completed", b"data: [DONE]")
"""What says that all is well; why the model ended has been said by then, and is true."""


def serve(folder: Path) -> EntenteServer:
    """Make a server whose answers take a while."""
    (folder / "script.toml").write_text(SCRIPT, encoding="utf-8")
    return EntenteServer(folder, CONFIG, server="shutdown_s = 2")


@contextlib.contextmanager
def broken(server: EntenteServer) -> Iterator[None]:
    """Take the table of stored objects away, and bring it back."""
    with contextlib.closing(connect(server.data_dir / OBJECTS_NAME)) as connection:
        connection.execute("ALTER TABLE objects RENAME TO elsewhere")
        try:
            yield
        finally:
            connection.execute("ALTER TABLE elsewhere RENAME TO objects")


@contextlib.contextmanager
def begun(server: EntenteServer, key: Key, path: str, **more: Any) -> Iterator[tuple[Any, bytes]]:
    """Begin a stream; give the rest of the answer, to be read, and what has come."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"authorization": f"Bearer {key.secret}", "content-type": "application/json"}
    with contextlib.closing(connection):
        body = json.dumps({**ASKED[path], "stream": True, **more})
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        assert answer.status == 200
        yield answer, answer.readline()


def check_failed(path: str, data: bytes) -> None:
    """See that a stream is valid, and ends in an error."""
    headers = {"content-type": "text/event-stream"}
    assert defects_of("POST", path, 200, headers, data) == []
    last = json.loads(data.strip().rpartition(b"data: ")[2])
    error = last.get("error", last)
    # Chat's has no code: the vendor's says `server_error` of whatever goes wrong in a stream.
    assert error["code"] == ("storage_unavailable" if "response" in path else None)
    assert "Stored objects cannot be used now" in error["message"]
    assert not any(end in data for end in ENDS)


@pytest.mark.parametrize("path", ASKED)
def test_at_the_end_of_a_stream(tmp_path: Path, path: str) -> None:
    """The stream ends in an error; the tokens are what they were; the next one is kept again."""
    with serve(tmp_path) as server:
        key = server.make_key()
        with begun(server, key, path) as (answer, first), broken(server):
            data = first + answer.read()
        check_failed(path, data)
        (settled,) = server.settled(key)
        assert (settled.usage.input, settled.usage.output) == (7, WORDS)
        assert (settled.cost_nano, settled.estimated) == (7 * 1_000 + WORDS * 2_000, False)
        with begun(server, key, path) as (answer, first):
            data = first + answer.read()
            assert any(end in data for end in ENDS), data[-400:]
        assert server.stop() == 0
        server.verify_at_rest()


@pytest.mark.parametrize("path", ASKED)
def test_at_the_end_of_a_whole_answer(tmp_path: Path, path: str) -> None:
    """A 503 in the dialect's form, and no answer; settled as what it was."""
    with serve(tmp_path) as server:
        key = server.make_key()
        with broken(server):
            body = json.dumps(ASKED[path]).encode()
            got = server.ask("POST", path, key=key.secret, body=body)
        assert (got.status, got.error["code"]) == (503, "storage_unavailable")
        for entry in server.settlements(key):
            assert entry.cost_nano in (0, 7 * 1_000 + WORDS * 2_000)
        assert server.stop() == 0
        server.verify_at_rest()


def test_at_the_end_of_a_response_in_the_background(tmp_path: Path) -> None:
    """It is fetched from memory meanwhile, and written when that is possible again."""

    def running() -> str:
        text = server.get("/metrics", key=ADMIN_KEY).body.decode()
        return text.partition("\nentente_background_responses ")[2].split()[0]

    def status() -> str:
        return str(server.get(f"/v1/responses/{id}", key=key.secret).json["status"])

    with serve(tmp_path) as server:
        key = server.make_key()
        with begun(server, key, "/v1/responses", background=True) as (answer, _), broken(server):
            id = json.loads(answer.readline().removeprefix(b"data: "))["response"]["id"]
            assert b"response.completed" in answer.read()
            assert status() == "completed"
            wait_until(lambda: b"stays in memory" in server.err_log.read_bytes(), "the trouble")
            assert running() == "1.0"
        wait_until(lambda: running() == "0.0", "it to be written")
        server.kill()
        server.start()
        assert status() == "completed"
        server.verify_at_rest()


def test_a_disk_that_is_full_by_then(tmp_path: Path) -> None:
    """Ledger and storage share it: an error ends the stream, and what was used is written later."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(small_disk(tmp_path / "data", DISK_BYTES))
        except CannotMount as reason:
            pytest.skip(str(reason))
        server = stack.enter_context(serve(tmp_path))
        key = server.make_key()
        with begun(server, key, "/v1/responses") as (answer, first):
            fill(tmp_path / "data" / "filler")
            data = first + answer.read()
        last = json.loads(data.strip().rpartition(b"data: ")[2])
        assert last["type"] == "error", last
        assert not any(end in data for end in ENDS)
        os.unlink(tmp_path / "data" / "filler")  # noqa: PTH108 - a file of the mounted disk
        wait_until(lambda: server.get("/readyz").status == 200, "readiness")
        (settled,) = server.settled(key)
        assert (settled.usage.output, settled.estimated) == (WORDS, False)
        assert server.stop() == 0
        server.verify_at_rest()
