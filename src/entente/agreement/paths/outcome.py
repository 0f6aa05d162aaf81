"""What came out: whole units by path and step, ready to be summarised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import msgspec
import numpy as np

from entente.agreement.paths.exacts import Ints
from entente.agreement.paths.ladders import Piece
from entente.agreement.settle.calendar import Period

Table: TypeAlias = Ints
"""A row for each path, a column for each step."""


class Flow(msgspec.Struct, frozen=True):
    """What one party has paid another by a clause, since the beginning."""

    clause: str
    kind: str
    """payout, share, rate, true_up."""
    payer: str
    payee: str
    paid: Table


class Fall(msgspec.Struct, frozen=True):
    """A waterfall: its pieces as they were when it first held, and the profit that ran down."""

    clause: str
    parties: tuple[str, ...]
    """In the order of the pieces' numbers."""
    pieces: tuple[Piece, ...]
    profit: Table


class Capped(msgspec.Struct, frozen=True):
    """A share with a cap: what is owed since the beginning, and what the cap has saved."""

    clause: str
    payer: str
    payee: str
    cap: int
    accrued: Table
    deferred: Table
    above: Table


class Drawn(msgspec.Struct, frozen=True):
    """A commitment: what is drawn and what remains."""

    clause: str
    buyer: str
    seller: str
    total: int
    drawn: Table
    remaining: Table


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All paths of one simulation. Amounts are in units of `10 ** -scale` of the currency."""

    times: tuple[Period, ...]
    currency: str
    scale: int
    count: int
    """Paths."""
    flows: tuple[Flow, ...]
    falls: tuple[Fall, ...]
    capped: tuple[Capped, ...]
    drawn: tuple[Drawn, ...]
    streams: dict[str, Table]
    occurred: dict[str, Ints]
    """By state, the number of the step in which each path reaches it."""
    left_out: tuple[str, ...]
    """Clauses with money in them that were not simulated, each with why."""

    def received(self, party: str) -> Table:
        """Give what a party has received in all, by path and step."""
        return self._sum([flow.paid for flow in self.flows if flow.payee == party])

    def paid(self, party: str) -> Table:
        """Give what a party has paid in all."""
        return self._sum([flow.paid for flow in self.flows if flow.payer == party])

    def parties(self) -> tuple[str, ...]:
        """Name who receives anything, in the order of the clauses."""
        return tuple(dict.fromkeys(flow.payee for flow in self.flows))

    def _sum(self, tables: Sequence[Table]) -> Table:
        total: Table = np.zeros((self.count, len(self.times)), np.int64)
        for table in tables:
            total = total + table
        return total


_Rows = TypeVar("_Rows", bound=msgspec.Struct)


def joined(parts: Sequence[Outcome]) -> Outcome:
    """Put outcomes of several ranges of paths under one another."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return Outcome(
        times=first.times,
        currency=first.currency,
        scale=first.scale,
        count=sum(part.count for part in parts),
        flows=_rows([part.flows for part in parts]),
        falls=_rows([part.falls for part in parts]),
        capped=_rows([part.capped for part in parts]),
        drawn=_rows([part.drawn for part in parts]),
        streams={
            name: np.concatenate([part.streams[name] for part in parts]) for name in first.streams
        },
        occurred={
            name: np.concatenate([part.occurred[name] for part in parts]) for name in first.occurred
        },
        left_out=first.left_out,
    )


def _rows(parts: Sequence[tuple[_Rows, ...]]) -> tuple[_Rows, ...]:
    """Join the tables of each struct with those of the same place in the other parts."""
    return tuple(_row(same) for same in zip(*parts, strict=True))


def _row(same: tuple[_Rows, ...]) -> _Rows:
    first = same[0]
    tables = {
        name: np.concatenate([getattr(each, name) for each in same])
        for name in first.__struct_fields__
        if isinstance(getattr(first, name), np.ndarray)
    }
    return msgspec.structs.replace(first, **tables)
