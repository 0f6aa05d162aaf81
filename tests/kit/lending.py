"""A simulated world of workers that share limits: everything that happens comes from one seed.

Workers (`lending_worker`) admit requests by their desks, journals write what they are given
after a while, and an authority keeps the lenders. Messages are delayed, lost, doubled and
overtake each other; workers crash, pause and lose the authority, and who is taken for dead is
taken over; clocks differ by minutes; limits are raised and lowered.

What is true is kept beside all that, from what the journals say alone: what each meter has
used, and what its open holds may still cost. The checks:

- at each hold that becomes durable: used and held, less costs above their holds, are within
  the limit; after it was lowered, from when every borrower has answered for it;
- a request is refused for good only if it is more than the limit less what is used; it is
  refused as full only when nobody has anything unused that the authority was not told of;
- with everything mended, every request ends, nothing is held, nothing lent, and the lenders'
  use is the sum of the costs.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

from entente.ledger.lending.borrower import Borrower
from entente.ledger.lending.desk import Answer, Desk, Part
from entente.ledger.lending.lender import Lender
from entente.ledger.lending.messages import Statement, Verdict, Word
from tests.kit.lending_worker import MINUTE_MS, Broken, Request, Worker

TICK_MS: Final = 5
TAKEOVER_MS: Final = 600
MEND_MS: Final = 3_000
"""Faults happen until then; and requests come."""
WAIT_MS_MAX: Final = 5_000
"""A lost message is made good in less."""
END_MS: Final = 60_000
"""By then everything has come to rest."""


class World:
    """Everything there is. Subclasses of lender and borrower show that the checks can fail."""

    def __init__(
        self,
        seed: int,
        *,
        lender: type[Lender] = Lender,
        borrower: type[Borrower] = Borrower,
        fence: bool = True,
    ) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - no secret
        self._lender, self._borrower, self._fence = lender, borrower, fence
        self.now_ms = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = 0
        self.calm = False
        chance = self.chance
        self.loss = chance.choice([0, 0, 0.05, 0.3])
        self.doubling = chance.choice([0, 0, 0.2])
        self.delay_ms = chance.choice([1, 5, 40])
        self.meters = {
            "spend|r1|all|organization:": chance.choice([60, 400, 2_000]),
            "spend|r2|all|key:k": chance.choice([40, 300, 10_000]),
            "tokens|r3": chance.choice([30, 200, 5_000]),
            "concurrency|r4|all|project:p": chance.choice([1, 3, 12]),
        }
        """Limits by rule; the window is added to the third by the clock of who asks."""
        self.lenders: dict[str, Lender] = {}
        self.bounds: dict[str, int] = {}
        """The limit that holds for sure: a lowered one does from when all have answered."""
        self.lowered: dict[str, int] = {}
        self.workers: list[Worker] = []
        self.closed: set[str] = set()
        self.everyone: list[Worker] = []
        self.used: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self.costs: Counter[str] = Counter()
        self.overrun: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self._told: set[tuple[str, str, int]] = set()
        self.messages = 0
        self.requests = 0
        for _ in range(chance.choice([1, 2, 4, 6])):
            self._begin_worker()

    def make_desk(self, name: Callable[[], str]) -> Desk:
        """Give a desk with this world's kind of borrower."""
        return Desk(name, self._borrower)

    def later(self, after_ms: int, what: Callable[[], None]) -> None:
        """Have something happen."""
        self._numbers += 1
        heapq.heappush(self._events, (self.now_ms + after_ms, self._numbers, what))

    # ---- a run ----

    def play(self) -> None:
        """Let things happen, mend everything, and see that it comes to rest."""
        self._each_tick()
        self._each_arrival()
        self._each_fault()
        while self._events and self.now_ms < END_MS:
            self.now_ms, _, what = heapq.heappop(self._events)
            what()
            if self.calm and self._is_over():
                break
        self._check_end()

    def _each_tick(self) -> None:
        for worker in list(self.workers):
            worker.tick()
            if self.calm and not (worker.waiting or worker.running or worker.ending):
                self._end_worker(worker)
            if worker.apart_until_ms - self.now_ms > TAKEOVER_MS:
                self._take_over(worker)
        if self.now_ms >= MEND_MS and not self.calm:
            self._mend()
        self.later(TICK_MS * (4 if self.calm else 1), self._each_tick)

    def _mend(self) -> None:
        """No more faults; workers stop in order once their requests have ended."""
        self.calm, self.loss, self.doubling = True, 0, 0
        for worker in self.workers:
            worker.paused_until_ms = worker.apart_until_ms = 0

    def _end_worker(self, worker: Worker) -> None:
        worker.ending = True
        for borrower in worker.desk.borrowers.values():
            borrower.end()

    def _is_over(self) -> bool:
        if any(worker.dead and worker.name not in self.closed for worker in self.everyone):
            return False
        return all(
            worker.ending and worker.desk.at_rest and not worker.line for worker in self.workers
        )

    def _each_arrival(self) -> None:
        if self.calm:
            return
        for _ in range(self.chance.choice([1, 1, 1, 8])):
            self._arrive(self.chance.choice(self.workers))
        self.later(self.chance.choice([1, 10, 60]), self._each_arrival)

    def _arrive(self, worker: Worker) -> None:
        chance = self.chance
        self.requests += 1
        parts, costs = [], {}
        names = chance.sample(list(self.meters), chance.choice([1, 1, 2, 3, 4]))
        for rule in names:
            meter, amount = rule, chance.choice([1, 5, 20, 50])
            if rule.startswith("tokens"):
                window = (self.now_ms + worker.skew_ms) // (MINUTE_MS // 60)
                meter = f"{rule}|{window}|key:k"
            if rule.startswith("concurrency"):
                amount, costs[meter] = 1, 0
            else:
                over = 3 if chance.random() < 0.03 else 0
                costs[meter] = amount + over if over else chance.choice([0, amount, amount // 2])
            parts.append(Part(meter, amount))
        request = Request(
            id=f"q{self.requests}",
            parts=parts,
            costs=costs,
            came_ms=self.now_ms,
            runs_ms=chance.choice([1, 20, 200, 900]),
            patience_ms=chance.choice([30, 500, END_MS]),
        )
        for meter, _ in parts:
            lender = self._lend(meter)
            request.limits[meter] = [lender.limit]
        worker.waiting[request.id] = request
        self.later(request.patience_ms, lambda: worker.give_up(request.id))
        worker.answered(worker.desk.request(request.id, parts, self.now_ms))

    # ---- faults ----

    def _each_fault(self) -> None:
        if self.calm:
            return
        chance, worker = self.chance, self.chance.choice(self.workers)
        match chance.choice(["crash", "pause", "apart", "limit", "new", "nothing", "idle"]):
            case "crash":
                self._crash(worker)
            case "pause":
                worker.paused_until_ms = self.now_ms + chance.choice([20, 300])
            case "apart":
                worker.apart_until_ms = self.now_ms + chance.choice([50, 300, 2 * TAKEOVER_MS])
            case "limit":
                self._change_limit(chance.choice(list(self.meters)))
            case "new":
                self._begin_worker()
            case _:
                pass
        self.later(chance.choice([100, 400, 900]), self._each_fault)

    def _begin_worker(self) -> None:
        worker = Worker(self, len(self.everyone))
        self.workers.append(worker)
        self.everyone.append(worker)

    def _crash(self, worker: Worker) -> None:
        """Kill -9: what was not durable is gone; it is taken over a while later."""
        worker.dead = True
        self.workers.remove(worker)
        self._begin_worker()
        self.later(self.chance.choice([1, TAKEOVER_MS]), lambda: self._close(worker))

    def _take_over(self, worker: Worker) -> None:
        """The authority has not seen it for long: it is as good as dead, and begins anew."""
        worker.dead = True
        self.workers.remove(worker)
        self._begin_worker()
        self._close(worker)

    def _close(self, worker: Worker) -> None:
        """Settle open holds of a dead worker at their bounds, and end its loans."""
        chain = worker.chain
        for parts in chain.open.values():
            for total in (chain.used, self.used, self.costs):
                total.update(parts)
            self.held.subtract(parts)
        chain.open.clear()
        self.closed.add(worker.name)
        for meter, lender in list(self.lenders.items()):
            own = [name for name in lender.loans if name.partition(".")[0] == worker.name]
            if own or chain.used[meter]:
                self._tell(meter, lender.forfeit(own, chain.used[meter]))

    def _change_limit(self, rule: str) -> None:
        """Raise or lower a limit, of every window."""
        self.meters[rule] = max(1, self.meters[rule] * self.chance.choice([1, 2, 3]) // 2)
        for meter, lender in list(self.lenders.items()):
            if meter.startswith(rule):
                self.bounds[meter] = max(self.bounds[meter], self.meters[rule])
                words = lender.set_limit(self.meters[rule], lender.revision + 1)
                self.lowered[meter] = lender.round
                for worker in self.everyone:
                    for request in worker.waiting.values():
                        request.limits.get(meter, []).append(lender.limit)
                self._tell(meter, words)
                for worker in self.workers:
                    self.later(self._delay(), partial(self._doubt, worker, meter))

    def _doubt(self, worker: Worker, meter: str) -> None:
        """A worker reads the new limit for itself, before or after the authority tells it."""
        if not worker.dead and meter in worker.desk.borrowers:
            worker.desk.doubt(meter)

    # ---- messages ----

    def say(self, worker: Worker, meter: str, said: Statement) -> None:
        """Carry a statement to the authority, as well as this world carries things."""
        self.messages += 1
        borrower, lender = worker.desk.borrowers[meter], self._lend(meter)
        unused = borrower.room - borrower._unsure_free
        if unused > 0 and lender.scarce and said.round == lender.round:
            raise Broken(f"{meter}: {said.borrower} has {unused} that others need")
        for _ in range(self._copies(worker)):
            self.later(self._delay(), lambda: self._heard(worker, meter, said))

    def _heard(self, worker: Worker, meter: str, said: Statement) -> None:
        if self._fence and worker.name in self.closed:
            return
        self._tell(meter, self._lend(meter).hear(said), direct=said.borrower)

    def _tell(self, meter: str, words: list[Word], direct: str = "") -> None:
        """Carry words to borrowers."""
        lender = self.lenders[meter]
        self._check_lender(meter)
        for word in words:
            self._check_verdict(meter, word)
            worker = self._worker(word.to)
            for _ in range(self._copies(worker)):
                self.later(self._delay(), partial(self._reach, worker, meter, word))
        if len(words) > len(lender.loans):
            raise Broken(f"{meter}: {len(words)} words about one statement of {direct}")

    def _reach(self, worker: Worker, meter: str, word: Word) -> None:
        """Let a worker hear a word; one that pauses hears it afterwards."""
        if worker.dead:
            return
        if self.now_ms < worker.paused_until_ms:
            rest_ms = worker.paused_until_ms - self.now_ms
            self.later(rest_ms, partial(self._reach, worker, meter, word))
            return
        worker.answered(worker.desk.hear(meter, word, self.now_ms))

    def _worker(self, borrower: str) -> Worker:
        return self.everyone[int(borrower.partition(".")[0][1:])]

    def _copies(self, worker: Worker) -> int:
        if self.now_ms < worker.apart_until_ms or self.chance.random() < self.loss:
            return 0
        return 1 + (self.chance.random() < self.doubling)

    def _delay(self) -> int:
        rare = 20 if not self.calm and self.chance.random() < 0.02 else 1
        return self.chance.randint(0, self.delay_ms) * rare

    def _lend(self, meter: str) -> Lender:
        if meter not in self.lenders:
            rule = next(rule for rule in self.meters if meter.startswith(rule))
            self.lenders[meter] = self._lender(limit=self.meters[rule])
            self.bounds[meter] = self.meters[rule]
        return self.lenders[meter]

    # ---- what must hold ----

    def truth(self, meter: str) -> tuple[int, int]:
        """Give what a meter has used and what open holds may cost, as the journals say."""
        return self.used[meter], self.held[meter]

    def check_hold(self, request: Request) -> None:
        """Check that a hold which has become durable was covered."""
        for meter, _ in request.parts:
            used, held = self.truth(meter)
            lender = self.lenders[meter]
            covered = used + held - self.overrun[meter] <= self.bounds[meter]
            if not covered:
                raise Broken(f"{meter}: {used} used, {held} held, limit {self.bounds[meter]}")
            if lender.limit < self.bounds[meter] and self._all_know(lender):
                self.bounds[meter] = max(lender.limit, used + held - self.overrun[meter])

    def _all_know(self, lender: Lender) -> bool:
        """Whether nobody can admit above a limit that was lowered any more."""
        settled = all(not worker.line for worker in self.everyone)
        return settled and lender.free >= 0 and not lender.unheard()

    def _check_lender(self, meter: str) -> None:
        """Check that no more is lent than there is, but for what had to be."""
        lender = self.lenders[meter]
        if any(loan.lent < 0 for loan in lender.loans.values()):
            raise Broken(f"{meter}: a loan below zero")
        used, _ = self.truth(meter)
        if lender.used > used:
            raise Broken(f"{meter}: the authority has {lender.used} used, the journals {used}")

    def _check_verdict(self, meter: str, word: Word) -> None:
        """Check that a meter is called full only when nobody has kept anything back."""
        lender = self.lenders[meter]
        told = (meter, word.to, word.number)
        if word.verdict is not Verdict.FULL or told in self._told:
            return
        self._told.add(told)
        for name, loan in lender.loans.items():
            worker = self._worker(name)
            borrower = worker.desk.borrowers.get(meter)
            if worker.dead or borrower is None or borrower.name != name or name == word.to:
                continue
            # A grant, or the answer to its own asking, may still be on its way to it.
            knows = borrower._granted == loan.granted and not borrower._in_flight
            if loan.lent and knows and borrower._round < lender.round:
                raise Broken(f"{meter} is called full, and {name} knows of nothing")

    def refused(self, request: Request, answer: Answer) -> None:
        """Check a refusal."""
        self.ends[answer.verdict] += 1
        amount = dict(request.parts)[answer.meter]
        used, _ = self.truth(answer.meter)
        if answer.verdict is Verdict.NEVER:
            if amount <= min(request.limits[answer.meter]) - used:
                raise Broken(f"{answer.meter}: {amount} fits, and was refused for good")
        elif answer.meter.startswith("spend"):
            raise Broken(f"{answer.meter}: refused as full, though it can wait")

    def check_wait(self, request: Request) -> None:
        """Check that who waits for no running request was not kept waiting."""
        if any(meter.startswith("spend") for meter, _ in request.parts):
            return
        waited_ms = self.now_ms - max(request.came_ms, MEND_MS)
        if waited_ms > WAIT_MS_MAX:
            raise Broken(f"{request.id} waited for {waited_ms} ms for what nobody used")

    def _check_end(self) -> None:
        """Check that everything has come to rest, and adds up."""
        for worker in self.workers:
            if worker.waiting or worker.running:
                raise Broken(f"{worker.name} never ended {[*worker.waiting, *worker.running][:5]}")
            if not worker.desk.at_rest:
                raise Broken(f"{worker.name} is not at rest")
        for meter, lender in self.lenders.items():
            used, held = self.truth(meter)
            if held or lender.lent or not lender.used == used == self.costs[meter]:
                raise Broken(
                    f"{meter}: held {held}, lent {lender.lent}, used {lender.used} with the "
                    f"authority, {used} by the journals, {self.costs[meter]} by requests"
                )
