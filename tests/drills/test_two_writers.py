"""Another process writes to the ledger while the server does: one chain, nothing lost."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from entente.auth import OPERATOR
from entente.control.budgets import further_grant
from entente.db import DATABASE_NAME, connect
from entente.ledger.model import Grant
from entente.ledger.table import append_now
from tests.support.load import Load, assert_nothing_is_lost, until_calls
from tests.support.loops import run
from tests.support.server import EntenteServer, Key
from tests.support.upstream import Upstream, config, play_words

if TYPE_CHECKING:
    from pathlib import Path

GRANTS: Final = 60
STEP_NANO: Final = 1_000_000
SEED: Final = 7


def grant_and_take(server: EntenteServer, key: Key) -> None:
    """Write grants one by one, some negative, as fast as the command line could."""
    with closing(connect(server.data_dir / DATABASE_NAME)) as connection:
        for number in range(GRANTS):
            nano = STEP_NANO if number % 3 else -STEP_NANO // 2
            entry = further_grant(
                OPERATOR, key.id, nano, id_=f"{key.id}:{number}", at_ns=time.time_ns(), note=""
            )
            append_now(connection, [entry])
            append_now(connection, [entry])  # as after an answer that was lost


def test_grants_under_load_and_kill_9(tmp_path: Path) -> None:
    """Grants of another process fall between the server's batches, again after a crash."""

    async def drill() -> None:
        async with Upstream(play_words) as upstream:
            server = EntenteServer(tmp_path, config(upstream.base_url))
            keys = [server.make_key(budget_nano=10**9) for _ in range(2)]
            load = Load(SEED)
            with server:
                for key, killed in zip(keys, (True, False), strict=True):
                    load.stopping = False
                    running = asyncio.create_task(load.run(server))
                    await until_calls(upstream, upstream.calls + 30)
                    granting = asyncio.create_task(asyncio.to_thread(grant_and_take, server, key))
                    await until_calls(upstream, upstream.calls + 60)
                    if killed:
                        load.stopping = True
                        await asyncio.to_thread(server.kill)
                    await granting
                    load.stopping = True
                    await running
                    if killed:
                        await asyncio.to_thread(server.start)
                assert await asyncio.to_thread(server.stop) == 0
            assert_nothing_is_lost(server, load.sent, upstream.bodies)
            grants = [e for e in server.entries() if isinstance(e, Grant)]
            assert len(grants) == 2 * (GRANTS + 1)

    run(drill())
