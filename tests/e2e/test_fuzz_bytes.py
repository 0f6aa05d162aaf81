"""A good body of every route that takes one, with some bytes changed: nothing breaks."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente.http.routes import ROUTES, Route
from tests.kit.run import PROPERTY
from tests.support.batches import CONFIG, SCRIPT
from tests.support.bodies import BODIES, EMPTY, FORMS, form
from tests.support.matrix import fuzzing
from tests.support.server import ADMIN_KEY, EntenteServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT: Final = {
    "subscription": "sub",
    "group": "people",
    "account": "models",
    "location": "home",
    "deployment": "d",
}
AZURE: Final = """
[azure]
subscription = "sub"
resource_group = "people"
account = "models"
location = "home"
"""
WITHBODIES: Final = [route for route in ROUTES if route.method in ("POST", "PUT")]
FUZZ: Final = settings(PROPERTY, max_examples=25)
DEPTH: Final = 20_000
_HOLE: Final = re.compile(r"\{(\w+)\}")


class World:
    """A server with a response, a conversation and a completion in it."""

    def __init__(self, server: EntenteServer) -> None:
        """Make what bodies and paths name."""
        self.server = server
        talk = self.post("/v1/conversations", {}).json["id"]
        response = self.post("/v1/responses", {"model": "m", "input": "x"}).json["id"]
        upload = self.post("/v1/uploads", BODIES["create_upload"]).json["id"]
        self.named = {b"CONVERSATION": talk.encode(), b"RESPONSE": response.encode()}
        made = {
            kind: self.post(f"/admin/v1/{kind}", BODIES[action], status=201).json["id"]
            for kind, action in (
                ("keys", "admin_create_key"),
                ("webhooks", "admin_create_webhook"),
            )
        }
        self.ids = {
            **made,
            "conversations": talk,
            "responses": response,
            "uploads": upload,
            "chat": server.chat(store=True).json["id"],
        }

    def post(self, path: str, body: Any, *, status: int = 200) -> Any:
        """Send a good body."""
        got = self.server.ask("POST", path, key=ADMIN_KEY, body=json.dumps(body).encode())
        assert got.status == status, got.body
        return got

    def path(self, route: Route) -> str:
        """Give the path of something that is there."""
        parts = route.path.split("/")
        kind = parts[3] if parts[1] == "admin" else parts[2]
        mine = self.ids.get(kind, "x")
        path = _HOLE.sub(lambda hole: ACCOUNT.get(hole[1], mine), route.path)
        return path if parts[1] in ("v1", "admin") else f"{path}?api-version=2025-06-01"

    def good(self, route: Route) -> tuple[bytes, str]:
        """Give a good body, and its content type."""
        if route.action in FORMS:
            return form(*FORMS[route.action]), "multipart/form-data; boundary=b"
        body = json.dumps(BODIES[route.action], ensure_ascii=False).encode()
        for name, id in self.named.items():
            body = body.replace(name, id)
        return body, "application/json"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run the server; at its end nothing is held, and nothing went wrong inside."""
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "script.toml").write_text(SCRIPT, encoding="utf-8")
    with EntenteServer(folder, CONFIG + AZURE, server="shutdown_s = 5") as server:
        yield World(server)
        assert server.stop() == 0
        server.verify_at_rest()
        assert server.err_log.read_text() == ""


def refused_or_served(world: World, route: Route, body: bytes, kind: str) -> None:
    """See that a body is answered, whatever it is."""
    got = world.server.ask(
        route.method,
        world.path(route),
        key=ADMIN_KEY,
        body=body,
        headers={"content-type": kind, "anthropic-version": "2023-06-01"},
    )
    assert got.status < 500, got.body


TAKING: Final = pytest.mark.parametrize(
    "route",
    [route for route in WITHBODIES if route.action not in EMPTY],
    ids=lambda route: f"{route.method} {route.path}",
)


@TAKING
def test_bytes_that_are_changed(world: World, route: Route) -> None:
    """Cut off, twice, or others, in JSON and in forms; half a character, too."""
    good, kind = world.good(route)

    @FUZZ
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        refused_or_served(world, route, data.draw(fuzzing.mutated(good)), kind)

    holds()


@TAKING
def test_members_that_are_no_text(world: World, route: Route) -> None:
    """Each member in turn has bytes that are no text, goes deeper than any stack, or is odd."""
    if route.action in FORMS:
        return
    good, kind = world.good(route)
    odd = [b'"\xff"', b'"\\ud800"', b'"\\u0000"', b"9" * 5000, b"[" * DEPTH + b"]" * DEPTH]
    for name in json.loads(good):
        whole = {key: value for key, value in json.loads(good).items() if key != name}
        rest = json.dumps(whole).encode()[1:-1]
        for value in (*odd, b'{"a":' * DEPTH + b"1" + b"}" * DEPTH):
            body = b'{"%b":%b%b}' % (name.encode(), value, b"," + rest if rest else b"")
            refused_or_served(world, route, body, kind)


def test_every_route_that_takes_a_body_is_here() -> None:
    """A new one has to say what a good body is."""
    taking = {route.action for route in WITHBODIES} - EMPTY
    assert taking == {*BODIES, *FORMS}
