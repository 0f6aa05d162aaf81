"""Several workers as one server: whichever is asked, the answer is the same."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest

from tests.support.batches import CHAT, jsonl, line
from tests.support.gate import SEEN, USED, Gate
from tests.support.hosts import FRESH, WORKERS, counter, kill_process
from tests.support.loops import run
from tests.support.rawclient import Reply, connection, exchange, post
from tests.support.server import ADMIN_KEY, Key, chat_body, wait_until
from tests.support.upstream import LAST_CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hosts import WorkersServer
    from tests.workers.conftest import Stage

RESPONSES: Final = "/v1/responses"
STREAMS: Final = 40
"""Each worker has some of so many connections, but for one time in twenty thousand."""
DEPLOYMENTS: Final = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/entente/providers/"
    "Microsoft.CognitiveServices/accounts/entente/deployments"
)


@pytest.fixture
def server(shared_stage: Stage) -> WorkersServer:
    """Give the workers."""
    return shared_stage.server


@pytest.fixture
def gate(shared_stage: Stage) -> Iterator[Gate]:
    """Hold the provider back."""
    with Gate(shared_stage.upstream) as closed:
        yield closed


def begin(server: WorkersServer, key: Key, *, stream: bool) -> str:
    """Begin a response in the background; give its id once its provider answers."""

    async def drill() -> bytes:
        body = {"model": "m", "input": "hi", "background": True, "stream": stream}
        request = post(json.dumps(body).encode(), key.secret, path=RESPONSES)
        async with connection(server.port) as (reader, writer):
            writer.write(request)
            return await reader.readuntil(SEEN if stream else b"queued")

    said = run(drill())
    found: str = "resp_" + said.partition(b'"id":"resp_')[2].partition(b'"')[0].decode()
    return found


def test_a_revoked_key_is_cut_on_every_worker(server: WorkersServer, gate: Gate) -> None:
    """Each worker refuses it, and the streams of each end; those of others go on."""
    mine, other = server.make_key(), server.make_key()

    async def drill() -> tuple[list[bytes], bytes]:
        async with contextlib.AsyncExitStack() as stack:
            opened = []
            for key in [mine] * STREAMS + [other]:
                reader, writer = await stack.enter_async_context(connection(server.port))
                writer.write(post(chat_body(stream=True), key.secret))
                await reader.readuntil(SEEN)
                opened.append(reader)
            await asyncio.to_thread(server.revoke, mine)
            said = [await reader.read() for reader in opened[:-1]]
            gate.open()
            return said, await opened[-1].readuntil(b"[DONE]")

    said, went_on = run(drill())
    assert all(b"revoked" in each and each.endswith(LAST_CHUNK) for each in said)
    assert went_on
    assert server.everywhere(mine, 401)
    entries = server.settled(mine, STREAMS)
    assert {(str(e.status), e.estimated, e.usage.input, e.usage.output) for e in entries} == {
        ("cancelled", False, *USED)
    }


def test_responses_in_the_background_are_found_by_every_worker(
    server: WorkersServer, gate: Gate
) -> None:
    """Looked at, followed from any number on, and fetched in the end."""
    key = server.make_key()
    id = begin(server, key, stream=True)

    def state() -> str:
        found: str = server.get(f"{RESPONSES}/{id}", key=key.secret).json["status"]
        return found

    assert {state() for _ in range(STREAMS)} == {"in_progress"}

    async def follow() -> list[Reply]:
        head = f"GET {RESPONSES}/{id}?stream=true&starting_after=1 HTTP/1.1\r\nHost: x\r\n"
        request = f"{head}Authorization: Bearer {key.secret}\r\n\r\n".encode()
        following = [asyncio.create_task(exchange(server.port, request)) for _ in range(STREAMS)]
        await asyncio.to_thread(lambda: [state() for _ in range(STREAMS)])
        gate.open()
        return list(await asyncio.gather(*following))

    replies = run(follow())
    assert len({reply.body for reply in replies}) == 1
    assert replies[0].whole
    assert b"event: response.completed" in replies[0].body
    assert {state() for _ in range(STREAMS)} == {"completed"}
    more = {"model": "m", "input": "more", "previous_response_id": id}
    again = server.ask("POST", RESPONSES, key=key.secret, body=json.dumps(more).encode())
    assert again.json["status"] == "completed"


@pytest.mark.parametrize("deletes", [False, True])
def test_responses_in_the_background_are_cancelled_by_every_worker(
    server: WorkersServer, gate: Gate, deletes: bool
) -> None:
    """Whoever is asked, the worker that makes it stops."""
    key = server.make_key()
    for _ in range(8):
        id = begin(server, key, stream=False)
        if deletes:
            got = server.ask("DELETE", f"{RESPONSES}/{id}", key=key.secret)
            assert got.json["deleted"] is True
            assert server.get(f"{RESPONSES}/{id}", key=key.secret).status == 404
        else:
            got = server.ask("POST", f"{RESPONSES}/{id}/cancel", key=key.secret)
            assert got.json["status"] == "cancelled"
    entries = server.settled(key, 8)
    assert {str(entry.status) for entry in entries} == {"cancelled"}
    gate.open()


def test_a_response_of_a_killed_worker_has_failed(stage: Stage) -> None:
    """The worker that comes after it says so; those of other workers go on."""
    server = stage.server
    key = server.make_key()
    with Gate(stage.upstream) as gate:
        ids = [begin(server, key, stream=False) for _ in range(STREAMS)]
        kill_process(server.workers()[-1])

        def ended() -> dict[str, str]:
            found = {}
            for id in ids:
                got = server.get(f"{RESPONSES}/{id}", key=key.secret)
                found[id] = got.json["status"] if got.status == 200 else str(got.status)
            return found

        wait_until(lambda: "failed" in ended().values(), "the dead worker's responses")
        gate.open()
        wait_until(lambda: set(ended().values()) == {"failed", "completed"}, "the others")
    wait_until(lambda: not server.open_holds(), "the dead worker's chain to be taken over")
    failed = [id for id, status in ended().items() if status == "failed"]
    assert sum(entry.recovered for entry in server.settlements(key)) == len(failed)
    assert server.stop() == 0


def test_batches_are_run_once(server: WorkersServer, gate: Gate) -> None:
    """Made at any worker, run by one, and the same for all while they run."""
    gate.open()
    key = server.make_key()
    client = openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )
    with client:
        lines = jsonl(*(line(f"line {number}") for number in range(10)))
        made = []
        for _ in range(6):
            file = client.files.create(file=("in.jsonl", lines), purpose="batch")
            batch = client.batches.create(
                input_file_id=file.id, endpoint=CHAT, completion_window="24h"
            )
            made.append(batch.id)
        for id in made:
            wait_until(lambda id=id: client.batches.retrieve(id).status == "completed", "its end")  # type: ignore[misc]
            batch = client.batches.retrieve(id)
            assert batch.request_counts is not None
            assert (batch.request_counts.completed, batch.request_counts.total) == (10, 10)
            assert len(client.files.content(batch.output_file_id or "").text.splitlines()) == 10
        assert {batch.id for batch in client.batches.list()} == set(made)
    assert len(server.settlements(key)) == 60


def test_a_batch_goes_on_when_its_worker_is_killed(stage: Stage) -> None:
    """The next first worker takes it up; every line has one result."""
    server = stage.server
    key = server.make_key()
    with openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        max_retries=8,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as client:
        with Gate(stage.upstream) as gate:
            lines = jsonl(*(line(f"line {number}") for number in range(20)))
            file = client.files.create(file=("in.jsonl", lines), purpose="batch")
            id = client.batches.create(
                input_file_id=file.id, endpoint=CHAT, completion_window="24h"
            ).id
            wait_until(lambda: gate.waiting > 0, "lines to be asked")
            kill_process(server.workers()[0])
            gate.open()
            wait_until(lambda: client.batches.retrieve(id).status == "completed", "its end")
        batch = client.batches.retrieve(id)
        assert batch.request_counts is not None
        assert batch.request_counts.completed == 20
    wait_until(lambda: not server.open_holds(), "the dead worker's chain to be taken over")
    assert server.stop() == 0


def test_metrics_are_those_of_all(stage: Stage) -> None:
    """Any worker gives the sum, and no count falls when one dies."""
    server = stage.server
    sample = 'entente_requests_total{gen_ai_request_model="m",status="complete"}'

    def told() -> float:
        return counter(server.get("/metrics", key=ADMIN_KEY).body.decode(), sample)

    for _ in range(FRESH):
        assert server.chat(ADMIN_KEY).status == 200
    assert {told() for _ in range(STREAMS)} == {float(FRESH)}
    for victim in (0, WORKERS - 1):
        kill_process(server.workers()[victim])
        assert told() == FRESH
        wait_until(lambda: len(server.workers()) == WORKERS, "another worker")
        assert {told() for _ in range(STREAMS)} == {float(FRESH)}
    assert server.chat(ADMIN_KEY).status == 200
    assert told() == FRESH + 1
    text = server.get("/metrics", key=ADMIN_KEY).body.decode()
    assert text.count("# TYPE entente_inflight_requests gauge") == 1
    assert server.stop() == 0


def test_metrics_are_for_admins_everywhere(server: WorkersServer) -> None:
    """No worker tells another key's holder what its neighbours count."""
    key = server.make_key()
    assert {server.get("/metrics", key=key.secret).status for _ in range(STREAMS)} == {403}


def test_deployments_reach_every_worker(server: WorkersServer) -> None:
    """Made through the control plane at any worker, and served by each."""
    key = server.make_key()
    path = f"{DEPLOYMENTS}/mine?api-version=2024-10-01"
    wish: dict[str, Any] = {
        "sku": {"name": "Standard", "capacity": 5000},
        "properties": {"model": {"format": "OpenAI", "name": "m", "version": "1"}},
    }
    asked = "/openai/deployments/mine/chat/completions?api-version=2024-10-21"

    def served(status: int) -> bool:
        return all(
            server.ask("POST", asked, key=key.secret, body=chat_body()).status == status
            for _ in range(STREAMS)
        )

    for _ in range(3):
        got = server.ask("PUT", path, key=ADMIN_KEY, body=json.dumps(wish).encode())
        assert got.status in (200, 201)
    wait_until(lambda: served(200), "the deployment to be served")
    assert {server.get(path, key=ADMIN_KEY).status for _ in range(STREAMS)} == {200}
    assert server.ask("DELETE", path, key=ADMIN_KEY).status in (200, 202, 204)
    wait_until(lambda: served(404), "the deployment to be gone")


def test_files_are_there_for_every_worker(server: WorkersServer) -> None:
    """What one has taken in, each gives out."""
    key = server.make_key()
    with openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as client:
        upload = client.uploads.create(
            bytes=2 * STREAMS, filename="a.txt", mime_type="text/plain", purpose="user_data"
        )
        parts = [
            client.uploads.parts.create(upload.id, data=b"%02d" % number).id
            for number in range(STREAMS)
        ]
        done = client.uploads.complete(upload.id, part_ids=parts)
        assert done.file is not None
        for _ in range(STREAMS):
            content = client.files.content(done.file.id).read()
            assert content == b"".join(b"%02d" % number for number in range(STREAMS))
