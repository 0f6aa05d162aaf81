"""The journal's writer as a thread of the test, whose connection can be made to fail."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from entente.ledger.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path

    from entente.ledger.sqlite import Ends


class Threads:
    """A `Launch` of writers in threads; with `by_hand` their turns are the test's to take."""

    def __init__(self, *, by_hand: bool = False) -> None:
        """Start with none."""
        self.writers: list[Writer] = []
        self.by_hand = by_hand

    def __call__(self, ends: Ends, path: Path, seq: int, head: bytes) -> _Joined:
        """Start a writer."""
        writer = Writer(os.dup(ends.reads), os.dup(ends.writes), path, seq, head)
        self.writers.append(writer)
        thread = threading.Thread(target=writer.run, daemon=True)
        if not self.by_hand:
            thread.start()
        return _Joined(thread)


class _Joined:
    """A thread as the journal waits for it."""

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread

    def wait(self) -> None:
        """Wait for its end, if it was begun."""
        if self._thread.ident is not None:
            self._thread.join()
