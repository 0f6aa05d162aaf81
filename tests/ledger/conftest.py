"""A PostgreSQL of a module's own, where others would notice what is done to it; and spools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entente.ledger import postgres, postgres_chain
from entente.ledger.spool import SpoolFolder
from tests.kit.spools import spools_of
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


@pytest.fixture
def spools(tmp_path: Path) -> SpoolFolder:
    """Give the spools of the host."""
    return spools_of(tmp_path)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the journal try again sooner than it does where a server is loaded."""
    monkeypatch.setattr(postgres, "RETRY_S_MAX", 0.1)
    monkeypatch.setattr(postgres_chain, "LOCK_TRIES", 5)
