"""How much a project may store: what is too much is refused before a provider is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.batches import CONFIG, write_config
from tests.support.server import EntenteServer, Got, Key, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOM: Final = 6_000
FORM: Final = "multipart/form-data; boundary=b"
LONG: Final = "word " * 1_000
SAID: Final = [{"role": "user", "content": LONG}]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EntenteServer]:
    """Run a server that keeps little."""
    folder = tmp_path_factory.mktemp("quota")
    write_config(folder)
    config = f"{CONFIG}\n[storage]\nproject_bytes_max = {ROOM}\n"
    with EntenteServer(folder, config, server="shutdown_s = 1") as server:
        yield server
        assert server.stop() == 0
        server.verify_at_rest()
        assert server.err_log.read_text() == ""


def post(server: EntenteServer, key: Key, path: str, body: Any) -> Got:
    """Send JSON."""
    return server.ask("POST", path, key=key.secret, body=json.dumps(body).encode())


def send(server: EntenteServer, key: Key, size: int) -> Got:
    """Send a file of so many bytes."""
    head = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
    fields = head.format("purpose", "", "user_data")
    body = fields + head.format("file", '; filename="a.txt"', "x" * size) + "--b--\r\n"
    headers = {"content-type": FORM}
    return server.ask("POST", "/v1/files", key=key.secret, body=body.encode(), headers=headers)


def is_full(got: Got) -> bool:
    """Say whether this is the refusal."""
    return got.status == 400 and got.error["code"] == "storage_quota_exceeded"


def test_files(narrow: EntenteServer) -> None:
    """Of one project together; another one has room of its own, and what is deleted gives some."""
    key, fellow = narrow.make_key(project="files"), narrow.make_key(project="files")
    other = narrow.make_key(project="others")
    first = send(narrow, key, 4_000)
    assert first.status == 200
    refused = send(narrow, fellow, 4_000)
    assert is_full(refused)
    assert "project_bytes_max" in refused.error["message"]
    assert len(narrow.get("/v1/files", key=key.secret).json["data"]) == 1
    assert send(narrow, other, 4_000).status == 200
    upload = {"filename": "f", "purpose": "vision", "bytes": 4_000, "mime_type": "x/y"}
    assert is_full(post(narrow, key, "/v1/uploads", upload))
    path = f"/v1/files/{first.json['id']}"
    assert narrow.ask("DELETE", path, key=key.secret).status == 200
    assert post(narrow, key, "/v1/uploads", upload).status == 200
    assert is_full(send(narrow, key, 4_000))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"model": "m", "input": LONG}),
        ("/v1/responses", {"model": "m", "input": LONG, "background": True}),
        ("/v1/chat/completions", {"model": "m", "messages": SAID, "store": True}),
        ("/v1/conversations", {"items": [{"type": "message", **SAID[0]}]}),
    ],
)
def test_answers(narrow: EntenteServer, path: str, body: Any) -> None:
    """Refused where they would be kept, with no hold; asked for unkept, they are served."""
    key = narrow.make_key(project=f"answers-{abs(hash((path, *body)))}")
    assert send(narrow, key, 4_000).status == 200
    assert is_full(post(narrow, key, path, body))
    assert narrow.settlements(key) == []
    if "model" in body:
        unkept = {name: value for name, value in body.items() if name != "background"}
        assert post(narrow, key, path, {**unkept, "store": False}).status == 200


def test_results_of_batches_of_messages(narrow: EntenteServer) -> None:
    """They count until the batch is deleted, as its input does until it has ended."""
    key = narrow.make_key(project="kept-messages")
    params = {"model": "m", "max_tokens": 2_000, "messages": SAID}
    asked = {"requests": [{"custom_id": "a", "params": params}]}
    batches = "/v1/messages/batches"
    made = post(narrow, key, batches, asked)
    assert is_full(send(narrow, key, 4_000))
    path = f"{batches}/{made.json['id']}"
    wait_until(
        lambda: narrow.get(path, key=key.secret).json["processing_status"] == "ended", "its end"
    )
    assert len(narrow.get(f"{path}/results", key=key.secret).body) > 5_000
    assert is_full(send(narrow, key, 4_000))
    assert narrow.ask("DELETE", path, key=key.secret).status == 200
    assert send(narrow, key, 4_000).status == 200


def test_batches_of_messages(narrow: EntenteServer) -> None:
    """Their input counts as well; the refusal is in Anthropic's form."""
    key = narrow.make_key(project="messages")
    assert send(narrow, key, 4_000).status == 200
    params = {"model": "m", "max_tokens": 9, "messages": SAID}
    asked = {"requests": [{"custom_id": "a", "params": params}]}
    got = post(narrow, key, "/v1/messages/batches", asked)
    assert (got.status, got.error["type"]) == (400, "invalid_request_error")
    assert "project_bytes_max" in got.error["message"]
