"""Holds that wait: a line for each account and meter that somebody waits for.

A hold that needs room in several places stands in the line of each, and it is its turn when
it is first in all of them. So nobody is overtaken where it waits, and nobody waits for a line
that it does not stand in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from entente.ledger.model import Hold


class Waiter:
    """A hold that waits for the holds of others to be settled."""

    __slots__ = ("hold", "names", "turn")

    def __init__(
        self, hold: Hold, names: tuple[str, ...], turn: asyncio.Future[asyncio.Future[None]]
    ) -> None:
        """Wait in the lines with these names, until `turn` gives the word of the journal."""
        self.hold = hold
        self.names = names
        self.turn = turn

    @property
    def admitted(self) -> bool:
        """Whether its hold is applied and on its way to the disk, seen or not by who waits."""
        return self.turn.done() and not self.turn.cancelled() and self.turn.exception() is None


class Queue:
    """All lines."""

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self.lines: dict[str, deque[Waiter]] = {}
        """By name; empty when nobody waits."""

    def is_taken(self, names: Iterable[str]) -> bool:
        """Say whether somebody waits in one of these lines."""
        lines = self.lines
        return bool(lines) and any(name in lines for name in names)

    def join(self, waiter: Waiter) -> None:
        """Stand at the end of each of its lines."""
        for name in waiter.names:
            self.lines.setdefault(name, deque()).append(waiter)

    def names(self) -> tuple[str, ...]:
        """Give the names of all lines."""
        return tuple(self.lines)

    def first(self, name: str) -> Waiter | None:
        """Give who is first in a line, if it is also first wherever else it stands."""
        line = self.lines.get(name)
        if not line:
            return None
        waiter = line[0]
        if any(self.lines[other][0] is not waiter for other in waiter.names):
            return None
        return waiter

    def leave(self, waiter: Waiter) -> bool:
        """Step out of all lines; say whether it stood in any."""
        stood = False
        for name in waiter.names:
            line = self.lines.get(name)
            if line is None or waiter not in line:
                continue
            stood = True
            line.remove(waiter)
            if not line:
                del self.lines[name]
        return stood
