"""Upstreams that several files of these tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entente.net import connection
from tests.support.loops import HANG_S
from tests.support.nginx import Nginx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    """Run a plain nginx with the usual locations."""
    server = Nginx(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a close for that of an idle connection, however late a loaded machine brings it."""
    monkeypatch.setattr(connection, "STALE_CLOSE_S_MAX", HANG_S)
