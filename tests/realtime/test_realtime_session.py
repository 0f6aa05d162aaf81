"""Realtime sessions over real sockets: what passes, what is written down, what is refused."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.loops import run, until
from tests.support.realtime import (
    COST_NANO,
    HOLD_NANO,
    KEY,
    MODEL,
    SPEECH,
    ask,
    dial,
    listen_for_no_turns,
    until_type,
)

if TYPE_CHECKING:
    from entente.ledger.model import Settlement
    from tests.realtime.conftest import Stage
    from tests.support.server import EntenteServer, Key


def used(server: EntenteServer, key: Key) -> list[Settlement]:
    """Give the entries of a key's responses; the hold that none used is no response."""
    return [entry for entry in server.settlements(key) if entry.attempts]


async def at_rest(server: EntenteServer) -> None:
    """Wait until no session is open and no hold."""
    await until(lambda: server.verify().open_holds == 0)


def said(event: dict[str, Any]) -> tuple[str, str]:
    """Give type and code of an error event."""
    assert event["type"] == "error"
    assert event["event_id"]
    return event["error"]["type"], event["error"]["code"]


def test_a_response_is_held_and_settled(stage: Stage) -> None:
    """Its hold is durable before the provider hears of it, its cost before the client does."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(budget_nano=10 * HOLD_NANO)
            async with dial(server, key.secret) as socket:
                assert server.verify().open_holds >= 1
                await until_type(socket, "session.created")
                await ask(socket, "hi")
                done = await until_type(socket, "response.done")
                assert done["response"]["status"] == "completed"
                (entry,) = used(server, key)
                assert (entry.status, entry.cost_nano, entry.estimated) == (
                    "complete",
                    COST_NANO,
                    False,
                )
                assert entry.target == f"vendor/{MODEL}"
                assert entry.usage.audio_output == 91
                assert server.verify().open_holds >= 1, "one for the next turn"
            await at_rest(server)
            (request,) = vendor.requests
            assert request.path == f"/v1/realtime?model={MODEL}"
            assert request.headers["authorization"] == f"Bearer {KEY}"
            assert key.secret not in str(request.headers)
            session, _, number = entry.id.partition(".")
            assert session.startswith("req_")
            assert number.isdigit()

    run(drill())


def test_messages_keep_their_bytes(stage: Stage) -> None:
    """Both ways, fields that nobody here knows included, and large ones in pieces."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key()
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                odd = '{ "type":"x.unknown" , "n": 1e3, "s":"\\u00e9 é", "type2":[ 1 ] }'
                audio = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 3_000_000})
                await socket.send(odd)
                await socket.send([audio[:10], audio[10:1000], audio[1000:]])
                await socket.send(audio.encode())
                (sitting,) = vendor.sittings
                await until(lambda: len(sitting.raw) == 3)
                assert sitting.raw == [odd, audio, audio.encode()]
                raw = '{"type":"y.unknown",  "big":"' + "z" * 2_000_000 + '"}'
                await sitting.socket.send(raw)
                assert await socket.recv() == raw

    run(drill())


def test_turns_that_the_provider_takes(stage: Stage) -> None:
    """A provider that listens begins by itself: each response has its hold and settlement."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(budget_nano=10 * HOLD_NANO)
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                for _ in range(3):
                    append = {"type": "input_audio_buffer.append", "audio": SPEECH}
                    await socket.send(json.dumps(append))
                    await until_type(socket, "response.done")
            await at_rest(server)
            assert vendor.begun == 3
            entries = used(server, key)
            assert [entry.cost_nano for entry in entries] == [COST_NANO] * 3
            assert len({entry.id for entry in entries}) == 3
            assert server.verify().overruns == 0

    run(drill())


def test_many_at_once(stage: Stage) -> None:
    """Responses outside of the conversation run side by side, each paid for."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(budget_nano=6 * HOLD_NANO)
            async with dial(server, key.secret) as socket:
                await listen_for_no_turns(socket)
                content = [{"type": "input_text", "text": "wait"}]
                item = {"type": "message", "role": "user", "content": content}
                await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
                for number in range(4):
                    create = {"type": "response.create", "event_id": f"mine{number}"}
                    await socket.send(json.dumps(create))
                await until(lambda: vendor.begun == 4)
                assert server.verify().open_holds >= 4
                vendor.go_on.set()
                for _ in range(4):
                    await until_type(socket, "response.done")
            await at_rest(server)
            assert [entry.cost_nano for entry in used(server, key)] == [COST_NANO] * 4

    run(drill())


def test_a_response_that_the_provider_refuses_costs_nothing(stage: Stage) -> None:
    """Its error names our event; its hold pays for the next."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(budget_nano=HOLD_NANO)
            async with dial(server, key.secret) as socket:
                await listen_for_no_turns(socket)
                for _ in range(3):
                    await ask(socket, "refuse")
                    error = await until_type(socket, "error")
                    assert error["error"]["code"] == "conversation_already_has_active_response"
                await ask(socket, "hi")
                await until_type(socket, "response.done")
                assert vendor.begun == 1
            await at_rest(server)
            assert [entry.cost_nano for entry in used(server, key)] == [COST_NANO]

    run(drill())


@pytest.mark.parametrize(
    ("words", "status", "known"),
    [("long", "length", True), ("no usage", "complete", False)],
)
def test_how_responses_end(stage: Stage, words: str, status: str, known: bool) -> None:
    """In the ledger as at the provider; a usage that is not told is an upper bound."""

    async def drill() -> None:
        async with stage() as (server, _):
            key = server.make_key(budget_nano=3 * HOLD_NANO)
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                await ask(socket, words)
                await until_type(socket, "response.done")
            await at_rest(server)
            (entry,) = used(server, key)
            assert (entry.status, entry.estimated) == (status, not known)
            assert entry.cost_nano is not None
            assert (entry.cost_nano == COST_NANO) is known
            assert 0 < entry.cost_nano <= HOLD_NANO

    run(drill())


def test_a_hard_budget_bounds_each_response(stage: Stage) -> None:
    """One of the key's own, or one by a rule that binds it; without one nothing is asked for."""

    async def drill() -> None:
        async with stage() as (server, vendor):

            async def bound(key: Key) -> int | None:
                async with dial(server, key.secret) as socket:
                    await listen_for_no_turns(socket)
                first = vendor.sittings[-1].heard[0]
                assert first["type"] == "session.update"
                found: int | None = first["session"].get("max_output_tokens")
                return found

            assert await bound(server.make_key(budget_nano=10 * HOLD_NANO)) == 4096
            free = server.make_key()
            assert await bound(free) is None
            added = server.cli("limits", "add", "project:default", "--spend", "100")
            assert added.returncode == 0, added.stderr
            while await bound(free) is None:  # until the server has heard of the rule
                pass
            assert await bound(free) == 4096

    run(drill())


def test_budget_runs_out_between(stage: Stage) -> None:
    """What fits is served to the last response; then an error event, and the session closes."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(budget_nano=HOLD_NANO + COST_NANO)
            async with dial(server, key.secret) as socket:
                await listen_for_no_turns(socket)
                for _ in range(2):
                    await ask(socket, "hi")
                    await until_type(socket, "response.done")
                await ask(socket, "hi")
                error = await until_type(socket, "error")
                assert said(error) == ("insufficient_quota", "insufficient_quota")
                await socket.wait_closed()
                assert socket.close_code == 1008
                assert "budget" in (socket.close_reason or "")
            assert vendor.begun == 2
            await at_rest(server)
            assert [entry.cost_nano for entry in used(server, key)] == [COST_NANO] * 2
            assert server.verify().overruns == 0

    run(drill())


def test_budget_runs_out_while_the_provider_listens(stage: Stage) -> None:
    """The response that runs is finished; nothing more is passed on that could begin one."""

    async def drill() -> None:
        async with stage(extra="[limits]\nbudget_wait_s = 0.2") as (server, vendor):
            key = server.make_key(budget_nano=HOLD_NANO)
            append = json.dumps({"type": "input_audio_buffer.append", "audio": SPEECH})
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                await socket.send(append)
                await until_type(socket, "response.done")
                await socket.send(append)
                error = await until_type(socket, "error")
                assert said(error)[1] == "insufficient_quota"
                await socket.wait_closed()
                assert socket.close_code == 1008
            assert vendor.begun == 1
            await at_rest(server)
            assert [entry.cost_nano for entry in used(server, key)] == [COST_NANO]

    run(drill())


def test_a_revoked_key_ends_its_session(stage: Stage) -> None:
    """Even while nothing is said."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key()
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                done = await asyncio.to_thread(server.cli, "keys", "revoke", key.id)
                assert done.returncode == 0, done.stderr
                error = await until_type(socket, "error")
                assert said(error)[1] == "invalid_api_key"
                await socket.wait_closed()
                assert socket.close_code == 1008
            await vendor.sittings[0].closed.wait()
            await at_rest(server)

    run(drill())


def test_limits_of_the_key(stage: Stage) -> None:
    """A response past them is refused by an event; the session goes on."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(requests_per_minute=2)
            async with dial(server, key.secret) as socket:
                await listen_for_no_turns(socket)
                refused = 0
                for _ in range(5):
                    await ask(socket, "hi")
                    event = json.loads(await socket.recv())
                    while event["type"] not in ("response.done", "error"):
                        event = json.loads(await socket.recv())
                    if event["type"] == "error":
                        refused += 1
                        assert said(event) == ("requests", "rate_limit_exceeded")
                assert refused >= 1, "a minute may begin in between, once"
                assert vendor.begun == 5 - refused
            await at_rest(server)
            small = server.make_key(tokens_per_minute=100)
            with pytest.raises(InvalidStatus) as failed:
                await dial(server, small.secret)
            assert failed.value.response.status_code == 429

    run(drill())


def test_a_client_that_leaves(stage: Stage) -> None:
    """The response that runs is cancelled, awaited and settled at what it used."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(budget_nano=5 * HOLD_NANO)
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                await ask(socket, "wait")
                await until_type(socket, "response.created")
                socket.transport.abort()
            await vendor.sittings[0].closed.wait()
            assert {"type": "response.cancel"} in vendor.sittings[0].heard
            await at_rest(server)
            (entry,) = used(server, key)
            assert (entry.status, entry.cost_nano) == ("cancelled", COST_NANO)

    run(drill())


def test_a_provider_that_breaks_off(stage: Stage) -> None:
    """The client is told so; what was sent is settled upwards."""

    async def drill() -> None:
        async with stage() as (server, _):
            key = server.make_key(budget_nano=5 * HOLD_NANO)
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                await ask(socket, "break")
                assert said(await until_type(socket, "error"))[0] == "server_error"
                await socket.wait_closed()
                assert socket.close_code == 1011
            await at_rest(server)
            (entry,) = used(server, key)
            assert (entry.status, entry.estimated) == ("truncated", True)

    run(drill())


def test_close_codes_pass_both_ways(stage: Stage) -> None:
    """As they were said."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key()
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                await ask(socket, "bye")
                await socket.wait_closed()
                assert (socket.close_code, socket.close_reason) == (4321, "enough for today")
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                await socket.close(4001, "good night")
            (_, sitting) = vendor.sittings
            await sitting.closed.wait()
            assert (sitting.socket.close_code, sitting.socket.close_reason) == (4001, "good night")
            await at_rest(server)

    run(drill())


def test_time_is_up(stage: Stage) -> None:
    """For a silent session, and for a long one."""

    async def drill(setting: str, *, talks: bool) -> None:
        async with stage(extra=f"[realtime]\n{setting} = 2") as (server, vendor):
            key = server.make_key()
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                if talks:
                    await ask(socket, "hi")
                assert said(await until_type(socket, "error"))[1] == "session_expired"
                await socket.wait_closed()
                assert socket.close_code == 1001
            await vendor.sittings[0].closed.wait()

    run(drill("idle_s", talks=False))
    run(drill("session_s", talks=True))


def test_a_stop_ends_sessions(stage: Stage) -> None:
    """Idle ones are told that the server goes; the ledger is at rest behind it."""

    async def drill() -> None:
        async with stage() as (server, _):
            key = server.make_key(budget_nano=5 * HOLD_NANO)
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                server.terminate()
                assert said(await until_type(socket, "error"))[1] == "server_is_overloaded"
                await socket.wait_closed()
                assert socket.close_code == 1001
            assert await asyncio.to_thread(server.wait) == 0
            server.verify_at_rest()

    run(drill())


def test_kill_in_a_session(stage: Stage) -> None:
    """What was held is settled at the next start, marked; nothing is lost or open."""

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(budget_nano=5 * HOLD_NANO)
            async with dial(server, key.secret) as socket:
                await until_type(socket, "session.created")
                await ask(socket, "hi")
                await until_type(socket, "response.done")
                await ask(socket, "wait")
                await until_type(socket, "response.created")
                await asyncio.to_thread(server.kill)
                await socket.wait_closed()
            assert vendor.begun == 2
            assert server.verify().open_holds >= 1
            await asyncio.to_thread(server.start)
            report = server.verify_at_rest()
            assert report.recovered >= 1
            done, *rest = server.settlements(key)
            assert (done.cost_nano, done.recovered) == (COST_NANO, False)
            assert all(entry.recovered and entry.estimated for entry in rest)
            assert rest[0].cost_nano == HOLD_NANO

    run(drill())
