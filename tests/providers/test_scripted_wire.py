"""The scripted provider's bytes: OpenAI's, to the byte and to the official SDK."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente.domain.chat import Surface
from entente.providers.base import Ask
from entente.providers.scripted import (
    ECHO,
    ErrorReply,
    Reply,
    Script,
    ScriptedProvider,
    ToolCall,
    UsageCounts,
)
from entente.providers.scripted.wire import split_words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openai.types.chat import ChatCompletion, ChatCompletionChunk

NOW_NS = 1_787_981_921_999_999_999
BYTES_MAX = 1_000_000
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}


async def _no_sleep(_seconds: float) -> None:
    """Stand in for the clock where no delay is scripted."""


def provider_of(*replies: Reply) -> ScriptedProvider:
    """Make a provider of these replies at a fixed time."""
    script = Script(replies=replies) if replies else ECHO
    return ScriptedProvider("main", script, now_ns=lambda: NOW_NS, sleep=_no_sleep)


def ask(said: str = "hello there", **fields: object) -> Ask:
    """Make a call that says this to the model `m`."""
    body = {"model": "m", "messages": [{"role": "user", "content": said}], **fields}
    return Ask(
        surface=Surface.CHAT,
        model="m",
        body=json.dumps(body).encode(),
        stream=bool(fields.get("stream")),
        request_id="req_1",
    )


def body_of(provider: ScriptedProvider, call: Ask) -> bytes:
    """Call and read the whole answer."""

    async def exchange() -> bytes:
        """Open and read."""
        return await (await provider.open(call)).read(BYTES_MAX)

    return asyncio.run(exchange())


class _Transport(httpx2.AsyncBaseTransport):
    """Lets the SDK reach a provider without a network."""

    def __init__(self, provider: ScriptedProvider) -> None:
        """Take the provider."""
        self._provider = provider

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Hand the body over and stream the answer back."""
        call = Ask(
            surface=Surface.CHAT, model="m", body=request.content, stream=False, request_id="r"
        )
        answer = await self._provider.open(call)

        async def chunks() -> AsyncIterator[bytes]:
            """Give the answer's chunks as they come."""
            while piece := await answer.chunk():
                yield piece

        return httpx2.Response(answer.status, headers=dict(answer.headers), content=chunks())


def sdk_of(*replies: Reply) -> openai.AsyncOpenAI:
    """Make the official client, with strict validation and no retries."""
    return openai.AsyncOpenAI(
        api_key="none",
        base_url="http://scripted.test/v1",
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=_Transport(provider_of(*replies))),
        _strict_response_validation=True,
    )


def complete(*replies: Reply, **fields: object) -> ChatCompletion:
    """Let the SDK make a call and check its answer."""

    async def exchange() -> ChatCompletion:
        """Call through the client."""
        async with sdk_of(*replies) as client:
            return await client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": "hello there"}],
                extra_body=fields,
            )

    return asyncio.run(exchange())


def stream(*replies: Reply, **fields: object) -> list[ChatCompletionChunk]:
    """Let the SDK make a streamed call and check each event."""

    async def exchange() -> list[ChatCompletionChunk]:
        """Read the stream to its end."""
        async with sdk_of(*replies) as client:
            events = await client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": "hello there"}],
                stream=True,
                extra_body=fields,
            )
            return [event async for event in events]

    return asyncio.run(exchange())


def test_a_whole_answer_to_the_byte() -> None:
    """Keys, their order, ids and counts of the echo."""
    assert body_of(provider_of(), ask()) == (
        b'{"id":"chatcmpl-00000000000000000000000000000001","object":"chat.completion",'
        b'"created":1787981921,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
        b'"content":"hello there","refusal":null,"annotations":[]},"logprobs":null,'
        b'"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":2,'
        b'"total_tokens":4,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
        b'"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
        b'"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},'
        b'"service_tier":"default","system_fingerprint":"fp_scripted"}'
    )


def test_a_stream_to_the_byte() -> None:
    """Role, deltas, finish, [DONE]; no usage key and no logprobs key unless asked for."""
    head = (
        b'data: {"id":"chatcmpl-00000000000000000000000000000001",'
        b'"object":"chat.completion.chunk","created":1787981921,"model":"m",'
        b'"service_tier":"default","system_fingerprint":"fp_scripted","choices":[{"index":0,'
    )
    assert body_of(provider_of(), ask(stream=True)) == b"".join(
        (
            head + b'"delta":{"role":"assistant","content":"","refusal":null},'
            b'"finish_reason":null}]}\n\n',
            head + b'"delta":{"content":"hello"},"finish_reason":null}]}\n\n',
            head + b'"delta":{"content":" there"},"finish_reason":null}]}\n\n',
            head + b'"delta":{},"finish_reason":"stop"}]}\n\n',
            b"data: [DONE]\n\n",
        )
    )


def test_usage_of_a_stream_comes_last_and_is_null_before() -> None:
    """With `include_usage` each event has the key; only the last one a value, and no choice."""
    raw = body_of(provider_of(), ask(stream=True, stream_options={"include_usage": True}))
    *events, done = raw.decode().split("\n\n")[:-1]
    decoded = [json.loads(event.removeprefix("data: ")) for event in events]
    assert done == "data: [DONE]"
    assert [event["usage"] for event in decoded[:-1]] == [None] * 4
    assert decoded[-1]["choices"] == []
    assert decoded[-1]["usage"]["total_tokens"] == 4


def test_equal_providers_give_equal_bytes() -> None:
    """Nothing in an answer comes from chance; only the number of the call changes the id."""
    one, two = provider_of(), provider_of()
    first = body_of(one, ask(stream=True))
    assert first == body_of(two, ask(stream=True))
    assert body_of(one, ask(stream=True)) == first.replace(b"0001", b"0002")


def test_the_sdk_takes_whole_answers() -> None:
    """Several choices, logprobs and usage pass strict validation and mean what was scripted."""
    usage = UsageCounts(
        prompt_tokens=50,
        cached_tokens=40,
        cache_write_tokens=3,
        reasoning_tokens=7,
        audio_prompt_tokens=2,
        audio_completion_tokens=1,
    )
    answer = complete(Reply(text="good day", usage=usage), n=3, logprobs=True, top_logprobs=2)
    assert [choice.message.content for choice in answer.choices] == ["good day"] * 3
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    logprobs = answer.choices[2].logprobs
    assert logprobs is not None
    assert [token.token for token in logprobs.content or ()] == ["good", " day"]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3 * 2 + 7 + 1
    assert answer.usage.total_tokens == 50 + 14
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 40
    assert answer.usage.prompt_tokens_details.cache_write_tokens == 3


def test_the_sdk_takes_tool_calls() -> None:
    """Content is null, each call has its own id, and the finish reason follows."""
    calls = (ToolCall(name="weather", arguments='{"city": "Paris"}'), ToolCall(name="time"))
    answer = complete(Reply(tool_calls=calls), tools=[TOOL], n=2)
    message = answer.choices[0].message
    assert message.content is None
    assert answer.choices[0].finish_reason == "tool_calls"
    made = [call for choice in answer.choices for call in choice.message.tool_calls or ()]
    assert [call.function.name for call in made if call.type == "function"] == [
        *("weather", "time"),
        *("weather", "time"),
    ]
    assert len({call.id for call in made}) == 4


def test_the_sdk_takes_streamed_tool_calls() -> None:
    """A call opens with id, name and empty arguments, which then come in pieces."""
    calls = (ToolCall(name="weather", arguments='{"city": "Paris"}'), ToolCall(name="time"))
    events = stream(Reply(tool_calls=calls), tools=[TOOL])
    assert events[0].choices[0].delta.content is None
    deltas = [call for event in events for call in event.choices[0].delta.tool_calls or ()]
    opened = [call for call in deltas if call.id]
    assert [(call.index, call.type) for call in opened] == [(0, "function"), (1, "function")]
    assert [call.function.name for call in opened if call.function] == ["weather", "time"]
    arguments = ["", ""]
    for call in deltas:
        assert call.function is not None
        arguments[call.index] += call.function.arguments or ""
    assert arguments == ['{"city": "Paris"}', "{}"]
    assert events[-1].choices[0].finish_reason == "tool_calls"


def test_the_sdk_takes_every_kind_of_stream() -> None:
    """Text, refusal and JSON, with several choices, logprobs and usage."""
    for reply in (Reply(text="a b"), Reply(refusal="no way"), Reply(json='{"a": 1}')):
        events = stream(
            reply, n=2, logprobs=True, top_logprobs=1, stream_options={"include_usage": True}
        )
        assert events[-1].usage is not None
        assert events[-1].usage.completion_tokens == 4
        ends = [c.finish_reason for event in events for c in event.choices if c.finish_reason]
        assert ends == ["stop", "stop"]


def test_the_sdk_reads_errors() -> None:
    """An error's words and headers reach the SDK's exception."""
    error = ErrorReply(status=429, headers={"Retry-After-Ms": "20"}, param="model")
    with pytest.raises(openai.RateLimitError) as caught:
        complete(Reply(error=error))
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.type == "requests"
    assert caught.value.param == "model"
    assert caught.value.response.headers["retry-after-ms"] == "20"
    assert caught.value.request_id == "req_00000000000000000000000000000001"


def test_strict_validation_has_teeth() -> None:
    """The tests above would fail on a body that is not OpenAI's."""
    with pytest.raises(openai.APIResponseValidationError):
        complete(Reply(raw_body='{"id": 1}'))
    with pytest.raises(openai.APIResponseValidationError):
        stream(Reply(raw_stream='data: {"id": 1}\n\n'))


@pytest.mark.parametrize("bound", ["max_tokens", "max_completion_tokens"])
def test_the_token_bound_ends_the_answer(bound: str) -> None:
    """A piece is a token: the answer stops at the bound with `length`, in both forms."""
    reply = Reply(pieces=("a", "b", "c"))
    answer = complete(reply, **{bound: 2})
    assert answer.choices[0].message.content == "ab"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2
    events = stream(reply, **{bound: 2})
    assert "".join(event.choices[0].delta.content or "" for event in events) == "ab"
    assert events[-1].choices[0].finish_reason == "length"
    assert complete(reply, **{bound: 3}).choices[0].finish_reason == "stop"


def test_the_token_bound_cuts_arguments() -> None:
    """A tool call may be cut in its arguments, as a real one is."""
    call = ToolCall(name="f", arguments='{"a": 1}')
    answer = complete(Reply(tool_calls=(call,)), max_tokens=2)
    made = answer.choices[0].message.tool_calls or []
    assert [one.function.arguments for one in made if one.type == "function"] == ['{"a":']
    assert answer.choices[0].finish_reason == "length"


def test_a_provider_may_keep_its_usage_to_itself() -> None:
    """With `usage = "none"` there is no usage, not even null, in either form."""
    silent = Reply(text="a", usage="none")
    assert b'"usage"' not in body_of(provider_of(silent), ask())
    options = {"include_usage": True}
    assert b'"usage"' not in body_of(provider_of(silent), ask(stream=True, stream_options=options))


def test_a_scripted_finish_reason_is_sent() -> None:
    """A content filter's end, in both forms."""
    reply = Reply(text="", finish_reason="content_filter")
    assert complete(reply).choices[0].finish_reason == "content_filter"
    assert stream(reply)[-1].choices[0].finish_reason == "content_filter"


def test_text_goes_with_tool_calls() -> None:
    """A model may say something before it calls."""
    reply = Reply(text="let me see", tool_calls=(ToolCall(name="f"),))
    message = complete(reply).choices[0].message
    assert message.content == "let me see"
    assert message.tool_calls is not None
    assert stream(reply)[0].choices[0].delta.content == ""


@settings(deadline=None, derandomize=True)
@given(st.text())
def test_words_join_to_the_text_and_count_as_words(text: str) -> None:
    """No character is lost in a stream, and a piece is what `split` calls a word."""
    pieces = split_words(text)
    assert "".join(pieces) == text
    if text.split():
        assert len(pieces) == len(text.split())
