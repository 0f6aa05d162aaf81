"""What ledger, upstream and clients each say about every numbered request. Pure.

A request's number is its `max_tokens` (see `tests.support.load`), so it stands in the body
that the upstream got, in the hold, and with the client. What each side says is taken in as
it comes; nine bytes a request are kept, however long the drill.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Final

from entente.ledger.model import AnyEntry, Hold, Settlement
from tests.support.load import FIRST_NUMBER, Sent

HELD: Final = 1
SETTLED: Final = 2
COMPLETE: Final = 4
"""Settled as complete, at the use that the upstream reported."""
CALLED: Final = 8
ANSWERED: Final = 16
PROMPT_TOKENS: Final = 3
"""What the upstream reports for each request."""
SHOWN_MAX: Final = 10


class Accounts:
    """Everything that was said so far."""

    def __init__(self, completion_tokens: int) -> None:
        """Begin with nothing; the upstream reports so many tokens for each answer."""
        self._marks = bytearray()
        self._names = array("q")
        self._usage = (PROMPT_TOKENS, completion_tokens)
        self._open: dict[str, int] = {}
        self.statuses: Counter[str] = Counter()
        self.requests = self.entries = self.calls = self.answered = 0
        self.estimated = self.recovered = self.attempts = 0
        self.faults = 0
        """What contradicts itself, and is no matter of timing."""
        self.said: list[str] = []
        """The first faults and the first that is lost, in words."""

    @property
    def open_holds(self) -> int:
        """Holds without a settlement."""
        return len(self._open)

    def ledger(self, entries: Iterable[AnyEntry]) -> None:
        """Take in the entries behind those before."""
        for entry in entries:
            self.entries += 1
            if isinstance(entry, Hold):
                if self._marked(entry.output_tokens, HELD):
                    self._fault(f"{entry.output_tokens} was held twice")
                self._open[entry.id] = entry.output_tokens
                self._mark(entry.output_tokens, HELD)
                self._name(entry.output_tokens, entry.id)
            elif isinstance(entry, Settlement):
                self._settle(entry)

    def _settle(self, entry: Settlement) -> None:
        """Take in a settlement."""
        number = self._open.pop(entry.id, None)
        if number is None:
            self._fault(f"{entry.id} was settled without an open hold")
            return
        self._mark(number, SETTLED)
        self.requests += 1
        self.attempts += entry.attempts
        self.estimated += entry.estimated
        self.recovered += entry.recovered
        self.statuses[entry.status] += 1
        if entry.status != "complete" or entry.recovered or entry.estimated:
            return
        if (entry.usage.input, entry.usage.output) == self._usage:
            self._mark(number, COMPLETE)
        else:
            self._fault(f"{number} is settled at another use than the upstream's")

    def upstream(self, numbers: Iterable[int]) -> None:
        """Take in the calls behind those before."""
        for number in numbers:
            self.calls += 1
            self._mark(number, CALLED)

    def clients(self, sent: Iterable[Sent]) -> None:
        """Take in what clients have got."""
        for one in sent:
            if one.answered:
                self.answered += 1
                self._mark(one.number, ANSWERED)
                self._name(one.number, one.reply.headers.get("x-request-id", ""))

    def lost(self) -> int:
        """Count what is missing, when nothing runs any more."""
        missing: list[str] = []
        for index, marks in enumerate(self._marks):
            if marks & CALLED and not (marks & HELD and marks & SETTLED):
                missing.append(f"{index + FIRST_NUMBER} was called without an account of it")
            elif marks & ANSWERED and not marks & COMPLETE:
                missing.append(f"{index + FIRST_NUMBER} was answered but not settled as complete")
            elif marks & COMPLETE and not marks & CALLED:
                missing.append(f"{index + FIRST_NUMBER} was settled but never called")
        self.said += missing[:SHOWN_MAX]
        return len(missing)

    def _mark(self, number: int, mark: int) -> None:
        """Mark a request."""
        index = number - FIRST_NUMBER
        if index >= len(self._marks):
            more = index + 1 - len(self._marks)
            self._marks.extend(bytes(more))
            self._names.extend([0] * more)
        self._marks[index] |= mark

    def _name(self, number: int, request_id: str) -> None:
        """Note under which id a request goes, which ledger and client have to agree on."""
        name = hash(request_id) or 1
        before = self._names[number - FIRST_NUMBER]
        if before not in (0, name):
            self._fault(f"{number} goes under two ids, one of them {request_id!r}")
        self._names[number - FIRST_NUMBER] = name

    def _fault(self, text: str) -> None:
        """Count a contradiction; keep the words of the first ones."""
        self.faults += 1
        if self.faults <= SHOWN_MAX:
            self.said.append(text)

    def _marked(self, number: int, mark: int) -> bool:
        """Whether a request has a mark."""
        index = number - FIRST_NUMBER
        return index < len(self._marks) and bool(self._marks[index] & mark)
