"""The lender of one meter: the rule by which a limit is lent to workers. Pure.

Whoever keeps it (a row of the database under its lock) brings statements one by one, and
only of workers that are not taken for dead; see `forfeit`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from entente.ledger.lending.messages import Statement, Verdict, Word

PLENTY_PART: Final = 8
"""A scarce meter is so no more when nobody waits and this part of the limit (1/8) is free."""


class Loan(msgspec.Struct):
    """What one borrower has on loan, and waits for."""

    number: int = 0
    granted: int = 0
    used: int = 0
    returned: int = 0
    overdrawn: int = 0
    heard: int = 0
    """The last round that it has answered."""
    need: int = 0
    want: int = 0
    patient: bool = True
    ticket: int = 0
    """Its place in line; 0 when it does not wait."""
    verdict: Verdict = Verdict.SERVED
    """The last that it was told."""
    free: int = 0
    """What was left for it when it was not served."""

    @property
    def lent(self) -> int:
        """What it has and has not told the end of."""
        return self.granted + self.overdrawn - self.used - self.returned


class Lender(msgspec.Struct):
    """A meter's limit, what of it is used, and to whom the rest is lent."""

    limit: int = 0
    revision: int = -1
    """Of the limit: a later one is of a higher revision."""
    closed: int = 0
    """What was used by borrowers that are no more."""
    loans: dict[str, Loan] = {}
    version: int = 0
    round: int = 0
    scarce: bool = False
    tickets: int = 0

    @property
    def used(self) -> int:
        """What settled requests have cost, as far as it was told."""
        return self.closed + sum(loan.used for loan in self.loans.values())

    @property
    def lent(self) -> int:
        """What is out on loan."""
        return sum(loan.lent for loan in self.loans.values())

    @property
    def free(self) -> int:
        """What can be lent; below zero where the limit was lowered, or costs ran over."""
        return self.limit - self.used - self.lent

    def hear(self, said: Statement) -> list[Word]:
        """Take a statement in; give a word to who made it and to whom it changes something."""
        loan = self.loans.setdefault(said.borrower, Loan())
        concerned = [said.borrower]
        if said.number > loan.number and loan.ticket and said.need == loan.need:
            concerned += self.unheard()  # it asks again: perhaps they were not told
        loan.used = max(loan.used, said.used)
        loan.returned = max(loan.returned, said.returned)
        loan.overdrawn = max(loan.overdrawn, said.overdrawn)
        if said.number > loan.number:
            loan.number = said.number
            loan.heard = max(loan.heard, said.round)
            self._wish(loan, said)
        return self._go_on(concerned)

    def set_limit(self, limit: int, revision: int) -> list[Word]:
        """Change the limit; where it no longer covers what is lent, ask for what is unused.

        An older revision changes nothing, and of two limits of the same one the lower holds.
        """
        if (revision, -limit) <= (self.revision, -self.limit):
            return []
        self.limit, self.revision = limit, revision
        return self._go_on(())

    def forfeit(self, borrowers: Iterable[str], used: int) -> list[Word]:
        """End loans of a worker that is no more, whose records show that it used `used`.

        Never bring a statement of these borrowers again.
        """
        for name in borrowers:
            self.loans.pop(name, None)
        self.closed += used
        return self._go_on(())

    def _wish(self, loan: Loan, said: Statement) -> None:
        """Note what the newest statement asks for; give ahead of need where there is plenty."""
        if said.known < loan.granted:
            # It wished before it had heard of its last grant, and will say anew what it lacks.
            loan.need = loan.ticket = 0
            return
        loan.need, loan.want, loan.patient = said.need, said.want, said.patient
        if said.need:
            loan.heard = self.round  # who asks has given back what it does not use
            if not loan.ticket:
                self.tickets += 1
                loan.ticket = self.tickets
            return
        loan.ticket = 0
        if not self.scarce and not self._line():
            loan.granted += max(0, min(said.want, self._fair(self.free)))

    def _line(self) -> list[Loan]:
        """Who waits, in the order of asking."""
        waiting = [loan for loan in self.loans.values() if loan.ticket]
        return sorted(waiting, key=lambda loan: loan.ticket)

    def _fair(self, free: int) -> int:
        """Say how much of what is free one borrower may have beyond its need."""
        return free // (1 + len(self.loans))

    def _go_on(self, asked: Iterable[str]) -> list[Word]:
        """Serve who waits, in order; open a round where that does not do; tell who is concerned."""
        self.version += 1
        concerned = set(asked)
        before = {name: _told(loan) for name, loan in self.loans.items()}
        for name in concerned:
            if not self.loans[name].ticket:
                self.loans[name].verdict = Verdict.SERVED
        self._serve()
        waiting = any(loan.ticket for loan in self.loans.values())
        if (waiting or self.free < 0) and not self.scarce:
            self._begin_round()
            concerned.update(name for name, loan in self.loans.items() if loan.lent > 0)
        while self._judge():
            self._serve()
        if self.scarce and not self._line() and self.free > self.limit // PLENTY_PART:
            self.scarce = False
        concerned.update(name for name, loan in self.loans.items() if before[name] != _told(loan))
        return [self._word(name) for name in self.loans if name in concerned]

    def _begin_round(self) -> None:
        """Make the meter scarce; who waits has given back already what it does not use."""
        self.scarce = True
        self.round += 1
        for loan in self.loans.values():
            if loan.ticket:
                loan.heard = self.round

    def _serve(self) -> None:
        """Grant what is needed, in order, as far as it is free; tell who can never be served."""
        line = self._line()
        behind = sum(loan.need for loan in line)
        for loan in line:
            free = self.free
            behind -= loan.need
            if loan.need > self.limit - self.used:
                self._leave(loan, Verdict.NEVER, free)
            elif loan.need <= free:
                more = self._fair(max(0, free - loan.need - behind))
                loan.granted += max(loan.need, min(loan.want, loan.need + more))
                self._leave(loan, Verdict.SERVED, free)
            else:
                return

    def _judge(self) -> bool:
        """Say to those in line what stands in their way; whether somebody left it, for others."""
        free = self.free
        heard = not self.unheard()
        for loan in self._line():
            loan.free = free
            if loan.need > self.limit - self.used:
                self._leave(loan, Verdict.NEVER, free)
                return True
            if heard and not loan.patient:
                self._leave(loan, Verdict.FULL, free)
                return True
            loan.verdict = Verdict.FULL if heard else Verdict.LATER
            free -= loan.need
        return False

    def unheard(self) -> list[str]:
        """Name those who have not yet answered the last round, and may have something unused."""
        return [n for n, loan in self.loans.items() if loan.lent > 0 and loan.heard < self.round]

    def _leave(self, loan: Loan, verdict: Verdict, free: int) -> None:
        """Take a borrower out of the line."""
        loan.need = loan.want = loan.ticket = 0
        loan.verdict, loan.free = verdict, free

    def _word(self, name: str) -> Word:
        """Say to one borrower how it stands."""
        loan = self.loans[name]
        return Word(
            to=name,
            version=self.version,
            number=loan.number,
            granted=loan.granted,
            verdict=loan.verdict,
            round=self.round,
            scarce=self.scarce,
            free=loan.free,
            limit=self.limit,
            used=self.used,
            own=loan.used,
            left=self.free,
        )


def _told(loan: Loan) -> tuple[int, Verdict]:
    """What a borrower has to be told when it changes."""
    return loan.granted, loan.verdict
