"""The journal in memory: for trying things out, and for tests of what stands above it."""

from __future__ import annotations

import asyncio

from entente.domain.errors import IdempotencyConflict
from entente.ledger.journal import GENESIS, Row, chain, encode
from entente.ledger.model import AnyEntry


class MemoryJournal:
    """A `Journal` that ends with the process."""

    def __init__(self) -> None:
        """Start with no entry."""
        self.rows: list[Row] = []
        self._lines: dict[str, bytes] = {}
        self.trouble: str | None = None

    def append(self, entry: AnyEntry) -> asyncio.Future[None]:
        """Add an entry at once."""
        done = asyncio.get_running_loop().create_future()
        line, name = encode(entry), entry.idempotency_key
        stored = self._lines.setdefault(name, line)
        if stored is line:
            previous = self.rows[-1].hash if self.rows else GENESIS
            self.rows.append(Row(len(self.rows) + 1, name, line, chain(previous, line)))
        if stored == line:
            done.set_result(None)
        else:
            message = f"{name} is in the journal with another content."
            done.set_exception(IdempotencyConflict(message))
        return done

    async def aclose(self) -> None:
        """Nothing to close."""
