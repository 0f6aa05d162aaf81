"""Places of batches: shared fairly, never lost, and nobody held up by another's."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from entente.gateway.batches.slots import Places, Slot
from tests.kit.run import PROPERTY, run, turns

if TYPE_CHECKING:
    from collections.abc import Coroutine


class World:
    """Projects that take places and keep them until they are told."""

    def __init__(self, most: int) -> None:
        """Begin with nobody."""
        self.places = Places(most)
        self.held: Counter[str] = Counter()
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._go_on: list[asyncio.Event] = []

    def begin(self, project: str) -> None:
        """Let a request of a project run as soon as it may."""
        go_on = asyncio.Event()
        self._go_on.append(go_on)

        async def work() -> None:
            async with Slot(self.places, project):
                self.held[project] += 1
                self.order.append(project)
                try:
                    await go_on.wait()
                finally:
                    self.held[project] -= 1

        self.tasks.append(asyncio.get_running_loop().create_task(work()))

    async def end(self, number: int) -> None:
        """Let one go on to its end."""
        self._go_on[number].set()
        await turns()

    async def leave(self, number: int) -> None:
        """Cancel one, wherever it stands."""
        self.tasks[number].cancel()
        await turns()


def test_requests_that_hang_hold_up_nobody_else() -> None:
    """A project has all places while it is alone; the next one gets a place all the same."""

    async def drill() -> None:
        world = World(4)
        for _ in range(6):
            world.begin("a")
        await turns()
        assert world.held == {"a": 4}
        for project in ("b", "b", "c"):
            world.begin(project)
        await turns()
        assert world.held == {"a": 4, "b": 1, "c": 1}
        await world.end(0)
        assert world.held["a"] == 3  # there are six: none is free before two more have ended
        await world.end(1)
        await world.end(2)
        assert (world.held["a"], world.held["b"]) == (2, 1)  # both had one: whoever waited first
        for number in range(len(world.tasks)):
            await world.end(number)
        assert not +world.held

    run(drill())


def test_a_place_goes_to_who_has_fewest() -> None:
    """Not to who was first."""

    async def drill() -> None:
        world = World(2)
        for project in ("a", "a", "a", "b", "b"):
            world.begin(project)
        await turns()
        assert world.order == ["a", "a", "b"]
        await world.end(0)
        await world.end(1)
        assert world.order == ["a", "a", "b", "a"]
        for number in range(5):
            await world.end(number)
        assert sorted(world.order) == ["a", "a", "a", "b", "b"]

    run(drill())


@PROPERTY
@given(
    st.integers(1, 3),
    st.lists(
        st.tuples(st.just("begin"), st.sampled_from("abc"))
        | st.tuples(st.sampled_from(["end", "leave"]), st.integers(0, 20)),
        max_size=40,
    ),
)
def test_no_place_is_lost(most: int, steps: list[tuple[str, Any]]) -> None:
    """Whoever comes, ends or leaves: within the bound, nobody without, and all free at the end."""

    async def drill() -> None:
        world = World(most)
        for act, what in steps:
            if act == "begin":
                world.begin(what)
                await turns(3)
            elif world.tasks:
                number = what % len(world.tasks)
                await (world.end(number) if act == "end" else world.leave(number))
            assert world.held.total() <= 2 * most
        for number, task in enumerate(world.tasks):
            await world.end(number)
            await_ended: Coroutine[Any, Any, Any] = asyncio.wait_for(task, 10)
            with contextlib.suppress(asyncio.CancelledError):
                await await_ended
        again = World(most)
        again.places = world.places
        for _ in range(most):
            again.begin("d")
        await turns()
        assert again.held == {"d": most}
        for number in range(most):
            await again.end(number)

    run(drill())
