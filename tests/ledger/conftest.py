"""A PostgreSQL of a module's own, where others would notice what is done to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres import PostgresServer


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """Give a server that tests may stop and kill."""
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def own_url(own_server: PostgresServer) -> str:
    """Give an empty database on it."""
    return own_server.new_database()
