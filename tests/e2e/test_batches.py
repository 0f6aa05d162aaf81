"""Batches with the official SDK, end to end: every line has one outcome, and costs what it says."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, cast

import httpx2
import openai
import pytest

from tests.support.batches import CHAT, CONFIG, SCRIPT, jsonl, line, write_config
from tests.support.server import ADMIN_KEY, EntenteServer, Key, wait_until
from tests.wire.responses_schema import response_defects, vendor_defects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from openai.types import Batch

ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})


def client_of(server: EntenteServer, key: Key) -> openai.OpenAI:
    """Make a client as users do."""
    return openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
        _strict_response_validation=True,
    )


@pytest.fixture
def client(batching: EntenteServer, owner: Key) -> Iterator[openai.OpenAI]:
    """Give the client of the test's project."""
    with client_of(batching, owner) as made:
        yield made


def begin(client: openai.OpenAI, data: bytes, **wish: Any) -> Batch:
    """Send the input and create the batch."""
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    asked: Any = {"endpoint": CHAT, "completion_window": "24h", **wish}
    return client.batches.create(input_file_id=file.id, **asked)


def ended(client: openai.OpenAI, id: str) -> Batch:
    """Wait until a batch has ended."""
    found: list[Batch] = []

    def look() -> bool:
        found[:] = [client.batches.retrieve(id)]
        return found[0].status in ENDED

    wait_until(look, "the batch to end")
    return found[0]


def read(client: openai.OpenAI, file: str | None) -> list[dict[str, Any]]:
    """Read a file of results."""
    if file is None:
        return []
    return [json.loads(one) for one in client.files.content(file).text.splitlines()]


def test_a_batch_from_its_file_to_its_results(
    client: openai.OpenAI, batching: EntenteServer, owner: Key
) -> None:
    """Good and bad requests end in their files; each is held, settled and costs half."""
    data = jsonl(line("one"), line("two", "broken"), line("three", "c d e"))
    begun = begin(client, data, metadata={"for": "tests"})
    assert begun.status == "validating"
    assert (begun.endpoint, begun.completion_window) == (CHAT, "24h")
    assert begun.expires_at == begun.created_at + 24 * 3600
    batch = ended(client, begun.id)
    assert (batch.status, batch.model, batch.metadata) == ("completed", "m", {"for": "tests"})
    counts = batch.request_counts
    assert counts is not None
    assert (counts.total, counts.completed, counts.failed) == (3, 2, 1)
    assert batch.usage is not None
    assert (batch.usage.input_tokens, batch.usage.output_tokens) == (5, 5)
    moments = (batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at)
    assert list(moments) == sorted(cast("Any", moments))
    good, bad = read(client, batch.output_file_id), read(client, batch.error_file_id)
    assert [one["custom_id"] for one in good] == ["one", "three"]
    for one, text in zip(good, ("a b", "c d e"), strict=True):
        assert set(one) == {"id", "custom_id", "response", "error"}
        assert one["id"].startswith("batch_req_")
        assert (one["error"], one["response"]["status_code"]) == (None, 200)
        body = one["response"]["body"]
        assert body["choices"][0]["message"]["content"] == text
        assert vendor_defects(body, "CreateChatCompletionResponse") == []
    (failed,) = bad
    assert (failed["custom_id"], failed["error"]) == ("two", None)
    assert failed["response"]["status_code"] == 400
    assert failed["response"]["body"]["error"]["message"] == "The request is broken."
    entries = {entry.id: entry for entry in batching.settlements(owner)}
    named = [one["response"]["request_id"] for one in good + bad]
    assert set(entries) == set(named)
    assert {entry.price_factor for entry in entries.values()} == {"1/2"}
    costs = [entries[name].cost_nano for name in named]
    assert costs == [int(Fraction(n * 1000 + n * 3000, 2)) for n in (2, 3)] + [0]
    owed = [entries[name].owed for name in named]
    assert owed == [(n * 1000 + n * 3000, "USD") for n in (2, 3)] + [(0, "USD")]
    output = client.files.retrieve(cast("str", batch.output_file_id))
    assert (output.purpose, output.filename[-6:]) == ("batch_output", ".jsonl")
    assert output.expires_at == output.created_at + 30 * 24 * 3600


def test_responses_in_a_batch(client: openai.OpenAI) -> None:
    """The other endpoint, with its own bodies."""
    url = "/v1/responses"
    batch = ended(client, begin(client, jsonl(line("r", url=url)), endpoint=url).id)
    (one,) = read(client, batch.output_file_id)
    assert response_defects(json.dumps(one["response"]["body"]).encode()) == []
    assert (batch.status, batch.error_file_id) == ("completed", None)


@pytest.mark.parametrize(
    ("url", "asked", "schema"),
    [
        ("/v1/embeddings", {"input": "a b"}, "CreateEmbeddingResponse"),
        ("/v1/completions", {"prompt": "a b"}, "CreateCompletionResponse"),
    ],
)
def test_other_endpoints_in_a_batch(
    client: openai.OpenAI, url: str, asked: dict[str, Any], schema: str
) -> None:
    """What the gateway serves besides conversations."""
    one = {"custom_id": "x", "method": "POST", "url": url, "body": {"model": "m", **asked}}
    wish: Any = {"endpoint": url}
    batch = ended(client, begin(client, jsonl(one), **wish).id)
    assert read(client, batch.error_file_id) == []
    (result,) = read(client, batch.output_file_id)
    assert vendor_defects(result["response"]["body"], schema) == []


@pytest.mark.parametrize("text", ["busy once", "busy oddly"])
def test_limits_and_overloads_are_waited_out(client: openai.OpenAI, text: str) -> None:
    """A 429 of the provider is no failure of a request that has a day's time."""
    batch = ended(client, begin(client, jsonl(line("b", text))).id)
    (one,) = read(client, batch.output_file_id)
    assert one["response"]["body"]["choices"][0]["message"]["content"] == text
    assert batch.error_file_id is None


@pytest.mark.parametrize(
    ("data", "code", "number"),
    [
        (b"", "empty_file", None),
        (b"\n \n", "empty_file", None),
        (b"{\n", "invalid_json_line", 1),
        (jsonl(line("a")) + b"\n\xff\n", "invalid_json_line", 3),
        (b'{"body":' + b"[" * 128 + b"]" * 128 + b"}\n", "invalid_json_line", 1),
        (b"[]\n", "invalid_request", 1),
        (jsonl({"custom_id": "a"}), "missing_required_parameter", 1),
        (jsonl(line("")), "missing_required_parameter", 1),
        (jsonl(line("a" * 513)), "invalid_request", 1),
        (jsonl(line("a"), line("a")), "duplicate_custom_id", 2),
        (jsonl(line("a") | {"method": "GET"}), "invalid_method", 1),
        (jsonl(line("a") | {"url": "/v1/responses"}), "url_mismatch", 1),
        (jsonl(line("a") | {"url": "/chat/completions"}), "url_mismatch", 1),
        (jsonl(line("a", model=None)), "missing_required_parameter", 1),
        (jsonl(line("a"), line("b", model="other")), "model_mismatch", 2),
        (jsonl(line("a", model="nobody's")), "model_not_found", 1),
    ],
)  # fmt: skip
def test_a_wrong_input_fails_the_batch(
    client: openai.OpenAI, batching: EntenteServer, owner: Key,
    data: bytes, code: str, number: int | None,
) -> None:  # fmt: skip
    """With the line and the reason, before any request is asked."""
    batch = ended(client, begin(client, data).id)
    assert batch.status == "failed"
    assert batch.failed_at is not None
    assert batch.errors is not None
    (fault,) = batch.errors.data or []
    assert (fault.code, fault.line) == (code, number)
    assert (batch.output_file_id, batch.error_file_id) == (None, None)
    assert batching.settlements(owner) == []


def test_many_faults_are_cut_off(client: openai.OpenAI) -> None:
    """The first hundred are told."""
    batch = ended(client, begin(client, b"{\n" * 500).id)
    assert batch.errors is not None
    assert len(batch.errors.data or []) == 100


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"endpoint": "/v1/models"}, "endpoint"),
        ({"endpoint": "/chat/completions"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}},
         "output_expires_after.seconds"),
        ({"input_file_id": "file-x"}, "input_file_id"),
        ({"extra_body": {"zzz": 1}}, "zzz"),
    ],
)  # fmt: skip
def test_wrong_wishes_are_refused(client: openai.OpenAI, wish: Any, param: str) -> None:
    """Before there is a batch."""
    file = client.files.create(file=("in.jsonl", b"{}"), purpose="batch")
    asked: Any = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"}
    with pytest.raises(openai.BadRequestError) as refused:
        client.batches.create(**(asked | wish))
    assert refused.value.param == param
    assert client.batches.list().data == []


def test_the_input_is_of_the_right_purpose(client: openai.OpenAI) -> None:
    """Any other file is no input."""
    file = client.files.create(file=("in.jsonl", b"{}"), purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="user_data"):
        client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")


def test_the_input_may_be_deleted_once_the_batch_is_made(client: openai.OpenAI) -> None:
    """The batch reads on."""
    begun = begin(client, jsonl(line("a")))
    client.files.delete(begun.input_file_id)
    assert ended(client, begun.id).status == "completed"


def test_streams_and_bad_parameters_fail_alone(client: openai.OpenAI) -> None:
    """What a request cannot ask fails that request and no other."""
    data = jsonl(line("a", stream=True), line("b", n="two"), line("c"))
    batch = ended(client, begin(client, data).id)
    bad = {one["custom_id"]: one["response"] for one in read(client, batch.error_file_id)}
    assert bad["a"]["body"]["error"]["param"] == "stream"
    assert bad["b"]["body"]["error"]["param"] == "n"
    assert batch.request_counts is not None
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 2)


def _holds(server: EntenteServer, key: Key) -> list[Any]:
    return [entry for entry in server.entries() if entry.key == key.id and entry.id[:4] == "req_"
            and type(entry).__name__ == "Hold"]  # fmt: skip


def test_cancelled_batches_keep_what_was_done(tmp_path: Path) -> None:
    """With little patience for what still runs."""
    write_config(tmp_path)
    prelude = "import entente.gateway.batches.run as r\nr.CANCEL_S = 0.05\n"
    with EntenteServer(tmp_path, CONFIG, prelude=prelude) as server:
        key = server.make_key()
        with client_of(server, key) as client:
            data = jsonl(line("good"), *(line(f"n{n}", "never ends") for n in range(8)))
            begun = begin(client, data)
            wait_until(lambda: len(_holds(server, key)) == 5, "four requests beside each other")
            now = client.batches.retrieve(begun.id)
            assert now.status == "in_progress"
            assert now.request_counts is not None
            assert (now.request_counts.total, now.request_counts.completed) == (9, 1)
            assert client.batches.cancel(begun.id).status == "cancelling"
            batch = ended(client, begun.id)
            assert batch.status == "cancelled"
            assert batch.cancelling_at is not None
            assert batch.cancelled_at is not None
            assert [one["custom_id"] for one in read(client, batch.output_file_id)] == ["good"]
            rest = read(client, batch.error_file_id)
            assert [one["custom_id"] for one in rest] == [f"n{n}" for n in range(8)]
            assert {one["error"]["code"] for one in rest} == {"batch_cancelled"}
            with pytest.raises(openai.BadRequestError, match="cancelled"):
                client.batches.cancel(begun.id)
        assert server.stop() == 0  # what was cancelled is settled in its own time
        server.verify_at_rest()


def test_a_batch_is_cancelled_before_its_input_was_looked_at(tmp_path: Path) -> None:
    """It ends as cancelled, whether its lines are requests or not."""
    write_config(tmp_path)
    prelude = "import entente.gateway.batches.run as r\nr.CANCEL_S = 0.05\n"
    prelude += "import entente.gateway.batches.executor as e\ne.ACTIVE_MAX = 1\n"
    with EntenteServer(tmp_path, CONFIG, prelude=prelude) as server:
        key = server.make_key()
        with client_of(server, key) as client:
            first = begin(client, jsonl(line("a", "never ends")))
            wait_until(lambda: len(_holds(server, key)) == 1, "the first to run")
            wrong = begin(client, b"{\n" + jsonl(line("a"), line("a")))
            right = begin(client, jsonl(line("a"), line("b")))
            for one in (wrong, right, first):
                assert client.batches.cancel(one.id).status == "cancelling"
            for one, lines in ((first, ["a"]), (wrong, []), (right, ["a", "b"])):
                batch = ended(client, one.id)
                assert batch.status == "cancelled"
                rest = read(client, batch.error_file_id)
                assert [each["custom_id"] for each in rest] == lines
        assert server.stop() == 0
        assert server.err_log.read_text() == ""
        server.verify_at_rest()


def test_strict_servers_are_strict_in_batches(tmp_path: Path) -> None:
    """A parameter that the vendor does not know fails its request."""
    write_config(tmp_path)
    with EntenteServer(tmp_path, CONFIG, server='validation = "strict"') as server:
        with client_of(server, server.make_key()) as client:
            batch = ended(client, begin(client, jsonl(line("a", zzz=1), line("b"))).id)
            (bad,) = read(client, batch.error_file_id)
            assert bad["response"]["body"]["error"]["param"] == "zzz"
            assert [one["custom_id"] for one in read(client, batch.output_file_id)] == ["b"]
        server.verify_at_rest()


@pytest.mark.parametrize(
    ("route", "field"),
    [("/v1/completions", "prompt"), ("/v1/embeddings", "input"), ("/v1/responses", "input")],
)
def test_strict_servers_are_strict_on_every_route(tmp_path: Path, route: str, field: str) -> None:
    """A parameter of another API fails its request, in that route's words."""
    write_config(tmp_path)
    right = {"model": "m", field: "a b"}
    lines = (
        {"custom_id": "a", "method": "POST", "url": route, "body": {**right, "zzz": 1}},
        {"custom_id": "b", "method": "POST", "url": route, "body": right},
    )
    with EntenteServer(tmp_path, CONFIG, server='validation = "strict"') as server:
        with client_of(server, server.make_key()) as client:
            batch = ended(client, begin(client, jsonl(*lines), endpoint=route).id)
            (bad,) = read(client, batch.error_file_id)
            assert bad["response"]["body"]["error"]["message"] == "Unknown parameter: 'zzz'."
            assert [one["custom_id"] for one in read(client, batch.output_file_id)] == ["b"]
        server.verify_at_rest()


def test_a_file_that_goes_while_its_batch_is_made_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    """Deleted after it was looked up, it is refused as one that was never there."""
    write_config(tmp_path)
    prelude = """
import entente.http.batches as b
look = b.Batches._input
async def look_and_delete(self, who, id):
    b.Batches._input = look
    file = await look(self, who, id)
    await self._files.objects.delete(who, "file", file)
    await self._files.blobs.delete(file)
    return file
b.Batches._input = look_and_delete
"""
    with (
        EntenteServer(tmp_path, CONFIG, prelude=prelude) as server,
        client_of(server, server.make_key()) as client,
    ):
        with pytest.raises(openai.BadRequestError, match="No such File") as refused:
            begin(client, jsonl(line("a")))
        assert refused.value.param == "input_file_id"
        assert refused.value.code == "invalid_input_file"
        assert ended(client, begin(client, jsonl(line("a"))).id).status == "completed"


def test_a_batch_expires(tmp_path: Path) -> None:
    """What was not begun in time says so; what was done stays."""
    write_config(tmp_path)
    prelude = "import entente.wire.openai_batches as b\nb.WINDOW_S = 0\n"
    with EntenteServer(tmp_path, CONFIG, prelude=prelude) as server:
        with client_of(server, server.make_key()) as client:
            batch = ended(client, begin(client, jsonl(line("a"), line("b"))).id)
            assert batch.status == "expired"
            rest = read(client, batch.error_file_id)
            assert [one["error"]["code"] for one in rest] == ["batch_expired"] * 2
        server.verify_at_rest()


def test_lists_have_pages(client: openai.OpenAI) -> None:
    """Newest first, walked through by the SDK."""
    ids = [begin(client, b"").id for _ in range(5)]
    assert [one.id for one in client.batches.list(limit=2)] == ids[::-1]
    page = client.batches.list(after=ids[3], limit=1)
    assert (page.data[0].id, page.has_more) == (ids[2], True)


def test_answers_are_as_the_specification_says(
    batching: EntenteServer, owner: Key, client: openai.OpenAI
) -> None:
    """Batch and list, running and ended, against the vendor's schemas."""
    begun = begin(client, jsonl(line("a"), line("b", "broken")))
    ended(client, begun.id)
    one = batching.get(f"/v1/batches/{begun.id}", key=owner.secret).json
    assert vendor_defects(_said(one), "Batch") == []
    listed = batching.get("/v1/batches", key=owner.secret).json
    listed["data"] = [_said(batch) for batch in listed["data"]]
    assert vendor_defects(listed, "ListBatchesResponse") == []


def _said(batch: dict[str, Any]) -> dict[str, Any]:
    """Leave out the members that are null on the wire and absent in the specification."""
    return {name: value for name, value in batch.items() if value is not None}


def test_other_projects_see_nothing(client: openai.OpenAI, batching: EntenteServer) -> None:
    """On every route a batch of another project is one that does not exist."""
    begun = begin(client, jsonl(line("a")))
    stranger = batching.make_key(project="strangers")
    create = {"input_file_id": begun.input_file_id, "endpoint": CHAT, "completion_window": "24h"}
    for key in (stranger.secret, ADMIN_KEY):
        for method, path in (("GET", ""), ("POST", "/cancel")):
            got, other = (
                batching.ask(method, f"/v1/batches/{id}{path}", key=key)
                for id in (begun.id, "batch_0")
            )
            assert got.status == other.status == 404
            assert got.body.replace(begun.id.encode(), b"batch_0") == other.body
        assert batching.get("/v1/batches", key=key).json["data"] == []
        assert batching.get(f"/v1/batches?after={begun.id}", key=key).json["data"] == []
        got = batching.ask("POST", "/v1/batches", key=key, body=json.dumps(create).encode())
        assert (got.status, got.error["code"]) == (400, "invalid_input_file")
    assert ended(client, begun.id).status == "completed"


def test_budgets_and_limits_are_the_keys(batching: EntenteServer) -> None:
    """A budget that is used up fails what is left of a batch, and is never exceeded."""
    key = batching.make_key(budget_nano=4_000_000, project="poor")
    with client_of(batching, key) as client:
        data = jsonl(*(line(f"n{n}", max_tokens=1000) for n in range(3)))
        batch = ended(client, begin(client, data).id)
        assert batch.status == "completed"
        assert batch.request_counts is not None
        assert batch.request_counts.completed == 3
        poor = jsonl(*(line(f"n{n}", max_tokens=3000) for n in range(3)))
        batch = ended(client, begin(client, poor).id)
        errors = read(client, batch.error_file_id)
        assert [one["response"]["status_code"] for one in errors] == [429] * 3
        codes = {one["response"]["body"]["error"]["code"] for one in errors}
        assert codes == {"insufficient_quota"}


def test_a_key_that_waits_for_its_limit_does_not_keep_others_waiting(
    batching: EntenteServer, client: openai.OpenAI
) -> None:
    """Requests that wait for the next minute give their places to those of other batches."""
    slow = batching.make_key(project="slow", requests_per_minute=1)
    with client_of(batching, slow) as waiting:
        begun = begin(waiting, jsonl(*(line(f"n{n}") for n in range(12)))).id
        wait_until(lambda: _holds(batching, slow) != [], "the first of the minute")
        batch = ended(client, begin(client, jsonl(line("a"), line("b"))).id)
        assert batch.status == "completed"
        batching.settled(slow)
        waiting.batches.cancel(begun)


def test_azures_paths(batching: EntenteServer, owner: Key, client: openai.OpenAI) -> None:
    """Endpoints as Azure writes them, on the classic surface and on v1; answers are Azure's."""
    base = batching.base_url.removesuffix("/v1")
    data = jsonl(line("a", url="/chat/completions"), line("b", url=CHAT))
    with openai.AzureOpenAI(
        azure_endpoint=base, api_version="2024-10-21", api_key=owner.secret, max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as azure:  # fmt: skip
        begun = begin(azure, data, endpoint="/chat/completions")
        assert begun.endpoint == "/chat/completions"
        batch = ended(azure, begun.id)
        results = read(azure, batch.output_file_id)
        assert [one["custom_id"] for one in results] == ["a", "b"]
        body = results[0]["response"]["body"]
        assert "content_filter_results" in body["choices"][0]
        assert azure.batches.list().data[0].id == begun.id
        with pytest.raises(openai.NotFoundError):
            azure.batches.retrieve("batch_0")
        purposes = [one.purpose for one in azure.files.list()]
        assert purposes == ["batch_output", "batch"]
        assert {one.status for one in azure.files.list()} == {"processed"}
    v1 = openai.OpenAI(
        base_url=f"{base}/openai/v1", api_key=owner.secret, max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )  # fmt: skip
    with v1:
        assert ended(v1, begin(v1, data, endpoint=CHAT).id).status == "completed"


def test_azures_guide(batching: EntenteServer, owner: Key) -> None:
    """How long files are kept, as Azure's guide says it: by dots, and with the anchor outside."""
    kept_s, at = 14 * 24 * 3600, {"api-key": owner.secret}
    root = batching.base_url.removesuffix("/v1") + "/openai/v1"
    form = {
        "purpose": "batch",
        "expires_after.seconds": str(kept_s),
        "expires_after.anchor": "created_at",
    }
    with httpx2.Client(headers=at, trust_env=False) as client:
        sent = ("in.jsonl", jsonl(line("a")), "application/json")
        file = client.post(f"{root}/files", data=form, files={"file": sent}).json()
        assert file["expires_at"] == file["created_at"] + kept_s
        wish = {
            "input_file_id": file["id"],
            "endpoint": "/chat/completions",
            "completion_window": "24h",
            "output_expires_after": {"seconds": kept_s},
        }
        refused = client.post(f"{root}/batches", json=wish).json()
        assert refused["error"]["param"] == "output_expires_after.anchor"
        begun = client.post(f"{root}/batches", json={**wish, "anchor": "created_at"}).json()
        with client_of(batching, owner) as openais:
            batch = ended(openais, begun["id"])
        output = client.get(f"{root}/files/{batch.output_file_id}").json()
        assert output["expires_at"] == output["created_at"] + kept_s


def test_a_revoked_key_fails_what_is_left(tmp_path: Path) -> None:
    """Each line is asked as its key may ask it then: a key that has gone may ask nothing."""
    write_config(tmp_path)
    config = CONFIG.replace("requests_max = 4", "requests_max = 1")
    with EntenteServer(tmp_path, config) as server:
        key, other = server.make_key(), server.make_key()
        with client_of(server, key) as client:
            never = SCRIPT.replace("600000", "300")
            (tmp_path / "script.toml").write_text(never)
            data = jsonl(line("a", "never ends"), *(line(f"n{n}", "never ends") for n in range(3)))
            begun = begin(client, data)
            wait_until(lambda: len(_holds(server, key)) == 1, "the first request")
            assert server.cli("keys", "revoke", key.id).returncode == 0
            wait_until(
                lambda: server.get("/v1/models", key=key.secret).status == 401, "the revocation"
            )
            server.kill()
            server.start()
        with client_of(server, other) as watcher:
            batch = ended(watcher, begun.id)
            errors = read(watcher, batch.error_file_id)
            assert {one["response"]["status_code"] for one in errors} == {401}


def test_a_project_whose_requests_hang_holds_up_no_other(tmp_path: Path) -> None:
    """All places are taken by requests that never end; another project's batch runs through."""
    write_config(tmp_path)
    with EntenteServer(tmp_path, CONFIG, server="shutdown_s = 0.2\ndrain_s = 0.1") as server:
        slow, quick = server.make_key(project="slow"), server.make_key(project="quick")
        with client_of(server, slow) as client, client_of(server, quick) as other:
            begun = begin(client, jsonl(*(line(f"n{n}", "never ends") for n in range(8))))
            wait_until(lambda: len(_holds(server, slow)) == 4, "all places to be taken")
            batch = ended(other, begin(other, jsonl(line("a"), line("b"))).id)
            assert (batch.status, batch.request_counts and batch.request_counts.completed) == (
                "completed",
                2,
            )
            assert client.batches.retrieve(begun.id).status == "in_progress"
            assert len(_holds(server, slow)) == 4


def test_metrics_tell_of_batches(batching: EntenteServer) -> None:
    """Both gauges are there."""
    text = batching.get("/metrics", key=ADMIN_KEY).body.decode()
    assert "\nentente_batches " in text
    assert "\nentente_batch_requests " in text
