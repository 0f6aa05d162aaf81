"""Anthropic's message batches with its official SDK, run by the same executor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from tests.support.batches import CONFIG, write_config
from tests.support.server import ADMIN_KEY, EntenteServer, Key, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def client_of(server: EntenteServer, key: Key, prefix: str = "") -> anthropic.Anthropic:
    """Make a client as users do."""
    return anthropic.Anthropic(
        base_url=server.base_url.removesuffix("/v1") + prefix,
        api_key=key.secret,
        max_retries=0,
        http_client=anthropic.DefaultHttpxClient(trust_env=False),
        _strict_response_validation=True,
    )


def asked(custom_id: str, text: str = "a b", **fields: Any) -> Any:
    """Write one request."""
    said = [{"role": "user", "content": text}]
    return {
        "custom_id": custom_id,
        "params": {"model": "m", "max_tokens": 20, "messages": said, **fields},
    }


def ended(client: anthropic.Anthropic, id: str) -> Any:
    """Wait until a batch has ended."""
    found: list[Any] = []

    def look() -> bool:
        found[:] = [client.messages.batches.retrieve(id)]
        return bool(found[0].processing_status == "ended")

    wait_until(look, "the batch to end")
    return found[0]


@pytest.mark.parametrize("prefix", ["", "/anthropic"])
def test_a_message_batch_from_its_requests_to_its_results(
    batching: EntenteServer, owner: Key, prefix: str
) -> None:
    """Each request succeeds or errs by itself, with the answer that it would have had alone."""
    with client_of(batching, owner, prefix) as client:
        begun = client.messages.batches.create(
            requests=[asked("one"), asked("two", "broken"), asked("three", max_tokens="x")]
        )
        assert begun.processing_status == "in_progress"
        assert begun.request_counts.processing == 3
        assert (begun.expires_at - begun.created_at).total_seconds() == 24 * 3600
        batch = ended(client, begun.id)
        counts = batch.request_counts
        assert (counts.processing, counts.succeeded, counts.errored) == (0, 1, 2)
        assert batch.ended_at is not None
        assert batch.results_url is not None
        results = {one.custom_id: one.result for one in client.messages.batches.results(begun.id)}
        assert list(results) == ["one", "two", "three"]
        one, two, three = results.values()
        assert one.type == "succeeded"
        assert one.message.content[0].type == "text"
        assert one.message.content[0].text == "a b"
        assert two.type == three.type == "errored"
        assert two.error.error.type == "invalid_request_error"
        assert "broken" in two.error.error.message
        assert three.error.error.message.startswith("max_tokens")
        assert client.messages.batches.delete(begun.id).type == "message_batch_deleted"
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve(begun.id)
    assert len(batching.settlements(owner)) == 2
    assert {entry.price_factor for entry in batching.settlements(owner)} == {"1/2"}
    assert not list(batching.data_dir.glob(f"files/{begun.id}*"))


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([], "requests: List should have"),
        ([{"params": {}}], "requests.0.custom_id: Field required"),
        ([{"custom_id": "a b", "params": {}}], "requests.0.custom_id: String should match"),
        ([{"custom_id": "a"}], "requests.0.params: Field required"),
        ([{"custom_id": "a", "params": []}], "requests.0.params: Field required"),
        ([asked("a"), asked("a")], "requests.1.custom_id: custom_id must be unique"),
        ([1], "requests.0: Input should be an object"),
        ("no", "requests: Input should be a valid array"),
        (None, "requests: Field required"),
    ],
)
def test_wrong_requests_are_refused(
    batching: EntenteServer, owner: Key, requests: Any, said: str
) -> None:
    """In Anthropic's words, and there is no batch."""
    body = json.dumps({} if requests is None else {"requests": requests}).encode()
    path = "/v1/messages/batches"
    got = batching.ask("POST", path, key=owner.secret, body=body)
    assert (got.status, got.error["type"]) == (400, "invalid_request_error")
    assert got.error["message"].startswith(said)
    assert batching.get(path, key=owner.secret).json["data"] == []
    assert not list(batching.data_dir.glob("files/*.new"))


def test_lists_and_the_beta_paths(batching: EntenteServer, owner: Key) -> None:
    """Newest first, in pages; the beta client asks the same paths with `?beta=true`."""
    with client_of(batching, owner) as client:
        made = [client.messages.batches.create(requests=[asked("a")]).id for _ in range(3)]
        assert [one.id for one in client.messages.batches.list(limit=2)] == made[::-1]
        page = client.beta.messages.batches.list(before_id=made[0], limit=2)
        assert {one.id for one in page.data} == {made[1], made[2]}
        near = client.messages.batches.list(before_id=made[0], limit=1)
        assert ([one.id for one in near.data], near.has_more) == ([made[1]], True)
        assert [one.id for one in near] == made[1:]
        for id in made:
            ended(client, id)
        (result,) = client.beta.messages.batches.results(made[0])
        assert result.result.type == "succeeded"


def test_a_bound_that_was_lowered_leaves_no_request_out(tmp_path: Path) -> None:
    """What was accepted is asked, whatever the next start's bound on bodies."""
    write_config(tmp_path)
    bound = "body_bytes_max = {}\nshutdown_s = 0.2\ndrain_s = 0.1"
    server = EntenteServer(tmp_path, CONFIG, server=bound.format(10_000_000))
    with server:
        key = server.make_key()
        with client_of(server, key) as client:
            hangs = [asked(f"n{n}", "never ends") for n in range(4)]
            long = asked("long", "a " * 400_000)
            begun = client.messages.batches.create(requests=[*hangs, long, asked("last")])
            wait_until(lambda: len(server.entries()) == 4, "four to run")
        server.kill()
    (tmp_path / "script.toml").write_text("[[replies]]\necho = true\n", encoding="utf-8")
    text = server.config_path.read_text().replace(
        "body_bytes_max = 10000000", "body_bytes_max = 9999"
    )
    server.config_path.write_text(text)
    with server, client_of(server, key) as client:
        assert ended(client, begun.id).request_counts.succeeded == 6
        results = [one.custom_id for one in client.messages.batches.results(begun.id)]
        assert results == ["n0", "n1", "n2", "n3", "long", "last"]


def test_batches_are_deleted_while_they_are_listed(batching: EntenteServer, owner: Key) -> None:
    """A loop that deletes what it lists deletes all, past the end of a page."""
    with client_of(batching, owner) as client:
        for _ in range(3):
            ended(client, client.messages.batches.create(requests=[asked("a")]).id)
        for one in client.messages.batches.list(limit=1):
            client.messages.batches.delete(one.id)
        assert list(client.messages.batches.list()) == []


def test_cancelling(tmp_path: Path) -> None:
    """What was not done is canceled; results and deletion wait for the end."""
    write_config(tmp_path)
    prelude = "import entente.gateway.batches.run as r\nr.CANCEL_S = 0.05\n"
    with EntenteServer(tmp_path, CONFIG, prelude=prelude) as server:
        key = server.make_key()
        with client_of(server, key) as client:
            many = [asked(f"n{n}", "never ends") for n in range(6)]
            begun = client.messages.batches.create(requests=[asked("good"), *many])
            wait_until(lambda: len(server.entries()) == 6, "the first to end and four to run")
            for early in (client.messages.batches.delete, client.messages.batches.results):
                with pytest.raises((anthropic.BadRequestError, anthropic.AnthropicError)):
                    early(begun.id)
            results = server.get(f"/v1/messages/batches/{begun.id}/results", key=key.secret)
            assert results.status == 400
            now = client.messages.batches.cancel(begun.id)
            assert now.processing_status == "canceling"
            assert now.cancel_initiated_at is not None
            batch = ended(client, begun.id)
            assert (batch.request_counts.succeeded, batch.request_counts.canceled) == (1, 6)
            kinds = [one.result.type for one in client.messages.batches.results(begun.id)]
            assert kinds == ["succeeded"] + ["canceled"] * 6
            assert client.messages.batches.cancel(begun.id).processing_status == "ended"
        assert server.stop() == 0  # what was cancelled is settled in its own time
        server.verify_at_rest()


def test_other_projects_see_nothing(batching: EntenteServer, owner: Key) -> None:
    """On every route a batch of another project is one that does not exist."""
    with client_of(batching, owner) as client:
        begun = client.messages.batches.create(requests=[asked("a")])
        ended(client, begun.id)
    stranger = batching.make_key(project="strangers")
    for key in (stranger.secret, ADMIN_KEY):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/results")):
            got, other = (
                batching.ask(method, f"/v1/messages/batches/{id}{path}", key=key)
                for id in (begun.id, "msgbatch_0")
            )
            assert got.status == other.status == 404
            assert got.error["message"].replace(begun.id, "msgbatch_0") == other.error["message"]
        assert batching.get("/v1/messages/batches", key=key).json["data"] == []
    assert batching.get(f"/v1/messages/batches/{begun.id}", key=owner.secret).status == 200
