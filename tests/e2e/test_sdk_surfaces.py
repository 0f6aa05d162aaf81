"""Every surface with every official client of Python's: one play, whoever plays it.

Each of them is as its users have it, and is told nothing but an address. It validates strictly,
except where its types do not know what its vendor sends: the first chunk of a stream of Azure's,
vectors in base64, and messages of a stored completion that are not the assistant's.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import anthropic
import openai
import pytest

from tests.kit.run import run

if TYPE_CHECKING:
    from tests.support.server import EntenteServer, Key

API_VERSION: Final = "2024-10-21"
POLL_S: Final = 0.01
ENDED: Final = frozenset({"completed", "failed", "cancelled", "expired", "ended"})
TOOL: Final[Any] = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}
SCHEMA: Final[Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
CITIES: Final = ["Paris", "Rome"]
TRIP: Final = {"city": "Paris", "days": 3}


class Way(NamedTuple):
    """A client, and how it is pointed to the server."""

    name: str
    client: Callable[..., Any]
    address: Callable[[str], dict[str, str]]
    """What of the client's arguments says where: made from the server's own root."""
    retried: str
    """Whom the script lets fail twice."""


def _openai(root: str) -> dict[str, str]:
    return {"base_url": f"{root}/v1"}


def _azure_v1(root: str) -> dict[str, str]:
    return {"base_url": f"{root}/openai/v1/"}


def _azure(root: str) -> dict[str, str]:
    return {"azure_endpoint": root, "api_version": API_VERSION}


OPENAI: Final = Way("openai", openai.OpenAI, _openai, "v1 paths")
ASYNC: Final = Way("openai, asynchronous", openai.AsyncOpenAI, _openai, "aio")
AZURE_V1: Final = Way("openai at azure's v1", openai.OpenAI, _azure_v1, "")
AZURE: Final = Way("azure", openai.AzureOpenAI, _azure, "azure")
ASYNC_AZURE: Final = Way("azure, asynchronous", openai.AsyncAzureOpenAI, _azure, "cloud")
OPENAIS: Final = (OPENAI, ASYNC, AZURE_V1, AZURE, ASYNC_AZURE)
AZURES: Final = (AZURE_V1, AZURE, ASYNC_AZURE)
KEEPING: Final = (OPENAI, ASYNC, AZURE_V1)
"""Those that have conversations and stored completions: Azure's classic surface does not."""
RETRYING: Final = (OPENAI, ASYNC, AZURE, ASYNC_AZURE)


def ways(*them: Way) -> pytest.MarkDecorator:
    """Play with each of these clients."""
    return pytest.mark.parametrize("way", them, ids=lambda way: way.name)


def said(text: str) -> Any:
    """Write a conversation of one message."""
    return [{"role": "user", "content": text}]


async def of(answer: Any) -> Any:
    """Give an answer, whether its client has to be awaited or not."""
    return await answer if inspect.isawaitable(answer) else answer


async def over(many: Any) -> AsyncIterator[Any]:
    """Go through a stream or the pages of a list of either client."""
    if hasattr(many, "__aiter__"):
        async for one in many:
            yield one
    else:
        for one in many:
            yield one


async def until_ended(ask: Callable[[], Any]) -> Any:
    """Ask again until what is made has ended."""
    while True:
        now = await of(ask())
        if getattr(now, "status", None) in ENDED or (
            getattr(now, "processing_status", None) in ENDED
        ):
            return now
        await asyncio.sleep(POLL_S)


def play(
    way: Way,
    server: EntenteServer,
    key: Key,
    scene: Callable[[Any], Awaitable[None]],
    *,
    strict: bool = True,
    retries: int = 0,
) -> None:
    """Make a client, let it play, and close it."""
    library = anthropic if way.client.__module__.startswith("anthropic") else openai
    is_async = "Async" in way.client.__name__
    http: Any = library.DefaultAsyncHttpxClient if is_async else library.DefaultHttpxClient

    async def main() -> None:
        client = way.client(
            **way.address(f"http://127.0.0.1:{server.port}"),
            api_key=key.secret,
            max_retries=retries,
            http_client=http(trust_env=False),
            _strict_response_validation=strict,
        )
        try:
            await scene(client)
        finally:
            await of(client.close())

    run(main())


# ---- OpenAI's and Azure's ----


@ways(*OPENAIS)
def test_chat(way: Way, server: EntenteServer, key: Key) -> None:
    """Whole, as a stream, with tools, and by a schema."""

    async def scene(client: Any) -> None:
        create = client.chat.completions.create
        whole = await of(create(model="m", messages=said("one two")))
        assert whole.choices[0].message.content == "one two"
        usage = {"include_usage": True}
        stream = await of(
            create(model="m", messages=said("a b"), stream=True, stream_options=usage)
        )
        chunks = [chunk async for chunk in over(stream)]
        choices = [choice for chunk in chunks for choice in chunk.choices]
        assert "".join(choice.delta.content or "" for choice in choices) == "a b"
        assert choices[-1].finish_reason == "stop"
        assert chunks[-1].usage.total_tokens > 0
        called = await of(create(model="m", messages=said("weather?"), tools=[TOOL]))
        calls = called.choices[0].message.tool_calls
        assert [json.loads(call.function.arguments)["city"] for call in calls] == CITIES
        form = {"type": "json_schema", "json_schema": {"name": "trip", "schema": SCHEMA}}
        parsed = await of(create(model="m", messages=said("a trip as json"), response_format=form))
        assert json.loads(parsed.choices[0].message.content) == TRIP

    play(way, server, key, scene, strict=way not in AZURES)
    assert len(server.settlements(key)) == 4


@ways(*OPENAIS)
def test_what_is_no_chat(way: Way, server: EntenteServer, key: Key) -> None:
    """Completions of plain text, and vectors as the client asks for them by itself."""

    async def scene(client: Any) -> None:
        plain = await of(client.completions.create(model="m", prompt="one two"))
        assert plain.choices[0].text == "one two"
        asked = {"model": "m", "input": ["a", "b"]}
        vectors = await of(client.embeddings.create(**asked))
        floats = await of(client.embeddings.create(**asked, encoding_format="float"))
        for one, other in zip(vectors.data, floats.data, strict=True):
            assert one.embedding == pytest.approx(other.embedding)

    play(way, server, key, scene, strict=False)
    assert len(server.settlements(key)) == 3


@ways(*OPENAIS)
def test_files_and_batches(way: Way, server: EntenteServer) -> None:
    """A file, a batch of its requests, the results, and no file any more."""
    url = "/chat/completions" if way in (AZURE, ASYNC_AZURE) else "/v1/chat/completions"
    body = {"model": "m", "messages": said("one two")}
    line = {"custom_id": "a", "method": "POST", "url": url, "body": body}

    async def scene(client: Any) -> None:
        data = json.dumps(line).encode()
        file = await of(client.files.create(file=("in.jsonl", data), purpose="batch"))
        begun = await of(
            client.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h")
        )
        batch = await until_ended(lambda: client.batches.retrieve(begun.id))
        assert (batch.status, batch.request_counts.completed) == ("completed", 1)
        content = await of(client.files.content(batch.output_file_id))
        (result,) = content.text.splitlines()
        answer = json.loads(result)["response"]["body"]
        assert answer["choices"][0]["message"]["content"] == "one two"
        assert [one.id async for one in over(client.batches.list())] == [begun.id]
        assert len([one async for one in over(client.files.list())]) == 2
        assert (await of(client.files.delete(file.id))).deleted
        with pytest.raises(openai.NotFoundError):
            await of(client.files.retrieve(file.id))
        upload = await of(
            client.uploads.create(filename="f", purpose="vision", bytes=2, mime_type="x/y")
        )
        part = await of(client.uploads.parts.create(upload.id, data=b"hi"))
        done = await of(client.uploads.complete(upload.id, part_ids=[part.id]))
        assert done.status == "completed"

    owner = server.make_key(project=f"files-{OPENAIS.index(way)}")
    play(way, server, owner, scene)


@ways(*OPENAIS)
def test_responses(way: Way, server: EntenteServer, key: Key) -> None:
    """Whole, gone on from as a stream, with tools, by a schema, read back, and deleted."""

    async def scene(client: Any) -> None:
        create = client.responses.create
        first = await of(create(model="m", input="one two"))
        assert first.output_text == "one two"
        stream = await of(
            create(model="m", input="three", previous_response_id=first.id, stream=True)
        )
        events = [event async for event in over(stream)]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[-1].type == "response.completed"
        last = events[-1].response.id
        items = client.responses.input_items.list(last, order="asc")
        told = [item.content[0].text async for item in over(items)]
        assert told == ["one two", "one two", "three"]
        tool = {"type": "function", "strict": False, **TOOL["function"]}
        called = await of(create(model="m", input="weather?", tools=[tool]))
        assert [json.loads(call.arguments)["city"] for call in called.output] == CITIES
        form = {"type": "json_schema", "name": "trip", "schema": SCHEMA}
        parsed = await of(create(model="m", input="a trip as json", text={"format": form}))
        assert json.loads(parsed.output_text) == TRIP
        await of(client.responses.delete(last))
        with pytest.raises(openai.NotFoundError):
            await of(client.responses.retrieve(last))

    play(way, server, key, scene)
    assert len(server.settlements(key)) == 4


@ways(*OPENAIS)
def test_responses_in_the_background(way: Way, server: EntenteServer, key: Key) -> None:
    """Polled, left and followed again without a gap, and cancelled."""

    async def scene(client: Any) -> None:
        create = client.responses.create
        queued = await of(create(model="m", input="a b", background=True))
        assert queued.status == "queued"
        done = await until_ended(lambda: client.responses.retrieve(queued.id))
        assert (done.status, done.output_text) == ("completed", "a b")
        stream = await of(create(model="m", input="many words", background=True, stream=True))
        seen = []
        async for event in over(stream):
            seen.append(event.sequence_number)
            if event.type == "response.created":
                id = event.response.id
            if event.type == "response.output_text.delta":
                break
        await of(stream.close())
        again = client.responses.retrieve(id, stream=True, starting_after=seen[-1])
        follower = await of(again)
        async for event in over(follower):
            if event.sequence_number == seen[-1] + 1:
                await of(client.responses.cancel(id))
            seen.append(event.sequence_number)
        assert seen == list(range(len(seen)))
        assert (await of(client.responses.retrieve(id))).status == "cancelled"

    play(way, server, key, scene)
    assert sorted(str(e.status) for e in server.settled(key, 2)) == ["cancelled", "complete"]


@ways(*KEEPING)
def test_what_is_kept(way: Way, server: EntenteServer) -> None:
    """Conversations and stored completions: made, changed, listed, and deleted."""

    async def scene(client: Any) -> None:
        talk = await of(client.conversations.create(metadata={"a": "b"}))
        await of(client.responses.create(model="m", input="one", conversation=talk.id))
        items = [one async for one in over(client.conversations.items.list(talk.id, order="asc"))]
        assert [item.role for item in items] == ["user", "assistant"]
        one = await of(client.conversations.items.retrieve(items[0].id, conversation_id=talk.id))
        assert one.content[0].text == "one"
        assert (await of(client.conversations.delete(talk.id))).deleted
        kept = client.chat.completions
        made = await of(
            kept.create(model="m", messages=said("keep"), store=True, metadata={"k": "v"})
        )
        changed = await of(kept.update(made.id, metadata={"k": "w"}))
        assert changed.metadata == {"k": "w"}
        listed = [each.id async for each in over(kept.list(metadata={"k": "w"}))]
        assert listed == [made.id]
        told = [each.content async for each in over(kept.messages.list(made.id))]
        assert told == ["keep"]
        assert (await of(kept.delete(made.id))).deleted

    owner = server.make_key(project=f"kept-{KEEPING.index(way)}")
    play(way, server, owner, scene, strict=False)


@ways(*OPENAIS)
def test_errors(way: Way, server: EntenteServer, key: Key) -> None:
    """Each is the exception that the client has for it; a broken stream is no short answer."""

    async def scene(client: Any) -> None:
        create = client.chat.completions.create
        wrong = client.with_options(api_key="sk-wrong")
        for error, ask in (
            (openai.AuthenticationError, wrong.models.list),
            (openai.NotFoundError, lambda: create(model="nope", messages=said("a"))),
            (openai.BadRequestError, lambda: create(model="m", messages=[])),
            (openai.NotFoundError, lambda: client.files.retrieve("file-none")),
            (openai.NotFoundError, lambda: client.batches.retrieve("batch_none")),
            (openai.NotFoundError, lambda: client.responses.retrieve("resp_none")),
            (openai.InternalServerError, lambda: create(model="m", messages=said("never retry"))),
        ):
            with pytest.raises(error) as refused:
                await of(ask())
            assert refused.value.message
        broken = await of(create(model="m", messages=said("break with close"), stream=True))
        with pytest.raises(openai.APIError):
            [chunk async for chunk in over(broken)]

    play(way, server, key, scene, strict=way not in AZURES)
    statuses = [str(entry.status) for entry in server.settlements(key)]
    assert statuses in (["failed", "truncated"], ["failed", "failed"])


@ways(*RETRYING)
def test_retries(way: Way, server: EntenteServer, key: Key) -> None:
    """As often as the provider asks, each attempt with an entry of its own."""

    async def scene(client: Any) -> None:
        for text in ("fails twice with 500 for", "fails twice with 429 for", "do retry for"):
            asked = f"{text} {way.retried}"
            answer = await of(client.chat.completions.create(model="m", messages=said(asked)))
            assert answer.choices[0].message.content == asked

    play(way, server, key, scene, retries=2)
    statuses = [str(entry.status) for entry in server.settlements(key)]
    assert statuses.count("complete") == 3
    assert statuses.count("failed") == 5


@ways(*OPENAIS)
def test_cancellation(way: Way, server: EntenteServer, key: Key) -> None:
    """A client that leaves in the middle is settled for what it got, of both kinds."""

    async def scene(client: Any) -> None:
        for stream in (
            await of(client.chat.completions.create(
                model="m", messages=said("many words"), stream=True
            )),
            await of(client.responses.create(model="m", input="many words", stream=True)),
        ):  # fmt: skip
            count = 0
            async for _ in over(stream):
                count += 1
                if count == 5:
                    break
            await of(stream.close())

    play(way, server, key, scene, strict=way not in AZURES)
    assert [str(entry.status) for entry in server.settled(key, 2)] == ["cancelled", "cancelled"]


# ---- Anthropic's ----


def _anthropic(root: str) -> dict[str, str]:
    return {"base_url": root}


def _anthropic_prefixed(root: str) -> dict[str, str]:
    return {"base_url": f"{root}/anthropic"}


MESSAGES: Final = (
    Way("anthropic", anthropic.Anthropic, _anthropic_prefixed, ""),
    Way("anthropic, asynchronous", anthropic.AsyncAnthropic, _anthropic, "messenger"),
)


@ways(*MESSAGES)
def test_messages(way: Way, server: EntenteServer, key: Key) -> None:
    """Whole, as a stream, with tools, by a schema, counted; and the models."""

    async def scene(client: Any) -> None:
        asked: dict[str, Any] = {"model": "m", "max_tokens": 50}
        create = client.messages.create
        whole = await of(create(**asked, messages=said("one two")))
        assert (whole.content[0].text, whole.stop_reason) == ("one two", "end_turn")
        stream = await of(create(**asked, messages=said("a b"), stream=True))
        kinds = [event.type async for event in over(stream)]
        assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
        tool = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}
        called = await of(create(**asked, messages=said("weather?"), tools=[tool]))
        assert [block.input["city"] for block in called.content] == CITIES
        form = {"format": {"type": "json_schema", "schema": SCHEMA}}
        parsed = await of(create(**asked, messages=said("a trip as json"), output_config=form))
        assert json.loads(parsed.content[0].text) == TRIP
        counted = await of(client.messages.count_tokens(model="m", messages=said("one two")))
        assert counted.input_tokens > 0
        assert "m" in [model.id async for model in over(client.models.list())]

    play(way, server, key, scene)
    assert len(server.settlements(key)) == 4


@ways(*MESSAGES)
def test_message_batches(way: Way, server: EntenteServer) -> None:
    """Made, awaited, listed, read, and deleted."""

    async def scene(client: Any) -> None:
        params = {"model": "m", "max_tokens": 50, "messages": said("one two")}
        batches = client.messages.batches
        begun = await of(batches.create(requests=[{"custom_id": "a", "params": params}]))
        await until_ended(lambda: batches.retrieve(begun.id))
        results = [one async for one in over(await of(batches.results(begun.id)))]
        assert [one.result.message.content[0].text for one in results] == ["one two"]
        assert [one.id async for one in over(batches.list())] == [begun.id]
        assert (await of(batches.delete(begun.id))).id == begun.id
        with pytest.raises(anthropic.NotFoundError):
            await of(batches.retrieve(begun.id))

    owner = server.make_key(project=f"messages-{MESSAGES.index(way)}")
    play(way, server, owner, scene)


@ways(*MESSAGES[1:])
def test_messages_that_fail(way: Way, server: EntenteServer, key: Key) -> None:
    """Errors, retries, and a client that leaves."""

    async def scene(client: Any) -> None:
        asked: dict[str, Any] = {"max_tokens": 500}
        create = client.messages.create
        with pytest.raises(anthropic.NotFoundError):
            await create(**asked, model="nope", messages=said("a"))
        with pytest.raises(anthropic.AuthenticationError):
            await client.with_options(api_key="sk-wrong").models.list()
        text = f"fails twice with 500 for {way.retried}"
        answer = await create(**asked, model="m", messages=said(text))
        assert answer.content[0].text == text
        stream = await create(**asked, model="m", messages=said("many words"), stream=True)
        count = 0
        async for _ in stream:
            count += 1
            if count == 5:
                break
        await stream.close()

    play(way, server, key, scene, retries=2)
    statuses = [str(entry.status) for entry in server.settled(key, 4)]
    assert statuses == ["failed", "failed", "complete", "cancelled"]
