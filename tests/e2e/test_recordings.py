"""Every exchange that was recorded at a vendor, played again with the gateway in the middle.

A client of the vendor's own dialect gets the recorded bytes, and the vendor what was recorded as
asked, by a server as strict as the vendor; clients of every other dialect get the same answer in
their own, valid; and each is settled for the usage that was recorded.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from entente.domain.chat import Status
from entente.domain.usage import Usage
from tests.support import recordings
from tests.support.clients.anthropic_messages import AnthropicMessages
from tests.support.clients.azure_chat import AzureChat
from tests.support.clients.client import Client, Wish
from tests.support.clients.openai_chat import OpenAIChat
from tests.support.clients.openai_responses import OpenAIResponses
from tests.support.recordings import RECORDED, SLIM, Exchange
from tests.support.server import EntenteServer
from tests.support.upstream import EVENTS_HEAD, LAST_CHUNK, UpstreamThread, chunk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.rawserver import Peer

ALL: Final = recordings.exchanges()
EACH: Final = pytest.mark.parametrize("recorded", ALL, ids=lambda each: each.name)
PIECE_BYTES: Final = 97
REFUSED_KEY: Final = 401
OURS: Final = 502
PROVIDERS: Final = """
[providers.{name}]
kind = "{kind}"
base_url = "{url}"
api_key = "env:VENDOR_KEY"
{more}
"""
MODEL: Final = """
[models."{name}"]
targets = [{{ provider = "{provider}", model = "{model}" }}]
"""
KINDS: Final = {
    "openai": ("openai", "/v1", "responses = true"),
    "azure": ("azure", "", 'api_version = "2024-02-01"'),
    "azure-v1": ("azure", "", ""),
    "anthropic": ("anthropic", "", ""),
}


class Stage(NamedTuple):
    """A strict server in front of one upstream that plays every vendor."""

    server: EntenteServer
    upstream: UpstreamThread


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Run it all; at the end the journal has to be whole."""
    folder: Path = tmp_path_factory.mktemp("recordings")
    with UpstreamThread() as upstream:
        url = upstream.upstream.base_url
        config = "".join(
            PROVIDERS.format(name=name, kind=kind, url=url + path, more=more)
            for name, (kind, path, more) in KINDS.items()
        )
        named = sorted({(each.vendor, each.model) for each in ALL})
        config += "".join(
            MODEL.format(name=ours(vendor, model), provider=vendor, model=model)
            for vendor, model in named
        )
        environ = {"VENDOR_KEY": "sk-vendor"}
        with EntenteServer(
            folder, config, server='validation = "strict"', environ=environ
        ) as server:
            yield Stage(server, upstream)
            assert server.stop() == 0
            server.verify_at_rest()
            assert server.err_log.read_text() == ""


def ours(vendor: str, model: str) -> str:
    """Name a vendor's model as the server does."""
    return f"{vendor}-{model}"


def plays(stage: Stage, recorded: Exchange) -> None:
    """Answer with what was recorded, a stream in pieces that no event has."""

    async def play(peer: Peer, _: dict[str, Any]) -> None:
        if not recorded.streamed:
            head = f"HTTP/1.1 {recorded.status} X\r\ncontent-type: {recorded.kind}\r\n"
            head += f"content-length: {len(recorded.answer)}\r\n\r\n"
            await peer.send(head.encode() + recorded.answer)
            return
        await peer.send(EVENTS_HEAD)
        for at in range(0, len(recorded.answer), PIECE_BYTES):
            await peer.send(chunk(recorded.answer[at : at + PIECE_BYTES]))
        await peer.send(LAST_CHUNK)

    stage.upstream.upstream.play = play


def events(recorded: Exchange) -> list[Any]:
    """Give the events of a stream, or the one answer that is none; what was cut by hand is out."""
    if not recorded.streamed:
        return [json.loads(recorded.answer)]
    lines = [line[6:] for line in recorded.answer.splitlines() if line.startswith(b"data: {")]
    return [json.loads(line) for line in lines if not line.endswith(b"...")]


def usage(recorded: Exchange) -> Usage | None:
    """Read the usage that the vendor told, if it told one."""
    told: dict[str, Any] = {}
    for event in events(recorded):
        inner = event.get("response") or event.get("message") or {}
        told |= event.get("usage") or inner.get("usage") or {}
    if not told:
        return None
    inward = told.get("prompt_tokens_details") or told.get("input_tokens_details") or {}
    outward = told.get("completion_tokens_details") or told.get("output_tokens_details") or {}
    cached = inward.get("cached_tokens", told.get("cache_read_input_tokens", 0))
    taken = told.get("prompt_tokens", told.get("input_tokens", 0))
    given = told.get("completion_tokens", told.get("output_tokens", 0))
    thought = outward.get("reasoning_tokens", 0)
    return Usage(
        input=taken - inward.get("cached_tokens", 0),
        cache_read=cached,
        output=given - thought,
        reasoning=thought,
    )


def text(recorded: Exchange) -> str:
    """Read what the model said."""
    found = ""
    for event in events(recorded):
        match event:
            case {"choices": [{"delta": {"content": str(said)}}]}:
                found += said
            case {"choices": [{"message": {"content": str(said)}}]}:
                found += said
            case {"delta": {"type": "text_delta", "text": said}}:
                found += said
            case {"object": "response", "output": items}:
                parts = [part for item in items for part in item.get("content") or ()]
                found += "".join(part["text"] for part in parts)
            case {"type": "response.output_text.done", "text": said}:
                found += said
    return found


@EACH
def test_a_client_of_the_vendors_own_dialect(stage: Stage, recorded: Exchange) -> None:
    """Gets the vendor's bytes; the vendor gets what it got; the ledger what was used."""
    plays(stage, recorded)
    named = ours(recorded.vendor, recorded.model)
    path = recorded.path.replace(f"/deployments/{recorded.model}/", f"/deployments/{named}/")
    key = stage.server.make_key()
    before = stage.upstream.upstream.calls
    kept = {"store": False} if "/responses" in recorded.path else {}
    body = json.dumps({**recorded.asked, **kept, "model": named}).encode()
    # What passes is as the vendor said it, which its own specification does not always allow.
    got = stage.server.ask("POST", path, key=key.secret, body=body, as_specified=False)
    if recorded.status == REFUSED_KEY:
        assert got.status == OURS  # it is our key that was wrong, not the client's
        return
    assert (got.status, got.headers["content-type"]) == (recorded.status, recorded.kind)
    if stage.upstream.upstream.calls == before:
        assert recorded.status == 400  # refused by us, in the vendor's words
        assert got.json == json.loads(recorded.answer)
        return
    assert got.body == recorded.answer
    sent = json.loads(stage.upstream.upstream.bodies[-1])
    added = {"stream_options": {"include_usage": True}} if recorded.streamed else {}
    said = recorded.asked["model"] if recorded.vendor != "azure" else sent["model"]
    asked = {**recorded.asked, **kept, "model": said}
    assert sent in (asked, {**asked, **added})
    (settled,) = stage.server.settled(key)
    known = usage(recorded)
    if recorded.status != 200:
        assert (settled.status, settled.cost_nano) == (Status.FAILED, None)
    elif known is not None:
        assert (settled.usage, settled.estimated) == (known, False)


NATIVE: Final = {
    "openai": ("OpenAI chat", "OpenAI responses", "Azure chat"),
    "azure": ("Azure chat",),
    "anthropic": ("Anthropic messages",),
}
"""Whose bytes pass; OpenAI is asked for a response where its client asks for one."""
CLIENTS: Final[tuple[Client, ...]] = (
    OpenAIChat(),
    OpenAIResponses(),
    AzureChat(),
    AnthropicMessages(),
)


CROSSING: Final = [
    (each, client)
    for each in ALL
    for client in CLIENTS
    if each.status == 200
    and "embeddings" not in each.path
    and "/responses" not in each.path
    and b'"error"' not in each.answer[:200]  # which somebody has edited by hand
    and client.name not in NATIVE[each.vendor]
]


@pytest.mark.parametrize(
    ("recorded", "client"), CROSSING, ids=lambda one: one.name if hasattr(one, "name") else ""
)
def test_a_client_of_any_dialect(stage: Stage, client: Client, recorded: Exchange) -> None:
    """Gets the same words, in an answer or events that its vendor could have sent."""
    plays(stage, recorded)
    named = ours(recorded.vendor, recorded.model)
    wish = Wish(scene="text", stream=recorded.streamed)
    body = json.dumps(client.body(wish, named)).encode()
    key = stage.server.make_key()
    got = stage.server.ask(
        "POST", client.path(named), headers=client.headers(key.secret), body=body
    )
    assert got.status == 200, got.body
    seen = client.read_stream(got.body) if recorded.streamed else client.read(got.body)
    assert seen.text == text(recorded)
    known = usage(recorded)
    (settled,) = stage.server.settled(key)
    if known is not None:
        assert settled.usage == known
    assert settled.status in (Status.COMPLETE, Status.FILTERED, Status.LENGTH)


def test_every_recording_is_played() -> None:
    """Where they lie beside the repository; what is committed is the same, cut short."""
    if not RECORDED.exists():
        pytest.skip("the recordings are not there")
    played = {each.name.rpartition(" ")[0] or each.name for each in ALL}
    assert {
        path.name.partition(".sse")[0].removesuffix(".yaml") for path in recordings.files()
    } == (played)
    assert recordings.slim() == SLIM.read_text(encoding="utf-8")
