"""A worker's side of one meter: it admits against what it has on loan, without asking. Pure.

Amounts are whole numbers in the unit of the meter; times are milliseconds of any clock that
never goes back.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from entente.ledger.lending.messages import Statement, Verdict, Word

PACE_MS: Final = 10
"""A borrower makes no two statements in less: at most 100 a second for each meter and worker.
A statement is answered by at most one word to each borrower, so that is bounded as well."""
RETRY_MS: Final = 250
"""A wish that was not granted is stated again, should a word have been lost."""
LOST_MS: Final = 2_000
"""A statement that nobody has answered for so long is made again."""
LONG_AGO_MS: Final = -(2**62)
IDLE_MS: Final = 10_000
"""What nothing was taken from for so long goes back."""
REPORT_MS: Final = 5_000
"""What was used is told so soon, asked or not."""
AHEAD_HOLDS: Final = 16
"""A loan is for so many requests like the one that needs it, or more."""
AHEAD_MS: Final = 1_000
"""A loan is to last so long at the pace at which the last one was taken."""
LOW_PART: Final = 4
"""More is asked for, ahead of need, when less than this part of the last loan (1/4) is left,
while requests come."""


class Outcome(NamedTuple):
    """How a wait ended: admitted, or refused with the verdict and what was left."""

    id: str
    verdict: Verdict
    left: int


class _Waiter:
    """A request in line. `asked` is the first statement made since it came."""

    __slots__ = ("amount", "asked", "id")

    def __init__(self, id: str, amount: int) -> None:
        self.id = id
        self.amount = amount
        self.asked = 0


class Borrower:
    """What one worker has on loan for one meter, and who waits for more.

    `patient`: its requests wait while only running ones stand in the way; else they are
    refused as soon as that is known.
    """

    def __init__(self, name: str, *, patient: bool) -> None:
        """Begin with nothing. No other borrower of the meter has ever had this name."""
        self.name = name
        self.patient = patient
        self.used = 0
        self.pending = 0
        self.scarce = False
        self.ended = False
        self._granted = self._returned = self._overdrawn = 0
        self._line: deque[_Waiter] = deque()
        self._unsure_used = 0
        """Cost of settlements that are not durable yet: not told before they are."""
        self._unsure_free = 0
        """What these free; taken again by requests behind them, but not given back before."""
        self._number = self._in_flight = self._version = 0
        self._round = self._answered = 0
        self._last: Word | None = None
        self._stated_used = self._stated_need = 0
        """What the lender knows, unless a message was lost."""
        self._unheard = False
        self._spoke_ms = self._asked_ms = self._took_ms = self._lent_ms = LONG_AGO_MS
        self._loan = self._taken = 0
        """What the last loan was, and what was taken since."""

    @property
    def capacity(self) -> int:
        """What it may use in all: what was granted and not given back."""
        return self._granted + self._overdrawn - self._returned

    @property
    def room(self) -> int:
        """What it can admit now."""
        return self.capacity - self.used - self.pending

    @property
    def waiting(self) -> int:
        """How many requests are in line."""
        return len(self._line)

    @property
    def at_rest(self) -> bool:
        """Nothing runs or waits, and the lender has been told everything."""
        if self.pending or self._line or self._in_flight or self._unheard:
            return False
        return self.capacity == self.used == self._stated_used and not self._stated_need

    def standing(self) -> tuple[int, int]:
        """Say what of the meter is used, and what is held or lent, as far as was heard."""
        word = self._last
        if word is None:
            return self.used, self.pending
        used = word.used - word.own + self.used
        return used, max(0, word.limit - used - max(0, self.room) - max(0, word.left))

    # ---- requests ----

    def request(self, id: str, amount: int, now_ms: int) -> bool:
        """Take `amount` for a request, or put it in line; say whether it was taken.

        While others are short, what is free is not taken before them.
        """
        if amount <= 0 or not (self._line or self.scarce or self.ended or amount > self.room):
            self._take(amount, now_ms)
            return True
        self._line.append(_Waiter(id, amount))
        return False

    def withdraw(self, id: str, now_ms: int) -> list[Outcome]:
        """Forget a request in line, which no longer waits; give those that this lets in."""
        self._line = deque(waiter for waiter in self._line if waiter.id != id)
        return self._admit_unless_scarce(now_ms)

    def cancel(self, amount: int, now_ms: int) -> list[Outcome]:
        """Give back what was taken for a request that will not run."""
        self.pending -= amount
        return self._admit_unless_scarce(now_ms)

    def settle(self, held: int, cost: int, now_ms: int) -> list[Outcome]:
        """Replace what was taken by what it cost; give those that this lets in.

        `written` must follow when the settlement is durable.
        """
        self.pending -= held
        self.used += cost
        self._unsure_used += cost
        self._unsure_free += max(0, held - cost)
        if self.room < 0:
            self._overdrawn -= self.room
            self._unheard = True  # the lender would lend to others what is gone
        return self._admit_unless_scarce(now_ms)

    def written(self, held: int, cost: int) -> None:
        """Take note that a settlement is durable: what it freed may go to others."""
        self._unsure_used -= cost
        self._unsure_free -= max(0, held - cost)

    def doubt(self) -> None:
        """Give back what is free, and take nothing before the next word: the limit has changed."""
        self.scarce = self._unheard = True

    def end(self) -> None:
        """Give back all there is, and take nothing more: its window or its worker ends."""
        self.ended = True

    # ---- what to say, and what is said ----

    def statement(self, now_ms: int, *, keeps: bool = False) -> Statement | None:
        """Say what is to be said now, if anything. One statement at a time is under way.

        `keeps`: what is idle does not go back for that alone.
        """
        if now_ms - self._spoke_ms < (LOST_MS if self._in_flight else PACE_MS):
            return None
        if self._in_flight:
            self.lost()
        need = self._line[0].amount if self._line else 0
        back = max(0, self.room - self._unsure_free)
        idle = not keeps and now_ms - self._took_ms >= IDLE_MS
        if not (need or self.scarce or self.ended or idle):
            back = 0
        want = self._want(need, now_ms)
        if not (back or self._is_due(need, want, now_ms)):
            return None
        if back:
            self._returned += back
            self._loan = self._taken = 0
        self._number += 1
        for waiter in self._line:
            waiter.asked = waiter.asked or self._number
        self._answered = self._round
        self._in_flight, self._spoke_ms = self._number, now_ms
        if need or want:
            self._asked_ms = now_ms
        self._stated_used, self._stated_need = self.used - self._unsure_used, need
        self._unheard = False
        return Statement(
            borrower=self.name,
            number=self._number,
            known=self._granted,
            used=self._stated_used,
            returned=self._returned,
            overdrawn=self._overdrawn,
            need=need,
            want=want,
            patient=self.patient,
            round=self._round,
        )

    @property
    def is_urgent(self) -> bool:
        """Whether it may have something to say that should not wait for the next look around."""
        return (
            bool(self._line)
            or self.scarce
            or self.ended
            or self._unheard
            or self._answered < self._round
            or self.room * LOW_PART < self._loan
        )

    def has_to_pause(self, now_ms: int) -> bool:
        """Say whether it may have something to say, and must wait with it for its pace."""
        return not self._in_flight and now_ms - self._spoke_ms < PACE_MS

    def lost(self) -> None:
        """Take note that the last statement may not have been heard."""
        self._in_flight = 0
        self._unheard = True

    def hear(self, word: Word, now_ms: int) -> list[Outcome]:
        """Take in a word of the lender, asked for or not; give the waits that end by it."""
        outcomes: list[Outcome] = []
        if word.number >= self._in_flight:
            self._in_flight = 0
        if word.granted > self._granted:
            self._loan, self._taken, self._lent_ms = word.granted - self._granted, 0, now_ms
            self._granted = word.granted
            self._asked_ms = LONG_AGO_MS
            outcomes = self._admit(now_ms)
        if word.version > self._version:
            self._version, self._round = word.version, word.round
            self.scarce, self._last = word.scarce, word
            if word.number == self._number and not _waits(word.verdict, patient=self.patient):
                self._stated_need = 0
            outcomes += self._refuse(word)
        return outcomes + self._admit_unless_scarce(now_ms)

    # ---- inside ----

    def _take(self, amount: int, now_ms: int) -> None:
        """Count a request as running."""
        self.pending += amount
        self._taken += amount
        self._took_ms = now_ms

    def _admit(self, now_ms: int) -> list[Outcome]:
        """Let in who is in line, in order, as far as there is room."""
        admitted = []
        while self._line and self._line[0].amount <= self.room:
            waiter = self._line.popleft()
            self._take(waiter.amount, now_ms)
            admitted.append(Outcome(waiter.id, Verdict.SERVED, self.room))
        return admitted

    def _admit_unless_scarce(self, now_ms: int) -> list[Outcome]:
        """Let in who is in line, unless what is free is for others before them."""
        return [] if self.scarce else self._admit(now_ms)

    def _refuse(self, word: Word) -> list[Outcome]:
        """Refuse who can never be served, and who may not wait and was not served."""
        refused, stay = [], deque[_Waiter]()
        full = word.verdict is Verdict.FULL and not self.patient
        for waiter in self._line:
            asked = 0 < waiter.asked <= word.number  # else the word is older than the request
            if asked and waiter.amount > word.ever:
                refused.append(Outcome(waiter.id, Verdict.NEVER, word.ever))
            elif asked and full and waiter.amount > word.free:
                refused.append(Outcome(waiter.id, Verdict.FULL, word.free))
            else:
                stay.append(waiter)
        self._line = stay
        return refused

    def _want(self, need: int, now_ms: int) -> int:
        """Say how much to ask for: what those in line need, and ahead of those to come."""
        if self.ended:
            return need
        demand = sum(waiter.amount for waiter in self._line)
        if self.scarce:
            return demand
        if not need and (self.room * LOW_PART >= self._loan or now_ms - self._took_ms > AHEAD_MS):
            return 0
        pace = self._taken * AHEAD_MS // max(1, now_ms - self._lent_ms)
        return max(demand, AHEAD_HOLDS * need, pace, 0 if need else self._loan // 2)

    def _is_due(self, need: int, want: int, now_ms: int) -> bool:
        """Say whether something is to be said, apart from what goes back."""
        retry = now_ms - self._asked_ms >= RETRY_MS
        unsaid = self.used - self._unsure_used != self._stated_used
        prompt = self.scarce or self.ended or now_ms - self._spoke_ms >= REPORT_MS
        return (
            self._unheard
            or self._answered < self._round
            or need != self._stated_need
            or (bool(need or want) and retry)
            or (unsaid and prompt)
        )


def _waits(verdict: Verdict, *, patient: bool) -> bool:
    """Say whether the lender keeps a place in line for whom it told this."""
    return verdict is Verdict.LATER or (verdict is Verdict.FULL and patient)
