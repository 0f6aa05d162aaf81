"""Every dialect in, every provider out: the matrix, end to end, and the page that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.support.matrix.page import PAGE, cells, written
from tests.support.matrix.play import Cell, play

if TYPE_CHECKING:
    from tests.support.clients.client import Client
    from tests.support.matrix.bench import Bench
    from tests.support.matrix.features import Feature

_Results: TypeAlias = dict[tuple[str, str, str], Cell]


@pytest.fixture(scope="session")
def played() -> _Results:
    """Remember what this process has played, for the page."""
    return {}


def _play(bench: Bench, played: _Results, client: Client, provider: str, feature: Feature) -> None:
    """Play a cell, once."""
    cell = (client.name, provider, feature.name)
    if cell not in played:
        played[cell] = play(bench, client, bench.vendors[provider], feature)


@pytest.mark.parametrize(
    ("client", "provider", "feature"),
    [pytest.param(*cell, id=f"{cell[0].name} to {cell[1]}: {cell[2].name}") for cell in cells()],
)
def test_a_cell(
    bench: Bench, played: _Results, client: Client, provider: str, feature: Feature
) -> None:
    """It passes, or is refused for a reason that the table has."""
    _play(bench, played, client, provider, feature)
    assert played[client.name, provider, feature.name] in Cell


def test_the_page_is_true(bench: Bench, played: _Results) -> None:
    """The committed page is what the matrix gives now."""
    for client, provider, feature in cells():
        _play(bench, played, client, provider, feature)
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    assert text == written(played), "write it again: python -m tests.support.matrix.page"
