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


def _rows(text: str) -> list[list[str]]:
    """Give the cells of a page's tables, row by row."""
    lines = (line for line in text.splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_refusal_has_its_reason() -> None:
    """What is not a plain yes stands under "Why not", for this provider."""
    text = PAGE.read_text(encoding="utf-8")
    cells, reasons = text.partition("## Other endpoints")[0], text.partition("## Why not")[2]
    why = {(row[0], where) for row in _rows(reasons) for where in row[1].split(", ")}
    head: list[str] = []
    refused = 0
    for row in _rows(cells):
        head = row if not row[0] else head
        for provider, cell in zip(head[1:], row[1:], strict=True):
            if row[0] and not row[0].startswith("-") and cell != "yes":
                refused += 1
                assert (row[0], provider) in why
    assert refused
