"""Objects of another project: on every route as if they had never been, whoever asks."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from entente.domain.principal import Role
from entente.http.routes import ROUTES, Route
from tests.support.batches import CONFIG, jsonl, line, write_config
from tests.support.bodies import BODIES, FORMS, form
from tests.support.server import EntenteServer, Key, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET: Final = "what nobody else may read"
FORM: Final = {"content-type": "multipart/form-data; boundary=b"}
ANTHROPIC: Final = {"anthropic-version": "2023-06-01"}
TARGETS: Final = [route for route in ROUTES if "{id}" in route.path]
LISTS: Final = {
    "files": "/v1/files",
    "batches": "/v1/batches",
    "chat/completions": "/v1/chat/completions",
    "messages/batches": "/v1/messages/batches",
}
STRANGERS: Final = ("member", "admin")
"""Roles of the keys of another project."""
UNSTEADY: Final = {"connection"}
"""An answer has it if it was faster than the last of the request's body."""
REFERENCES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("responses", "/v1/responses", {"model": "m", "input": "x", "previous_response_id": "ID"}),
    ("conversations", "/v1/responses", {"model": "m", "input": "x", "conversation": "ID"}),
    ("items", "/v1/responses", {"model": "m", "input": [{"type": "item_reference", "id": "ID"}]}),
    (
        "files",
        "/v1/batches",
        {
            "input_file_id": "ID",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
        },
    ),
)
"""Bodies that name an object: its kind, where they are sent, and what."""
_BODIES: Final[dict[str, bytes]] = {
    "update_completion": b'{"metadata":{"a":"b"}}',
    "update_conversation": b'{"metadata":{"a":"b"}}',
    "add_items": b'{"items":[{"role":"user","content":"mine"}]}',
    "add_upload_part": b'--b\r\nContent-Disposition: form-data; name="data"; filename="d"\r\n\r\n'
    b"x\r\n--b--\r\n",
    "complete_upload": b'{"part_ids":["part_1"]}',
}


class Owned(NamedTuple):
    """What the owner has, and what its answer was when it was made."""

    id: str
    path: str
    """Where the owner finds it; an upload is found nowhere."""
    item: str = ""
    """The `{item}` of its path."""


class World:
    """A server, an owner with one object of each kind, and keys of another project."""

    def __init__(self, server: EntenteServer) -> None:
        """Make everything that can be reached by an id."""
        self.server = server
        self.owner = server.make_key(project="owners")
        self.strangers: dict[str, Key] = {
            role: server.make_key(project="strangers", role=Role(role)) for role in STRANGERS
        }
        self.owned: dict[str, list[Owned]] = {
            "chat/completions": [self._make("chat/completions", self._chat(store=True))],
            "responses": [
                self._make("responses", {"model": "m", "input": SECRET}),
                self._make("responses", {"model": "m", "input": "never ends", "background": True}),
                self._make(
                    "responses",
                    {"model": "m", "input": SECRET, "background": True, "stream": True},
                ),
            ],
            "conversations": [
                self._make("conversations", {"items": [{"role": "user", "content": SECRET}]})
            ],
            "files": [self._make("files", self._form())],
            "uploads": [
                self._make(
                    "uploads",
                    {"filename": "f", "purpose": "vision", "bytes": 9, "mime_type": "image/png"},
                )
            ],
        }
        self.owned["batches"] = [self._make("batches", self._batch())]
        asked = {"custom_id": "a", "params": self._chat(max_tokens=9)}
        self.owned["messages/batches"] = [self._make("messages/batches", {"requests": [asked]})]
        path = f"{self.owned['messages/batches'][0].path}"
        wait_until(lambda: b'"ended"' in self.get(path), "the batch to end")
        for kind, number in (("batches", 0), ("responses", 2)):
            wait_until(partial(self._is_completed, self.owned[kind][number].path), f"the {kind}")

    def _is_completed(self, path: str) -> bool:
        return bool(json.loads(self.get(path))["status"] == "completed")

    def get(self, path: str) -> bytes:
        """Give what the owner sees."""
        got = self.server.get(path, key=self.owner.secret)
        assert got.status == 200, got.body
        return got.body

    def seen(self) -> list[bytes]:
        """Give all that the owner has."""
        paths = [one.path for all_ in self.owned.values() for one in all_ if one.path]
        conversation = f"{self.owned['conversations'][0].path}/items"
        content = f"{self.owned['files'][0].path}/content"
        results = f"{self.owned['messages/batches'][0].path}/results"
        return [self.get(path) for path in (*paths, conversation, content, results)]

    def _make(self, kind: str, wish: dict[str, Any] | bytes) -> Owned:
        body, headers = (
            (wish, FORM) if isinstance(wish, bytes) else (json.dumps(wish).encode(), None)
        )
        path = f"/v1/{kind}"
        got = self.server.ask("POST", path, key=self.owner.secret, body=body, headers=headers)
        assert got.status == 200, got.body
        found = re.search(rb'"id": ?"([^"]+)"', got.body)
        assert found is not None
        id = found[1].decode()
        where = "" if kind == "uploads" else f"{path}/{id}"
        if kind != "conversations":
            return Owned(id, where)
        return Owned(id, where, json.loads(self.get(f"{where}/items"))["data"][0]["id"])

    def _chat(self, **more: Any) -> dict[str, Any]:
        return {"model": "m", "messages": [{"role": "user", "content": SECRET}], **more}

    def _form(self) -> bytes:
        disposition = b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
        data = jsonl(line("a", SECRET))
        return (
            disposition % (b"purpose", b"", b"batch")
            + disposition % (b"file", b'; filename="in.jsonl"', data)
            + b"--b--\r\n"
        )

    def _batch(self) -> dict[str, Any]:
        return {
            "input_file_id": self.owned["files"][0].id,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run the server; what the owner has is the same at the end, and nothing is held."""
    folder = tmp_path_factory.mktemp("isolation")
    write_config(folder)
    with EntenteServer(folder, CONFIG, server="shutdown_s = 1") as server:
        made = World(server)
        before = made.seen()
        yield made
        assert made.seen() == before
        assert server.stop() == 0
        server.verify_at_rest()
        assert server.err_log.read_text() == ""


def never_was(id: str) -> str:
    """Give an id of the same form that nothing has."""
    return id[:-12] + "0" * 12


def fronts(path: str) -> list[str]:
    """Give the path, and those of Azure's that mean it."""
    rest = path.removeprefix("/v1/")
    if rest == path or rest.startswith("messages"):
        return [path]
    both = [path, f"/openai/v1/{rest}"]
    if rest.startswith(("files", "batches", "responses")):
        both.append(f"/openai/{rest}?api-version=2024-10-21")
    return both


def answers(
    world: World, key: Key, method: str, path: str, body: bytes | None, ids: tuple[str, str]
) -> tuple[Any, Any]:
    """Ask for an object and for one that never was; give the answers without their ids."""
    said = []
    for id in ids:
        whole = None if body is None else body.replace(b"ID", id.encode())
        headers = FORM if body is not None and body.startswith(b"--b") else ANTHROPIC
        got = world.server.ask(
            method, path.replace("{id}", id), key=key.secret, body=whole, headers=headers
        )
        text = got.body.decode().replace(id, "ID")
        text = re.sub(r"req_\w+", "REQUEST", text)
        assert SECRET not in text
        said.append((got.status, text, sorted(got.headers.keys() - UNSTEADY)))
    return said[0], said[1]


@pytest.mark.parametrize("role", STRANGERS)
@pytest.mark.parametrize("route", TARGETS, ids=lambda route: f"{route.method} {route.path}")
def test_an_object_of_another_project_is_none(world: World, route: Route, role: str) -> None:
    """The status, the body and the headers are those of an id that never was."""
    kind = route.path.removeprefix("/anthropic").removeprefix("/v1/").partition("/{id}")[0]
    body = _BODIES.get(route.action, b"{}") if route.method == "POST" else None
    queries = ["", "?stream=true"] if route.action == "get_response" else [""]
    for one in world.owned[kind]:
        never = never_was(one.id)
        for path in fronts(route.path.replace("{item}", one.item)):
            for query in queries:
                asked = path + (query if "?" not in path else query.replace("?", "&"))
                theirs, nobodys = answers(
                    world, world.strangers[role], route.method, asked, body, (one.id, never)
                )
                assert theirs == nobodys
                assert theirs[0] == 404


@pytest.mark.parametrize("role", STRANGERS)
@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: reference[0])
def test_a_body_cannot_name_it(world: World, reference: tuple[str, str, Any], role: str) -> None:
    """What builds on an object of another project is refused as if there were none."""
    kind, path, asked = reference
    if kind == "items":
        (found,) = json.loads(world.get(world.owned["responses"][0].path))["output"]
        id = found["id"]
    else:
        id = world.owned[kind][0].id
    key = world.strangers[role]
    body = json.dumps(asked).encode()
    theirs, nobodys = answers(world, key, "POST", path, body, (id, never_was(id)))
    assert theirs == nobodys
    assert theirs[0] in (400, 404)
    assert world.server.settlements(key) == []


@pytest.mark.parametrize("role", STRANGERS)
@pytest.mark.parametrize("kind", LISTS)
def test_lists_do_not_show_it(world: World, kind: str, role: str) -> None:
    """Not by itself, and not as the place where a page begins."""
    key = world.strangers[role]
    one = world.owned[kind][0]
    for path in fronts(LISTS[kind]):
        with_query = path + ("&" if "?" in path else "?")
        for query in ("limit=100", "after={id}", "before={id}", "after_id={id}", "before_id={id}"):
            theirs, nobodys = answers(
                world, key, "GET", with_query + query, None, (one.id, never_was(one.id))
            )
            assert theirs == nobodys
            if theirs[0] == 200:
                assert json.loads(theirs[1])["data"] == []


def test_every_kind_of_list_is_asked() -> None:
    """A new list of objects has to be added to the lists here."""
    kinds = {route.path.removeprefix("/anthropic") for route in TARGETS}
    owners = {path.partition("/{id}")[0] for path in kinds}
    listed = {r.path for r in ROUTES if r.method == "GET" and r.path in owners}
    assert listed == set(LISTS.values())


NAMING: Final = [
    route
    for route in ROUTES
    if route.method == "POST"
    and "{id}" not in route.path
    and b'"m"' in json.dumps(BODIES.get(route.action, {})).encode()
    and route.action != "create_message_batch"  # each of its requests is refused by itself
] + [route for route in ROUTES if "model" in FORMS.get(route.action, ("", {}))[1]]
"""Routes whose body says which model is asked."""
BUILDS_ON: Final = ("conversation", "previous_response_id")


@pytest.mark.parametrize("route", NAMING, ids=lambda route: f"{route.method} {route.path}")
def test_a_model_that_is_not_the_keys_is_none(world: World, route: Route) -> None:
    """A key with a list of models reaches no other by any route, and learns of none."""
    key = world.server.make_key(models=("other",))
    said = []
    for model in ("m", "none"):
        asked = {k: v for k, v in BODIES.get(route.action, {}).items() if k not in BUILDS_ON}
        body = json.dumps(asked).replace('"m"', f'"{model}"').encode()
        headers = dict(ANTHROPIC)
        if route.action in FORMS:
            file, fields = FORMS[route.action]
            body, headers = form(file, {**fields, "model": model}), FORM
        got = world.server.ask("POST", route.path, key=key.secret, body=body, headers=headers)
        text = re.sub(r"req_\w+", "REQUEST", got.body.decode())
        said.append((got.status, re.sub(rf"\b{model}\b", "MODEL", text)))
    theirs, nobodys = said
    assert theirs == nobodys
    assert theirs[0] in (400, 404)
    assert "MODEL" in theirs[1]
    assert world.server.settlements(key) == []
