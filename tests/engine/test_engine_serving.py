"""A running child as a client sees it, through the official SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from entente.engine import Endpoint, Phase, Runtime, RuntimeOptions

READY_S = 60
MODEL = "entente-tiny"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
CONCURRENT = 16


@asynccontextmanager
async def serving(options: RuntimeOptions) -> AsyncIterator[tuple[Runtime, openai.AsyncOpenAI]]:
    """Run a child and give a client of it."""
    runtime = Runtime(options)
    await runtime.start()
    try:
        async with client_of(await runtime.ready(READY_S)) as client:
            yield runtime, client
    finally:
        await runtime.aclose()


def client_of(endpoint: Endpoint, key: str | None = None) -> openai.AsyncOpenAI:
    """Make an SDK client that does not retry, so that a test sees the first answer."""
    return openai.AsyncOpenAI(
        base_url=f"{endpoint.base_url}/v1",
        api_key=key or endpoint.api_key.reveal(),
        max_retries=0,
    )


def test_a_completion_has_text_a_finish_reason_and_usage(options: RuntimeOptions) -> None:
    """The wire fields that the ledger lives on are there and agree with each other."""

    async def scenario() -> None:
        async with serving(options) as (runtime, client):
            answer = await client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=8)
            assert runtime.state.phase is Phase.READY
        choice, usage = answer.choices[0], answer.usage
        assert answer.id.startswith("chatcmpl-")
        assert choice.finish_reason in {"stop", "length"}
        assert usage is not None
        assert 0 < usage.completion_tokens <= 8
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens

    asyncio.run(scenario())


def test_a_stream_says_the_same_as_the_whole_answer(options: RuntimeOptions) -> None:
    """Temperature 0 is the default, so both forms of one request have the same text."""

    async def scenario() -> None:
        async with serving(options) as (_, client):
            whole = await client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=8)
            stream = await client.chat.completions.create(
                model=MODEL,
                messages=HELLO,
                max_tokens=8,
                stream=True,
                stream_options={"include_usage": True},
            )
            chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
        assert text == (whole.choices[0].message.content or "")
        assert reasons[-1] == whole.choices[0].finish_reason
        assert set(reasons[:-1]) <= {None}
        assert not chunks[-1].choices
        assert chunks[-1].usage is not None
        assert whole.usage is not None
        assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens

    asyncio.run(scenario())


def test_the_client_may_choose_another_temperature(options: RuntimeOptions) -> None:
    """The default of 0 must not override what a client asks for."""

    async def scenario() -> set[str | None]:
        async with serving(options) as (_, client):
            answers = await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model=MODEL,
                        messages=HELLO,
                        max_tokens=24,
                        temperature=2.0,
                        seed=seed,
                        top_p=1.0,
                        extra_body={"top_k": 0, "min_p": 0.0},
                    )
                    for seed in range(8)
                )
            )
        return {answer.choices[0].message.content for answer in answers}

    assert len(asyncio.run(scenario())) > 1


def test_a_wrong_key_is_refused(options: RuntimeOptions) -> None:
    """Nobody on the machine gets round the gateway's accounting."""

    async def scenario() -> None:
        async with serving(options) as (runtime, _):
            assert runtime.endpoint is not None
            async with client_of(runtime.endpoint, key="wrong") as stranger:
                with pytest.raises(openai.AuthenticationError) as refused:
                    await stranger.chat.completions.create(model=MODEL, messages=HELLO)
        assert refused.value.status_code == 401

    asyncio.run(scenario())


def test_more_requests_than_slots_are_all_served(options: RuntimeOptions) -> None:
    """Eight are decoded in one batch, the others wait; none is refused."""

    async def scenario() -> None:
        async with serving(options) as (_, client):
            answers = await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model=MODEL,
                        messages=[{"role": "user", "content": f"Count to {number}"}],
                        max_tokens=16,
                    )
                    for number in range(CONCURRENT)
                )
            )
        assert len({answer.id for answer in answers}) == CONCURRENT
        assert all(answer.usage and answer.usage.completion_tokens for answer in answers)

    asyncio.run(scenario())


def test_a_json_schema_is_kept(options: RuntimeOptions) -> None:
    """The answer follows the schema whatever the model would rather say."""

    async def scenario() -> str | None:
        async with serving(options) as (_, client):
            answer = await client.chat.completions.create(
                model=MODEL,
                messages=HELLO,
                max_tokens=64,
                response_format={
                    "type": "json_schema",
                    "json_schema": {
                        "name": "answer",
                        "schema": {
                            "type": "object",
                            "properties": {"yes": {"type": "boolean"}},
                            "required": ["yes"],
                            "additionalProperties": False,
                        },
                    },
                },
            )
        return answer.choices[0].message.content

    assert json.loads(asyncio.run(scenario()) or "").keys() == {"yes"}


def test_log_probabilities_are_given(options: RuntimeOptions) -> None:
    """Each token comes with its own and the asked number of alternatives."""

    async def scenario() -> None:
        async with serving(options) as (_, client):
            answer = await client.chat.completions.create(
                model=MODEL, messages=HELLO, max_tokens=4, logprobs=True, top_logprobs=2
            )
        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.content
        assert {len(token.top_logprobs) for token in logprobs.content} == {2}

    asyncio.run(scenario())
