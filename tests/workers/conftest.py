"""Four workers on PostgreSQL, in front of a provider that the tests hold back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.hosts import WorkersServer
from tests.support.postgres import postgres_server
from tests.support.upstream import UpstreamThread, config

if TYPE_CHECKING:
    from collections.abc import Iterator

EXTRA = "\n[files]\nfree_bytes_min = 0\n"
SERVER = "drain_s = 30\nshutdown_s = 20"
"""What the provider holds back ends by the tests' word, and not before."""


class Stage(NamedTuple):
    """A server and its provider."""

    server: WorkersServer
    upstream: UpstreamThread


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Run workers for all tests of a module that leave them alive."""
    postgres = postgres_server()
    url = postgres.new_database()
    with UpstreamThread() as upstream:
        written = config(upstream.upstream.base_url, model="output_tokens_max = 50") + EXTRA
        folder = tmp_path_factory.mktemp("workers")
        with WorkersServer(folder, written, url, server=SERVER) as server:
            yield Stage(server, upstream)
            assert server.stop() == 0
            assert server.open_holds() == set()
    postgres.drop_database(url)


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Stage]:
    """Run workers for one test, which may kill them."""
    with UpstreamThread() as upstream:
        written = config(upstream.upstream.base_url, model="output_tokens_max = 50") + EXTRA
        folder = tmp_path_factory.mktemp("workers")
        with WorkersServer(folder, written, postgres_url, server=SERVER) as server:
            yield Stage(server, upstream)
