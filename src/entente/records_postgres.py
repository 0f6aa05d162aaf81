"""Opening PostgreSQL: a chain of our own in the journal, and what all servers share.

What blocks is asked in threads, over connections of their own: the event loop never waits
for the database in any other way than by awaiting it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from entente.auth import KeyRing, KeyStore
from entente.control.keys import Keys
from entente.control.price_shelf import InForce, PriceShelf
from entente.control.rules import load_rules
from entente.db import Database
from entente.db.address import Address
from entente.db.postgres import PostgresDatabase
from entente.db.postgres_migrate import make_months, migrate_postgres
from entente.domain.chat import Status
from entente.domain.errors import LedgerCorrupt, LedgerUnavailable, StartError
from entente.domain.ids import Ids
from entente.domain.secret import Secret
from entente.domain.usage import NOTHING
from entente.ledger.books import Books
from entente.ledger.checkpoints import Checkpoints
from entente.ledger.journal import GENESIS
from entente.ledger.leased import LeasedLedger
from entente.ledger.leases import Leases
from entente.ledger.ledger import Ledger
from entente.ledger.model import AnyEntry, Hold, settlement
from entente.ledger.postgres import PostgresJournal
from entente.ledger.postgres_ending import (
    Waiting,
    end_chain,
    post_left,
    take_over,
    take_over_dead,
    unlocked,
    waiting,
)
from entente.ledger.postgres_leases import PostgresAuthority
from entente.ledger.postgres_loans import prune_meters
from entente.ledger.postgres_reader import Start, save_checkpoint, side_entries, start_books
from entente.ledger.postgres_watch import Watch
from entente.ledger.reader import Position, activate
from entente.ledger.spool import open_folder
from entente.policy.rules import RuleBook
from entente.records import Opened, Opening, Shared, random_bits

DEAD_S: Final = 3.0
"""So often each server looks for chains whose writers are dead."""
PRUNE_S: Final = 3600.0
MONTHS_S: Final = 6 * 3600.0
ANSWER_S_MAX: Final = 30.0
"""What blocks longer is ended."""
NS_PER_MS: Final = 1_000_000
SPOOL_TOKEN_BYTES: Final = 4
SIDE: Final = "side_entries"
"""The topic of what is written beside the servers."""

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("entente.records")


async def open_postgres_records(opening: Opening) -> Opened:
    """Open the database, bring it forward, and settle what dead servers left open."""
    address = opening.config.ledger.url
    assert address is not None  # noqa: S101  (who calls this has looked)
    desk = _Desk(opening, address)
    admin_key = await desk.open()

    def another() -> Database:
        return PostgresDatabase(address)

    shared = Shared(another, another, lambda: desk.side)
    return Opened(
        desk.ledger,
        lambda: desk.ring,
        lambda: desk.rules,
        admin_key,
        shared,
        desk.notices,
        desk.spooled if opening.config.ledger.spool_s else None,
    )


class _Desk:
    """One server's place at the database."""

    ledger: Ledger
    ring: KeyRing
    rules: RuleBook

    def __init__(self, opening: Opening, address: Address) -> None:
        self._opening = opening
        self._address = address
        self._database = PostgresDatabase(address)
        """Asked in one thread at a time."""
        self._shelf = PriceShelf(self._database)
        self._thread = ThreadPoolExecutor(1, "entente-database")
        self._loop = asyncio.get_running_loop()
        self.side = 0
        self._suspects: frozenset[int] = frozenset()
        """Chains that nobody held when it was last looked."""
        self._leases: Leases | None = None
        self._leased: LeasedLedger | None = None
        config = opening.config
        self._spools = open_folder(
            config.server.data_dir,
            make=config.ledger.spool_s > 0,
            machine=socket.gethostname(),
            token=secrets.token_hex(SPOOL_TOKEN_BYTES),
        )
        """Those of this host; there may be some from when it had them."""
        self._waiting: tuple[Waiting, ...] = ()
        self._checkpoints = self._new_checkpoints()

    async def open(self) -> Secret | None:
        """Open everything; give the first admin key, if it has just been made."""
        stack, config = self._opening.stack, self._opening.config
        stack.callback(self._thread.shutdown)
        stack.callback(self._thread.submit, self._database.close)
        admin_key = await self._call(self._prepare)
        await self._share()
        name = f"{socket.gethostname()}:{os.getpid()}"
        self._journal = PostgresJournal(
            self._address,
            name=name,
            durability=config.ledger.durability,
            now_ns=time.time_ns,
            on_written=self._written,
            on_orphan=self._end_orphan,
            on_taken_over=self._begin_anew,
            alone=self._is_alone,
            spools=self._spools,
            spool_s=config.ledger.spool_s,
        )
        await self._journal.open()
        stack.push_async_callback(self._journal.aclose)
        try:
            start = await self._call(self._read_books)
        except (LedgerCorrupt, StartError):
            await self._journal.aclose()
            await self._end()  # else it would be one more that waits for its host
            raise
        self.side = start.side
        self.ledger = self._make_ledger(start.books)
        stack.push_async_callback(self._close)
        if self._leases is not None:
            stack.push_async_callback(self._leases.aclose)
        chores = {DEAD_S: self._bury, MONTHS_S: self._make_months, PRUNE_S: self._prune}
        watch = Watch(self._address, self._hear, chores)
        stack.push_async_callback(watch.aclose)
        watch.start()
        return admin_key

    @property
    def _is_alone(self) -> bool:
        """No other process serves from the database."""
        return self._opening.host.is_alone and not self._opening.config.ledger.shared

    def _make_ledger(self, books: Books) -> Ledger:
        """Make the ledger: one that has all, or, beside others, one on leases."""
        wait_s = self._opening.config.limits.budget_wait_s
        if self._is_alone:
            return Ledger(self._journal, books, now_ns=time.time_ns, budget_wait_s=wait_s)
        authority = PostgresAuthority(self._address, lambda: self._journal.chain)
        worker = str(self._journal.chain)
        self._leases = Leases(
            authority,
            worker,
            now_ms=_now_ms,
            now_ns=time.time_ns,
            away=lambda: self._journal.notice or self._journal.trouble,
        )
        authority.on_heard = self._leases.hear
        self._leased = LeasedLedger(
            self._journal,
            books,
            self._leases,
            # Neither ever sinks, and keys have limits, too.
            revision=lambda: self.rules.generation + self.ring.generation,
            now_ns=time.time_ns,
            budget_wait_s=wait_s,
            serves_alone=self._opening.config.ledger.spool_s > 0,
        )
        return self._leased

    def notices(self) -> dict[str, str]:
        """Say what somebody should look at, though it stands against nothing yet."""
        notices = {}
        if (notice := self._journal.notice) is not None:
            notices["ledger"] = notice
        elif self.ledger.trouble is None and self._leases and self._leases.trouble is not None:
            notices["ledger"] = self._leases.trouble
        if self._waiting:
            notices["chains"] = "\n".join(_told(each) for each in self._waiting)
        return notices

    def spooled(self) -> int:
        """Say how many entries only our spool has."""
        return self._journal.spooled

    # ---- in the thread ----

    async def _call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Have a function run in the thread, which is not let wait for ever."""
        running = self._loop.run_in_executor(self._thread, lambda: function(*arguments, **named))
        late = self._loop.call_later(ANSWER_S_MAX, self._database.interrupt)
        try:
            return await running
        finally:
            late.cancel()

    def _prepare(self) -> Secret | None:
        """Bring the database forward, and see that somebody can operate the platform."""
        migrate_postgres(self._database, time.time_ns())
        ids = Ids(time.time_ns, random_bits())
        keys = Keys(
            KeyStore(self._database),
            now_ns=time.time_ns,
            ids=ids,
            token_bytes=secrets.token_bytes,
        )
        admin_key = keys.bootstrap_admin(self._opening.environ)
        prices = self._opening.prices.settings
        activate(self._database, prices.version, prices.encode(), time.time_ns())
        return admin_key

    def _read_shared(self) -> tuple[KeyRing, RuleBook, InForce]:
        """Read what all servers share."""
        ring = KeyStore(self._database).load_ring()
        return ring, load_rules(self._database), self._shelf.load(time.time_ns())

    async def _share(self) -> None:
        """Go by what all servers share."""
        self.ring, self.rules, prices = await self._call(self._read_shared)
        self._opening.prices.renew(*prices)

    def _read_books(self) -> Start:
        """Settle what dead servers left open; give what all closed chains add up to."""
        dead = take_over_dead(self._database, time.time_ns(), self._spools)
        for chain, left in dead.items():
            if left:
                _log.warning("chain %d was left with %d open holds, now settled", chain, left)
        self._waiting = self._find_waiting()
        if self._is_alone and self._waiting:
            # What they spent is in no sum yet, and nobody lends what is left.
            raise StartError("\n".join(_told(each) for each in self._waiting))
        return start_books(self._database, time.time_ns())

    def _find_waiting(self) -> tuple[Waiting, ...]:
        """Give what only other hosts may end."""
        return waiting(self._database, None if self._spools is None else self._spools.host)

    def _post_left(self) -> None:
        """Post what this host has of chains that were ended without it."""
        if self._spools is not None:
            post_left(self._database, time.time_ns(), self._spools)

    # ---- on the event loop ----

    def _new_checkpoints(self) -> Checkpoints:
        """Follow a chain from its beginning."""
        return Checkpoints(Position(0, GENESIS, Books()), self._save_soon)

    def _written(self, entries: Iterable[AnyEntry], seq: int, head: bytes) -> None:
        self._checkpoints.written(entries, seq, head)
        if self._leased is not None:
            self._leased.wrote(entries)

    def _save_soon(self, reached: Position) -> None:
        """Keep a checkpoint of our chain."""
        saved = self._loop.run_in_executor(
            self._thread, save_checkpoint, self._database, self._journal.chain, reached
        )
        saved.add_done_callback(_note)

    def _end_orphan(self, hold: Hold) -> None:
        """Close a hold that was refused, and stands all the same; nothing was sent for it."""
        self.ledger.see([hold])
        self.ledger.settle(
            settlement(
                hold, at_ns=time.time_ns(), status=Status.CANCELLED, usage=NOTHING, cost_nano=0
            )
        )

    async def _begin_anew(self) -> None:
        """Read the books again: our chain was ended by another server."""
        self._checkpoints = self._new_checkpoints()
        start = await self._call(self._read_books)
        self.side = start.side
        if self._leases is not None:
            self._leases.restart(str(self._journal.chain))
        self.ledger.restart(start.books)

    async def _hear(self, topics: frozenset[str]) -> None:
        """Take note of what others have changed."""
        if SIDE in topics:
            await self._see_side_entries()
        if topics - {SIDE}:
            await self._share()
            if self._leased is not None:
                self._leased.revise(_limits_of(self.rules))
            self._opening.news.changed()

    async def _see_side_entries(self) -> None:
        """Apply what was written beside the servers."""
        while True:
            after = self.side
            side, entries = await self._call(
                side_entries, self._database, after, self._journal.chain
            )
            if self.side != after:
                continue  # the books were read anew meanwhile
            self.side = side
            self.ledger.see(entries)
            if side == after:
                return

    async def _bury(self) -> None:
        """End the chains of servers that died: those that nobody held the last time, either.

        A server whose session was lost has till then to come back to its chain.
        """
        found = await self._call(unlocked, self._database, self._journal.chain)
        dead = found & self._suspects
        for number in dead:
            await self._call(take_over, self._database, number, time.time_ns(), self._spools)
        await self._call(self._post_left)
        self._waiting = await self._call(self._find_waiting) if dead else ()
        self._suspects = found

    async def _prune(self) -> None:
        """Drop the meters of windows that are long over."""
        await self._call(prune_meters, self._database, time.time_ns())

    async def _make_months(self) -> None:
        """Make the journal's partitions ahead of the calendar."""
        for table in await self._call(make_months, self._database, time.time_ns()):
            _log.warning(
                "the partition %s cannot be made: the default has its entries, or the role of "
                "ledger.url does not own the tables; see docs/postgres.md",
                table,
            )

    async def _close(self) -> None:
        """Write what is in line, and end the chain if nothing is open in it."""
        await self.ledger.aclose()
        await self._end()

    async def _end(self) -> None:
        """End the chain if nothing is open in it, and let go of its spool."""
        reached = self._checkpoints.position()
        chain = self._journal.chain
        ended = False
        with contextlib.suppress(LedgerUnavailable):
            if reached.books.open_holds or self._journal.is_behind:
                await self._call(save_checkpoint, self._database, chain, reached)
            else:
                now_ns = time.time_ns()
                ended = await self._call(end_chain, self._database, chain, reached, now_ns)
        await self._journal.leave_spool(ended=ended)


def _told(found: Waiting) -> str:
    """Write what becomes of chains that wait for their host."""
    some = "a chain" if len(found.writers) == 1 else f"{len(found.writers)} chains"
    return (
        f"The host {found.host} left {some} ({', '.join(found.writers)}), and may have entries of "
        "it in its spool. Start entente there, and it ends them; if its disk is gone, give it up "
        f"with `entente db release {found.host}`."
    )


def _limits_of(book: RuleBook) -> dict[str, int | None]:
    """Give what rules limit, by their ids; None for one that only tells."""
    return {id: rule.amount if rule.hard else None for id, rule in book.by_id.items()}


def _now_ms() -> int:
    """Give milliseconds that never go back."""
    return time.monotonic_ns() // NS_PER_MS


def _note(saved: asyncio.Future[None]) -> None:
    """Say that a checkpoint could not be kept; a later one will be."""
    if not saved.cancelled() and (error := saved.exception()) is not None:
        _log.warning("a checkpoint is not kept: %s", error)
