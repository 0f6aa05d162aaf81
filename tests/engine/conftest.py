"""Fixtures of the engine's tests: real children that serve the built-in model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
import uvloop

from entente.engine import RuntimeOptions, builtin_model_path


@pytest.fixture
def options(tmp_path: Path) -> RuntimeOptions:
    """Give options that react fast, so that no test waits for a production bound."""
    return RuntimeOptions(
        model_path=builtin_model_path(),
        log_path=tmp_path / "logs" / "engine.log",
        backoff_ms_min=1,
        backoff_ms_max=50,
    )


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[object, object, None]], None]:
    """Run a scenario on each event loop; they fork and reap children by different code."""

    def run_scenario(scenario: Coroutine[object, object, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(scenario)

    return run_scenario
