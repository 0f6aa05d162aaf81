"""What holds for every test, and the databases that many ask for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import settings

from entente.db import DATABASE_NAME, Database, Kind, migrate, open_sqlite
from entente.db.address import address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import migrate_postgres
from entente.domain.secret import Secret
from tests.support.contract.watch import WATCH, watching
from tests.support.postgres import postgres_server

# The same examples each time, and no limit by the clock: a busy machine breaks no promise.
settings.register_profile("tests", derandomize=True, deadline=None, database=None)
settings.load_profile("tests")

Open: TypeAlias = Callable[[], Database]
"""Opens one more connection to a test's database."""


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """Give the address of an empty database on a real PostgreSQL."""
    server = postgres_server()
    url = server.new_database()
    yield url
    server.drop_database(url)


@pytest.fixture(params=Kind)
def open_database(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Give what opens a migrated database: of each kind in turn."""
    if request.param is Kind.SQLITE:
        path = tmp_path / DATABASE_NAME
        with closing(open_sqlite(path)) as made:
            migrate(made.connection)
        return lambda: open_sqlite(path)
    address = address_of(Secret(request.getfixturevalue("postgres_url")))
    with closing(PostgresDatabase(address)) as opened:
        migrate_postgres(opened, time.time_ns())
    return lambda: PostgresDatabase(address)


def pytest_configure(config: pytest.Config) -> None:
    """Watch what the official clients of all tests receive."""
    stack = contextlib.ExitStack()
    config.stash[WATCH] = stack.enter_context(watching())
    config.add_cleanup(stack.close)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test whose client received what its vendor would not send."""
    yield
    assert item.config.stash[WATCH].take() == []
