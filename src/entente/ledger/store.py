"""The seam between the ledger and where its journal is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Protocol, TypeAlias

from entente.ledger.model import AnyEntry

OnForeign: TypeAlias = Callable[[Iterable[AnyEntry]], None]
"""Told, on the event loop, of entries that another process has written."""

OnWritten: TypeAlias = Callable[[Iterable[AnyEntry], int, bytes], None]
"""Told, on the event loop and in the journal's order, of entries that now stand in the
journal, whoever wrote them, and of the number and hash of the last one."""


class Durability(StrEnum):
    """What has reached the disk before a request goes on."""

    FULL = "full"
    """Hold and settlement are fsynced."""
    SETTLE = "settle"
    """The settlement is fsynced; the hold is written, which survives `kill -9`."""
    ASYNC = "async"
    """Both are written; a power failure may lose the last moments."""


class Journal(Protocol):
    """An append-only journal with one order for all entries.

    `append` never blocks and never loses its place: entries are written in the order of
    the calls. The future is done when the entry is as durable as its kind requires; it
    fails with LedgerUnavailable or IdempotencyConflict. A settlement that cannot be
    written now is kept and tried again until it can.
    """

    def append(self, entry: AnyEntry) -> asyncio.Future[None]:
        """Put an entry in line."""

    @property
    def trouble(self) -> str | None:
        """Why the last write failed, None when it did not."""

    async def aclose(self) -> None:
        """Write what is in line and close."""
