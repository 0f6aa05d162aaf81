"""What it costs to share: one server on SQLite, the same on PostgreSQL, and several workers there.

All run side by side in front of the same provider and take turns; PostgreSQL runs on the same
cores, with its disk as it is (fsync on). Every ledger is verified afterwards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from bench import entente
from bench.model import Check, Shared
from bench.plan import KB
from bench.suite import Suite
from bench.traffic import Target, chat_body
from tests.support.postgres import PostgresServer

WORKERS: Final = (0, 1, 2, 4)
"""On PostgreSQL; 0 is the server that is alone, on SQLite."""
CONNECTIONS: Final = (32, 128, 512)


def workers(suite: Suite) -> None:
    """Whole answers in a closed loop, in turns."""
    plan, results = suite.plan, suite.results
    with contextlib.ExitStack() as stack:
        running = _all_started(suite, stack)
        for number in range(plan.turns):
            for connections in CONNECTIONS:
                for count in sorted(running, reverse=bool(number % 2)):
                    suite.meter.step(f"{name_of(count)}, {connections} connections")
                    load = suite.wrk.load(running[count], chat_body(KB), connections, plan.turn_s)
                    results.shared.append(Shared(number, count, connections, load))
        for count in running:
            home = suite.folder / name_of(count)
            suite.meter.say(f"verifying the ledger of {name_of(count)}")
            results.ledgers.append(Check("workers", name_of(count), entente.verify(home)))


def _all_started(suite: Suite, stack: contextlib.ExitStack) -> Mapping[int, Target]:
    """Run all of them, each with a database of its own."""
    postgres = PostgresServer()
    stack.callback(postgres.remove)
    postgres.start()
    ports = suite.stand.ports
    running = {}
    for count in WORKERS:
        home = suite.folder / name_of(count)
        home.mkdir()
        shares = {}
        if count:
            address = home / "ledger.url"
            address.touch(mode=0o600)
            address.write_text(postgres.new_database())
            shares = {
                "about_server": f"workers = {count}",
                "about_ledger": f'url = "file:{address}"',
            }
        started = entente.entente(home, ports.unary, ports.stream, "full", **shares)
        _, running[count] = stack.enter_context(started)
        suite.wrk.load(running[count], chat_body(KB), CONNECTIONS[0], suite.plan.warm_s)
    return running


def name_of(count: int) -> str:
    """Name a subject by its number of workers."""
    if not count:
        return "SQLite"
    return f"PostgreSQL, {count} worker{'s' if count > 1 else ''}"


STAGES: Final[Mapping[str, Callable[[Suite], None]]] = {"workers": workers}
