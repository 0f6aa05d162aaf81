"""Progress for who watches: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

LINE_S: Final = 5.0
"""Where there is no terminal, a line says how far it is this often at most."""


class Watch:
    """Says which drill is under way, and how far."""

    def __init__(self, drills: int, console: Console) -> None:
        """Begin before the first of so many drills."""
        self._console = console
        self._drills = drills
        self._done = 0
        self._began_s = time.monotonic()
        self._said_s = -LINE_S
        self._progress = Progress(
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            refresh_per_second=1,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=drills)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar down."""
        self._progress.stop()

    def tell(self, share: float, text: str) -> None:
        """Say how far the drill is, and what it does."""
        self._progress.update(self._task, completed=self._done + share, description=text)
        elapsed_s = time.monotonic() - self._began_s
        if elapsed_s - self._said_s >= LINE_S:
            self._line(text, share)

    def end(self, text: str) -> None:
        """Say how a drill has ended."""
        self._done += 1
        self._progress.update(self._task, completed=self._done, description=text)
        self._line(text, 0.0)

    def _line(self, text: str, share: float) -> None:
        """Write a line, unless there is a bar."""
        self._said_s = time.monotonic() - self._began_s
        if not self._console.is_terminal:
            percent = 100 * (self._done + share) / self._drills
            self._console.print(f"{self._said_s:6.0f} s  {percent:3.0f} %  {text}")
