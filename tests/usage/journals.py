"""Journals of made-up requests in memory, and their sums."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Final

from entente.db import SqliteDatabase
from entente.domain.chat import Status
from entente.domain.origin import USUAL, Origin
from entente.domain.usage import Usage
from entente.ledger.model import AnyEntry, hold, settlement
from entente.ledger.rollups.fold import Folding
from entente.ledger.rollups.schema import make_tables
from entente.ledger.rollups.table import Rollups
from entente.ledger.rollups.tally import DAY_S, NS_PER_S, Sums
from tests.kit.entries import rows_of

NOW_S: Final = 1_790_000_000
EVER: Final = 2**62


def request(
    number: int,
    *,
    at_s: int = NOW_S,
    cost: int | None = 7,
    asset: str = "USD",
    model: str = "m",
    key: str = "key_a",
    origin: Origin | None = None,
    usage: Usage | None = None,
    is_estimated: bool = False,
) -> list[AnyEntry]:
    """Make the two entries of a request."""
    opened = hold(
        id=f"r{number}",
        at_ns=at_s * NS_PER_S,
        key=key,
        asset=asset,
        model=model,
        nano=cost or 0,
        bounded=False,
        input_tokens=3,
        output_tokens=4,
        prices="book",
        origin=origin or USUAL,
    )
    closed = settlement(
        opened,
        at_ns=at_s * NS_PER_S,
        status=Status.COMPLETE,
        usage=usage or Usage(input=1, output=2),
        cost_nano=cost,
        provider="p",
        target="p/m",
        estimated=is_estimated,
    )
    return [opened, closed]


class Memory:
    """A journal of several chains, in memory."""

    def __init__(self, **chains: list[AnyEntry]) -> None:
        """Write entries as chains would have them."""
        self.entries = chains
        self.chains = {name: rows_of(entries) for name, entries in chains.items()}

    def ends(self) -> Mapping[str, int]:
        """Give where chains end."""
        return {name: len(found) for name, found in self.chains.items()}

    def lines(self, chain: str, after: int, upto: int) -> Iterator[bytes]:
        """Give lines, of holds as well."""
        return (row.line for row in self.chains[chain][after:upto])

    def whole(self) -> Memory:
        """Give itself."""
        return self

    def hash_of(self, chain: str, seq: int) -> bytes | None:
        """Give a hash."""
        found = self.chains.get(chain, [])
        return found[seq - 1].hash if 0 < seq <= len(found) else None

    def close(self) -> None:
        """Have nothing to close."""


def in_memory() -> Rollups:
    """Make empty rollups, to be closed by who folds into them."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    database = SqliteDatabase(connection, "memory")
    make_tables(database)
    return Rollups(database)


@contextmanager
def empty() -> Iterator[Rollups]:
    """Make empty rollups, for a while."""
    rollups = in_memory()
    with closing(rollups.database):
        yield rollups


@contextmanager
def folded(*entries: AnyEntry, now_s: int = NOW_S) -> Iterator[Rollups]:
    """Fold entries, for a while."""
    with empty() as rollups:
        Folding(rollups, Memory(one=list(entries))).run(lambda: now_s)
        yield rollups


def total(rollups: Rollups, width_s: int = DAY_S) -> Sums:
    """Give the sum of everything in one currency."""
    (line,) = rollups.sums(width_s, 0, EVER, (), in_steps=False)
    return line.sums
