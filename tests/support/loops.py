"""Run a coroutine on the event loops that the product runs on."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

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


class LoopThread:
    """A loop in a thread of its own: what serves there is not held up by a test that blocks."""

    def __init__(self) -> None:
        """Make the loop; nothing runs yet."""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> Self:
        """Run the loop."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, and end the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something there, and wait until it is done."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()
