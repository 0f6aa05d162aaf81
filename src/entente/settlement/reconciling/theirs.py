"""The provider's side: the lines of an export, summed by their own times and models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final, NoReturn

import msgspec

from entente.domain.errors import InvalidParameter
from entente.domain.money import NANO_PER_UNIT
from entente.settlement.reconciling.model import Line, Side

LINES_MAX: Final = 2_000_000
SUMS_MAX: Final = 200_000
"""Sums by time and model on either side."""
REQUESTS_MAX: Final = 1_000_000
DIGITS_MIN: Final = 6
"""Digits behind the point that an export has at the least, though it may not show zeros."""
DIGITS_MAX: Final = 12


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be compared."""

    provider: str
    since_ns: int | None = None
    until_ns: int | None = None
    asset: str = ""
    only: Mapping[str, frozenset[str]] = {}
    """Lines of these projects or keys of the provider only."""
    names: Mapping[str, str] = {}
    """What a provider's model is called as a target here."""


class Theirs:
    """The lines of an export, summed by their own times and models."""

    def __init__(self, question: Question, lines: Iterable[Line]) -> None:
        """Read them all. Raises InvalidParameter past a bound, or for several currencies."""
        self._question = question
        self.sums: dict[tuple[int, int, str], Side] = {}
        self.requests: dict[str, Line] = {}
        self.times: set[tuple[int, int]] = set()
        self.asset = question.asset
        self.digits = DIGITS_MIN
        self.repeated = 0
        self._marks: set[bytes] = set()
        for number, line in enumerate(lines):
            if number >= LINES_MAX:
                refuse(f"an export takes {LINES_MAX} lines; compare a shorter time")
            if self._is_asked_for(line):
                self._take(line)
        if not self.times:
            refuse("no line of the export is about what is asked for")

    def _is_asked_for(self, line: Line) -> bool:
        said, asked = dict(line.groups), self._question.only
        if any(said.get(name) not in values for name, values in asked.items()):
            return False
        since, until = self._question.since_ns, self._question.until_ns
        if line.request:
            return True
        return (since is None or line.since_ns >= since) and (
            until is None or line.until_ns <= until
        )

    def _take(self, line: Line) -> None:
        self.times.add((line.since_ns, line.until_ns))
        if line.cost is None and line.tokens is None and line.requests is None:
            return  # a time in which nothing happened
        if line.cost is not None:
            self._note_asset(line)
        again = line.mark in self._marks
        self._marks.add(line.mark)
        self.repeated += again
        if line.request and not again and line.request not in self.requests:
            if len(self.requests) >= REQUESTS_MAX:
                refuse(f"an export takes {REQUESTS_MAX} requests; compare a shorter time")
            self.requests[line.request] = line
            return
        name = (line.since_ns, line.until_ns, line.model)
        side = self.sums.get(name)
        if side is None:
            if len(self.sums) >= SUMS_MAX:
                refuse(f"an export takes {SUMS_MAX} times and models; compare a shorter time")
            side = self.sums[name] = Side()
        if again or line.request:
            side.duplicates += 1
            side.duplicates_cost += line.cost or 0
        else:
            side.take(line)

    def _note_asset(self, line: Line) -> None:
        if self.asset and line.asset != self.asset:
            refuse(
                f"{line.place} is in {line.asset}, others in {self.asset}: name one of them "
                "with --currency, and export them apart"
            )
        self.asset = line.asset
        amount = (line.cost or Fraction(0)) / NANO_PER_UNIT
        while self.digits < DIGITS_MAX and (amount * 10**self.digits).denominator > 1:
            self.digits += 1

    @property
    def half(self) -> Fraction:
        """Half a unit of the last digit that amounts have, in nano-units."""
        return Fraction(NANO_PER_UNIT, 2 * 10**self.digits)

    @property
    def period(self) -> tuple[int, int]:
        """The time that is compared: as asked for, else what the lines are about."""
        since, until = self._question.since_ns, self._question.until_ns
        first = min(each[0] for each in self.times) if since is None else since
        last = max(each[1] for each in self.times) if until is None else until
        return first, last


def refuse(what: str) -> NoReturn:
    """Raise InvalidParameter."""
    raise InvalidParameter(f"{what[0].upper()}{what[1:]}.", param="file", code=None)
