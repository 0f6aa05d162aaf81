"""The scripted provider's behaviour: which reply answers, how fast, and what is logged."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from entente.domain.chat import Surface
from entente.domain.errors import (
    UpstreamConnectError,
    UpstreamTimeout,
)
from entente.providers.base import Answer, Ask, Provider
from entente.providers.scripted import ScriptedProvider, parse_script
from entente.providers.scripted import provider as provider_module

BYTES_MAX = 1_000_000
HELLO = [{"role": "user", "content": "hello"}]


class _Clock:
    """Sleeps at once, and remembers for how long it should have."""

    def __init__(self) -> None:
        """Start with no sleep."""
        self.slept_s: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Let others run, as a real sleep does."""
        self.slept_s.append(seconds)
        await asyncio.sleep(0)


def provider_of(text: str, clock: _Clock | None = None) -> ScriptedProvider:
    """Make a provider from TOML."""
    sleep = (clock or _Clock()).sleep
    return ScriptedProvider("main", parse_script(text), now_ns=lambda: 0, sleep=sleep)


def ask(said: str = "hello", **fields: object) -> Ask:
    """Make a call that says this."""
    messages = [{"role": "user", "content": said}]
    body: dict[str, object] = {"model": "m", "messages": messages, **fields}
    return Ask(
        surface=Surface.CHAT,
        model=str(body["model"]),
        body=json.dumps(body).encode(),
        stream=bool(fields.get("stream")),
        request_id="req_1",
    )


async def said_by(provider: ScriptedProvider, call: Ask) -> str:
    """Call without a stream and give the text of the answer, or the code of the error."""
    answer = await provider.open(call)
    body = json.loads(await answer.read(BYTES_MAX))
    if "error" in body:
        return f"{answer.status} {body['error']['code']}"
    return str(body["choices"][0]["message"]["content"])


async def until_the_break(answer: Answer) -> list[bytes]:
    """Read chunks up to a clean end."""
    chunks = []
    while piece := await answer.chunk():
        chunks.append(piece)
    return chunks


def test_it_is_a_provider() -> None:
    """The types agree with the seam that the gateway knows."""

    async def body() -> None:
        """Use it through the protocols alone."""
        provider: Provider = provider_of("[[replies]]\necho = true")
        assert provider.name == "main"
        answer: Answer = await provider.open(ask())
        assert answer.status == 200
        assert answer.headers[b"content-type"] == b"application/json"

    asyncio.run(body())


CONDITIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    'model = "m"': ({}, {"model": "other"}),
    'contains = "lo w"': ({"said": "hello world"}, {"said": "Hello World"}),
    'matches = "^he.*o$"': ({"said": "hello"}, {"said": "hello "}),
    "stream = false": ({}, {"stream": True}),
    'tool = "f"': (
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tools": [{"type": "custom", "custom": {"name": "g"}}]},
    ),
    'last_role = "tool"': (
        {"messages": [*HELLO, {"role": "tool", "tool_call_id": "c", "content": "1"}]},
        {"messages": HELLO},
    ),
    'model = "m", contains = "x"': ({"said": "xyz"}, {"said": "xyz", "model": "other"}),
}


@pytest.mark.parametrize("when", CONDITIONS)
def test_a_condition_chooses(when: str) -> None:
    """The first reply answers where all its conditions hold, else the next one does."""
    text = f'[[replies]]\nwhen = {{ {when} }}\ntext = "yes"\n[[replies]]\nraw_body = "no"'
    holding, failing = CONDITIONS[when]

    async def body() -> None:
        """Make the two calls."""
        provider = provider_of(text)
        assert await said_by(provider, ask(**holding)) == "yes"
        answer = await provider.open(ask(**failing))
        assert await answer.read(BYTES_MAX) == b"no"

    asyncio.run(body())


def test_conditions_look_at_the_last_user_message_and_all_its_text_parts() -> None:
    """Earlier messages, other roles and images do not count."""
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:,x"}},
        {"type": "text", "text": "here"},
    ]
    messages = [
        *HELLO,
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None, "refusal": "no"},
    ]

    async def body() -> None:
        """Echo what the conditions see."""
        provider = provider_of("[[replies]]\necho = true")
        assert await said_by(provider, ask(messages=messages)) == "look\nhere"

    asyncio.run(body())


def test_fail_twice_then_succeed() -> None:
    """A reply with `times` is passed over when it is used up."""
    text = "[[replies]]\ntimes = 2\nerror = { status = 503 }\n[[replies]]\ntext = 'well'"

    async def body() -> None:
        """Call until it is well."""
        provider = provider_of(text)
        answers = [await said_by(provider, ask()) for _ in range(4)]
        assert answers == ["503 None", "503 None", "well", "well"]

    asyncio.run(body())


def test_times_is_exact_for_calls_at_the_same_time() -> None:
    """The count is taken before any wait, so that no two calls get the last one."""
    text = "[[replies]]\ntimes = 3\nfirst_delay_ms = 5\ntext = 'a'\n[[replies]]\ntext = 'b'"

    async def body() -> None:
        """Call eight times at once."""
        provider = provider_of(text)
        answers = await asyncio.gather(*(said_by(provider, ask()) for _ in range(8)))
        assert sorted(answers) == ["a"] * 3 + ["b"] * 5

    asyncio.run(body())


def test_a_request_that_nothing_matches_says_so() -> None:
    """The error names what was looked for; it is none that a gateway retries."""

    async def body() -> None:
        """Call something that is not in the script."""
        provider = provider_of("[[replies]]\nwhen = { model = 'x' }\ntext = 'a'")
        answer = await provider.open(ask("what now"))
        error = json.loads(await answer.read(BYTES_MAX))["error"]
        assert (answer.status, error["code"]) == (400, "no_scripted_reply")
        assert "'m' and the user message 'what now'" in error["message"]

    asyncio.run(body())


BAD_BODIES = {
    b"{": "Input data was truncated",
    b'{"model":"m"}': "missing required field `messages`",
    b'{"messages":[{"role":"user"}]}': "missing required field `model`",
    b'{"model":"m","messages":[]}': "length >= 1",
    b'{"model":"m","messages":[{"role":"user"}],"n":0}': "`$.n`",
    b'{"model":"m","messages":[{"role":"user"}],"max_tokens":0}': "`$.max_tokens`",
}


@pytest.mark.parametrize("body", BAD_BODIES)
def test_a_damaged_body_is_found_out(body: bytes) -> None:
    """What OpenAI would not take is refused, and uses up no reply."""
    text = "[[replies]]\ntimes = 1\ntext = 'a'"

    async def exchange() -> None:
        """Send the bad body, then a good one."""
        provider = provider_of(text)
        bad = Ask(surface=Surface.CHAT, model="m", body=body, stream=False, request_id="r")
        answer = await provider.open(bad)
        assert answer.status == 400
        assert BAD_BODIES[body] in json.loads(await answer.read(BYTES_MAX))["error"]["message"]
        assert await said_by(provider, ask()) == "a"

    asyncio.run(exchange())


def test_other_surfaces_are_not_found() -> None:
    """Only chat completions are spoken."""

    async def body() -> None:
        """Ask for the models."""
        call = Ask(surface=Surface.MODELS, model="", body=b"", stream=False, request_id="r")
        assert (await provider_of("[[replies]]\ntext = 'a'").open(call)).status == 404

    asyncio.run(body())


def test_delays_pass_through_the_given_sleep() -> None:
    """One before the head, then one between any two pieces of a stream."""
    text = "[[replies]]\npieces = ['a', 'b', 'c']\nfirst_delay_ms = 250\npiece_delay_ms = 40"

    async def body() -> None:
        """Watch the clock during the exchange."""
        clock = _Clock()
        provider = provider_of(text, clock)
        answer = await provider.open(ask(stream=True))
        assert clock.slept_s == [0.25]
        await until_the_break(answer)
        assert clock.slept_s == [0.25, 0.04, 0.04]

    asyncio.run(body())


def test_an_error_carries_its_headers_or_a_raw_body() -> None:
    """Headers get lower-case names; a raw body is text unless the script says more."""
    text = """
    [[replies]]
    times = 1
    error = { status = 429, headers = { Retry-After-Ms = "20" }, message = "Slowly." }
    [[replies]]
    times = 1
    error = { status = 504, body = "upstream request timeout" }
    [[replies]]
    error = { status = 502, body = "<html>", headers = { Content-Type = "text/html" } }
    """

    async def body() -> None:
        """Take the three errors."""
        provider = provider_of(text)
        first, second, third = [await provider.open(ask(stream=True)) for _ in range(3)]
        assert first.headers[b"retry-after-ms"] == b"20"
        assert await first.read(BYTES_MAX) == (
            b'{"error":{"message":"Slowly.","type":"requests","param":null,'
            b'"code":"rate_limit_exceeded"}}'
        )
        assert second.headers[b"content-type"] == b"text/plain; charset=utf-8"
        assert await second.read(BYTES_MAX) == b"upstream request timeout"
        assert (third.status, third.headers[b"content-type"]) == (502, b"text/html")

    asyncio.run(body())


def test_failures_to_connect_and_timeouts_are_raised() -> None:
    """Each becomes its error; a call that did not get through is an attempt, not a call."""
    text = """
    replies = [
        { times = 1, connect_error = true },
        { times = 1, timeout = "connect" },
        { times = 1, timeout = "first_byte", first_delay_ms = 900 },
        { timeout = "total" },
    ]
    """

    async def body() -> None:
        """Run into all four."""
        clock = _Clock()
        provider = provider_of(text, clock)
        with pytest.raises(UpstreamConnectError):
            await provider.open(ask())
        for phase in ("connect", "first_byte", "total"):
            with pytest.raises(UpstreamTimeout) as caught:
                await provider.open(ask())
            assert caught.value.phase == phase
        assert (provider.attempts_total, provider.calls_total) == (4, 2)
        assert provider.open_answers == 0
        assert clock.slept_s == [0.9]

    asyncio.run(body())


def test_the_log_keeps_the_last_calls_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old calls give way by number and by bytes; the total counts all of them."""

    async def body() -> None:
        """Make five calls under a bound of three, then one under a bound of one byte."""
        provider = provider_of("[[replies]]\necho = true")
        for number in range(5):
            await said_by(provider, ask(str(number), model=f"m{number}"))
        assert [call.model for call in provider.calls] == ["m2", "m3", "m4"]
        assert provider.calls[-1].body == ask("4", model="m4").body
        assert provider.calls[-1].request_id == "req_1"
        monkeypatch.setattr(provider_module, "CALLS_KEPT_BYTES_MAX", 1)
        await said_by(provider, ask("5", model="m5"))
        assert [call.model for call in provider.calls] == ["m5"]
        assert provider.calls_total == 6

    monkeypatch.setattr(provider_module, "CALLS_KEPT_MAX", 3)
    asyncio.run(body())
