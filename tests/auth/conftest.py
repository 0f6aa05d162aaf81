"""A migrated database, and use cases with a clock and ids that tests can foresee."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from entente.auth import KeyStore
from entente.control.keys import Keys
from entente.domain.ids import Ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entente.db import Database


class Clock:
    """A wall clock that moves a millisecond whenever it is read."""

    def __init__(self) -> None:
        """Start at a fixed moment."""
        self.now = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        """Give the time in nanoseconds."""
        self.now += 1_000_000
        return self.now


@pytest.fixture
def database(open_database: Callable[[], Database]) -> Iterator[Database]:
    """Give an open, migrated database, of each kind in turn."""
    with closing(open_database()) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> KeyStore:
    """Give the store of keys."""
    return KeyStore(database)


def _keys_over(store: KeyStore, seed: int) -> Keys:
    clock, source = Clock(), random.Random(seed)  # noqa: S311  (tests want it foreseeable)
    return Keys(
        store,
        now_ns=clock,
        ids=Ids(clock, source.getrandbits),
        token_bytes=source.randbytes,
    )


@pytest.fixture
def keys_over() -> Callable[[KeyStore, int], Keys]:
    """Give a maker of use cases over a store, with seeded randomness."""
    return _keys_over


@pytest.fixture
def keys(store: KeyStore) -> Keys:
    """Give the use cases."""
    return _keys_over(store, 0)
