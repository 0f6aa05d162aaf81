"""Whatever is sent to the routes of files and batches: no 5xx, and nothing of another project."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entente.http.routes import ROUTES
from tests.support.batches import CONFIG, jsonl, line, write_config
from tests.support.server import EntenteServer, Key

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET: Final = b"what another project keeps"
WORDS: Final = ("file", "upload", "batch", "count_tokens")
TARGETS: Final = [r for r in ROUTES if any(word in r.action for word in WORDS)]
FORM: Final = "multipart/form-data; boundary=b"
EXAMPLES: Final = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

_texts = st.text(max_size=20) | st.sampled_from(
    ["batch", "/v1/chat/completions", "24h", "created_at", "file-0", "desc", "m", "vision", "../x"]
)
_numbers = st.integers(-(2**70), 2**70)
_json = st.recursive(
    st.none() | st.booleans() | _numbers | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_names = st.sampled_from(
    ["purpose", "filename", "bytes", "mime_type", "expires_after", "input_file_id", "endpoint",
     "completion_window", "metadata", "part_ids", "md5", "requests", "model", "messages",
     "custom_id", "params", "output_expires_after", "system", "tools"]
)  # fmt: skip
_bodies = st.dictionaries(_names, _json, max_size=6).map(
    lambda members: json.dumps(members).encode()
) | st.binary(max_size=60)
_queries = st.dictionaries(
    st.sampled_from(["limit", "after", "before", "order", "purpose", "after_id", "before_id"]),
    _texts | _numbers.map(str),
    max_size=3,
)


class World:
    """A server with something of another project's in it."""

    def __init__(self, server: EntenteServer) -> None:
        """Fill it."""
        self.server = server
        self.key: Key = server.make_key(project="ours")
        theirs = server.make_key(project="theirs")
        form = (
            b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b\r\n'
            b'Content-Disposition: form-data; name="file"; filename="s.jsonl"\r\n\r\n'
            + SECRET
            + b"\r\n--b--\r\n"
        )
        kept = server.ask(
            "POST", "/v1/files", key=theirs.secret, body=form, headers={"content-type": FORM}
        )
        self.file: str = kept.json["id"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run the server; nothing may have gone wrong inside it."""
    folder = tmp_path_factory.mktemp("fuzz")
    write_config(folder)
    with EntenteServer(folder, CONFIG) as server:
        yield World(server)
        assert server.stop() == 0
        server.verify_at_rest()
        assert server.err_log.read_text() == ""


@EXAMPLES
@given(data=st.data())
def test_any_request(world: World, data: st.DataObject) -> None:
    """On every route: an answer or a refusal, as the vendor words it."""
    route = data.draw(st.sampled_from(TARGETS))
    id = data.draw(st.just(world.file) | _texts.filter(bool))
    query = data.draw(_queries)
    path = route.path.replace("{id}", quote(id, safe=""))
    if query:
        path += "?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())
    body = data.draw(_bodies) if route.method == "POST" else None
    kind = data.draw(st.sampled_from(["application/json", FORM]))
    got = world.server.ask(
        route.method, path, key=world.key.secret, body=body, headers={"content-type": kind}
    )
    assert got.status < 500, got.body
    assert SECRET not in got.body


_parts = st.lists(
    st.tuples(
        st.sampled_from(["purpose", "file", "data", "expires_after", "expires_after[seconds]"]),
        st.none() | st.sampled_from(["a.jsonl", "", "x/../y", "ü"]),
        _texts.map(str.encode) | st.binary(max_size=30),
    ),
    max_size=4,
)


@EXAMPLES
@given(parts=_parts, cut=st.integers(0, 40))
def test_any_form(world: World, parts: list[tuple[str, str | None, bytes]], cut: int) -> None:
    """Whole or cut off anywhere."""
    body = b""
    for name, filename, content in parts:
        named = "" if filename is None else f'; filename="{filename}"'
        head = f'--b\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    body = (body + b"--b--\r\n")[: -cut or None]
    got = world.server.ask(
        "POST", "/v1/files", key=world.key.secret, body=body, headers={"content-type": FORM}
    )
    assert got.status < 500, got.body


@EXAMPLES
@given(
    lines=st.lists(
        st.dictionaries(
            st.sampled_from(["custom_id", "method", "url", "body"]), _json, max_size=4
        ).map(lambda one: json.dumps(one).encode())
        | st.binary(max_size=40)
        | st.just(json.dumps(line("good")).encode()),
        max_size=4,
    )
)
def test_any_input_of_a_batch(world: World, lines: list[bytes]) -> None:
    """It is looked at, and fails or runs; what it says of itself is as specified."""
    data = b"\n".join(lines) or jsonl()
    form = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b\r\n'
        b'Content-Disposition: form-data; name="file"; filename="s.jsonl"\r\n\r\n'
        + data
        + b"\r\n--b--\r\n"
    )
    server, key = world.server, world.key.secret
    headers = {"content-type": FORM}
    file = server.ask("POST", "/v1/files", key=key, body=form, headers=headers)
    if file.status != 200:  # the boundary may stand in it
        assert file.status == 400
        return
    asked: dict[str, Any] = {
        "input_file_id": file.json["id"],
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    made = server.ask("POST", "/v1/batches", key=key, body=json.dumps(asked).encode())
    assert made.status == 200
    assert server.get(f"/v1/batches/{made.json['id']}", key=key).status == 200
