"""A migrated database, and use cases with a clock and ids that tests can foresee."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from entente.auth import KeyStore
from entente.control.keys import Keys
from entente.db import DATABASE_NAME, connect, migrate
from entente.domain.ids import Ids

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path


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
def database(tmp_path: Path) -> Path:
    """Give the path of a migrated database."""
    path = tmp_path / DATABASE_NAME
    connection = connect(path)
    migrate(connection)
    connection.close()
    return path


@pytest.fixture
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    """Give an open connection to it."""
    opened = connect(database)
    yield opened
    opened.close()


@pytest.fixture
def store(connection: sqlite3.Connection) -> KeyStore:
    """Give the store of keys."""
    return KeyStore(connection)


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
