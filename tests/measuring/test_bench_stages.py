"""The benchmark suite knows before it begins how much there is to measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import subjects
from bench.__main__ import STAGES
from bench.plan import FULL, QUICK, Plan
from bench.subjects import Providers, Stand
from bench.suite import steps

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path


def _never(home: Path) -> contextlib.AbstractContextManager[subjects.Endpoint]:
    raise AssertionError(home)


EVERYONE = Stand(dict.fromkeys(subjects.ALL, _never), {}, {}, Providers(0, 0))


@pytest.mark.parametrize("plan", [FULL, QUICK], ids=lambda plan: plan.name)
def test_every_stage_has_a_number_of_steps(plan: Plan) -> None:
    """One without would end a run in its middle, after half an hour."""
    assert sorted(steps(plan, EVERYONE)) == sorted(STAGES)


def test_no_stage_of_a_whole_run_is_empty() -> None:
    """With every subject there, and with Entente alone."""
    assert min(steps(FULL, EVERYONE).values()) > 0
    alone = Stand({subjects.FULL: _never}, {}, {}, Providers(0, 0))
    assert min(steps(FULL, alone).values()) > 0
