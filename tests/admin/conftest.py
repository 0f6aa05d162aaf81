"""One server for the tests of a file, with an administrator at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.admin import PRICED, SCRIPT, Admin
from tests.support.server import EntenteServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EntenteServer]:
    """Run the server; what it wrote is checked when all tests are through."""
    folder = tmp_path_factory.mktemp("admin")
    (folder / "script.toml").write_text(SCRIPT)
    with EntenteServer(folder, PRICED, server="shutdown_s = 1") as running:
        yield running
        assert running.stop() == 0
        running.verify_at_rest()
        assert running.err_log.read_text() == ""


@pytest.fixture
def admin(server: EntenteServer) -> Admin:
    """Give an administrator."""
    return Admin(server)
