"""How the tests of the core run coroutines and properties: bounded and repeatable."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, settings

T = TypeVar("T")

HANG_S: Final = 60.0
"""A test that waits longer than this hangs, and fails."""

PROPERTY: Final = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""Decorates a property: the same examples on every run, and no clock."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a scenario to its end."""
    return asyncio.run(asyncio.wait_for(main, HANG_S))


class _Impatient(selectors.DefaultSelector):
    """Waits for nothing: where a loop would wait for a time, that has passed at once."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            self.passed_s += timeout
            timeout = 0
        return super().select(timeout)


class _Stepping(asyncio.SelectorEventLoop):
    """A loop whose clock stands still while there is something to do."""

    def __init__(self) -> None:
        self._waits = _Impatient()
        super().__init__(self._waits)

    def time(self) -> float:
        return self._waits.passed_s


def run_stepping(main: Coroutine[Any, Any, T]) -> T:
    """Run a scenario in which no time passes but by waiting; it has no threads."""
    with asyncio.Runner(loop_factory=_Stepping) as runner:
        return runner.run(asyncio.wait_for(main, HANG_S))


async def turns(count: int = 20) -> None:
    """Let every task that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does; the bound is that of `run`."""
    while not condition():  # noqa: ASYNC110  (another thread cannot set an asyncio event)
        await asyncio.sleep(0.001)
