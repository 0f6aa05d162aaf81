"""How hard the drills are: `make test` samples them, `make soak` runs them for long."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def kills() -> int:
    """Give how often a server is killed: ENTENTE_KILLS, or 3."""
    return int(os.environ.get("ENTENTE_KILLS", "3"))  # noqa: TID251 - an option of the tests
