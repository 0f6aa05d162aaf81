"""Stored chat completions: the official SDKs store, list, read, change and delete them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.support.matrix.bench import Bench
from tests.support.server import EntenteServer, Key
from tests.wire.stored_schema import assert_is

if TYPE_CHECKING:
    from pathlib import Path

STORED = "/v1/chat/completions"


def said(text: str) -> Any:
    """Write a conversation of one user message."""
    return [{"role": "user", "content": text}]


def sdk(server: EntenteServer, key: Key) -> openai.OpenAI:
    """Make a client as users do, without retries."""
    return openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )


@pytest.fixture
def own(server: EntenteServer) -> Key:
    """Give a key of a project of the test's own."""
    return server.make_key(project=f"p{next(_numbers)}")


def _count() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


_numbers = _count()


def test_a_completion_is_kept_and_found(server: EntenteServer, own: Key) -> None:
    """What the client got is what it fetches, with its messages, metadata and how it was asked."""
    with sdk(server, own) as client:
        made = client.chat.completions.create(
            model="m",
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "keep me"}]},
            ],
            store=True,
            metadata={"who": "anna"},
            temperature=0.5,
        )
        found = client.chat.completions.retrieve(made.id)
        assert found.choices == made.choices
        assert found.usage == made.usage
        assert (found.to_dict()["metadata"], found.to_dict()["temperature"]) == (
            {"who": "anna"}, 0.5,
        )  # fmt: skip
        listed = [m.to_dict() for m in client.chat.completions.messages.list(made.id)]
        assert [(m["id"], m["role"], m["content"]) for m in listed] == [
            (f"{made.id}-0", "system", "Be brief."),
            (f"{made.id}-1", "user", None),
        ]
        assert listed[1]["content_parts"] == [{"type": "text", "text": "keep me"}]
        first = client.chat.completions.messages.list(made.id, limit=1)
        assert first.has_more
        assert [m.id for m in first] == [m["id"] for m in listed]
        changed = client.chat.completions.update(made.id, metadata={"who": "bert"})
        assert changed.to_dict()["metadata"] == {"who": "bert"}
        assert client.chat.completions.delete(made.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.retrieve(made.id)


def test_bodies_are_as_the_specification_says(server: EntenteServer, own: Key) -> None:
    """Each of the five routes."""
    made = server.chat(own.secret, store=True, text="hi").json
    path = f"{STORED}/{made['id']}"
    metadata = b'{"metadata":{"a":"b"}}'
    assert_is("CreateChatCompletionResponse", server.get(path, key=own.secret).json)
    updated = server.ask("POST", path, key=own.secret, body=metadata).json
    assert_is("CreateChatCompletionResponse", updated)
    assert_is("ChatCompletionList", server.get(STORED, key=own.secret).json)
    listed = server.get(f"{path}/messages", key=own.secret).json
    assert listed["data"][0]["role"] == "user"
    for message in listed["data"]:  # the specification's own example has other roles, too
        message["role"] = "assistant"
    assert_is("ChatCompletionMessageList", listed)
    assert_is("ChatCompletionDeleted", server.ask("DELETE", path, key=own.secret).json)


@pytest.mark.parametrize("text", ["stream me", "weather"])
def test_a_streamed_completion_is_kept_whole(server: EntenteServer, own: Key, text: str) -> None:
    """Put together from its chunks it is what the SDK makes of them."""
    tool: Any = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
    with sdk(server, own) as client:
        with client.chat.completions.stream(
            model="m",
            messages=said(text),
            tools=[tool],
            extra_body={"store": True},
            stream_options={"include_usage": True},
        ) as stream:
            whole = stream.get_final_completion()
        found = client.chat.completions.retrieve(whole.id)
        ours, theirs = found.choices[0].message, whole.choices[0].message
        assert (ours.content, found.usage) == (theirs.content or None, whole.usage)
        assert [c.to_dict() for c in ours.tool_calls or ()] == [
            {"id": c.id, "type": "function", "function": {
                "name": c.function.name, "arguments": c.function.arguments}}
            for c in theirs.tool_calls or ()
        ]  # fmt: skip
        assert_is("CreateChatCompletionResponse", found.to_dict())


def test_what_breaks_off_is_not_kept(server: EntenteServer, own: Key) -> None:
    """An answer without an end, or an error, is no completion."""
    for text in ("break with eof", "break with error_event", "never retry"):
        server.chat(own.secret, store=True, stream=True, text=text)
    assert server.chat(own.secret, store=True, text="never retry").status == 500
    assert server.chat(own.secret, text="not stored").status == 200
    assert server.get(STORED, key=own.secret).json["data"] == []


def test_lists_have_pages_and_can_be_searched(server: EntenteServer, own: Key) -> None:
    """By model and metadata, in both orders, from one page to the next."""
    with sdk(server, own) as client:
        ids = [
            client.chat.completions.create(
                model="m" if n % 2 else "other/model",
                messages=said(str(n)),
                store=True,
                metadata={"n": str(n), "all": "yes"},
            ).id
            for n in range(5)
        ]
        listed = client.chat.completions.list
        assert [c.id for c in listed(limit=2)] == ids
        assert [c.id for c in listed(limit=2, order="desc")] == ids[::-1]
        assert [c.id for c in listed(model="m")] == ids[1::2]
        assert [c.id for c in listed(metadata={"n": "3", "all": "yes"})] == [ids[3]]
        assert [c.id for c in listed(metadata={"n": "3", "all": "no"})] == []
        assert [c.id for c in listed(after=ids[3])] == [ids[4]]


def test_other_projects_see_nothing(server: EntenteServer, own: Key) -> None:
    """On every route, with any role, as if there were no such completion."""
    made = server.chat(own.secret, store=True).json
    path = f"{STORED}/{made['id']}"
    metadata = b'{"metadata":{"a":"b"}}'
    other = server.make_key(project="elsewhere")
    for method, where, body in (
        ("GET", path, None),
        ("POST", path, metadata),
        ("DELETE", path, None),
        ("GET", f"{path}/messages", None),
    ):
        theirs = server.ask(method, where, key=other.secret, body=body)
        nobodys = server.ask(method, where.replace(made["id"], "nope"), key=own.secret, body=body)
        assert (theirs.status, nobodys.status) == (404, 404)
        assert theirs.error["message"] == nobodys.error["message"].replace("nope", made["id"])
    assert server.get(STORED, key=other.secret).json["data"] == []
    same = server.make_key(project=_project(server, own))
    assert server.get(path, key=same.secret).json["id"] == made["id"]


def _project(server: EntenteServer, key: Key) -> str:
    listed = json.loads(server.cli("keys", "list", "--json").stdout)
    keys = listed["keys"] if isinstance(listed, dict) else listed
    return str(next(each["project"] for each in keys if each["id"] == key.id))


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata", "object_above_max_properties"),
        ({"metadata": {"k" * 65: ""}}, "metadata", "property_name_above_max_length"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", "string_above_max_length"),
        ({"metadata": {"k": 1}}, "metadata", "invalid_type"),
        ({}, "metadata", "missing_required_parameter"),
    ],
)
def test_metadata_has_its_bounds(
    server: EntenteServer, own: Key, body: dict[str, Any], param: str, code: str
) -> None:
    """When it is stored, and when it is changed, in OpenAI's words."""
    id = server.chat(own.secret, store=True).json["id"]
    got = server.ask("POST", f"{STORED}/{id}", key=own.secret, body=json.dumps(body).encode())
    assert (got.status, got.error["code"]) == (400, code)
    assert got.error["param"].startswith(param)
    if body:
        assert server.chat(own.secret, store=True, **body).error["code"] == code


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "limit=1.5", "order=up", "a=" + "x" * 600,
     "&".join(f"f{n}=1" for n in range(70)),
     "&".join(f"metadata[{n}]=1" for n in range(17))],
)  # fmt: skip
def test_queries_have_their_bounds(server: EntenteServer, own: Key, query: str) -> None:
    """What is out of bounds is refused with its name."""
    assert server.get(f"{STORED}?{query}", key=own.secret).status == 400


def test_ids_that_come_again_are_ours(tmp_path: Path) -> None:
    """A server that counts its answers anew after a restart does not hide or lose any."""
    (tmp_path / "script.toml").write_text("[[replies]]\necho = true\n", encoding="utf-8")
    config = """
[providers.fake]
kind = "scripted"
script = "script.toml"
[models."m"]
targets = [{ provider = "fake", model = "m" }]
"""
    ids = []
    server = EntenteServer(tmp_path, config)
    for turn in range(2):
        with server:
            key = server.make_key(project=f"p{turn}")
            got = server.chat(key.secret, store=True, text="one")
            ids.append(got.json["id"])
            streamed = server.chat(key.secret, store=True, stream=True, text="two").body
            chunks = [json.loads(line[6:]) for line in streamed.splitlines() if b"{" in line]
            (streamed_id,) = {chunk["id"] for chunk in chunks}
            ids.append(streamed_id)
            listed = server.get(STORED, key=key.secret).json["data"]
            assert [each["id"] for each in listed] == ids[-2:]
            assert [each["choices"][0]["message"]["content"] for each in listed] == ["one", "two"]
            assert server.stop() == 0
    assert len(set(ids)) == 4
    assert all(id.startswith("chatcmpl-") for id in ids)


def test_nothing_is_kept_where_nothing_may_be(tmp_path: Path) -> None:
    """With `answers_days = 0` the answer is the same, and `store` counts as false."""
    config = """
[storage]
answers_days = 0
[providers.fake]
kind = "scripted"
[models."m"]
targets = [{ provider = "fake", model = "m" }]
"""
    with EntenteServer(tmp_path, config) as server:
        key = server.make_key()
        got = server.chat(key.secret, store=True)
        assert got.status == 200
        assert server.get(f"{STORED}/{got.json['id']}", key=key.secret).status == 404


def test_completions_are_deleted_while_they_are_listed(server: EntenteServer, own: Key) -> None:
    """A loop that deletes what it lists deletes all, past the end of a page."""
    for n in range(5):
        assert server.chat(own.secret, store=True, text=f"n {n}").status == 200
    with sdk(server, own) as client:
        for one in client.chat.completions.list(limit=2):
            client.chat.completions.delete(one.id)
        assert list(client.chat.completions.list()) == []


@pytest.mark.parametrize("provider", ["openai", "azure", "anthropic", "gemini", "bedrock"])
def test_every_providers_answers_can_be_stored(bench: Bench, provider: str) -> None:
    """The provider hears nothing of it: the stand-ins refuse what they do not know."""
    key = bench.key()
    for streamed in (False, True):
        got = bench.server.chat(
            key.secret,
            model=provider,
            store=True,
            metadata={"a": "b"},
            stream=streamed,
            text="text",
            max_completion_tokens=50,
        )
        assert got.status == 200, got.body
    listed = bench.server.get(f"{STORED}?limit=2&order=desc&model={provider}", key=key.secret)
    whole = [each["choices"][0]["message"]["content"] for each in listed.json["data"]]
    assert len(whole) == 2
    assert whole[0] == whole[1] != ""
