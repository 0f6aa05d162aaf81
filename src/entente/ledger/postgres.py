"""The journal on PostgreSQL: entries gather in line while the batch before is committed.

A worker writes its own chain (`postgres_chain`) over one session, one statement a batch.
When the session is lost, another one is made; what of the last batch is in the chain is
seen by the chain's end, and all the rest goes on from there. What is waited for is refused
only once the first try to connect again has failed; settlements are kept until they can be
written. Where there is a spool, it stands in for the database for a time: what it has on our
own disk is as durable, so holds go on, and everything goes to the chain once it can.

A chain that was taken over meanwhile, because we were held for dead, is left to whoever did:
its holds are settled, and a new chain begins.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final

from entente.db.address import Address
from entente.db.postgres_async import FAILURES, close_session, said_by
from entente.domain.errors import IdempotencyConflict, LedgerUnavailable, StartError
from entente.ledger.model import AnyEntry, Hold, Settlement
from entente.ledger.postgres_chain import REPEATABLE, Chain, open_chain
from entente.ledger.postgres_line import End, Item, Soon, gather
from entente.ledger.postgres_session import Sessions
from entente.ledger.spooling import StandIn
from entente.ledger.store import Durability, OnWritten
from entente.telemetry.trouble import Trouble

if TYPE_CHECKING:
    from entente.db.postgres_async import Session
    from entente.domain.ids import NowNs
    from entente.ledger.spool import SpoolFolder

LINGER_TURNS: Final = 5
"""Several that write have little each, and every commit costs the database, and all of them,
the same: a batch waits so many turns of the event loop for more."""
HEARTBEAT_S: Final = 1.0
"""Without traffic the session is asked so often whether it lives."""
ANSWER_S_MAX: Final = 3.0
CLOSE_S_MAX: Final = 10.0
"""How long the end waits for a database that is away; then others settle what is open."""
RETRY_S: Final = 0.1
RETRY_S_MAX: Final = 2.0

_log = logging.getLogger("entente.ledger")

_TAKEN_OVER: Final = (
    "The worker was cut off from the database, and another one settled its requests."
)
GONE: Final = ("08", "57")
"""Classes of codes that say that the session ends, not that a statement was refused."""

OnOrphan = Callable[[Hold], None]
"""Told of a hold that was refused, because nothing was known of it, and stands all the same."""
OnTakenOver = Callable[[], Awaitable[None]]
"""Asked to read the books anew, before anything is written to a new chain."""


class PostgresJournal:
    """A `Journal` in the `entries` table of a PostgreSQL database."""

    def __init__(
        self,
        address: Address,
        *,
        name: str,
        durability: Durability,
        now_ns: NowNs,
        on_written: OnWritten,
        on_orphan: OnOrphan,
        on_taken_over: OnTakenOver,
        alone: bool,
        spools: SpoolFolder | None = None,
        spool_s: float = 0.0,
    ) -> None:
        """Write to a new chain that is called `name`; `open` begins it.

        `alone`: no other server may write at the same time. On the running event loop
        `on_written` is told of what stands in the chain. With `spools` a file there stands
        in for the database, for up to `spool_s` after it was lost.
        """
        self._loop = asyncio.get_running_loop()
        self._address = address
        self._name, self._alone = name, alone
        self._news = asyncio.Event()
        self._sessions = Sessions(address, self._news.set, alone=alone)
        self._now_ns = now_ns
        self._fsync = durability is not Durability.ASYNC
        self._fsync_holds = durability is Durability.FULL
        self._on_written, self._on_orphan = on_written, on_orphan
        self._on_taken_over = on_taken_over
        self._line: deque[Item] = deque()
        self._doubtful: list[Item] = []
        """The batch that was on its way when the session was lost."""
        self._soon = Soon()
        self._stand_in = StandIn(spools, spool_s, self._spool_failed)
        self._is_away = False
        """There is no session, or it is not known yet what of the line stands."""
        self._chain: Chain | None = None
        self._closing_s: float | None = None
        self._must_reload = False
        """Our chain was taken over, and the books are not read anew yet."""
        self._task: asyncio.Task[None] | None = None
        self._reason: str | None = None
        """Why the chain could not be written the last time."""
        self._outage = Trouble(
            _log,
            "the journal cannot be written: %s",
            "the journal can be written again",
            logging.ERROR,
        )
        self._is_refusing = False
        """The database says no to what is written: that a session lives is no sign yet."""

    async def open(self) -> None:
        """Begin a chain. Raises LedgerUnavailable, and StartError where another server is."""
        session: Session | None = None
        try:
            session = await self._sessions.connect()
            self._chain = await self._new_chain(session)
        except FAILURES as error:
            raise LedgerUnavailable(said_by(self._address, error)) from None
        finally:
            if self._chain is None:
                await close_session(session)
        self._sessions.watch(session)
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(self._ended)

    @property
    def chain(self) -> int:
        """The number of the chain that is written."""
        return 0 if self._chain is None else self._chain.number

    @property
    def is_behind(self) -> bool:
        """Whether there are entries that the chain does not have yet."""
        return bool(self._line or self._doubtful)

    @property
    def spooled(self) -> int:
        """How many entries the chain does not have yet, and the spool does."""
        return sum(each.is_spooled for line in (self._doubtful, self._line) for each in line)

    @property
    def trouble(self) -> str | None:
        """Why no hold can be written now, to the chain or to the spool."""
        return self._stand_in.trouble(self._reason)

    @property
    def notice(self) -> str | None:
        """What is to be said while the spool stands in for the database."""
        return self._stand_in.notice(self._reason)

    def append(self, entry: AnyEntry) -> asyncio.Future[None]:
        """Put an entry in line; see `Journal.append`."""
        done = self._loop.create_future()
        fsync = self._fsync_holds if isinstance(entry, Hold) else self._fsync
        item = Item(entry, done, fsync=fsync)
        if self._must_reload:
            # It counts on what the chain had, or closes a hold of it: that is settled elsewhere.
            item.fail(LedgerUnavailable(_TAKEN_OVER))
            return done
        if self._reason is not None and not self._is_spooled(item):
            item.fail(LedgerUnavailable(self.trouble or self._reason))
        if item.is_kept:
            self._line.append(item)
            self._news.set()
        return done

    async def aclose(self) -> None:
        """Write what is in line, then let go of the chain."""
        if self._closing_s is None:
            self._closing_s = self._loop.time()
        self._news.set()
        if self._task is not None:
            await asyncio.shield(self._task)
            await self._stand_in.flush()

    async def leave_spool(self, *, ended: bool) -> None:
        """Let go of the chain's spool, behind `aclose`; delete it where the chain is `ended`."""
        await self._stand_in.aclose(ended=ended and not self.is_behind)

    # ---- writing ----

    async def _run(self) -> None:
        """Commit batch after batch until closed."""
        going_on = True
        while going_on:
            chain = self._chain
            assert chain is not None  # noqa: S101  (opened before, or made anew below)
            try:
                while going_on := await self._wait():
                    await self._linger()
                    await self._write(chain)
            except FAILURES as error:
                self._is_away = True
                self._stand_in.begin()
                await self._lost(error)
                going_on = await self._reconnect()
                self._is_away = not going_on
        await close_session(self._chain.session if self._chain else None)

    async def _wait(self) -> bool:
        """Wait for something to write; say whether to go on. A silent session is asked."""
        assert self._chain is not None  # noqa: S101
        session = self._chain.session
        while not self._line:
            if self._closing_s is not None:
                return False
            if session.is_closed():
                message = "the server closed the connection"
                raise ConnectionError(message)
            self._news.clear()
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._news.wait()
            except TimeoutError:
                await session.fetchval("SELECT 1", timeout=ANSWER_S_MAX)
        return True

    async def _linger(self) -> None:
        """Let what is about to come join the batch, where others write beside us."""
        for _ in range(0 if self._alone else LINGER_TURNS):
            await asyncio.sleep(0)

    async def _write(self, chain: Chain) -> None:
        """Commit the next batch, and tell of it."""
        batch, fsync = gather(self._line)
        self._doubtful = batch
        behind = End(chain.seq, chain.head)
        if batch[0].line.name.startswith(REPEATABLE):
            try:
                await chain.append_once(batch[0].line)
            except IdempotencyConflict as error:
                batch[0].fail(error)
        else:
            await chain.append([item.line for item in batch], fsync=fsync)
        self._doubtful = []
        if fsync:
            self._soon.clear()
        else:
            self._soon.add(batch, behind)
        self._tell(batch if chain.seq > behind.seq else [])
        for item in batch:
            item.succeed()
        self._is_written()

    def _tell(self, written: Iterable[Item]) -> None:
        """Tell of entries that stand in the chain, each once."""
        assert self._chain is not None  # noqa: S101
        entries = [item.entry for item in written if not item.told]
        for item in written:
            item.told = True
        self._on_written(entries, self._chain.seq, self._chain.head)
        self._outage.end()

    def _is_written(self) -> None:
        """Take note that the chain can be written; empty the spool once all of it stands."""
        self._reason = None
        if not (self._line and self._line[0].is_spooled):  # what is spooled is first in line
            self._stand_in.end()

    async def _new_chain(self, session: Session) -> Chain:
        """Begin a chain."""
        spooler = self._stand_in.spooler
        return await open_chain(session, self._name, self._now_ns(), spooler)

    # ---- the spool ----

    def _is_spooled(self, item: Item) -> bool:
        """Say whether the spool has an entry, or takes it now."""
        chain = self._chain
        assert chain is not None  # noqa: S101  (there are no entries before)
        return self._stand_in.put(item, chain, self._soon)

    def _spool_failed(self) -> None:
        """Refuse what was to be spooled, unless it is on its way to the chain."""
        if self._is_away and self._reason is not None:
            self._refuse(self._reason)

    # ---- a session that is lost ----

    async def _lost(self, error: BaseException) -> None:
        """Let go of the session. What the database says no to is refused at once."""
        text = said_by(self._address, error)
        if self._chain is not None:
            self._chain.session.terminate()
        code = getattr(error, "sqlstate", None) or ""
        self._is_refusing = bool(code) and not code.startswith(GONE)
        if self._is_refusing:
            self._refuse(text)
            await asyncio.sleep(RETRY_S_MAX)
        elif self._outage.text is None:
            _log.warning("the journal's session is lost: %s", text)

    async def _reconnect(self) -> bool:
        """Connect again, however long it takes; False when closing takes too long."""
        wait_s = RETRY_S
        while True:
            try:
                await self._resume()
            except FAILURES as error:
                self._refuse(said_by(self._address, error))
            except LedgerUnavailable as error:
                self._refuse(error.message)
            except StartError as error:  # we were given up, so that nothing is ours to spend
                self._stand_in.give_up()
                self._refuse(error.message)
            else:
                if not self._line:
                    self._is_written()
                if not self._is_refusing:
                    self._outage.end()
                return True
            if self._gives_up():
                return False
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_S_MAX)

    def _gives_up(self) -> bool:
        """Say whether closing has waited long enough for the database."""
        unwritten = sum(not item.is_spooled for item in self._line)
        if self._closing_s is None or (
            unwritten and self._loop.time() - self._closing_s < CLOSE_S_MAX
        ):
            return False
        if unwritten:
            _log.error(
                "%d settlements are not written; the next server settles their requests at "
                "their bounds",
                unwritten,
            )
        if len(self._line) > unwritten:
            _log.warning(
                "%d entries are in the spool; the next server here writes them to the ledger",
                len(self._line) - unwritten,
            )
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Refuse what comes after the end."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.critical("the journal has failed", exc_info=error)
        self._stand_in.give_up()
        self._refuse("The journal is closed." if error is None else f"The journal failed: {error}.")

    def _refuse(self, text: str) -> None:
        """Have the spool stand in; tell who waits for what it does not take.

        Settlements stay in line.
        """
        self._reason = text
        if self._closing_s is None:
            self._outage.begin(self.notice or text)
            self._stand_in.tell(self.trouble)
        for item in (*self._doubtful, *self._line):
            if not self._is_spooled(item):
                item.fail(LedgerUnavailable(self.trouble or text))
        self._line = deque(item for item in self._line if item.is_kept)

    async def _resume(self) -> None:
        """Go on with our chain over a new session, or with a new chain."""
        session = await self._sessions.connect()
        try:
            await self._go_on(session)
        except BaseException:
            session.terminate()
            raise
        self._sessions.watch(session)

    async def _go_on(self, session: Session) -> None:
        """Take the chain's lock, see that writing works, and find out what stands."""
        former = self._chain
        assert former is not None  # noqa: S101
        await self._sessions.hold(session, former.number)
        chain = Chain(session, former.number, former.opened_ns, former.seq, former.head)
        await chain.prepare()
        await chain.try_to_write()
        if await chain.is_closed():
            await self._begin_anew(session)
        elif self._must_reload:
            self._chain = chain
        else:
            await self._catch_up(chain)
        if self._must_reload:
            await self._on_taken_over()
            self._must_reload = False

    async def _catch_up(self, chain: Chain) -> None:
        """Find what of the line is in the chain, and put the rest back in line."""
        seq, head = await chain.last()
        if seq < chain.seq:
            self._recall(chain.seq - seq, seq)
            chain.seq, chain.head = seq, head
        found = await chain.read_end(chain.seq)
        stands = {name for name, *_ in found}
        ours = [item for item in self._doubtful if item.line.name in stands]
        rest = [item for item in self._doubtful if item.line.name not in stands and item.is_kept]
        self._doubtful = []
        self._line.extendleft(reversed(rest))
        if found:
            _, _, chain.head, chain.seq = found[-1]
        self._chain = chain
        if not ours:
            return
        self._tell(ours)
        for item in ours:
            if isinstance(item.entry, Hold) and item.is_refused:
                self._on_orphan(item.entry)
            item.succeed()

    def _recall(self, count: int, last: int) -> None:
        """Put back in line what a crash of the database has taken, as it was not on its disk."""
        lost = self._soon.recall(last)
        _log.error(
            "the database lost %d entries that its disk did not have; %d are written again",
            count,
            len(lost),
        )
        self._doubtful[:0] = lost

    async def _begin_anew(self, session: Session) -> None:
        """Begin another chain: ours was taken over, and what it held is settled there.

        What of it is in our spool only is posted by `on_taken_over`, as of a dead server.
        """
        self._must_reload = True
        self._stand_in.give_up()
        await self._stand_in.leave()
        dropped = [*self._doubtful, *self._line]
        for item in dropped:
            item.fail(LedgerUnavailable(_TAKEN_OVER))
            if isinstance(item.entry, Settlement) and not item.is_spooled:
                _log.warning("%s is settled by another worker, at its bound", item.entry.id)
        self._doubtful, self._line = [], deque()
        self._soon.clear()
        self._chain = await self._new_chain(session)
