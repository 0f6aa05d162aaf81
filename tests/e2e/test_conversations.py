"""Conversations: kept apart from responses, added to by them, and each project's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.support.server import EntenteServer, Got, Key, wait_until
from tests.wire.stored_schema import assert_is

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.matrix.bench import Bench

CONVERSATIONS = "/v1/conversations"


@pytest.fixture
def client(server: EntenteServer, key: Key) -> Iterator[openai.OpenAI]:
    """Give a client as users make it, without retries."""
    with openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as made:
        yield made


def post(server: EntenteServer, key: Key, path: str, body: Any) -> Got:
    """POST JSON."""
    return server.ask("POST", path, key=key.secret, body=json.dumps(body).encode())


def texts(client: openai.OpenAI, id: str) -> list[tuple[str, str]]:
    """Give what was said in a conversation."""
    items: Any = client.conversations.items.list(id, order="asc", limit=2)
    return [(item.role, item.content[0].text) for item in items]


def user(text: str) -> Any:
    """Write a message."""
    return {"type": "message", "role": "user", "content": text}


def test_a_conversation_is_made_changed_and_deleted(client: openai.OpenAI) -> None:
    """With its metadata and first items."""
    made = client.conversations.create(metadata={"a": "b"}, items=[user("one"), user("two")])
    assert made.id.startswith("conv_")
    assert client.conversations.retrieve(made.id) == made
    assert client.conversations.update(made.id, metadata={"c": "d"}).metadata == {"c": "d"}
    assert texts(client, made.id) == [("user", "one"), ("user", "two")]
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError, match=f"Conversation with id '{made.id}' not found"):
        client.conversations.retrieve(made.id)
    assert client.conversations.create().metadata == {}


def test_items_are_added_found_and_deleted(client: openai.OpenAI) -> None:
    """One by one, in pages, and of other kinds than messages."""
    id = client.conversations.create().id
    call: Any = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    result: Any = {"type": "function_call_output", "call_id": "c", "output": "42"}
    added = client.conversations.items.create(id, items=[user("hi"), call, result])
    assert [item.type for item in added.data] == [
        "message", "function_call", "function_call_output",
    ]  # fmt: skip
    ids: list[Any] = [item.id for item in added.data]
    assert [item.id for item in client.conversations.items.list(id, limit=1)] == ids[::-1]
    assert client.conversations.items.retrieve(ids[1], conversation_id=id) == added.data[1]
    assert client.conversations.items.delete(ids[1], conversation_id=id).id == id
    with pytest.raises(openai.NotFoundError, match="Item with id"):
        client.conversations.items.retrieve(ids[1], conversation_id=id)
    assert [item.id for item in client.conversations.items.list(id)] == [ids[2], ids[0]]


def test_responses_add_to_a_conversation(
    client: openai.OpenAI, server: EntenteServer, key: Key
) -> None:
    """Each is told all that was said, and adds what it was told and what it said."""
    id = client.conversations.create(items=[user("I am Anna")]).id
    made = client.responses.create(model="m", input="hello", conversation=id)
    assert made.conversation is not None
    assert made.conversation.id == id
    with client.responses.stream(
        model="m", input="again", conversation={"id": id}, store=False
    ) as stream:
        assert stream.get_final_response().output_text == "again"
    assert texts(client, id) == [
        ("user", "I am Anna"),
        ("user", "hello"),
        ("assistant", "hello"),
        ("user", "again"),
        ("assistant", "again"),
    ]
    assert [entry.usage.input_total for entry in server.settlements(key)] == [4, 6]
    with pytest.raises(openai.NotFoundError, match="Conversation with id 'conv_x' not found"):
        client.responses.create(model="m", input="hello", conversation="conv_x")


def test_a_response_in_the_background_adds_to_a_conversation(client: openai.OpenAI) -> None:
    """When it is complete; a failed one adds nothing."""
    id = client.conversations.create().id
    client.responses.create(model="m", input="never retry", conversation=id, background=True)
    client.responses.create(model="m", input="later", conversation=id, background=True)
    wait_until(lambda: len(texts(client, id)) > 0, "the response to be made")
    assert texts(client, id) == [("user", "later"), ("assistant", "later")]


def test_a_refused_response_adds_nothing(client: openai.OpenAI) -> None:
    """Nor does one that broke off."""
    id = client.conversations.create().id
    with pytest.raises(openai.InternalServerError):
        client.responses.create(model="m", input="never retry", conversation=id)
    with client.responses.create(
        model="m", input="break with eof", conversation=id, stream=True
    ) as stream:
        assert [event.type for event in stream][-1] == "error"
    assert texts(client, id) == []


def test_bodies_are_as_the_specification_says(server: EntenteServer, key: Key) -> None:
    """Of every route."""
    made = post(server, key, CONVERSATIONS, {"items": [user("hi")]}).json
    assert_is("ConversationResource", made)
    path = f"{CONVERSATIONS}/{made['id']}"
    assert_is("ConversationResource", server.get(path, key=key.secret).json)
    assert_is("ConversationResource", post(server, key, path, {"metadata": {"a": "b"}}).json)
    items: list[Any] = [
        user("hi"),
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": [
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "image_url": "https://example.com/a.png"},
        ]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
    ]  # fmt: skip
    added = post(server, key, f"{path}/items", {"items": items})
    assert_is("ConversationItemList", added.json)
    for item in added.json["data"]:
        assert_is("ConversationItem", server.get(f"{path}/items/{item['id']}", key=key.secret).json)
    assert_is("ConversationItemList", server.get(f"{path}/items", key=key.secret).json)
    one = f"{path}/items/{added.json['data'][0]['id']}"
    assert_is("ConversationResource", server.ask("DELETE", one, key=key.secret).json)
    deleted = server.ask("DELETE", path, key=key.secret).json
    assert_is("DeletedConversationResource", deleted)


def test_other_projects_see_nothing(server: EntenteServer, key: Key) -> None:
    """On every route, as if there were no such conversation."""
    made = post(server, key, CONVERSATIONS, {"items": [user("hi")]}).json
    items = server.get(f"{CONVERSATIONS}/{made['id']}/items", key=key.secret).json["data"]
    other = server.make_key(project="strangers")
    rows: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("POST", "", {"metadata": {"a": "b"}}),
        ("DELETE", "", None),
        ("GET", "/items", None),
        ("POST", "/items", {"items": [user("mine")]}),
        ("GET", f"/items/{items[0]['id']}", None),
        ("DELETE", f"/items/{items[0]['id']}", None),
    ]
    for method, rest, fields in rows:
        body = json.dumps(fields).encode() if fields else None
        path = f"{CONVERSATIONS}/{{}}{rest}"
        theirs = server.ask(method, path.format(made["id"]), key=other.secret, body=body)
        nobodys = server.ask(method, path.format("conv_x"), key=key.secret, body=body)
        assert (theirs.status, nobodys.status) == (404, 404)
        assert theirs.body == nobodys.body.replace(b"conv_x", made["id"].encode())
    asked = {"model": "m", "input": "hi", "conversation": made["id"]}
    assert post(server, other, "/v1/responses", asked).status == 404
    assert len(server.get(f"{CONVERSATIONS}/{made['id']}/items", key=key.secret).json["data"]) == 1


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "items", "missing_required_parameter"),
        ({"items": "x"}, "items", "invalid_type"),
        ({"items": [1]}, "items[0]", "invalid_type"),
        ({"items": [user("x")] * 21}, "items", "array_above_max_length"),
        ({"items": [{"type": "message", "role": "user"}]}, "items[0].content",
         "missing_required_parameter"),
        ({"items": [{"role": "nobody", "content": "x"}]}, "items[0].role", "invalid_value"),
        ({"items": [{"role": "user", "content": {"a": 1}}]}, "items[0].content", "invalid_type"),
        ({"items": [{"type": "item_reference", "id": "x"}]}, "items[0].type", "invalid_value"),
        ({"items": [{"type": 1}]}, "items[0]", "invalid_type"),
    ],
)  # fmt: skip
def test_items_that_are_none_are_refused(
    server: EntenteServer, key: Key, body: Any, param: str, code: str
) -> None:
    """With the place and the vendor's word for the defect."""
    id = post(server, key, CONVERSATIONS, {}).json["id"]
    got = post(server, key, f"{CONVERSATIONS}/{id}/items", body)
    assert (got.status, got.error["param"], got.error["code"]) == (400, param, code)


def test_a_conversation_is_continued_with_another_vendors_model(bench: Bench) -> None:
    """What one said the next is told."""
    key = bench.key()
    id = post(bench.server, key, CONVERSATIONS, {}).json["id"]
    providers = ["openai", "anthropic", "gemini", "bedrock", "azure"]
    for provider in providers:
        asked = {"model": provider, "input": "scene:text", "conversation": id}
        got = post(bench.server, key, "/v1/responses", asked)
        assert (got.status, got.json["conversation"]) == (200, {"id": id}), got.body
    path = f"{CONVERSATIONS}/{id}/items?limit=100"
    items = bench.server.get(path, key=key.secret).json["data"]
    roles = [item["role"] for item in items if item["type"] == "message"]
    assert roles == ["assistant", "user"] * len(providers)
