"""Progress for who watches: a bar on a terminal, a line a measurement elsewhere."""

from __future__ import annotations

import time
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

REFRESH_PER_S: Final = 1
"""Seldom: drawing takes time on the cores that are measured."""


class Meter:
    """Counts measurements and says which one is under way."""

    def __init__(self, steps: int, console: Console) -> None:
        """Begin before the first of `steps` measurements."""
        self._console = console
        self._steps = steps
        self._done = 0
        self._began_s = time.monotonic()
        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            refresh_per_second=REFRESH_PER_S,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=steps)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar down."""
        self._progress.stop()

    def step(self, text: str) -> None:
        """Begin the next measurement."""
        self._progress.update(self._task, completed=self._done, description=text)
        self._done += 1
        if not self._console.is_terminal:
            elapsed_s = time.monotonic() - self._began_s
            self._console.print(
                f"{elapsed_s:6.0f} s  {self._done}/{self._steps}  {text}", highlight=False
            )

    def say(self, text: str) -> None:
        """Say what goes on between measurements."""
        self._progress.update(self._task, description=text)
