"""What a cell of the matrix cannot show: several targets, several losses, clients that leave."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from typing import TYPE_CHECKING, Any, Final

import anthropic
import openai
import pytest

from entente.domain.chat import Status
from entente.domain.inference import Stop
from entente.domain.usage import TOKEN_CLASSES, Usage
from tests.support.clients.client import Client, Wish
from tests.support.matrix.bench import RATES_NANO, WRONG_KEY, Bench
from tests.support.matrix.features import FEATURES, PASSES, TOOLS
from tests.support.matrix.page import CHAT, CLIENTS, MESSAGES, PROVIDERS
from tests.support.server import Got, Key
from tests.support.standins.scenes import SCENES, Asked

if TYPE_CHECKING:
    from tests.support.standins.standin import StandIn

EVERY: Final = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


def ask(bench: Bench, client: Client, model: str, wish: Wish, key: Key, **more: Any) -> Got:
    """Ask for a wish."""
    body = {**client.body(wish, model), **more}
    return bench.post(client.path(model), client.headers(key.secret), json.dumps(body).encode())


def standin_of(bench: Bench, name: str) -> StandIn:
    """Give the stand-in of a vendor."""
    standin = bench.vendors[name].standin
    assert standin is not None
    return standin


# ---- several targets ----


@EVERY
@pytest.mark.parametrize("stream", [False, True])
def test_a_dead_provider_is_passed_over(bench: Bench, client: Client, *, stream: bool) -> None:
    """The next target answers, in whatever dialect; one settlement, at its price."""
    key = bench.key()
    got = ask(bench, client, "dead->gemini", Wish(scene="text", stream=stream), key)
    seen = client.read_stream(got.body) if stream else client.read(got.body)
    assert (seen.text, seen.stop) == (SCENES["text"].text, client.words[Stop.END])
    settled = bench.settlement(key)
    assert settled.target.startswith("gemini/")
    assert (settled.status, settled.attempts) == (Status.COMPLETE, 2)


def test_a_target_that_cannot_be_told_is_passed_over(bench: Bench) -> None:
    """Nothing is sent to it, and nothing is lost."""
    key, before = bench.key(), len(standin_of(bench, "anthropic").requests)
    got = ask(bench, CHAT, "anthropic->openai", Wish(scene="text"), key, n=2)
    assert CHAT.read(got.body).choices == 2
    assert "x-entente-dropped" not in got.headers
    assert len(standin_of(bench, "anthropic").requests) == before
    settled = bench.settlement(key)
    assert (settled.target.partition("/")[0], settled.attempts) == ("openai", 1)


@EVERY
def test_an_image_goes_to_the_target_that_fetches_it(bench: Bench, client: Client) -> None:
    """Of two vendors of one model, the one whose API has addresses of images."""
    (feature,) = [f for f in FEATURES if f.lost == "image_urls"]
    key = bench.key()
    got = ask(bench, client, "bedrock->anthropic", feature.wish, key)
    assert client.read(got.body).text == SCENES["text"].text
    assert standin_of(bench, "anthropic").asked[-1].said == feature.wish.said


@EVERY
def test_the_last_error_is_told(bench: Bench, client: Client) -> None:
    """Both targets fail, each in its own words; the client hears the last in its own dialect."""
    key = bench.key()
    got = ask(bench, client, "anthropic->openai", Wish(scene="fails"), key)
    assert got.status == 500
    assert client.wrong(got.body).message == "The stand-in has failed."
    settled = bench.settlement(key)
    assert (settled.status, settled.attempts, settled.usage) == (Status.FAILED, 2, Usage())


@EVERY
def test_our_credentials_are_not_the_clients_fault(bench: Bench, client: Client) -> None:
    """A provider that refuses them is a 502, and the key is nowhere in it."""
    key = bench.key()
    got = ask(bench, client, "locked", Wish(scene="text"), key)
    assert got.status == 502
    wrong = client.wrong(got.body)
    assert "must correct providers.locked.api_key." in wrong.message
    assert WRONG_KEY not in f"{got.headers} {got.body!r}"
    assert bench.settlement(key).usage == Usage()


# ---- losses ----


@pytest.mark.parametrize("provider", ["anthropic", "bedrock"])
@pytest.mark.parametrize("stream", [False, True])
def test_every_loss_is_named(bench: Bench, provider: str, *, stream: bool) -> None:
    """All of them in one header, each once; what is unknown to anybody too."""
    key = bench.key()
    more = {"n": 2, "seed": 7, "logprobs": True, "top_logprobs": 3, "novel": {"a": 1}}
    wish = Wish(scene="text", stream=stream)
    got = ask(bench, CHAT, f"{provider}-drop", wish, key, **more)
    assert got.status == 200
    assert sorted(got.headers["x-entente-dropped"].split(", ")) == sorted(
        ["n", "seed", "logprobs", "novel"]
    )
    seen = CHAT.read_stream(got.body) if stream else CHAT.read(got.body)
    assert (seen.text, seen.choices) == (SCENES["text"].text, 1)
    assert bench.settlement(key).usage == SCENES["text"].usage


LOST: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "OpenAI chat": (
        {
            "response_format": {"type": "json_object"},
            "parallel_tool_calls": False,
            "tools": [{"type": "custom", "custom": {"name": "x"}}],
        },
        "parallel_tool_calls response_format tools",
    ),
    "OpenAI responses": (
        {
            "text": {"format": {"type": "json_object"}, "verbosity": "low"},
            "parallel_tool_calls": False,
            "safety_identifier": "me",
            "tools": [{"type": "web_search"}],
        },
        "parallel_tool_calls safety_identifier text.format text.verbosity tools",
    ),
    "Anthropic messages": (
        {
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
            "metadata": {"user_id": "me"},
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        },
        "metadata.user_id tool_choice.disable_parallel_tool_use",
    ),
}


@pytest.mark.parametrize("client", [c for c in CLIENTS if c.name in LOST], ids=lambda c: c.name)
def test_losses_are_named_in_the_clients_words(bench: Bench, client: Client) -> None:
    """In the header, and in a refusal its place; Azure's clients speak as those of chat do."""
    more, names = LOST[client.name]
    key = bench.key()
    got = ask(bench, client, "bedrock-drop", Wish(scene="text"), key, **more)
    assert sorted(got.headers["x-entente-dropped"].split(", ")) == names.split()
    got = ask(bench, client, "bedrock", Wish(scene="text"), bench.key(), **more)
    wrong = client.wrong(got.body)
    assert got.status == 400
    assert any(f"'{name}' cannot be expressed" in wrong.message for name in names.split())


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "bedrock"])
def test_unknown_parameters_do_not_vanish(bench: Bench, provider: str) -> None:
    """What nobody here knows cannot be translated, and is refused by its name."""
    key = bench.key()
    got = ask(bench, CHAT, provider, Wish(scene="text"), key, novel={"a": 1})
    assert got.status == 400
    assert CHAT.wrong(got.body).param == "novel"


@pytest.mark.parametrize("client", [CHAT, MESSAGES], ids=lambda client: client.name)
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "bedrock"])
def test_what_cannot_be_read_is_refused(bench: Bench, client: Client, provider: str) -> None:
    """A content that is no content is a 400 wherever it would have gone, and is not charged."""
    crosses = provider != ("openai" if client is CHAT else "anthropic")
    key = bench.key()
    broken = [{"role": "user", "content": [{"type": "text"}, {"text": 7}]}]
    got = ask(bench, client, provider, Wish(scene="text"), key, messages=broken)
    assert got.status == 400
    if crosses:
        assert "messages" in client.wrong(got.body).message
    assert bench.settlement(key).cost_nano == 0


# ---- whole answers ----

ENDS: Final = re.compile(rb'"(finish_?[rR]eason|stop_?[rR]eason)":"\w+"')
"""Where an answer of any vendor's says how it ended."""


@pytest.mark.parametrize(
    ("client", "provider"),
    [
        (client, name)
        for client in CLIENTS
        for name in ("openai", "azure", "anthropic", "gemini", "bedrock")
        if (client.name, name) not in PASSES
    ],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_an_answer_that_does_not_say_how_it_ended(
    bench: Bench, client: Client, provider: str
) -> None:
    """It is no answer in another dialect, and not asked for again; what it used is charged."""
    standin, key, scene = standin_of(bench, provider), bench.key(), SCENES["cached"]
    good = standin.whole(scene, Asked(model="m", stream=False, said=()))
    standin.raw, found = ENDS.subn(rb'"\1":null', good)
    assert found == 1
    before = len(standin.requests)
    try:
        got = ask(bench, client, provider, Wish(scene="cached"), key)
    finally:
        standin.raw = None
    assert got.status == 502
    assert "did not come to an end" in client.wrong(got.body).message
    assert len(standin.requests) == before + 1
    settled = bench.settlement(key)
    assert (settled.status, settled.upstream_status) == (Status.FAILED, 200)
    assert (settled.usage, settled.estimated) == (standin.tells(scene, stream=False).usage, False)
    counts = zip(TOKEN_CLASSES, settled.usage.counts(), strict=True)
    assert settled.cost_nano == sum(RATES_NANO[name] * n for name, n in counts if n) > 0


@pytest.mark.parametrize("provider", ["azure", "gemini"])
@pytest.mark.parametrize("ended", [0, 1, 2])
def test_every_choice_has_to_end(bench: Bench, provider: str, ended: int) -> None:
    """One of two that broke off is as little an answer as both of them."""
    standin, key, scene = standin_of(bench, provider), bench.key(), SCENES["text"]
    good = standin.whole(scene, Asked(model="m", stream=False, said=(), settings={"n": 2}))
    standin.raw, found = ENDS.subn(rb'"\1":null', good, count=2 - ended) if ended < 2 else (good, 0)
    assert found == 2 - ended
    try:
        got = ask(bench, CHAT, provider, Wish(scene="text"), key, n=2)
    finally:
        standin.raw = None
    assert got.status == (200 if ended == 2 else 502)
    assert bench.settlement(key).status is (Status.COMPLETE if ended == 2 else Status.FAILED)


# ---- streams ----


@pytest.mark.parametrize("provider", PROVIDERS)
def test_usage_that_was_not_asked_for(bench: Bench, provider: str) -> None:
    """An OpenAI stream without `include_usage` shows none; the ledger has it all the same."""
    key = bench.key()
    body = CHAT.body(Wish(scene="cached", stream=True), provider)
    del body["stream_options"]
    got = bench.post(CHAT.path(provider), CHAT.headers(key.secret), json.dumps(body).encode())
    assert b'"usage"' not in got.body
    assert got.body.endswith(b"data: [DONE]\n\n")
    settled = bench.settlement(key)
    told = bench.told[provider].tells(SCENES["cached"], stream=True)
    assert (settled.usage, settled.estimated) == (told.usage, False)


@EVERY
@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
def test_a_last_event_without_its_blank_line(bench: Bench, client: Client, provider: str) -> None:
    """It counts where nothing follows: its text is shown, the answer is broken off, and charged."""
    standin, key = standin_of(bench, provider), bench.key()
    asked = Asked(model="m", stream=True, said=())
    events = b"".join(standin.events(SCENES["text"], asked)[0])
    before, word, behind = events.partition(b"one")
    standin.raw = before + word + behind.partition(b"\n")[0]
    try:
        got = ask(bench, client, provider, Wish(scene="text", stream=True), key)
    finally:
        standin.raw = None
    seen = client.read_stream(got.body)
    shown = "".join(SCENES["text"].texts[:4])
    same = client is MESSAGES and provider == "anthropic"
    assert seen.text == (shown.removesuffix("one") if same else shown)
    assert seen.failure
    settled = bench.settlement(key)
    assert (settled.status, settled.target.partition("/")[0]) == (Status.TRUNCATED, provider)
    assert settled.usage.output_total > 0


@EVERY
@pytest.mark.parametrize("provider", ["openai", "azure", "anthropic", "gemini", "bedrock"])
def test_a_client_that_leaves(bench: Bench, client: Client, provider: str) -> None:
    """The rest is read without it: one settlement, cancelled, exact."""
    standin, key = standin_of(bench, provider), bench.key()
    bench.standins.hold(standin)
    body = json.dumps(client.body(Wish(scene="waits", stream=True), provider))
    headers = {"content-type": "application/json", **client.headers(key.secret)}
    connection = http.client.HTTPConnection("127.0.0.1", bench.server.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", client.path(provider), body.encode(), headers)
        answer = connection.getresponse()
        while b"three" not in answer.readline():
            pass
        answer.close()
    bench.server.get("/healthz")  # who is served behind the goodbye sees that it was heard
    bench.standins.go_on(standin)
    (settled,) = bench.server.settled(key)
    assert settled.status is Status.CANCELLED
    assert (settled.usage, settled.estimated) == (SCENES["waits"].usage, False)


# ---- the other client's own library ----


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_tool_loop_of_openais_client(bench: Bench, provider: str) -> None:
    """Streamed calls are put together, go back with their results, and are understood."""
    talk: list[Any] = [{"role": "user", "content": "scene:parallel"}]
    tools: list[Any] = [
        {"type": "function", "function": {"name": name, "parameters": schema}}
        for name, schema in TOOLS
    ]
    with openai.OpenAI(
        base_url=bench.server.base_url,
        api_key=bench.key().secret,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
        _strict_response_validation=True,
    ) as client:
        with client.chat.completions.stream(model=provider, messages=talk, tools=tools) as stream:
            message = stream.get_final_completion().choices[0].message
        calls = message.tool_calls or []
        called = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in calls
        ]
        talk.append({"role": "assistant", "content": message.content, "tool_calls": called})
        talk += [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
        talk.append({"role": "user", "content": "Go on: scene:text"})
        second = client.chat.completions.create(model=provider, messages=talk, tools=tools)
    assert [json.loads(call.function.arguments) for call in calls] == [
        call.arguments for call in SCENES["parallel"].calls
    ]
    assert second.choices[0].message.content == SCENES["text"].text
    if bench.vendors[provider].standin is not None:
        heard = standin_of(bench, provider).asked[-1].said
        assert [part[2] for part in heard if part[1] == "result"] == [call.id for call in calls]


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "bedrock"])
def test_a_failed_stream_raises_in_both_libraries(bench: Bench, provider: str) -> None:
    """Neither takes half an answer for a short one."""
    with (
        openai.OpenAI(
            base_url=bench.server.base_url,
            api_key=bench.key().secret,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        ) as client,
        client.chat.completions.create(
            model=provider,
            messages=[{"role": "user", "content": "scene:breaks_by_cut"}],
            stream=True,
        ) as chunks,
        pytest.raises(openai.APIError),
    ):
        list(chunks)
    with (
        anthropic.Anthropic(
            base_url=f"http://127.0.0.1:{bench.server.port}",
            api_key=bench.key().secret,
            max_retries=0,
            http_client=anthropic.DefaultHttpxClient(trust_env=False),
        ) as other,
        pytest.raises(anthropic.APIStatusError),
        other.messages.stream(
            model=provider,
            max_tokens=300,
            messages=[{"role": "user", "content": "scene:breaks_by_cut"}],
        ) as events,
    ):
        list(events)
