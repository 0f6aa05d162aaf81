"""OpenAI's official Python clients (plain, async, Azure's) with providers of every dialect."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import openai
import pytest
from pydantic import BaseModel

from entente.domain.chat import Status
from entente.domain.usage import Usage
from tests.support.matrix.bench import Bench
from tests.support.matrix.features import PNG, WEATHER
from tests.support.matrix.page import PROVIDERS
from tests.support.standins.scenes import SCENES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletionMessageParam
    from openai.types.responses import ToolParam

    from tests.support.server import Key

EVERY: Final = pytest.mark.parametrize("provider", PROVIDERS)
TOOL: Final[Any] = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
TEXT: Final = SCENES["text"].text
API_VERSION: Final = "2024-10-21"
OWN: Final[Any] = {"parsed_arguments": True, "content": {"__all__": {"parsed"}}}
"""What the client itself adds to an item, and no API takes back."""


class City(BaseModel):
    """What an answer by a schema is parsed into."""

    city: str


def said(scene: str) -> list[ChatCompletionMessageParam]:
    """Write a conversation of one user message."""
    return [{"role": "user", "content": f"scene:{scene}"}]


def http() -> Any:
    """Make the clients' own HTTP client, without the environment's proxies."""
    return openai.DefaultHttpxClient(trust_env=False)


@pytest.fixture
def key(bench: Bench) -> Key:
    """Give a key that nobody has used."""
    return bench.key()


@pytest.fixture
def client(bench: Bench, key: Key) -> Iterator[openai.OpenAI]:
    """Give a client as its users make it, without retries."""
    with openai.OpenAI(
        base_url=bench.server.base_url,
        api_key=key.secret,
        max_retries=0,
        http_client=http(),
        _strict_response_validation=True,
    ) as made:
        yield made


@pytest.fixture
def azure(bench: Bench, key: Key) -> Iterator[openai.AzureOpenAI]:
    """Give a client of Azure's classic surface."""
    with openai.AzureOpenAI(
        azure_endpoint=f"http://127.0.0.1:{bench.server.port}",
        api_version=API_VERSION,
        api_key=key.secret,
        max_retries=0,
        http_client=http(),
    ) as made:
        yield made


# ---- chat ----


@EVERY
def test_chat(client: openai.OpenAI, bench: Bench, key: Key, provider: str) -> None:
    """A whole answer validates strictly, and says what the ledger says."""
    answer = client.chat.completions.create(model=provider, messages=said("cached"))
    assert answer.choices[0].message.content == "ok"
    assert answer.usage is not None
    settled = bench.settlement(key)
    assert answer.usage.total_tokens == settled.usage.total
    assert settled.usage == bench.told[provider].tells(SCENES["cached"], stream=False).usage


@EVERY
def test_chat_by_a_schema(client: openai.OpenAI, provider: str) -> None:
    """The client's own schema goes out in the provider's form, and its answer is parsed."""
    answer = client.chat.completions.parse(
        model=provider, messages=said("json"), response_format=City
    )
    assert answer.choices[0].message.parsed == City(city="Paris")


@EVERY
def test_chat_with_an_image(client: openai.OpenAI, bench: Bench, provider: str) -> None:
    """A picture arrives as the provider wants pictures."""
    content: list[Any] = [
        {"type": "text", "text": "What is this? scene:text"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    answer = client.chat.completions.create(
        model=provider, messages=[{"role": "user", "content": content}]
    )
    assert answer.choices[0].message.content == TEXT
    standin = bench.vendors[provider].standin
    assert standin is None or standin.asked[-1].said[-1] == ("user", "image", "image/png", PNG)


def test_what_anthropic_cannot_do(client: openai.OpenAI, bench: Bench, key: Key) -> None:
    """A refusal names the parameter; a model that drops names it in a header."""
    create = client.chat.completions.with_raw_response.create
    with pytest.raises(openai.BadRequestError) as refused:
        create(model="anthropic", messages=said("text"), n=2, seed=7)
    assert (refused.value.param, refused.value.code) == ("seed", "unsupported_parameter")
    raw = create(model="anthropic-drop", messages=said("text"), n=2, seed=7)
    assert raw.headers["x-entente-dropped"] == "seed, n"
    assert [c.message.content for c in raw.parse().choices] == [TEXT]
    first, second = [e for e in bench.entries(key) if e.idempotency_prefix == "settle"]
    assert (getattr(first, "status", None), getattr(first, "usage", None)) == ("failed", Usage())
    assert getattr(second, "usage", None) == SCENES["text"].usage


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "bedrock"])
@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        ("refuses", openai.BadRequestError),
        ("limits", openai.RateLimitError),
        ("fails", openai.InternalServerError),
    ],
)
def test_errors_of_other_vendors(
    client: openai.OpenAI, bench: Bench, key: Key, provider: str, scene: str, kind: type[Exception]
) -> None:
    """Each is the exception that the client has for it; what can be tried again is."""
    patient = client.with_options(max_retries=1 if scene == "refuses" else 0)
    with pytest.raises(kind, match="The stand-in"):
        patient.chat.completions.create(model=provider, messages=said(scene))
    assert bench.settlement(key).status is Status.FAILED


# ---- responses ----


@EVERY
def test_responses(client: openai.OpenAI, bench: Bench, key: Key, provider: str) -> None:
    """Whole, and streamed with the client's own accumulator."""
    response = client.responses.create(model=provider, input="scene:text")
    assert (response.status, response.output_text) == ("completed", TEXT)
    assert response.usage is not None
    assert response.usage.total_tokens == bench.settlement(key).usage.total
    with client.responses.stream(model=provider, input="scene:thinking") as stream:
        deltas = [e.delta for e in stream if e.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text == "Ah."


@EVERY
def test_responses_by_a_schema(client: openai.OpenAI, provider: str) -> None:
    """Parsed as with chat."""
    response = client.responses.parse(model=provider, input="scene:json", text_format=City)
    assert response.output_parsed == City(city="Paris")


@EVERY
def test_a_tool_loop_of_responses(client: openai.OpenAI, bench: Bench, provider: str) -> None:
    """The output goes back as it came, with the results, and is understood."""
    tools: list[ToolParam] = [
        {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": False}
    ]
    with client.responses.stream(model=provider, input="scene:parallel", tools=tools) as stream:
        first = stream.get_final_response()
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [
        call.arguments for call in SCENES["parallel"].calls
    ]
    talk: list[Any] = [
        {"role": "user", "content": "scene:parallel"},
        *(item.model_dump(by_alias=True, exclude_unset=True, exclude=OWN) for item in first.output),
        *(
            {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
            for call in calls
        ),
        {"role": "user", "content": "Go on: scene:text"},
    ]
    second = client.responses.create(model=provider, input=talk, tools=tools)
    assert second.output_text == TEXT
    standin = bench.vendors[provider].standin
    if standin is not None:
        results = [part[2] for part in standin.asked[-1].said if part[1] == "result"]
        assert results == [call.call_id for call in calls]


@pytest.mark.parametrize("scene", ["breaks_by_event", "breaks_by_cut"])
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "bedrock"])
def test_a_response_that_breaks_off(
    client: openai.OpenAI, bench: Bench, key: Key, provider: str, scene: str
) -> None:
    """Never one that is completed."""
    with client.responses.create(model=provider, input=f"scene:{scene}", stream=True) as stream:
        kinds = [event.type for event in stream]
    assert kinds[-1] in {"error", "response.failed"}
    assert "response.completed" not in kinds
    assert bench.settlement(key).status in {Status.FAILED, Status.TRUNCATED}


# ---- Azure's client, and the asynchronous one ----


@EVERY
def test_azures_client(azure: openai.AzureOpenAI, bench: Bench, key: Key, provider: str) -> None:
    """The deployment is the model; whole and streamed, with the filter's annotations."""
    answer = azure.chat.completions.create(model=provider, messages=said("text"))
    assert answer.choices[0].message.content == TEXT
    assert isinstance((answer.model_extra or {})["prompt_filter_results"], list)
    assert bench.settlement(key).usage == SCENES["text"].usage
    with azure.chat.completions.create(
        model=provider, messages=said("parallel"), tools=[TOOL], stream=True
    ) as stream:
        first, *chunks = list(stream)
    assert first.choices == []
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == "Let me look."
    calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert [call.function.name for call in calls if call.id and call.function] == (
        ["get_weather"] * 2
    )
    assert choices[-1].finish_reason == "tool_calls"


def test_azures_errors(azure: openai.AzureOpenAI) -> None:
    """In Azure's words."""
    with pytest.raises(openai.NotFoundError) as missing:
        azure.chat.completions.create(model="nope", messages=said("text"))
    assert missing.value.code == "DeploymentNotFound"
    with pytest.raises(openai.BadRequestError) as refused:
        azure.chat.completions.create(model="bedrock", messages=said("text"), seed=7)
    assert refused.value.param == "seed"
    with pytest.raises(openai.AuthenticationError, match="Access denied"):
        azure.with_options(api_key="sk-wrong").chat.completions.create(
            model="openai", messages=said("text")
        )


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "bedrock"])
def test_many_at_once(bench: Bench, provider: str) -> None:
    """Streams side by side do not mix; each is settled with what it used."""
    scenes = ["text", "thinking", "length", "json"] * 5
    mine = bench.key()

    async def main() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=bench.server.base_url,
            api_key=mine.secret,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
        ) as client:

            async def one(scene: str) -> str:
                stream = await client.chat.completions.create(
                    model=provider, messages=said(scene), stream=True
                )
                pieces = [c.choices[0].delta.content or "" async for c in stream if c.choices]
                return "".join(pieces)

            return list(await asyncio.gather(*map(one, scenes)))

    assert asyncio.run(main()) == [SCENES[scene].text for scene in scenes]
    told = [bench.told[provider].tells(SCENES[scene], stream=True).usage for scene in scenes]
    settled = bench.server.settlements(mine)
    assert sorted(entry.usage.counts() for entry in settled) == sorted(u.counts() for u in told)
