"""A run of the suite: stage after stage, in each of them round after round.

Subjects take turns within a round, so that whatever changes on the machine meanwhile
changes for all of them; a round's ratios are against nginx in that same round. Between
two measurements the subject that was measured comes to rest. Every ledger that was
written is verified at the end of its stage.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bench import entente, open_loop, stream_client, stream_loop, subjects
from bench.meter import Meter
from bench.model import Check, Open, Paced, Results, Start, Unary, Unpaced
from bench.plan import INTERVAL_US, KB, Plan
from bench.process import ProgramFailed, clean_environment
from bench.subjects import Endpoint, Stand
from bench.traffic import chat_body
from bench.wrk import Wrk

WARM_CONNECTIONS: Final = 32
WARM_STREAMS: Final = 32
RATE_SHARE_MAX: Final = 0.8
"""An open loop at more than this share of what the closed loop reached says nothing but that."""
OVERTIME_S: Final = 60

_Outcome = TypeVar("_Outcome", open_loop.Outcome, stream_client.Outcome, stream_loop.Outcome)


class Suite:
    """What the stages share."""

    def __init__(
        self, plan: Plan, stand: Stand, wrk: Wrk, folder: Path, results: Results, meter: Meter
    ) -> None:
        """Take the parts; `folder` is where subjects keep their files."""
        self.plan = plan
        self.stand = stand
        self.wrk = wrk
        self.folder = folder
        self.results = results
        self.meter = meter
        self._running: dict[str, Endpoint] = {}
        self._reach: dict[str, float] = {}
        """Requests per second of each subject when it was warmed."""

    def names(self, wanted: Sequence[str]) -> list[str]:
        """Give those of the wanted subjects that are there."""
        return [name for name in wanted if name in self.stand.starters]

    @contextlib.contextmanager
    def started(self, stage: str, name: str) -> Iterator[Endpoint]:
        """Run one subject, timing its start; verify its ledger, if it has one, afterwards."""
        home = self.folder / f"{stage}-{name}".replace(" ", "-")
        self.meter.say(f"{stage}: starting {name}")
        began_s = time.monotonic()
        with self.stand.starters[name](home) as endpoint:
            if endpoint.program is not None:
                number = sum(row.subject == name for row in self.results.starts)
                taken_s = time.monotonic() - began_s
                self.results.starts.append(Start(number, name, taken_s))
            yield endpoint
        if name in subjects.DURABILITY:
            self.meter.say(f"{stage}: verifying the ledger of {name}")
            self.results.ledgers.append(Check(stage, name, entente.verify(home)))

    @contextlib.contextmanager
    def all_started(self, stage: str) -> Iterator[None]:
        """Run every subject side by side, and load each a little before it counts."""
        with contextlib.ExitStack() as stack:
            for name in self.stand.starters:
                with self.excused(name):
                    self._running[name] = stack.enter_context(self.started(stage, name))
            for name, endpoint in list(self._running.items()):
                self.meter.say(f"{stage}: warming {name}")
                body = chat_body(KB)
                load = self.wrk.load(endpoint.unary, body, WARM_CONNECTIONS, self.plan.warm_s)
                self._reach[name] = load.per_s
                self._rest(name)
            yield
            self._running.clear()

    def _turns(self, number: int, wanted: Sequence[str]) -> list[tuple[str, Endpoint]]:
        """Give running subjects in an order that begins with another one in each round."""
        items = [(name, self._running[name]) for name in wanted if name in self._running]
        cut = number % max(len(items), 1)
        return items[cut:] + items[:cut]

    @contextlib.contextmanager
    def excused(self, name: str) -> Iterator[None]:
        """Let a peer fail without ending the run: it is left out from then on, and named."""
        try:
            yield
        except (ProgramFailed, TimeoutError):
            if name not in subjects.PEERS:
                raise
            self._running.pop(name, None)
            self.results.missing[name] = f"{name} did not start, or ended during the run"

    def _rest(self, name: str) -> None:
        """Let a subject come to rest."""
        with self.excused(name):
            self._running[name].rest()

    # ---- the stages ----

    def unary(self) -> None:
        """Whole answers in a closed loop: each size and number of connections."""
        plan = self.plan
        for number in range(plan.rounds):
            for body_bytes, connections in plan.unary:
                for name, endpoint in self._turns(number, subjects.ALL):
                    self.meter.step(f"{body_bytes} B, {connections} connections: {name}")
                    body = chat_body(body_bytes)
                    load = self.wrk.load(endpoint.unary, body, connections, plan.unary_s)
                    row = Unary(number, name, body_bytes, connections, load)
                    self.results.unary.append(row)
                    self._rest(name)

    def open(self) -> None:
        """Whole answers at constant rates, as far as a subject can keep up with them."""
        plan = self.plan
        for number in range(plan.open_rounds):
            for per_s in plan.rates:
                for name, endpoint in self._turns(number, subjects.ALL):
                    self.meter.step(f"open loop, {per_s} a second: {name}")
                    if per_s > self._reach[name] * RATE_SHARE_MAX:
                        continue
                    order = open_loop.Order(endpoint.unary, per_s, plan.open_s, KB)
                    seen = _child("bench.open_loop", order, plan.open_s, open_loop.Outcome)
                    self.results.open.append(Open(number, name, per_s, seen))
                    self._rest(name)

    def paced(self) -> None:
        """Streams at the pace of a model. Who does not serve them all gets no more of them."""
        plan = self.plan
        most: dict[str, int] = {}
        for name, endpoint in self._turns(0, subjects.STREAMED):
            self.meter.say(f"warming streams of {name}")
            take_streams(endpoint, WARM_STREAMS, plan.paced_chunks // 5, plan)
            self._rest(name)
        for number in range(plan.paced_rounds):
            for streams in plan.streams:
                for name, endpoint in self._turns(number, subjects.STREAMED):
                    self.meter.step(f"{streams} paced streams: {name}")
                    if streams > most.get(name, streams):
                        continue
                    seen = take_streams(endpoint, streams, plan.paced_chunks, plan)
                    self.results.paced.append(Paced(number, name, streams, seen))
                    if seen.served < streams:
                        most[name] = streams
                    self._rest(name)

    def unpaced(self) -> None:
        """Streams as fast as they go, in a closed loop."""
        plan = self.plan
        connections, chunks, length_s = (
            plan.unpaced_connections,
            plan.unpaced_chunks,
            plan.unpaced_s,
        )
        for number in range(plan.unpaced_rounds):
            for name, endpoint in self._turns(number, subjects.STREAMED):
                self.meter.step(f"unpaced streams: {name}")
                order = stream_loop.Order(endpoint.stream, connections, chunks, length_s)
                seen = _child("bench.stream_loop", order, length_s, stream_loop.Outcome)
                self.results.unpaced.append(Unpaced(number, name, connections, seen))
                self._rest(name)


LOADS: Final[Mapping[str, Callable[[Suite], None]]] = {
    "unary": Suite.unary,
    "open": Suite.open,
    "paced": Suite.paced,
    "unpaced": Suite.unpaced,
}
"""Stages in which all subjects run side by side."""


def steps(plan: Plan, stand: Stand) -> dict[str, int]:
    """Give the number of measurements of each stage."""
    everyone = len(stand.starters)
    streamed = sum(name in stand.starters for name in subjects.STREAMED)
    started = sum(name in stand.starters for name in subjects.STARTED)
    return {
        "unary": plan.rounds * len(plan.unary) * everyone,
        "open": plan.open_rounds * len(plan.rates) * everyone,
        "paced": plan.paced_rounds * len(plan.streams) * streamed,
        "unpaced": plan.unpaced_rounds * streamed,
        "start": plan.start_rounds * started,
        "footprint": started,
        "endurance": 1,
        "crossings": plan.rounds * 4 + 3,
        "agreements": plan.turns * 2,
        "budgets": plan.turns * 2,
        "workers": plan.turns * 12,
        "works": 2,
        "usage": 1,
    }


def take_streams(
    endpoint: Endpoint, streams: int, chunks: int, plan: Plan, interval_us: int = INTERVAL_US
) -> stream_client.Outcome:
    """Take paced streams from a subject, in a process of their own."""
    order = stream_client.Order(
        endpoint.stream, streams, chunks, interval_us, plan.ramp_s, plan.grace_s
    )
    length_s = plan.ramp_s + chunks * interval_us / 1e6 + plan.grace_s
    return _child("bench.stream_client", order, length_s, stream_client.Outcome)


def _child(module: str, order: object, length_s: float, kind: type[_Outcome]) -> _Outcome:
    """Run a load generator in a process of its own; give what it saw."""
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=msgspec.json.encode(order),
        capture_output=True,
        check=False,
        timeout=length_s + OVERTIME_S,
        env=clean_environment() | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    if done.returncode:
        sys.exit(f"{module} failed:\n{done.stderr.decode()}")
    return msgspec.json.decode(done.stdout, type=kind)
