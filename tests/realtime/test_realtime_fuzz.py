"""Events that nobody would send, drawn from their schemas: sessions end, and all is settled."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from tests.kit.run import PROPERTY
from tests.support.contract.schemas import SPECIFICATION
from tests.support.contract.watch import WATCH
from tests.support.loops import run, until
from tests.support.matrix import fuzzing
from tests.support.matrix.from_schema import values
from tests.support.realtime import HOLD_NANO, ask, dial, listen_for_no_turns, until_type

if TYPE_CHECKING:
    from tests.realtime.conftest import Stage
    from tests.support.server import EntenteServer, Key

SESSIONS: Final = settings(
    PROPERTY, max_examples=60, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
EVENTS_MAX: Final = 8
KINDS: Final = {"session.update", "conversation.item.create", "response.create"}
"""What has to be among what was drawn, and got through."""
WORDS: Final = ("rt", "realtime", "server_vad", "item_1", "resp_1", "AAAA", "input_text", "message")


def drawn() -> st.SearchStrategy[bytes]:
    """Draw a message: an event of the schema, and now and then with some bytes changed."""
    root = json.loads(SPECIFICATION.read_bytes())
    schema = root["components"]["schemas"]["RealtimeClientEvent"]
    good = values(schema, root, WORDS).map(fuzzing.encoded)
    return good | good.flatmap(fuzzing.mutated)


async def play(server: EntenteServer, key: Key, messages: list[bytes]) -> None:
    """Send it all, then leave, or be left."""
    async with dial(server, key.secret) as socket:
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                await socket.send(message.decode("utf-8", "replace"))
            await socket.send('{"type":"session.update","session":{"type":"realtime"}}')
            await until_type(socket, "session.updated")


def test_events_of_any_form(stage: Stage, pytestconfig: pytest.Config) -> None:
    """No hold stays, no budget is passed, and another session is served behind them."""
    if not SPECIFICATION.exists():
        pytest.skip("the specification is not there")

    sessions: list[list[bytes]] = []

    @SESSIONS
    @given(st.lists(drawn(), min_size=1, max_size=EVENTS_MAX))
    def draw(messages: list[bytes]) -> None:
        sessions.append(messages)

    async def drill() -> None:
        async with stage() as (server, vendor):
            key = server.make_key(budget_nano=200 * HOLD_NANO)
            for messages in sessions:
                await play(server, key, messages)
            await until(lambda: server.verify().open_holds == 0)
            heard = [event for sitting in vendor.sittings for event in sitting.heard]
            assert {event["type"] for event in heard} >= KINDS
            assert vendor.begun == len([e for e in server.settlements(key) if e.cost_nano])
            async with dial(server, key.secret) as socket:
                await listen_for_no_turns(socket)
                await ask(socket, "hi")
                assert (await until_type(socket, "response.done"))["response"]
            await until(lambda: server.verify().open_holds == 0)

    draw()
    run(drill())
    pytestconfig.stash[WATCH].take()  # the stand-in says again what it was told, however odd
