"""A worker of the simulated world (`lending`): requests that come, run and end at one desk."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from entente.ledger.lending.desk import Answer, Part
from entente.ledger.lending.messages import Verdict

if TYPE_CHECKING:
    from tests.kit.lending import World

MINUTE_MS: Final = 60_000
SKEW_MS: Final = 5 * MINUTE_MS


class Broken(AssertionError):
    """A promise that this seed breaks."""


class Request(msgspec.Struct):
    """A request of a client at one worker."""

    id: str
    parts: list[Part]
    costs: dict[str, int]
    came_ms: int
    runs_ms: int
    patience_ms: int
    limits: dict[str, list[int]] = {}
    """Each limit that was in force while it waited, by meter."""


class Chain(msgspec.Struct):
    """What a worker's journal says: open holds, and what was used."""

    open: dict[str, dict[str, int]] = {}
    used: Counter[str] = msgspec.field(default_factory=Counter)


class Worker:
    """One process: a desk, a journal, a clock that is wrong, and a line to the authority."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"w{number}"
        self.skew_ms = world.chance.choice([0, 0, -SKEW_MS, SKEW_MS, world.chance.randint(-9, 9)])
        self.names = 0
        self.desk = world.make_desk(self._borrower_name)
        self.chain = Chain()
        self.line: list[tuple[str, str]] = []
        """What the journal has to write, in order: `hold` or `settle`, and a request."""
        self.running: dict[str, Request] = {}
        self.waiting: dict[str, Request] = {}
        self.dead = self.ending = False
        self.paused_until_ms = self.apart_until_ms = 0

    def _borrower_name(self) -> str:
        self.names += 1
        return f"{self.name}.{self.names}"

    def answered(self, answers: list[Answer]) -> None:
        """Go on with requests that were admitted or refused."""
        for answer in answers:
            request = self.waiting.pop(answer.id)
            self.world.check_wait(request)
            if answer.verdict is Verdict.SERVED:
                self.running[request.id] = request
                self.line.append(("hold", request.id))
            else:
                self.world.refused(request, answer)

    def tick(self) -> None:
        """Say what there is to say, and write what is in line."""
        world = self.world
        if world.now_ms < self.paused_until_ms:
            return
        said = self.desk.statements(world.now_ms)
        for meter, statement in said.items():
            world.say(self, meter, statement)
        if world.now_ms >= self.apart_until_ms and world.chance.random() < 0.5:
            line, self.line = self.line, []
            for kind, id in line:
                self.write(kind, id)

    def write(self, kind: str, id: str) -> None:
        """Make a hold or a settlement durable."""
        world, request = self.world, self.running[id]
        if kind == "hold":
            self.chain.open[id] = dict(request.parts)
            world.held.update(self.chain.open[id])
            world.check_hold(request)
            world.later(request.runs_ms, lambda: self.finish(id))
            return
        for meter, amount in self.chain.open.pop(id).items():
            cost = request.costs[meter]
            self.chain.used[meter] += cost
            world.used[meter] += cost
            world.held[meter] -= amount
            world.overrun[meter] += max(0, cost - amount)
        del self.running[id]
        world.costs.update(request.costs)
        self.desk.written(id)

    def finish(self, id: str) -> None:
        """A provider has answered."""
        if self.dead:
            return
        now_ms = self.world.now_ms
        if now_ms < self.paused_until_ms:
            self.world.later(self.paused_until_ms - now_ms + 1, lambda: self.finish(id))
            return
        answers = self.desk.settle(id, self.running[id].costs, now_ms)
        self.line.append(("settle", id))
        self.answered(answers)

    def give_up(self, id: str) -> None:
        """A client's patience has ended."""
        if not self.dead and id in self.waiting:
            del self.waiting[id]
            self.world.ends["impatient"] += 1
            self.answered(self.desk.withdraw(id, self.world.now_ms))
