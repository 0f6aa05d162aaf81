"""Responses in the background: they outlive their client, can be followed, and end in order."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.support.server import EntenteServer, Got, Key, wait_until
from tests.wire.responses_schema import read_events, stream_defects
from tests.wire.stored_schema import assert_is

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.matrix.bench import Bench

RESPONSES = "/v1/responses"
ENDLESS = "many endless words"
LATE = "an answer that is long in coming"
SCRIPT = """
[[replies]]
when = { contains = "endless" }
pieces = ["w", %s]
piece_delay_ms = 100

[[replies]]
when = { contains = "long in coming" }
text = "here it is"
first_delay_ms = 60_000

[[replies]]
when = { contains = "refused" }
error = { status = 400 }

[[replies]]
when = { contains = "busy" }
error = { status = 429 }

[[replies]]
when = { contains = "breaks" }
pieces = ["Once", " upon", " a"]
break = { kind = "eof", after = 2 }

[[replies]]
echo = true
"""
CONFIG = """
[providers.fake]
kind = "scripted"
script = "script.toml"

[models."m"]
targets = [{ provider = "fake", model = "m" }]
price = { currency = "USD", per = "1M tokens", input = "1", output = "2" }
output_tokens_max = 1000
"""


def made(folder: Path, **more: Any) -> EntenteServer:
    """Make a server whose provider can take its time; it does not run yet."""
    words = ", ".join(['" w"'] * 400)
    (folder / "script.toml").write_text(SCRIPT % words, encoding="utf-8")
    return EntenteServer(folder, CONFIG, server="shutdown_s = 1", **more)


@pytest.fixture(scope="module")
def backstage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EntenteServer]:
    """Run a server; its journal is checked in the end."""
    with made(tmp_path_factory.mktemp("background")) as server:
        yield server
        assert server.stop() == 0
        server.verify_at_rest()
        assert server.err_log.read_text() == ""


@pytest.fixture
def own(backstage: EntenteServer) -> Key:
    """Give a key of the test's own."""
    return backstage.make_key()


def ask(server: EntenteServer, key: Key, text: str, **fields: Any) -> Got:
    """Ask for a response in the background."""
    fields = {"model": "m", "input": text, "background": True, **fields}
    return server.ask("POST", RESPONSES, key=key.secret, body=json.dumps(fields).encode())


def ended(server: EntenteServer, key: Key, id: str) -> Any:
    """Wait for the end of a response; give it."""
    found: list[Any] = []

    def is_over() -> bool:
        found.append(server.get(f"{RESPONSES}/{id}", key=key.secret).json)
        return found[-1]["status"] not in ("queued", "in_progress")

    wait_until(is_over, "the response to end")
    assert_is("Response", found[-1])
    return found[-1]


def followed(server: EntenteServer, key: Key, id: str, query: str = "") -> bytes:
    """Follow a response to its end."""
    got = server.get(f"{RESPONSES}/{id}?stream=true{query}", key=key.secret)
    assert (got.status, got.headers["content-type"]) == (200, "text/event-stream")
    return got.body


def sdk(server: EntenteServer, key: Key) -> openai.OpenAI:
    """Make a client as users do, without retries."""
    return openai.OpenAI(
        base_url=server.base_url,
        api_key=key.secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )


def test_a_response_is_queued_and_made(backstage: EntenteServer, own: Key) -> None:
    """The answer comes at once; later the response is there, settled as any other."""
    got = ask(backstage, own, "hello there", metadata={"a": "b"})
    queued = got.json
    assert_is("Response", queued)
    assert (queued["status"], queued["background"], queued["store"]) == ("queued", True, True)
    response = ended(backstage, own, queued["id"])
    assert (response["status"], response["background"]) == ("completed", True)
    assert response["output"][0]["content"][0]["text"] == "hello there"
    assert response["metadata"] == {"a": "b"}
    (entry,) = backstage.settled(own)
    assert (entry.status, entry.usage.input, entry.usage.output) == ("complete", 2, 2)
    assert got.headers["x-request-id"] == entry.id
    again = ask(backstage, own, "more", previous_response_id=queued["id"], background=False)
    assert (again.status, again.json["status"]) == (200, "completed")


def test_an_end_is_shown_when_it_is_kept(tmp_path: Path) -> None:
    """Whoever sees that a response has ended can build on it at once."""
    keeping, may_keep = tmp_path / "keeping", tmp_path / "may keep"
    prelude = f"""
import asyncio
import pathlib

from entente.objects import Objects
replace = Objects.replace
async def waiting(self, who, changed, *others, **named):
    if changed.state == "completed":
        pathlib.Path({str(keeping)!r}).touch()
        while not pathlib.Path({str(may_keep)!r}).exists():
            await asyncio.sleep(0.01)
    return await replace(self, who, changed, *others, **named)
Objects.replace = waiting
"""
    with made(tmp_path, prelude=prelude) as server:
        key = server.make_key()
        id = ask(server, key, "hello").json["id"]
        wait_until(keeping.exists, "the response to be made")
        seen = server.get(f"{RESPONSES}/{id}", key=key.secret).json
        assert (seen["status"], seen["output"]) == ("in_progress", [])
        may_keep.touch()
        assert ended(server, key, id)["status"] == "completed"
        again = ask(server, key, "more", previous_response_id=id, background=False)
        assert (again.status, again.json["status"]) == (200, "completed")


def test_events_are_kept_and_can_be_resumed(backstage: EntenteServer, own: Key) -> None:
    """The same events for every follower, from any number on, after the end as well."""
    body = ask(backstage, own, "one two three", stream=True).body
    assert stream_defects(body) == []
    events = read_events(body)
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert [event["response"]["status"] for event in events[:3]] == [
        "queued", "queued", "in_progress",
    ]  # fmt: skip
    assert kinds[-1] == "response.completed"
    id = events[0]["response"]["id"]
    assert events[-1]["response"] == ended(backstage, own, id)
    assert followed(backstage, own, id) == body
    rest = read_events(followed(backstage, own, id, "&starting_after=4"))
    assert rest == events[5:]
    assert followed(backstage, own, id, f"&starting_after={10**12}") == b""
    for query in ("starting_after=-1", "starting_after=x", "stream=perhaps", "include=x"):
        got = backstage.get(f"{RESPONSES}/{id}?{query}", key=own.secret)
        assert got.status == 400


def test_a_client_that_leaves_comes_back(backstage: EntenteServer, own: Key) -> None:
    """The official SDK: it breaks off, the response goes on, and it resumes without a gap."""
    with sdk(backstage, own) as client:
        with client.responses.create(
            model="m", input=ENDLESS, background=True, stream=True
        ) as stream:
            seen = [event for event, _ in zip(stream, range(6), strict=False)]
        first: Any = seen[0]
        number = 0
        with client.responses.retrieve(
            first.response.id, stream=True, starting_after=seen[-1].sequence_number
        ) as rest:
            for number, event in enumerate(rest, seen[-1].sequence_number + 1):
                assert event.sequence_number == number
                if number == 12:
                    break
        assert number == 12
        running = client.responses.retrieve(first.response.id)
        assert (running.status, running.output) == ("in_progress", [])
        with pytest.raises(openai.BadRequestError, match="not finished yet"):
            client.responses.create(model="m", input="and?", previous_response_id=first.response.id)
        assert client.responses.cancel(first.response.id).status == "cancelled"
        assert client.responses.cancel(first.response.id).status == "cancelled"
    (entry,) = backstage.settled(own)
    assert (entry.status, entry.estimated) == ("cancelled", True)
    body = followed(backstage, own, first.response.id)
    assert stream_defects(body) == []
    last = read_events(body)[-1]
    assert (last["type"], last["response"]["status"]) == ("response.incomplete", "cancelled")


def test_followers_at_once(backstage: EntenteServer, own: Key) -> None:
    """Many follow, one cancels: all see the same events to the same end."""

    async def run() -> list[list[int]]:
        async with openai.AsyncOpenAI(
            base_url=backstage.base_url,
            api_key=own.secret,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
        ) as client:
            stream = await client.responses.create(
                model="m", input=ENDLESS, background=True, stream=True
            )
            first: Any = await anext(aiter(stream))
            await stream.close()
            id = first.response.id
            begun = [asyncio.Event() for _ in range(5)]

            async def follow(mark: asyncio.Event) -> list[int]:
                numbers = []
                async for event in await client.responses.retrieve(id, stream=True):
                    numbers.append(event.sequence_number)
                    mark.set()
                return numbers

            following = [asyncio.create_task(follow(mark)) for mark in begun]
            await asyncio.gather(*(mark.wait() for mark in begun))
            assert (await client.responses.cancel(id)).status == "cancelled"
            return list(await asyncio.gather(*following))

    numbers = asyncio.run(run())
    assert len(numbers) == 5
    assert all(each == numbers[0] == list(range(len(numbers[0]))) for each in numbers)


@pytest.mark.parametrize(
    ("text", "code"),
    [("refused", "invalid_prompt"), ("busy", "rate_limit_exceeded"), ("breaks", "server_error")],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_fails_says_why(
    backstage: EntenteServer, own: Key, text: str, code: str, streamed: bool
) -> None:
    """A provider that refuses or breaks off makes a failed response, not a lost one."""
    got = ask(backstage, own, text, stream=streamed)
    assert got.status == 200
    if streamed:
        assert stream_defects(got.body) == []
        last = read_events(got.body)[-1]
        assert last["type"] == "response.failed"
        response = last["response"]
    else:
        response = ended(backstage, own, got.json["id"])
    if text == "breaks" and not streamed:
        return  # the script breaks streams only
    assert (response["status"], response["error"]["code"]) == ("failed", code)
    assert response["error"]["message"]
    assert backstage.settled(own)[0].status in ("failed", "truncated")


def test_what_is_refused_is_refused_at_once(backstage: EntenteServer) -> None:
    """No model, no budget, no minute left: an error now, and nothing is kept or held."""
    poor = backstage.make_key(budget_nano=1)
    slow = backstage.make_key(requests_per_minute=1)
    statuses = [ask(backstage, slow, "one").status]
    while statuses[-1] == 200:
        statuses.append(ask(backstage, slow, "two").status)
    assert statuses in ([200, 429], [200, 200, 429])  # the minute may change once
    assert ask(backstage, poor, "hello").error["code"] == "insufficient_quota"
    got = ask(backstage, slow, "hello", model="nope")
    assert (got.status, got.error["code"]) == (400, "model_not_found")
    backstage.settled(slow, len(statuses) - 1)
    assert backstage.entries()[-1].idempotency_prefix == "settle"


def test_other_projects_cannot_reach_what_runs(backstage: EntenteServer, own: Key) -> None:
    """Not while it is made, and not after."""
    id = ask(backstage, own, LATE).json["id"]
    other = backstage.make_key(project="elsewhere")
    for _ in range(2):
        assert backstage.get(f"{RESPONSES}/{id}", key=other.secret).status == 404
        assert backstage.get(f"{RESPONSES}/{id}?stream=true", key=other.secret).status == 404
        for method, path in (("POST", f"{RESPONSES}/{id}/cancel"), ("DELETE", f"{RESPONSES}/{id}")):
            assert backstage.ask(method, path, key=other.secret).status == 404
        got = backstage.ask("POST", f"{RESPONSES}/{id}/cancel", key=own.secret)
        assert got.json["status"] == "cancelled"


def test_deleting_what_runs(backstage: EntenteServer, own: Key) -> None:
    """It is cancelled, settled, and gone."""
    body = ask(backstage, own, "short", stream=True).body
    short = read_events(body)[0]["response"]["id"]
    id = ask(backstage, own, LATE).json["id"]
    for each in (id, short):
        gone = backstage.ask("DELETE", f"{RESPONSES}/{each}", key=own.secret)
        assert gone.json["deleted"]
        assert backstage.get(f"{RESPONSES}/{each}", key=own.secret).status == 404
        assert backstage.get(f"{RESPONSES}/{each}?stream=true", key=own.secret).status == 404
    assert [entry.status for entry in backstage.settled(own, 2)] == ["complete", "cancelled"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_server_that_dies_leaves_a_failed_response(tmp_path: Path, streamed: bool) -> None:
    """After `kill -9` the response says that it failed, and its hold is settled."""
    with made(tmp_path) as server:
        key = server.make_key()
        with sdk(server, key) as client:
            if streamed:
                stream = client.responses.create(
                    model="m", input=ENDLESS, background=True, stream=True
                )
                event: Any = next(iter(stream))
                id = event.response.id
            else:
                id = client.responses.create(model="m", input=LATE, background=True).id
        server.kill()
        server.start()
        response = ended(server, key, id)
        assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
        assert "server ended" in response["error"]["message"]
        if streamed:
            (last,) = read_events(followed(server, key, id, "&starting_after=7"))
            assert (last["type"], last["sequence_number"]) == ("response.failed", 8)
        (entry,) = server.settled(key)
        assert entry.estimated
        got = server.ask("POST", f"{RESPONSES}/{id}/cancel", key=key.secret)
        assert got.json["status"] == "failed"
        assert server.stop() == 0
        server.verify_at_rest()


def test_a_server_that_stops_waits_and_then_says_so(tmp_path: Path) -> None:
    """What ends within `shutdown_s` is whole; what does not is failed, settled and kept."""
    with made(tmp_path) as server:
        key = server.make_key()
        id = ask(server, key, LATE).json["id"]
        assert server.stop() == 0
        server.verify_at_rest()
        (entry,) = server.settlements(key)
        assert entry.status == "cancelled"
        server.start()
        response = ended(server, key, id)
        assert response["status"] == "failed"
        assert "was stopped" in response["error"]["message"]
        assert server.err_log.read_text() == ""


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
def test_every_provider_works_in_the_background(
    bench: Bench, provider: str, streamed: bool
) -> None:
    """Native or crossed over, under the id that was given at first."""
    key = bench.key()
    got = ask(bench.server, key, "scene:text", model=provider, stream=streamed)
    assert got.status == 200, got.body
    id = read_events(got.body)[0]["response"]["id"] if streamed else got.json["id"]
    response = ended(bench.server, key, id)
    assert (response["id"], response["status"]) == (id, "completed")
    assert response["background"] is True
    if streamed:
        assert stream_defects(got.body) == []


def test_a_key_that_has_too_many(tmp_path: Path) -> None:
    """Is told to wait, in the vendor's words; another key is served; one that ends makes room."""
    prelude = "import entente.gateway.keeping.background as b\nb.KEY_RUNS_MAX = 2\n"
    with made(tmp_path, prelude=prelude) as server:
        key, other = server.make_key(), server.make_key()

        def begin(who: Key) -> Got:
            return ask(server, who, LATE)

        first, second, third = begin(key), begin(key), begin(key)
        assert [first.status, second.status, third.status] == [200, 200, 429]
        assert third.error["code"] == "rate_limit_exceeded"
        assert int(third.headers["retry-after"]) == 5
        assert begin(other).status == 200
        cancelled = server.ask(
            "POST", f"{RESPONSES}/{first.json['id']}/cancel", key=key.secret, body=b""
        )
        assert cancelled.json["status"] == "cancelled"
        assert begin(key).status == 200
        assert len(server.settlements(key)) == 1
