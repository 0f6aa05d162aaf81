"""Leases of one worker: requests take from their meters here, and wait here where they must.

The rule is `lending`; here are the tasks that carry what its two sides say. Requests that
fit what is on loan are admitted at once, without waiting for anything. What is to be said to
the authority gathers while the exchange before is under way, so that there is one at a time,
for all meters together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Final, NamedTuple, Protocol

from entente.domain.errors import LedgerUnavailable
from entente.ledger.lending.borrower import PACE_MS, RETRY_MS
from entente.ledger.lending.desk import Answer, Desk, Part
from entente.ledger.lending.messages import Statement, Verdict, Word
from entente.ledger.meters import Counter
from entente.telemetry.trouble import Trouble

MS_PER_S: Final = 1_000
NS_PER_MS: Final = 1_000_000
ANSWER_S_MAX: Final = 3.0
"""An authority that has not answered for so long is taken for gone."""
RETRY_S: Final = 0.1
RETRY_S_MAX: Final = 1.0
SWEEP_MS: Final = 1_000
FORGET_MS: Final = 15 * 60 * 1_000
"""The loan of a window that is over is kept in mind so long: clocks are stepped back, too."""
FORGOTTEN_MS: Final = 24 * 3600 * 1_000
"""What was used of it is kept in mind so long after, as by the books; see `Meters.prune`."""

_NO_ANSWER: Final = (
    f"The database with all limits and budgets has not answered within {ANSWER_S_MAX:g} s."
    " It is asked again; see that it runs: `entente doctor`."
)
_AWAY: Final = (
    "This request needs more than this worker has on loan, and limits and budgets cannot be asked"
    " for. {}"
)
_TAKEN_OVER: Final = (
    "This worker was cut off from the database, and another one settled its requests. Try again."
)

_log = logging.getLogger("entente.ledger")


class Terms(NamedTuple):
    """What limits a meter. Of two, the one with the higher revision holds, everywhere."""

    limit: int
    revision: int
    ends_ns: int | None = None
    """When the meter's window is over; None for one that never is."""


class Claim(NamedTuple):
    """What a request takes from one meter, at most, and what limits that meter."""

    meter: str
    amount: int
    terms: Terms


class Said(NamedTuple):
    """A statement on its way to the lender of a meter."""

    meter: str
    terms: Terms
    statement: Statement


class Heard(NamedTuple):
    """A word of the lender of a meter."""

    meter: str
    word: Word


class Authority(Protocol):
    """Where the lenders are."""

    async def exchange(self, said: Sequence[Said]) -> list[Heard]:
        """Bring statements to their lenders, in one step; give the words for who made them.

        What the lenders tell others reaches them by itself. Raises LedgerUnavailable; then
        nobody knows whether it was heard.
        """

    async def aclose(self) -> None:
        """Let go of it."""


class Refused(Exception):
    """A request does not fit a meter, which has `left`."""

    def __init__(self, meter: str, verdict: Verdict, left: int) -> None:
        """Say where, whether it can fit later, and what is left."""
        super().__init__(f"{meter}: {verdict}")
        self.meter, self.verdict, self.left = meter, verdict, left


class Leases:
    """What one worker has on loan, and who waits for more, on its event loop."""

    def __init__(
        self,
        authority: Authority,
        worker: str,
        *,
        now_ms: Callable[[], int],
        now_ns: Callable[[], int],
        away: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Borrow as `worker`, a name that no other has ever had. `now_ms` never goes back.

        `away` says why the authority cannot be asked, where that is known without asking it.
        Then nothing is given back that nobody can take.
        """
        self._authority = authority
        self._worker = worker
        self._now_ms, self._now_ns = now_ms, now_ns
        self._known_away = away
        self._names = 0
        self._desk = Desk(self._name)
        self._terms: dict[str, Terms] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._forgotten: dict[str, tuple[int, int]] = {}
        """What this worker had used of meters when it forgot them, and when; oldest first."""
        self._over: dict[str, int] = {}
        """Meters whose window is over, and when that was seen."""
        self._swept_ms = now_ms()
        self._news = asyncio.Event()
        self._outage = Trouble(
            _log,
            "limits and budgets cannot be asked for: %s",
            "limits and budgets can be asked for again",
        )
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def take(self, id: str, claims: Iterable[Claim], *, wait_s: float) -> None:
        """Take from all meters for a request, or from none.

        Where it has to wait for running requests it does, for up to `wait_s`. Raises Refused,
        and LedgerUnavailable where the authority cannot be asked.
        """
        desk = self._desk
        parts = [self._part(claim) for claim in claims]
        answers = self._desk.request(id, parts, self._now_ms())
        self._answer(answers)
        if any(answer.id == id for answer in answers):
            self._tell_own(id, answers)
            return
        if self.trouble is not None:
            self.cancel(id)
            raise LedgerUnavailable(_AWAY.format(self.trouble))
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[id] = waiting
        self._news.set()
        try:
            # It is not cancelled when the time is up: an answer may come in that very turn.
            await asyncio.wait((waiting,), timeout=wait_s)
            if not waiting.done():
                meter, left = self._desk.stands_at(id)
                self.cancel(id)
                raise Refused(meter, Verdict.FULL, left)
            waiting.result()
            if self._desk is not desk:  # what it was given was taken back meanwhile
                raise LedgerUnavailable(_TAKEN_OVER)
        except asyncio.CancelledError:
            self.cancel(id)
            if waiting.done():
                waiting.exception()  # nobody waits to hear it
            raise
        finally:
            self._waiting.pop(id, None)

    def cancel(self, id: str) -> None:
        """Give back what was taken for a request that will not run, or end its wait."""
        self._waiting.pop(id, None)
        self._answer(self._desk.withdraw(id, self._now_ms()))
        self._news.set()

    def settle(self, id: str, costs: Mapping[str, int]) -> None:
        """Replace what a request took by what it cost; `written` when that is durable."""
        self._answer(self._desk.settle(id, costs, self._now_ms()))

    def written(self, id: str) -> None:
        """Take note that a settlement is durable: what it freed can go to others."""
        self._desk.written(id)
        if self._desk.has_news:
            self._news.set()

    def standing(self, meter: str) -> Counter:
        """Say where a meter stands: used by all, and held or lent, as far as was heard here."""
        borrower = self._desk.borrowers.get(meter)
        return Counter(*borrower.standing()) if borrower else Counter()

    def doubt(self, meter: str) -> None:
        """Take nothing more from a meter before its lender was heard: its limit has changed."""
        if meter in self._desk.borrowers:
            self._desk.doubt(meter)
            self._news.set()

    @property
    def trouble(self) -> str | None:
        """Say why the authority cannot be asked now; None where it can."""
        return self._outage.text or self._known_away()

    @property
    def meters(self) -> Iterable[str]:
        """Name the meters that this worker has something to do with."""
        return self._terms.keys()

    def restart(self, worker: str) -> None:
        """Begin anew under another name: this worker was taken for dead, and its loans ended."""
        self._worker, self._names = worker, 0
        self._desk = Desk(self._name)
        self._over.clear()
        self._forgotten.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LedgerUnavailable(_TAKEN_OVER))
        self._waiting.clear()

    def capacity(self, meter: str) -> int:
        """Give what this worker may use of a meter in all, running requests included."""
        borrower = self._desk.borrowers.get(meter)
        used, _ = self._forgotten.get(meter, (0, 0))
        return used + (borrower.capacity if borrower else 0)

    def revise(self, meter: str, terms: Terms) -> None:
        """Take new terms of a meter in; nothing more is taken before the lender knows them."""
        known = self._terms.get(meter)
        if known is not None and known.revision >= terms.revision:
            return
        self._terms[meter] = terms
        if known is not None and terms.limit != known.limit:
            self._desk.doubt(meter)
            self._news.set()

    def hear(self, heard: Iterable[Heard]) -> None:
        """Take in words of lenders, asked for or not."""
        for meter, word in heard:
            self._answer(self._desk.hear(meter, word, self._now_ms()))
        self._news.set()

    async def aclose(self) -> None:
        """Stop asking. What is on loan is ended with the worker's chain."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._authority.aclose()
        self._refuse("The server stops.")

    # ---- inside ----

    def _name(self) -> str:
        """Name a borrower."""
        self._names += 1
        return f"{self._worker}.{self._names}"

    def _part(self, claim: Claim) -> Part:
        """Note the terms of a claim."""
        if self._terms.get(claim.meter) is not claim.terms:
            if claim.meter not in self._terms:
                self._terms[claim.meter] = claim.terms
            self.revise(claim.meter, claim.terms)
        return Part(claim.meter, claim.amount)

    def _tell_own(self, id: str, answers: Iterable[Answer]) -> None:
        """Raise Refused where a request was refused at once."""
        for answer in answers:
            if answer.id == id and answer.verdict is not Verdict.SERVED:
                raise Refused(answer.meter, answer.verdict, answer.left)

    def _answer(self, answers: Iterable[Answer]) -> None:
        """Tell who waits."""
        if self._desk.has_news:
            self._news.set()
        for answer in answers:
            waiting = self._waiting.pop(answer.id, None)
            if waiting is None or waiting.done():
                continue
            if answer.verdict is Verdict.SERVED:
                waiting.set_result(None)
            else:
                waiting.set_exception(Refused(answer.meter, answer.verdict, answer.left))

    def _refuse(self, text: str) -> None:
        """Refuse who waits: nobody can say whether it fits."""
        for id, waiting in list(self._waiting.items()):
            if not waiting.done():  # else it has what one before it gave back just now
                self.cancel(id)
                waiting.set_exception(LedgerUnavailable(text))

    async def _run(self) -> None:
        """Say what there is to say, one exchange after the other.

        While the authority is away it is asked even with nothing to say: what there was may be
        gone with the chain that it was of, and nobody would find that it is back.
        """
        retry_s = RETRY_S
        while True:
            self._news.clear()
            said = self._to_say()
            if not said and self._outage.text is None:
                await self._until_news()
                continue
            desk = self._desk
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    heard = await self._authority.exchange(said)
            except (LedgerUnavailable, TimeoutError) as error:
                for each in said:
                    desk.lost(each.meter)
                if self._desk is desk:  # else it was not we, as we are now, who were refused
                    self._away(str(error) or _NO_ANSWER)
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, RETRY_S_MAX)
                continue
            retry_s = RETRY_S
            self._outage.end()
            self.hear(heard)

    async def _until_news(self) -> None:
        """Wait until there may be something to say, or what has to wait for its pace."""
        wait_ms = PACE_MS if self._desk.has_news else RETRY_MS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_ms / MS_PER_S):
                await self._news.wait()

    def _to_say(self) -> list[Said]:
        """Give the statements that are due."""
        now_ms = self._now_ms()
        if now_ms - self._swept_ms >= SWEEP_MS:
            self._swept_ms = now_ms
            self._sweep(now_ms)
        statements = self._desk.statements(now_ms, keeps=self.trouble is not None)
        return [Said(meter, self._terms[meter], each) for meter, each in statements.items()]

    def _sweep(self, now_ms: int) -> None:
        """Give back what is on loan for windows that are over, and forget them later."""
        now_ns = self._now_ns()
        used: dict[str, int] = {}
        for meter, terms in self._terms.items():
            if terms.ends_ns is None or terms.ends_ns > now_ns:
                continue
            since_ms = self._over.setdefault(meter, now_ms)
            if since_ms == now_ms:
                self._desk.end(meter)
            elif now_ms - since_ms >= FORGET_MS:
                used[meter] = self.capacity(meter)
        for meter in self._desk.forget(used) if used else ():
            self._forgotten.pop(meter, None)
            self._forgotten[meter] = (used[meter], now_ms)
            del self._terms[meter], self._over[meter]
        last_ms = now_ms - FORGOTTEN_MS
        for meter in list(takewhile(lambda m: self._forgotten[m][1] <= last_ms, self._forgotten)):
            del self._forgotten[meter]

    def _away(self, text: str) -> None:
        """Note that the authority is away, which refuses who waits."""
        self._outage.begin(text)
        self._refuse(_AWAY.format(text))
