"""Run a coroutine on the event loops that the product runs on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

LOOPS: Final = ("asyncio", "uvloop")
"""Names for `pytest.mark.parametrize`."""

HANG_S: Final = 90.0
"""A test that waits longer than this hangs, and fails."""


def run(main: Coroutine[Any, Any, T], loop: str = "uvloop", *, within_s: float = HANG_S) -> T:
    """Run `main` to its end on the loop of that name."""
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(asyncio.wait_for(main, within_s))


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds."""
    while not condition():  # noqa: ASYNC110 - a condition of any kind has no event to wait for
        await asyncio.sleep(0.001)
