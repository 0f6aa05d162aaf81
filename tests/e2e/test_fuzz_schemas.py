"""Every request that the specification describes, drawn from its schema, and sent by a stranger.

Nothing breaks, nothing stays held, and nothing of another project is told: what it has stored is
named in every place of every request that takes an id.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entente.http.routes import ROUTES, Route
from tests.kit.run import PROPERTY
from tests.support.batches import CONFIG, SCRIPT, line
from tests.support.contract.schemas import SPECIFICATION
from tests.support.matrix import fuzzing
from tests.support.matrix.from_schema import values
from tests.support.server import EntenteServer, Got, Key

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY: Final = "canary-7b1e90"
"""Stands in all that the owner has stored."""
FUZZ: Final = settings(
    PROPERTY,
    max_examples=30,
    suppress_health_check=[*PROPERTY.suppress_health_check, HealthCheck.large_base_example],
)
FORM: Final = "multipart/form-data; boundary=b"
_HOLE: Final = re.compile(r"\{(\w+)\}")
SCHEMED: Final = [route for route in ROUTES if route.path.startswith("/v1/")]


@cache
def specification() -> Any:
    """Read the whole of it."""
    return json.loads(SPECIFICATION.read_bytes())


@cache
def paths() -> dict[tuple[str, str], Any]:
    """Give the schemas of bodies in JSON by method and path; of every id it says `{}`."""
    found = {}
    for path, methods in specification()["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                plain = "/v1" + _HOLE.sub("{}", path)
                found[method.upper(), plain] = content["application/json"]["schema"]
    return found


def schema_of(route: Route) -> Any:
    """Give the schema of a route's body, if the specification has one."""
    return paths().get((route.method, _HOLE.sub("{}", route.path)))


class World(NamedTuple):
    """A server, what one project has stored in it, and a stranger's key."""

    server: EntenteServer
    stranger: Key
    ids: tuple[str, ...]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run the server, and store one thing of each kind; at its end all is settled."""
    if not SPECIFICATION.exists():
        pytest.skip("the specification is not there")
    folder = tmp_path_factory.mktemp("schemas")
    (folder / "script.toml").write_text(SCRIPT, encoding="utf-8")
    with EntenteServer(folder, CONFIG, server="shutdown_s = 5") as server:
        owner, stranger = server.make_key(project="ours"), server.make_key(project="theirs")
        yield World(server, stranger, tuple(stored(server, owner.secret)))
        assert server.stop() == 0
        server.verify_at_rest()
        assert server.err_log.read_text() == ""


def stored(server: EntenteServer, key: str) -> Iterator[str]:
    """Store one thing of each kind; give their ids."""

    def post(path: str, body: Any) -> Any:
        got = server.ask("POST", path, key=key, body=json.dumps(body).encode())
        assert got.status == 200, got.body
        return got.json

    said = [{"type": "message", "role": "user", "content": CANARY}]
    talk = post("/v1/conversations", {"items": said, "metadata": {"a": CANARY}})
    yield talk["id"]
    items = server.get(f"/v1/conversations/{talk['id']}/items", key=key).json
    yield items["data"][0]["id"]
    response = post("/v1/responses", {"model": "m", "input": CANARY, "instructions": CANARY})
    yield response["id"]
    yield response["output"][0]["id"]
    messages = [{"role": "user", "content": CANARY}]
    kept = {"model": "m", "messages": messages, "store": True, "metadata": {"a": CANARY}}
    yield post("/v1/chat/completions", kept)["id"]
    upload = {"filename": CANARY, "purpose": "vision", "bytes": 9, "mime_type": "x/y"}
    yield post("/v1/uploads", upload)["id"]
    head = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
    lines = json.dumps(line("a", CANARY))
    form = head.format("purpose", "", "batch") + head.format("file", '; filename="a.jsonl"', lines)
    got = server.ask(
        "POST",
        "/v1/files",
        key=key,
        body=(form + "--b--\r\n").encode(),
        headers={"content-type": FORM},
    )
    yield got.json["id"]
    asked = {
        "input_file_id": got.json["id"],
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    yield post("/v1/batches", {**asked, "metadata": {"a": CANARY}})["id"]
    params = {"model": "m", "max_tokens": 9, "messages": messages}
    batch = {"requests": [{"custom_id": "a", "params": params}]}
    yield post("/v1/messages/batches", batch)["id"]


def sent(world: World, method: str, path: str, body: bytes | None) -> Got:
    """Send a stranger's request; whatever it is, it is answered, and not with what is not his."""
    got = world.server.ask(method, path, key=world.stranger.secret, body=body)
    assert got.status < 500, got.body
    assert CANARY.encode() not in got.body, (method, path, body)
    return got


def filled(data: st.DataObject, world: World, route: Route) -> str:
    """Give the route's path with ids in it: of what is there, mostly."""
    return _HOLE.sub(lambda _: quote(data.draw(st.sampled_from((*world.ids, "x")))), route.path)


@pytest.mark.parametrize(
    "route",
    [route for route in SCHEMED if SPECIFICATION.exists() and schema_of(route) is not None],
    ids=lambda route: f"{route.method} {route.path}",
)
def test_requests_of_the_schema(world: World, route: Route) -> None:
    """As they are drawn, and with some bytes changed."""
    words = ("m", "gpt-4o", *world.ids)

    @FUZZ
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        body = data.draw(values(schema_of(route), specification(), words))
        if isinstance(body, dict) and ("model" in body or "responses" in route.path):
            body["model"] = data.draw(st.sampled_from(["m", "m", "m", "m", "gpt-4o"]))
            if "responses" in route.path:
                body.setdefault("input", "hi")
        written = fuzzing.encoded(body)
        if data.draw(st.integers(0, 5)) == 0:
            written = data.draw(fuzzing.mutated(written))
        sent(world, route.method, filled(data, world, route), written)

    holds()


def test_what_a_stranger_asks_for(world: World) -> None:
    """Every route that has an id in its path, with each id that there is, and lists."""
    asked = [route for route in SCHEMED if route.method in ("GET", "DELETE")]
    count = 0
    for route in asked:
        if route.path in ("/v1/realtime", "/v1/models/*"):
            continue
        for id in world.ids if "{" in route.path else ("",):
            got = sent(world, route.method, _HOLE.sub(quote(id), route.path), None)
            if id:
                count += 1
                assert got.status in (400, 403, 404, 405), (route, id, got.body)
    assert count > 100


def test_what_a_stranger_asked_changed_nothing(world: World) -> None:
    """All of it is still there, for whom it belongs to."""
    owner = world.server.make_key(project="ours").secret
    talk, _, response, _, completion, upload, file, batch, _ = world.ids
    for path in (
        f"conversations/{talk}/items",
        f"responses/{response}",
        f"chat/completions/{completion}",
        f"files/{file}/content",
        f"batches/{batch}",
    ):
        got = world.server.get(f"/v1/{path}", key=owner)
        assert (got.status, CANARY.encode() in got.body) == (200, True)
    cancelled = world.server.ask("POST", f"/v1/uploads/{upload}/cancel", key=owner, body=b"")
    assert (cancelled.status, cancelled.json["filename"]) == (200, CANARY)
