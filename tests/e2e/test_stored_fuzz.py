"""Ids, queries and bodies that nobody would send to what is stored: nothing breaks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from hypothesis import example, given, settings
from hypothesis import strategies as st

from entente.http.routes import ROUTES
from tests.kit.run import PROPERTY

if TYPE_CHECKING:
    from tests.support.server import EntenteServer, Key

STORED: Final = [
    row
    for row in ROUTES
    if "{id}" in row.path
    and row.path.startswith(("/v1/responses", "/v1/conversations", "/v1/chat/completions"))
]
LISTS: Final = [row.path for row in STORED if row.method == "GET"] + ["/v1/chat/completions"]
IDS: Final = st.text(min_size=1, max_size=300) | st.sampled_from(
    ["resp_x/events", "%2F", "..", "resp_\x00", "input_tokens", "conv_" + "a" * 5000]
)
NAMES: Final = st.sampled_from(
    [
        "after",
        "before",
        "limit",
        "order",
        "model",
        "include",
        "include[]",
        "stream",
        "starting_after",
        "metadata[a]",
        "metadata[",
        "metadata[]",
        "api-version",
    ]
)
VALUES: Final = st.text(max_size=40) | st.sampled_from(
    ["0", "1", "100", "-1", "1e9", "9" * 400, "asc", "desc", "true", "\u0663", "null", "NaN"]
)
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["items", "metadata", "type", "role", "content", "id", "input", "model", "text"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FUZZ: Final = settings(PROPERTY, max_examples=60)


def test_ids_of_any_form(server: EntenteServer, key: Key) -> None:
    """No id reaches anything, or breaks anything."""

    @FUZZ
    @given(st.sampled_from(STORED), IDS)
    def holds(row: Any, id: str) -> None:
        path = row.path.replace("{item}", quote(id, safe="")).replace("{id}", quote(id, safe=""))
        body = b'{"metadata":{},"items":[]}' if row.method == "POST" else None
        got = server.ask(row.method, path, key=key.secret, body=body)
        assert got.status in (400, 404, 405), got.body

    holds()


def test_queries_of_any_form(server: EntenteServer, key: Key) -> None:
    """Of lists and of single objects that are there."""
    headers = key.secret
    asked = json.dumps({"model": "m", "input": "hi"}).encode()
    response = server.ask("POST", "/v1/responses", key=headers, body=asked).json["id"]
    items = b'{"items":[{"role":"user","content":"hi"}]}'
    talk = server.ask("POST", "/v1/conversations", key=headers, body=items).json["id"]
    item = server.get(f"/v1/conversations/{talk}/items", key=headers).json["first_id"]
    completion = server.chat(headers, store=True).json["id"]
    there = {"responses": response, "conversations": talk, "chat": completion}

    @FUZZ
    @given(st.sampled_from(LISTS), st.lists(st.tuples(NAMES, VALUES), max_size=5))
    @example("/v1/responses/{id}", [("stream", "true"), ("starting_after", "9" * 15)])
    def holds(path: str, fields: list[tuple[str, str]]) -> None:
        named = path.replace("{id}", there[path.split("/")[2]]).replace("{item}", item)
        query = urlencode(fields, errors="surrogatepass")
        got = server.get(f"{named}?{query}", key=headers)
        assert got.status in (200, 400), got.body

    holds()


def test_bodies_of_any_form(server: EntenteServer, key: Key) -> None:
    """Of every route that takes one, for objects that are there; they can be read afterwards."""
    talk = server.ask("POST", "/v1/conversations", key=key.secret).json["id"]
    completion = server.chat(key.secret, store=True).json["id"]
    paths = [
        "/v1/conversations",
        f"/v1/conversations/{talk}",
        f"/v1/conversations/{talk}/items",
        f"/v1/chat/completions/{completion}",
        "/v1/responses/input_tokens",
        "/v1/responses/compact",
    ]

    @FUZZ
    @given(st.sampled_from(paths), JSON)
    @example(paths[2], {"items": [{"type": "message", "role": "user", "content": [{"a": 1}]}]})
    @example(paths[2], {"items": [{"type": "reasoning", "content": {"a": [1]}}]})
    @example(paths[4], {"model": "m", "input": [{"type": "message", "role": "user"}]})
    def holds(path: str, body: Any) -> None:
        got = server.ask("POST", path, key=key.secret, body=json.dumps(body).encode())
        assert got.status in (200, 400, 404), got.body
        for each in (paths[2], paths[3], f"{paths[3]}/messages"):
            assert server.get(each, key=key.secret).status == 200

    holds()
    deep = b'{"items":[{"role":"user","content":%b}]}' % (b"[" * 3000 + b"]" * 3000)
    assert server.ask("POST", paths[2], key=key.secret, body=deep).status == 400
    kept = b'{"model":"m","input":[{"role":"user","content":"hi","x":%b}]}' % (
        b"[" * 3000 + b"]" * 3000
    )
    assert server.ask("POST", "/v1/responses", key=key.secret, body=kept).status == 400
    kept = kept.replace(b"[" * 3000 + b"]" * 3000, b"[" * 100 + b"]" * 100)
    made = server.ask("POST", "/v1/responses", key=key.secret, body=kept)
    assert made.status == 200
    path = f"/v1/responses/{made.json['id']}/input_items"
    assert server.get(path, key=key.secret).status == 200
