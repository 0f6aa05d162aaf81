"""Checkpoints while the ledger works, so that a start after a crash need not fold it all.

The books in memory run ahead of the journal by what is in line. What has been written is
followed here at a small price: a hold and its settlement cancel out, so only the holds
that are open and the net of the settlements are kept, and put together as `Books` when
a checkpoint is due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from entente.ledger.books import Books
from entente.ledger.meters import Taken
from entente.ledger.model import AnyEntry, Hold, Posting, Settlement, available, held
from entente.ledger.reader import Position

CHECKPOINT_ENTRIES: Final = 50_000
"""Entries from one checkpoint to the next: a third of a second at the next start."""


class Checkpoints:
    """Follows what is written, and has it saved every so many entries."""

    def __init__(self, start: Position, save: Callable[[Position], None]) -> None:
        """Go on from `start`; `save` gets a position of its own, to keep as it can."""
        self._seq, self._head = start.seq, start.head
        self._saved_seq = start.seq
        self._at_ns = 0
        """When the last entry says it was made."""
        self._save = save
        self._settled = Books()
        self._open: dict[str, Hold] = dict(start.books.open_holds)
        for account, amounts in start.books.balances.items():
            self._settled.balances[account] = dict(amounts)
        self._settled.meters = start.books.meters.copy()
        for hold in start.books.open_holds.values():
            self._settled.open_holds[hold.id] = hold
            self._settled.retract(hold)

    def written(self, entries: Iterable[AnyEntry], seq: int, head: bytes) -> None:
        """Follow entries up to `seq`, whose hash is `head`; save a checkpoint when one is due.

        It is an `OnWritten` of the journal.
        """
        self._take(entries)
        self._seq, self._head = seq, head
        if seq - self._saved_seq >= CHECKPOINT_ENTRIES:
            self._saved_seq = seq
            self._save(self.position())

    def _take(self, entries: Iterable[AnyEntry]) -> None:
        """Apply settlements by their net, and note holds."""
        for entry in entries:
            self._at_ns = entry.at_ns
            if isinstance(entry, Hold):
                self._open[entry.id] = entry
            elif not isinstance(entry, Settlement):
                self._settled.apply(entry)
            else:
                opened = self._open.pop(entry.id, None)
                if opened is not None and opened.draws:
                    taken = Taken(entry.cost_nano or 0, entry.usage)
                    self._settled.meters.add(opened.draws, taken)
                self._settled.post(_net(entry))

    def position(self) -> Position:
        """Put together where the journal stands, with books that nobody else changes."""
        self._settled.meters.prune(self._at_ns)
        books = Books(meters=self._settled.meters.copy())
        for account, amounts in self._settled.balances.items():
            books.balances[account] = dict(amounts)
        for hold in self._open.values():
            books.apply(hold)
        return Position(self._seq, self._head, books)


def _net(entry: Settlement) -> Iterator[Posting]:
    """Give what a settlement moves on the whole: its hold came from what was available."""
    spender, kept = available(entry.key), held(entry.key)
    return (
        Posting(
            spender if posting.source == kept else posting.source,
            posting.destination,
            posting.nano,
            posting.asset,
        )
        for posting in entry.postings
        if posting.destination != spender
    )
