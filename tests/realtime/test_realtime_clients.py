"""Those who open sessions: official SDKs, browsers, keys for them; and those who may not."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.loops import run, until
from tests.support.node import play
from tests.support.realtime import (
    COST_NANO,
    HOLD_NANO,
    KEY,
    MODEL,
    ask,
    dial,
    listen_for_no_turns,
    until_type,
    url,
)
from tests.support.server import ADMIN_KEY

if TYPE_CHECKING:
    from tests.realtime.conftest import Stage
    from tests.support.server import EntenteServer, Got


async def converse(client: AsyncOpenAI, model: str) -> list[str]:
    """Hold a conversation with an SDK; give the types of its events."""
    seen: list[str] = []
    async with client.realtime.connect(model=model) as connection:
        await connection.session.update(
            session={"type": "realtime", "output_modalities": ["text"], "model": model}
        )
        await connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Say hello!"}],
            }
        )
        await connection.response.create()
        async for event in connection:
            seen.append(event.type)
            if event.type == "response.done":
                assert event.response.usage is not None
                assert event.response.usage.total_tokens == 253
                break
    return seen


def test_openai_sdk(stage: Stage) -> None:
    """As it comes, with nothing but another base URL."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(budget_nano=5 * HOLD_NANO)
            async with AsyncOpenAI(api_key=key.secret, base_url=server.base_url) as client:
                seen = await converse(client, "rt")
            assert seen[0] == "session.created"
            assert "response.output_audio.delta" in seen
            assert "error" not in seen
            updates = [e for e in vendor.sittings[0].heard if e["type"] == "session.update"]
            assert all("model" not in update["session"] for update in updates)
            await until(lambda: server.verify().open_holds == 0)
            assert COST_NANO in [entry.cost_nano for entry in server.settlements(key)]

    run(drill())


def test_azure_sdk(stage: Stage) -> None:
    """On the classic surface in front of Azure's, and of OpenAI's; on v1 by a plain client."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key()
            for model in ("cloudy", "rt"):
                async with AsyncAzureOpenAI(
                    api_key=key.secret,
                    azure_endpoint=f"http://127.0.0.1:{server.port}",
                    websocket_base_url=f"ws://127.0.0.1:{server.port}/openai",
                    api_version="2024-10-01-preview",
                ) as client:
                    assert "response.done" in await converse(client, model)
            first, second = vendor.requests
            version, name = "2025-04-01-preview", "my%20deployment"
            assert first.path == f"/openai/realtime?api-version={version}&deployment={name}"
            assert first.headers["api-key"] == KEY
            assert second.path == f"/v1/realtime?model={MODEL}"
            async with dial(server, key.secret, "/openai/v1/realtime?model=rt") as socket:
                await until_type(socket, "session.created")
                assert socket.response is not None
                assert "apim-request-id" in socket.response.headers

    run(drill())


def test_browser(stage: Stage) -> None:
    """The key in a subprotocol is read, answered with another, and never passed on."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key()
            offers: list[Any] = [
                "realtime",
                f"openai-insecure-api-key.{key.secret}",
                "openai-beta.realtime-v1",
            ]
            async with connect(
                url(server), subprotocols=offers, compression="deflate", proxy=None
            ) as socket:
                assert socket.subprotocol == "realtime"
                assert socket.protocol.extensions == []
                await until_type(socket, "session.created")
            (request,) = vendor.requests
            assert "sec-websocket-protocol" not in request.headers
            assert key.secret not in str(request.headers)
            assert request.headers["openai-beta"] == "realtime=v1"

    run(drill())


def test_node_sdk(stage: Stage) -> None:
    """OpenAI's client for Node, over its platform's own sockets: a response, held and settled."""

    async def drill() -> None:
        async with stage() as (server, _):
            key = server.make_key(budget_nano=5 * HOLD_NANO)
            seen = await asyncio.to_thread(play, "realtime", server, key)
            assert seen == {"first": "session.created", "status": "completed", "tokens": 253}
            await until(lambda: server.verify().open_holds == 0)
            assert COST_NANO in [entry.cost_nano for entry in server.settlements(key)]

    run(drill())


def make_secret(server: EntenteServer, key: str, body: dict[str, Any]) -> Got:
    """Ask for a short-lived key."""
    path = "/v1/realtime/client_secrets"
    return server.ask("POST", path, key=key, body=json.dumps(body).encode())


def test_client_secret(stage: Stage) -> None:
    """It opens sessions of its model with its configuration, on its maker's budget, only."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(budget_nano=5 * HOLD_NANO)
            async with AsyncOpenAI(api_key=key.secret, base_url=server.base_url) as client:
                made = await client.realtime.client_secrets.create(
                    expires_after={"anchor": "created_at", "seconds": 60},
                    session={"type": "realtime", "model": "rt", "instructions": "Be brief."},
                )
            assert made.value.startswith("ek_")
            assert made.session.type == "realtime"
            assert KEY not in made.value
            assert server.get("/v1/models", key=made.value).status == 401
            async with AsyncOpenAI(api_key=made.value, base_url=server.base_url) as client:
                assert "response.done" in await converse(client, "rt")
            async with dial(server, made.value, "/v1/realtime") as socket:
                created = json.loads(await socket.recv())
                assert created["type"] == "session.created"
                assert created["session"]["instructions"] == "Be brief."
                await ask(socket, "hi")
                await until_type(socket, "response.done")
            assert vendor.requests[-1].headers["authorization"] == f"Bearer {KEY}"
            with pytest.raises(InvalidStatus) as failed:
                await dial(server, made.value, "/v1/realtime?model=free")
            assert failed.value.response.status_code == 401
            await until(lambda: server.verify().open_holds == 0)
            paid = [entry.cost_nano for entry in server.settlements(key) if entry.attempts]
            assert paid == [COST_NANO] * 2
            database = b"".join(
                path.read_bytes() for path in server.data_dir.glob("**/*") if path.is_file()
            )
            assert made.value.encode() not in database
            async with dial(server, made.value, "/v1/realtime") as socket:
                await until_type(socket, "session.created")
                await asyncio.to_thread(server.cli, "keys", "revoke", key.id)
                await socket.wait_closed()
            with pytest.raises(InvalidStatus) as failed:
                await dial(server, made.value, "/v1/realtime")
            assert failed.value.response.status_code == 401

    run(drill())


def test_client_secrets_of_the_beta(stage: Stage) -> None:
    """In their own form; the provider hears the configuration in it, too."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key()
            body = b'{"model":"rt","instructions":"Sing."}'
            made = server.ask("POST", "/v1/realtime/sessions", key=key.secret, body=body)
            assert made.status == 200
            assert made.json["object"] == "realtime.session"
            secret = made.json["client_secret"]["value"]
            async with dial(server, secret, "/v1/realtime") as socket:
                created = await until_type(socket, "session.created")
                assert created["session"]["instructions"] == "Sing."
            assert vendor.sittings[0].heard[0] == {
                "type": "session.update",
                "session": {"instructions": "Sing."},
            }
            assert vendor.requests[0].headers["openai-beta"] == "realtime=v1"
            body = b'{"input_audio_transcription":{"model":"scribe"}}'
            path = "/v1/realtime/transcription_sessions"
            made = server.ask("POST", path, key=key.secret, body=body)
            assert made.json["object"] == "realtime.transcription_session"

    run(drill())


def test_client_secrets_that_are_refused(stage: Stage) -> None:
    """With OpenAI's words, before anything is kept."""

    async def drill() -> None:
        async with stage() as (server, _):
            key = server.make_key(models=("rt", "text")).secret
            for body, status, param in (
                ({"session": {"type": "realtime"}}, 400, "session.model"),
                ({"session": {"type": "x", "model": "rt"}}, 400, "session.type"),
                ({"session": {"type": "realtime", "model": 1}}, 400, "session.model"),
                ({"session": {"model": "free"}}, 404, None),
                ({"session": {"model": "text"}}, 400, "model"),
                ({"session": {"model": "rt"}, "expires_after": {"seconds": 9}}, 400, None),
                ({"session": {"model": "rt", "x": "y" * 300_000}}, 400, "session"),
            ):
                refused = make_secret(server, key, body)
                assert (refused.status, refused.error["param"]) == (status, param), body
            assert server.ask("POST", "/v1/realtime/sessions", key=key, body=b"[").status == 400

    run(drill())


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/realtime", 400, "missing_required_parameter"),
        ("/v1/realtime?model=none", 404, "model_not_found"),
        ("/v1/realtime?model=text", 400, "invalid_model"),
        ("/v1/realtime?model=rt&intent=other", 400, "invalid_value"),
        ("/v1/realtime?call_id=rtc_1", 400, "unsupported_parameter"),
        ("/openai/realtime?api-version=2024-10-01-preview&deployment=n", 404, "DeploymentNotFound"),
        ("/openai/realtime?deployment=rt", 404, "404"),
    ],
)
def test_refused_before_the_upgrade(stage: Stage, path: str, status: int, code: str) -> None:
    """As an HTTP answer in the dialect of the path; nothing is held."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            with pytest.raises(InvalidStatus) as failed:
                await dial(server, ADMIN_KEY, path)
            response = failed.value.response
            assert response.status_code == status
            assert json.loads(response.body)["error"]["code"] == code
            assert vendor.requests == []
            server.verify_at_rest()

    run(drill())


def test_who_may_not(stage: Stage) -> None:
    """No key, a wrong one, no price, no budget, no WebSocket."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            poor = server.make_key(budget_nano=HOLD_NANO - 1)
            for key, path, status in (
                ("wrong", "/v1/realtime?model=rt", 401),
                ("ek_wrong", "/v1/realtime?model=rt", 401),
                (poor.secret, "/v1/realtime?model=free", 403),
                (poor.secret, "/v1/realtime?model=rt", 429),
            ):
                with pytest.raises(InvalidStatus) as failed:
                    await dial(server, key, path)
                assert failed.value.response.status_code == status
            with pytest.raises(InvalidStatus) as failed:
                await connect(url(server), proxy=None)
            assert failed.value.response.status_code == 401
            plain = server.get("/v1/realtime?model=rt", key=ADMIN_KEY)
            assert (plain.status, plain.error["code"]) == (400, "websocket_required")
            assert server.ask("POST", "/v1/realtime", key=ADMIN_KEY, body=b"").status == 405
            assert vendor.requests == []
            server.verify_at_rest()

    run(drill())


def test_providers_that_decline(stage: Stage) -> None:
    """Their answer is passed on, but for what they say of our credentials; the next is asked."""
    extra = """
[providers.stranger]
kind = "openai"
base_url = "{base}/v1"
api_key = "env:WRONG"

[providers.absent]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"

[models."declined"]
targets = [{{ provider = "vendor", model = "forbidden-model" }}]

[models."estranged"]
targets = [{{ provider = "stranger", model = "x" }}]

[models."away"]
targets = [{{ provider = "absent", model = "x" }}]

[models."at last"]
targets = [{{ provider = "absent", model = "x" }}, {{ provider = "vendor", model = "x" }}]
"""

    async def drill() -> None:
        async with stage(extra=extra, more={"WRONG": "not-the-key"}) as (server, _):
            for model, status, code in (
                ("declined", 404, None),
                ("estranged", 502, "upstream_refused_credentials"),
                ("away", 502, "upstream_unavailable"),
            ):
                with pytest.raises(InvalidStatus) as failed:
                    await dial(server, ADMIN_KEY, f"/v1/realtime?model={model}")
                response = failed.value.response
                assert response.status_code == status
                assert json.loads(response.body)["error"].get("code") == code
            async with dial(server, ADMIN_KEY, "/v1/realtime?model=at%20last") as socket:
                await until_type(socket, "session.created")
            await until(lambda: server.verify().open_holds == 0)

    run(drill())


def test_transcription_beside_the_conversation(stage: Stage) -> None:
    """It is another model's request, held and settled at that model's price."""

    async def drill() -> None:
        async with stage() as (server, _):
            key = server.make_key(budget_nano=5 * HOLD_NANO)
            async with dial(server, key.secret) as socket:
                await listen_for_no_turns(socket)
                for name, accepted in (("unknown", False), ("scribe", True)):
                    audio = {"input": {"transcription": {"model": name}}}
                    session = {"type": "realtime", "audio": audio}
                    update = {"type": "session.update", "session": session, "event_id": name}
                    await socket.send(json.dumps(update))
                    event = json.loads(await socket.recv())
                    assert event["type"] == ("session.updated" if accepted else "error")
                    if not accepted:
                        assert event["error"]["code"] == "model_not_found"
                        assert event["error"]["event_id"] == name
                await socket.send('{"type":"input_audio_buffer.commit"}')
                kind = "conversation.item.input_audio_transcription.completed"
                await until_type(socket, kind)
                (entry,) = (e for e in server.settlements(key) if e.attempts)
                assert (entry.model, entry.usage.audio_input, entry.usage.output) == (
                    "scribe",
                    13,
                    9,
                )
                assert entry.cost_nano == 13 * 6_000 + 9 * 5_000
            await until(lambda: server.verify().open_holds == 0)

    run(drill())


def test_transcription_alone(stage: Stage) -> None:
    """A session that answers nothing is paid for by what it writes down."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(budget_nano=HOLD_NANO)
            path = "/v1/realtime?intent=transcription&model=scribe"
            async with dial(server, key.secret, path) as socket:
                await until_type(socket, "session.created")
                audio = {"input": {"transcription": {"model": "scribe"}}}
                session = {"type": "transcription", "audio": audio}
                await socket.send(json.dumps({"type": "session.update", "session": session}))
                await until_type(socket, "session.updated")
                for _ in range(2):
                    await socket.send('{"type":"input_audio_buffer.commit"}')
                    kind = "conversation.item.input_audio_transcription.completed"
                    await until_type(socket, kind)
            assert vendor.requests[0].path == "/v1/realtime?intent=transcription"
            await until(lambda: server.verify().open_holds == 0)
            paid = [entry.cost_nano for entry in server.settlements(key) if entry.attempts]
            assert paid == [13 * 6_000 + 9 * 5_000] * 2

    run(drill())
