"""A ledger on PostgreSQL as a server has it, without the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from entente.db.address import address_of
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import migrate_postgres
from entente.domain.secret import Secret
from entente.ledger.books import Books
from entente.ledger.checkpoints import Checkpoints
from entente.ledger.journal import GENESIS
from entente.ledger.ledger import Ledger
from entente.ledger.model import AnyEntry, Hold
from entente.ledger.places import rows
from entente.ledger.postgres import PostgresJournal
from entente.ledger.postgres_chain import CHAIN_LOCKS
from entente.ledger.postgres_ending import post_left
from entente.ledger.postgres_reader import start_books
from entente.ledger.reader import Position
from entente.ledger.spool import SpoolFolder
from entente.ledger.store import Durability
from tests.kit.entries import AT_NS, held, now_ns, settled


class Desk:
    """A ledger on PostgreSQL, and what it was told."""

    def __init__(
        self,
        url: str,
        durability: Durability,
        *,
        alone: bool,
        spools: SpoolFolder | None = None,
        spool_s: float = 60.0,
    ) -> None:
        """Put the parts together; nothing is connected yet."""
        self.spools = spools
        self.address = address_of(Secret(url))
        self.database = PostgresDatabase(self.address)
        self.orphans: list[Hold] = []
        self.taken_over = 0
        self.checkpoints = Checkpoints(Position(0, GENESIS, Books()), lambda _: None)
        self.journal = PostgresJournal(
            self.address,
            name="test",
            durability=durability,
            now_ns=now_ns,
            on_written=self._written,
            on_orphan=self.orphans.append,
            on_taken_over=self._begin_anew,
            alone=alone,
            spools=spools,
            spool_s=spool_s,
        )
        self.ledger = Ledger(self.journal, Books(), now_ns=now_ns, budget_wait_s=1000.0)

    def _written(self, entries: Iterable[AnyEntry], seq: int, head: bytes) -> None:
        self.checkpoints.written(entries, seq, head)

    async def _begin_anew(self) -> None:
        self.taken_over += 1
        self.checkpoints = Checkpoints(Position(0, GENESIS, Books()), lambda _: None)
        if self.spools is not None:
            post_left(self.database, AT_NS, self.spools)
        self.ledger.restart(start_books(self.database, AT_NS).books)

    def names(self) -> list[str]:
        """List what is in the journal, chain by chain."""
        return [row.idempotency_key for row in rows(self.database)]

    def end_session(self) -> None:
        """End the journal's session as an administrator would."""
        self.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            " AND granted AND pid <> pg_backend_pid() AND"
            " ((classid::bigint << 32) | objid::bigint) = ?",
            (CHAIN_LOCKS + self.journal.chain,),
        )

    async def serve(self, name: str, nano: int = 5) -> None:
        """Hold and settle once."""
        hold = held(name, nano, bounded=False)
        await self.ledger.hold(hold)
        await self.ledger.settle(settled(hold, 1))


@asynccontextmanager
async def desk(
    url: str,
    durability: Durability = Durability.FULL,
    *,
    alone: bool = True,
    spools: SpoolFolder | None = None,
) -> AsyncIterator[Desk]:
    """Open a desk on a migrated database, and close it."""
    opened = Desk(url, durability, alone=alone, spools=spools)
    migrate_postgres(opened.database, AT_NS)
    await opened.journal.open()
    try:
        yield opened
    finally:
        await opened.ledger.aclose()
        await opened.journal.leave_spool(ended=False)
        opened.database.close()
