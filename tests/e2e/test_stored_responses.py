"""Stored responses: kept, fetched, gone on from, listed and deleted, whoever made them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.support.matrix.bench import Bench
from tests.support.server import ADMIN_KEY, EntenteServer, Got, Key
from tests.wire.responses_schema import response_defects, stream_defects
from tests.wire.stored_schema import assert_is

if TYPE_CHECKING:
    from pathlib import Path

RESPONSES = "/v1/responses"


def sdk(server: EntenteServer, key: Key, **more: Any) -> openai.OpenAI:
    """Make a client as users do, without retries."""
    return openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
        **more,
    )


def ask(server: EntenteServer, key: Key, **fields: Any) -> Got:
    """Ask for a response."""
    body = json.dumps({"model": "m", "input": "hello", **fields}).encode()
    return server.ask("POST", RESPONSES, key=key.secret, body=body)


def told(client: openai.OpenAI, id: str) -> list[tuple[str, str]]:
    """Give what the model was told, by role."""
    listed: Any = client.responses.input_items.list(id, order="asc", limit=2)
    return [(item.role, item.content[0].text) for item in listed]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_is_kept_by_itself(server: EntenteServer, key: Key, streamed: bool) -> None:
    """Unless told otherwise; what is fetched is what was answered, byte for byte."""
    got = ask(server, key, stream=streamed, metadata={"a": "b"}, instructions="Be brief.")
    assert got.status == 200
    if streamed:
        assert stream_defects(got.body) == []
        answered = json.loads(got.body.rpartition(b"data: ")[2])["response"]
    else:
        assert response_defects(got.body) == []
        answered = got.json
    assert (answered["store"], answered["metadata"]) == (True, {"a": "b"})
    fetched = server.get(f"{RESPONSES}/{answered['id']}", key=key.secret)
    assert fetched.json == answered
    if not streamed:
        assert fetched.body == got.body
    assert_is("Response", fetched.json)


def test_a_response_that_is_not_to_be_kept_is_not(server: EntenteServer, key: Key) -> None:
    """`store: false` leaves nothing, and the answer says so."""
    got = ask(server, key, store=False)
    assert got.json["store"] is False
    missing = server.get(f"{RESPONSES}/{got.json['id']}", key=key.secret)
    assert (missing.status, missing.error) == (
        404,
        {
            "message": f"Response with id '{got.json['id']}' not found.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
    )


def test_a_response_goes_on_from_another(server: EntenteServer, key: Key) -> None:
    """The model is told all that came before, on both sides, and what it was told is listed."""
    with sdk(server, key) as client:
        one = client.responses.create(model="m", input="I am Anna")
        two = client.responses.create(model="m", input="and you?", previous_response_id=one.id)
        three = client.responses.create(
            model="m",
            input=[{"role": "user", "content": [{"type": "input_text", "text": "bye"}]}],
            previous_response_id=two.id,
            instructions="Only now.",
        )
        assert (two.previous_response_id, three.previous_response_id) == (one.id, two.id)
        assert told(client, three.id) == [
            ("user", "I am Anna"),
            ("assistant", "I am Anna"),
            ("user", "and you?"),
            ("assistant", "and you?"),
            ("user", "bye"),
        ]
        used = [entry.usage.input_total for entry in server.settlements(key)]
        assert used == [3, 8, 13]  # words, with the new instructions
        branch = client.responses.create(model="m", input="hm", previous_response_id=one.id)
        assert len(told(client, branch.id)) == 3


def test_pages_of_input_items(server: EntenteServer, key: Key) -> None:
    """Newest first unless asked; from one to the next in either order."""
    items = [{"role": "user", "content": str(number)} for number in range(5)]
    id = ask(server, key, input=items).json["id"]
    path = f"{RESPONSES}/{id}/input_items"
    page = server.get(f"{path}?limit=2", key=key.secret).json
    assert_is("ResponseItemList", page)
    assert [item["content"][0]["text"] for item in page["data"]] == ["4", "3"]
    assert (page["has_more"], page["last_id"]) == (True, page["data"][1]["id"])
    rest = server.get(f"{path}?limit=9&after={page['last_id']}", key=key.secret).json
    assert [item["content"][0]["text"] for item in rest["data"]] == ["2", "1", "0"]
    assert not rest["has_more"]
    back = server.get(f"{path}?limit=2&before={rest['last_id']}", key=key.secret).json
    assert [item["content"][0]["text"] for item in back["data"]] == ["2", "1"]
    assert back["has_more"]
    for query in ("limit=101", "limit=0", "order=x", "include=nothing", "after=x"):
        status = server.get(f"{path}?{query}", key=key.secret).status
        assert status == (200 if query.startswith("after") else 400)
    included = "include[]=reasoning.encrypted_content&include[]=message.output_text.logprobs"
    assert server.get(f"{path}?{included}", key=key.secret).status == 200


def test_tools_are_called_across_responses(server: EntenteServer, key: Key) -> None:
    """A result alone is enough: the call is in the response before."""
    tool: Any = {"type": "function", "name": "get_weather", "parameters": {}, "strict": False}
    with sdk(server, key) as client:
        asked = client.responses.create(model="m", input="weather?", tools=[tool])
        calls: Any = [item for item in asked.output if item.type == "function_call"]
        assert [call.name for call in calls] == ["get_weather", "get_weather"]
        answered = client.responses.create(
            model="m",
            previous_response_id=asked.id,
            tools=[tool],
            input=[
                {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
                for call in calls
            ],
        )
        assert answered.output_text == "It is sunny in Paris."
        listed = server.get(f"{RESPONSES}/{answered.id}/input_items", key=key.secret).json
        assert_is("ResponseItemList", listed)
        assert [item["type"] for item in listed["data"]] == [
            "function_call_output", "function_call_output", "function_call", "function_call",
            "message",
        ]  # fmt: skip


def test_items_can_be_named_by_their_ids(server: EntenteServer, key: Key) -> None:
    """As clients do that keep the ids of the output and send no text again."""
    with sdk(server, key) as client:
        one: Any = client.responses.create(model="m", input="first words")
        two = client.responses.create(
            model="m",
            input=[
                {"role": "user", "content": "first words"},
                {"type": "item_reference", "id": one.output[0].id},
                {"role": "user", "content": "more"},
            ],
        )
        assert two.output_text == "more"
        assert server.settlements(key)[-1].usage.input_total == 5
        names: list[Any] = [{"type": "item_reference", "id": "msg_none"}, {"id": "msg_none"}]
        for name in names:
            with pytest.raises(openai.NotFoundError, match="Item with id 'msg_none' not found"):
                client.responses.create(model="m", input=[name])
    hidden = b'{"model":"m","input":[{"type":"item\\u005freference","id":"msg_none"}]}'
    assert server.ask("POST", RESPONSES, key=key.secret, body=hidden).status == 404


def test_deleting(server: EntenteServer, key: Key) -> None:
    """Deleted is gone, and what went on from it cannot be gone on from any more."""
    one = ask(server, key).json["id"]
    two = ask(server, key, previous_response_id=one).json["id"]
    gone = server.ask("DELETE", f"{RESPONSES}/{one}", key=key.secret)
    assert gone.json == {"id": one, "object": "response", "deleted": True}
    assert server.ask("DELETE", f"{RESPONSES}/{one}", key=key.secret).status == 404
    assert server.get(f"{RESPONSES}/{two}", key=key.secret).status == 200
    for previous in (one, two):
        refused = ask(server, key, previous_response_id=previous)
        assert (refused.status, refused.error) == (
            400,
            {
                "message": f"Previous response with id '{one}' not found.",
                "type": "invalid_request_error",
                "param": "previous_response_id",
                "code": "previous_response_not_found",
            },
        )
    listed = server.get(f"{RESPONSES}/{two}/input_items", key=key.secret).json
    assert len(listed["data"]) == 1


def test_other_projects_see_nothing(server: EntenteServer, key: Key) -> None:
    """On every route, with any role, as if there were no such response."""
    made = ask(server, key).json
    id, item = made["id"], made["output"][0]["id"]
    other = server.make_key(project="not-theirs")
    for method, path in (
        ("GET", "{id}"),
        ("GET", "{id}?stream=true"),
        ("DELETE", "{id}"),
        ("POST", "{id}/cancel"),
        ("GET", "{id}/input_items"),
    ):
        theirs = server.ask(method, f"{RESPONSES}/{path.format(id=id)}", key=other.secret)
        nobodys = server.ask(method, f"{RESPONSES}/{path.format(id='resp_x')}", key=key.secret)
        assert (theirs.status, nobodys.status) == (404, 404)
        assert theirs.body == nobodys.body.replace(b"resp_x", id.encode())
    refused = ask(server, other, previous_response_id=id)
    assert refused.error["code"] == "previous_response_not_found"
    named = ask(server, other, input=[{"type": "item_reference", "id": item}])
    assert (named.status, named.error["message"]) == (404, f"Item with id '{item}' not found.")
    admin = server.get(f"{RESPONSES}/{id}", key=ADMIN_KEY)
    assert admin.status == 200  # of the same project


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"previous_response_id": "resp_x", "conversation": "conv_x"}, None,
         "mutually_exclusive_parameters"),
        ({"background": True, "store": False}, "background", None),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", "string_above_max_length"),
        ({"input": []}, None, "missing_required_parameter"),
        ({"prompt": {"id": "pmpt_x"}}, None, None),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    server: EntenteServer, key: Key, fields: dict[str, Any], param: str | None, code: str | None
) -> None:
    """Before anything is held or kept."""
    got = ask(server, key, **fields)
    assert (got.status, got.error["param"], got.error["code"]) == (400, param, code)
    assert server.settlements(key) == []


def test_a_refused_or_broken_answer_is_not_kept(server: EntenteServer, key: Key) -> None:
    """An error is no response; one that failed is, and says so."""
    assert ask(server, key, input="never retry").status == 500
    broken = ask(server, key, input="break with eof", stream=True).body
    id = json.loads(broken.partition(b"data: ")[2].partition(b"\n")[0])["response"]["id"]
    assert server.get(f"{RESPONSES}/{id}", key=key.secret).status == 404


def test_only_responses_in_the_background_can_be_cancelled(server: EntenteServer, key: Key) -> None:
    """As OpenAI says it; the same goes for following."""
    id = ask(server, key).json["id"]
    got = server.ask("POST", f"{RESPONSES}/{id}/cancel", key=key.secret)
    assert (got.status, got.error["message"]) == (400, "Cannot cancel a synchronous response.")
    got = server.get(f"{RESPONSES}/{id}?stream=true", key=key.secret)
    assert (got.status, got.error["param"]) == (400, "stream")


@pytest.mark.parametrize(
    ("base", "query"), [("/openai/v1", ""), ("/openai", "?api-version=2025-04-01-preview")]
)
def test_azures_paths_are_the_same_objects(
    server: EntenteServer, key: Key, base: str, query: str
) -> None:
    """Made on one, found on the other; with Azure's headers."""
    body = json.dumps({"model": "m", "input": "hi"}).encode()
    made = server.ask("POST", f"{base}/responses{query}", key=key.secret, body=body)
    assert made.status == 200, made.body
    path = f"responses/{made.json['id']}"
    got = server.get(f"{base}/{path}{query}", key=key.secret)
    assert got.json == made.json
    assert "apim-request-id" in got.headers
    assert server.get(f"/v1/{path}", key=key.secret).json == made.json
    items = server.get(f"{base}/{path}/input_items{query}", key=key.secret)
    assert items.json["data"][0]["content"][0]["text"] == "hi"
    assert server.ask("DELETE", f"{base}/{path}{query}", key=key.secret).json["deleted"]
    missing = server.get(f"{base}/{path}{query}", key=key.secret)
    assert (missing.status, missing.error["type"]) == (404, "invalid_request_error")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("provider", ["openai", "azure", "anthropic", "gemini", "bedrock"])
def test_every_provider_goes_on_from_what_is_kept(
    bench: Bench, provider: str, streamed: bool
) -> None:
    """Where bytes pass and where they cross; the answer has our id and says it is kept."""
    key = bench.key()
    id: str | None = None
    for turn in range(2):
        more = {"previous_response_id": id} if id else {}
        got = ask(bench.server, key, model=provider, input=f"text {turn}", stream=streamed, **more)
        assert got.status == 200, got.body
        body = got.body.rpartition(b"data: ")[2] if streamed else got.body
        answered = json.loads(body)["response"] if streamed else got.json
        assert answered["previous_response_id"] == id
        assert (answered["store"], answered["status"]) == (True, "completed")
        id = answered["id"]
        assert bench.server.get(f"{RESPONSES}/{id}", key=key.secret).json == answered
    listed = bench.server.get(f"{RESPONSES}/{id}/input_items", key=key.secret).json["data"]
    assert [item["type"] for item in listed if item["type"] != "reasoning"] == ["message"] * 3


def test_without_a_store_nothing_builds_on_it(tmp_path: Path) -> None:
    """With `answers_days = 0` responses are stateless, and say so."""
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
        got = ask(server, key)
        assert (got.status, got.json["store"]) == (200, False)
        assert server.get(f"{RESPONSES}/{got.json['id']}", key=key.secret).status == 404
        for more in ({"previous_response_id": got.json["id"]}, {"background": True}):
            assert ask(server, key, **more).status == 400
