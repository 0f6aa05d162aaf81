"""What the matrix asks of every pair of dialects, and what some providers cannot do."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tests.support.clients.client import OUTPUT_TOKENS_MAX, Wish

PNG: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)
PDF: Final = "JVBERi0xLjQKJSVFT0YK"
WEATHER: Final = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 40}},
    "required": ["city"],
    "additionalProperties": False,
}
SEARCH: Final = "web_search_20250305"
TOOLS: Final[tuple[tuple[str, Any], ...]] = (
    ("get_weather", WEATHER),
    ("look", {"type": "object", "properties": {}}),
)
HISTORY: Final = (
    ("user", "text", "The weather in Paris and Rome?"),
    ("model", "call", "call_1", "get_weather", {"city": "Paris"}),
    ("model", "call", "call_2", "get_weather", {"city": "Rome"}),
    ("user", "result", "call_1", "sunny, 21 °C"),
    ("user", "result", "call_2", "rain"),
)

OPENAI: Final = "OpenAI chat"
AZURE: Final = "Azure chat"
RESPONSES: Final = "OpenAI responses"
ANTHROPIC: Final = "Anthropic messages"
PASSES: Final = {
    (OPENAI, "openai"),
    (RESPONSES, "openai"),
    (AZURE, "openai"),
    (AZURE, "azure"),
    (ANTHROPIC, "anthropic"),
}
"""Clients and providers that speak the same dialect."""
_CHAT_CLIENTS: Final = (OPENAI, AZURE)
_STOPPING: Final = (OPENAI, AZURE, ANTHROPIC)
"""Whose dialects have stop sequences."""


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the page: what is asked, and which clients can ask it."""

    name: str
    wish: Wish
    clients: tuple[str, ...] = (OPENAI, AZURE, RESPONSES, ANTHROPIC)
    lost: str = ""
    """What `x-entente-dropped` calls it where it is left out; a client may have its own name."""
    hint: bool = False
    """It changes no answer, so that leaving it out is named, but no reason to refuse."""


def _asks(name: str, **settings: Any) -> Feature:
    """Ask with parameters, which the provider has to see."""
    return Feature(name=name, wish=Wish(scene="text", settings=settings))


def _openai(name: str, lost: str, **settings: Any) -> Feature:
    """Ask for what all of OpenAI's dialects have."""
    wish = Wish(scene="text", settings=settings)
    return Feature(name=name, wish=wish, clients=(*_CHAT_CLIENTS, RESPONSES), lost=lost)


def _chat(name: str, lost: str, **settings: Any) -> Feature:
    """Ask for what only chat completions have."""
    wish = Wish(scene="text", settings=settings)
    return Feature(name=name, wish=wish, clients=_CHAT_CLIENTS, lost=lost)


def _anthropic(name: str, lost: str, *, hint: bool = False, **extra: Any) -> Feature:
    wish = Wish(scene="text", extra=extra)
    return Feature(name=name, wish=wish, clients=(ANTHROPIC,), lost=lost, hint=hint)


def _responses(name: str, lost: str, **extra: Any) -> Feature:
    wish = Wish(scene="text", extra=extra)
    return Feature(name=name, wish=wish, clients=(RESPONSES,), lost=lost)


def _plays(name: str, scene: str, *, stream: bool = False) -> Feature:
    """Look at an answer; tools are there for scenes that call them."""
    return Feature(name=name, wish=Wish(scene=scene, stream=stream, tools=TOOLS))


FEATURES: Final = (
    # answers
    _plays("text", "text"),
    _plays("text, streamed", "text", stream=True),
    _plays("thoughts", "thinking"),
    _plays("thoughts, streamed", "thinking", stream=True),
    _plays("one tool call", "one_tool"),
    _plays("one tool call, streamed arguments", "one_tool", stream=True),
    _plays("a tool call without arguments", "bare_tool"),
    _plays("a tool call without arguments, streamed", "bare_tool", stream=True),
    _plays("parallel tool calls", "parallel"),
    _plays("parallel tool calls, streamed arguments", "parallel", stream=True),
    _plays("end by length", "length"),
    _plays("end by length, streamed", "length", stream=True),
    Feature(
        name="end by a stop sequence",
        wish=Wish(scene="stop_sequence", settings={"stop": ["END"]}),
        clients=_STOPPING,
    ),
    Feature(
        name="end by a stop sequence, streamed",
        wish=Wish(scene="stop_sequence", stream=True, settings={"stop": ["END"]}),
        clients=_STOPPING,
    ),
    _plays("end by a filter", "filtered"),
    _plays("end by a filter, streamed", "filtered", stream=True),
    _plays("usage with cached tokens and thoughts", "cached"),
    _plays("usage with cached tokens and thoughts, streamed", "cached", stream=True),
    # requests
    Feature(name="the operator's words", wish=Wish(scene="text", system="Be brief.")),
    Feature(
        name="results of parallel tool calls",
        wish=Wish(scene="text", history=HISTORY, tools=TOOLS),
    ),
    Feature(
        name="a tool that must be called",
        wish=Wish(scene="one_tool", tools=TOOLS, choice="get_weather"),
    ),
    Feature(name="any tool must be called", wish=Wish(scene="one_tool", tools=TOOLS, choice="any")),
    Feature(
        name="one tool call at a time",
        wish=Wish(scene="one_tool", tools=TOOLS, settings={"parallel_tool_calls": False}),
        clients=(*_CHAT_CLIENTS, RESPONSES),
        lost="parallel_tool_calls",
    ),
    Feature(
        name="an image in the request",
        wish=Wish(scene="text", parts=(("image", "image/png", PNG),)),
    ),
    Feature(
        name="an image by its address",
        wish=Wish(scene="text", parts=(("link", "https://example.org/a.png"),)),
        lost="image_urls",
    ),
    Feature(
        name="a PDF in the request",
        wish=Wish(scene="text", parts=(("document", "application/pdf", PDF),)),
    ),
    Feature(name="an answer by a JSON schema", wish=Wish(scene="json", form=WEATHER)),
    Feature(
        name="an answer by a JSON schema, streamed",
        wish=Wish(scene="json", stream=True, form=WEATHER),
    ),
    _openai("an answer of any JSON", "json_object", response_format={"type": "json_object"}),
    _asks("temperature and top-p", temperature=0.5, top_p=0.25),
    _openai("temperature above 1", "temperature", temperature=1.5),
    Feature(
        name="four stop sequences",
        wish=Wish(scene="text", settings={"stop": ["a", "b", "c", "d"]}),
        clients=_STOPPING,
    ),
    _chat("seed", "seed", seed=7),
    _openai("frequency penalty", "frequency_penalty", frequency_penalty=0.5),
    _openai("presence penalty", "presence_penalty", presence_penalty=0.5),
    _chat("two choices", "n", n=2),
    _chat("log probabilities", "logprobs", logprobs=True),
    _openai("effort of thought", "reasoning_effort", reasoning_effort="high"),
    _anthropic("top-k", "top_k", top_k=40),
    _anthropic(
        "budget of thought",
        "reasoning_budget",
        thinking={"type": "enabled", "budget_tokens": OUTPUT_TOKENS_MAX * 4},
        max_tokens=OUTPUT_TOKENS_MAX * 10,
    ),
    _anthropic(
        "marks of the cache", "cache_control", hint=True, cache_control={"type": "ephemeral"}
    ),
    _anthropic(
        "the vendor's own tools",
        "vendor_tools",
        tools=[{"type": SEARCH, "name": "web_search"}],
    ),
    _responses("OpenAI's own tools", "vendor_tools", tools=[{"type": "web_search"}]),
    # failures
    _plays("the provider refuses the request", "refuses"),
    _plays("the provider has had enough", "limits"),
    _plays("the provider fails", "fails"),
    _plays("an answer breaks off", "breaks_by_cut"),
    _plays("a stream fails, and says so", "breaks_by_event", stream=True),
    _plays("a stream fails inside a tool call, and says so", "breaks_in_a_call", stream=True),
    _plays("a stream's connection breaks", "breaks_by_cut", stream=True),
    _plays("a stream ends without its end", "breaks_by_eof", stream=True),
)

ONE_ANSWER: Final = "It gives one answer to a request."
_CHATS: Final = ("openai", "azure", "scripted")
_LOST: Final[dict[str, dict[str, str]]] = {}
"""By feature and provider: why it cannot be said there."""


def _lose(feature: str, why: str, *providers: str) -> None:
    _LOST.setdefault(feature, {}).update(dict.fromkeys(providers, why))


_lose("an image by its address", "Converse fetches nothing but from S3.", "bedrock")
_lose(
    "one tool call at a time",
    "There is no such switch.",
    "gemini",
    "bedrock",
)
_lose(
    "an answer of any JSON",
    "It promises JSON of a schema only.",
    "anthropic",
    "bedrock",
)
_lose("temperature above 1", "Its range ends at 1.", "anthropic", "bedrock")
_lose("seed", "It cannot be told how to draw.", "anthropic", "bedrock")
_lose("frequency penalty", "It has none.", "anthropic", "bedrock")
_lose("presence penalty", "It has none.", "anthropic", "bedrock")
_lose("two choices", ONE_ANSWER, "anthropic", "bedrock")
_lose("log probabilities", "It does not tell them.", "anthropic", "bedrock")
_lose("top-k", "OpenAI's API has none.", *_CHATS)
_lose("budget of thought", "It knows efforts, not budgets.", *_CHATS, "bedrock")
_lose(
    "marks of the cache",
    "It caches by itself, or by another API; the mark changes no answer.",
    *_CHATS,
    "gemini",
)
_lose(
    "the vendor's own tools",
    "Only Anthropic runs them.",
    *_CHATS,
    "gemini",
    "bedrock",
)


_lose(
    "OpenAI's own tools",
    "Only OpenAI runs them, and only when it is asked for a response.",
    *(provider for provider in _CHATS if provider != "openai"),
    "anthropic",
    "gemini",
    "bedrock",
)


def loss(feature: Feature, provider: str) -> str | None:
    """Say why something cannot be said to a provider; None where it can."""
    return _LOST.get(feature.name, {}).get(provider)
