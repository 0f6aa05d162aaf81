"""Writing a chain's spool beside the event loop: what gathers is one write and one fsync.

A thread writes; whatever has come meanwhile goes with its next turn. Who waits for an entry
is told that it is durable when the thread says so. The thread is made with the first entry,
so that an outage without requests costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from entente.domain.errors import StartError
from entente.ledger.model import Hold, Settlement
from entente.ledger.spool import FRAME_HEAD_BYTES, ChainId, Header, SpoolFile, SpoolFolder
from entente.telemetry.trouble import Trouble

if TYPE_CHECKING:
    from entente.ledger.postgres_chain import Chain
    from entente.ledger.postgres_line import Item, Soon

SPOOL_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of one chain. What is in the spool is in memory, too, in several times as much."""
SETTLEMENTS_BYTES_MAX: Final = 16 * 1024 * 1024
"""So much more is for the settlements of holds that were let in."""

_log = logging.getLogger("entente.ledger")


class Spooler:
    """One worker's spool. `put` and `clear` are of the event loop, and never wait."""

    def __init__(self, folder: SpoolFolder, on_failed: Callable[[], None]) -> None:
        """Begin without a file. `on_failed` is told when entries could not be written."""
        self.folder = folder
        self._on_failed = on_failed
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "entente-spool")
        self._file: SpoolFile | None = None
        self._header: Header | None = None
        """What the file is to begin with."""
        self._waiting: list[Item] = []
        self._must_fsync = self._must_clear = False
        self._writing: asyncio.Future[None] | None = None
        self._bytes = 0
        self.is_used = False
        """Something is in it that the chain may not have."""
        self.trouble: str | None = None
        """Why it takes no hold any more."""
        self._is_closed = False
        """It takes no settlement any more, either."""

    def begin(self, chain: ChainId) -> None:
        """Make the file of a chain. Raises StartError."""
        if self._file is not None:  # of a chain that could not be begun
            self._file.remove()
            self._file = None
        try:
            self._file = self.folder.begin(chain)
        except OSError as error:
            message = f"The spool {self.folder.path} cannot be written: {error}."
            raise StartError(message) from error

    def start(self, header: Header) -> None:
        """Say what the first entry follows, before it is put."""
        self._header, self.is_used = header, True
        if self.trouble is not None:  # of the last time
            self._must_clear = True
            self.trouble, self._is_closed = None, False

    def put(self, item: Item) -> bool:
        """Take an entry, to be written behind those before; say whether it was taken."""
        size = FRAME_HEAD_BYTES + len(item.line.line)
        if not self._takes(item, size):
            return False
        self._bytes += size
        self._must_fsync |= item.fsync
        item.is_spooled = True
        item.fsync = True  # it leaves the spool only once the database has it on its disk
        self._waiting.append(item)
        self._go_on()
        return True

    def clear(self) -> None:
        """Forget what is in it: the chain has all of it."""
        self._header, self.is_used, self._bytes = None, False, 0
        self.trouble, self._is_closed = None, False
        self._waiting.clear()
        self._must_fsync, self._must_clear = False, True
        self._go_on()

    async def flush(self) -> None:
        """Wait until all that was put is written, or has failed."""
        while self._writing is not None:
            await asyncio.wait([self._writing])
            await asyncio.sleep(0)  # what follows is told in a later turn

    async def leave(self, *, ended: bool) -> None:
        """Let go of the file; delete it where the chain is `ended`, with all that was put."""
        await self.flush()
        self._header, self.is_used, self._bytes = None, False, 0
        self.trouble, self._is_closed = None, False
        if self._file is not None:
            if ended:
                self._file.remove()
            else:
                self._file.close()
            self._file = None

    async def aclose(self, *, ended: bool) -> None:
        """Let go of the file and of the thread."""
        await self.leave(ended=ended)
        self._thread.shutdown(wait=False)

    # ---- inside ----

    def _takes(self, item: Item, size: int) -> bool:
        """Say whether there is room; once there was none, nothing smaller is taken, either."""
        if self._file is None or self._is_closed:
            return False
        if isinstance(item.entry, Settlement) or item.told:
            self._is_closed = self._bytes + size > SPOOL_BYTES_MAX + SETTLEMENTS_BYTES_MAX
            return not self._is_closed
        if not isinstance(item.entry, Hold):  # what can be said twice is said again
            return False
        if self.trouble is None and self._bytes + size > SPOOL_BYTES_MAX:
            self.trouble = f"The spool is full, with {self._bytes} bytes."
        return self.trouble is None

    def _go_on(self) -> None:
        """Have the thread do what there is to do, unless it is doing something."""
        if self._writing is not None or self._file is None:
            return
        if self._must_clear:
            self._must_clear = False
            self._writing = self._loop.run_in_executor(self._thread, self._file.clear)
            self._writing.add_done_callback(partial(self._wrote, []))
        elif self._waiting:
            items, self._waiting = self._waiting, []
            header, self._header = self._header, None
            lines = [item.line.line for item in items]
            write = partial(self._file.write, header, lines, fsync=self._must_fsync)
            self._must_fsync = False
            self._writing = self._loop.run_in_executor(self._thread, write)
            self._writing.add_done_callback(partial(self._wrote, items))

    def _wrote(self, items: list[Item], writing: asyncio.Future[None]) -> None:
        """Tell who waits for what was written; once the disk has failed, all are refused."""
        self._writing = None
        error = writing.exception()
        if error is None:
            for item in items:
                item.succeed()
            self._go_on()
            return
        if self._must_clear:  # what was not written stands in the chain
            self._go_on()
            return
        failed = [*items, *self._waiting]
        self._waiting, self._must_fsync = [], False
        self.trouble = f"The spool's disk has failed: {error}."
        self._is_closed = True
        for item in failed:
            item.is_spooled = False
        self._on_failed()


class StandIn:
    """Says whether the spool stands in for a database that is away, for a time."""

    def __init__(
        self, folder: SpoolFolder | None, spool_s: float, on_failed: Callable[[], None]
    ) -> None:
        """Stand in for up to `spool_s` after the loss; never without a folder."""
        self.spooler = None if folder is None or not spool_s else Spooler(folder, on_failed)
        self._spool_s = spool_s
        self._now_s = asyncio.get_running_loop().time
        self._since_s: float | None = None
        """When the database was lost; None while it is there."""
        self._has_given_up = False
        self._outage = Trouble(
            _log,
            "the spool does not stand in for the database any more: %s",
            "the spool has stood in for the database, which has all of it",
            logging.ERROR,
        )

    @property
    def serves(self) -> bool:
        """Whether holds are taken."""
        return (
            self.spooler is not None
            and self.spooler.trouble is None
            and not self._has_given_up
            and not self._is_over
        )

    def trouble(self, reason: str | None) -> str | None:
        """Say why no hold is taken, where the database is away for a `reason`."""
        if reason is None or self.serves:
            return None
        if self.spooler is None or self._has_given_up:
            return reason
        if self.spooler.trouble is not None:
            return f"{reason} {self.spooler.trouble}"
        return f"{reason} The spool has stood in for {self._spool_s:g} s (ledger.spool_s)."

    def notice(self, reason: str | None) -> str | None:
        """Say that the spool stands in, where the database is away for a `reason`."""
        if reason is None or not self.serves:
            return None
        return (
            f"{reason} The spool on this host's disk stands in for it, for at most "
            f"{self._spool_s:g} s; what is in it goes to the ledger by itself."
        )

    def tell(self, trouble: str | None) -> None:
        """Say in the log, once, that it has to serve and does not."""
        if self.spooler is not None and trouble is not None:
            self._outage.begin(trouble)

    def begin(self) -> None:
        """Take note that the database is lost, perhaps before it had been back for good."""
        if self._since_s is None:
            self._since_s = self._now_s()

    def end(self) -> None:
        """Take note that it is there, and has all that was spooled."""
        self._since_s, self._has_given_up = None, False
        self._outage.end()
        if self.spooler is not None and self.spooler.is_used:
            self.spooler.clear()

    def give_up(self) -> None:
        """Take nothing more until the database is back."""
        self._has_given_up = True

    def put(self, item: Item, chain: Chain, soon: Soon) -> bool:
        """Have an entry in the spool, if it takes it; say whether it is there.

        It takes settlements when its time is over, too. In front of the first entry go those
        that the database's disk may not have.
        """
        spooler = self.spooler
        if item.is_spooled:
            return True
        if spooler is None or self._has_given_up:
            return False
        if isinstance(item.entry, Hold) and not self.serves:
            return False
        if not spooler.is_used:
            seq, head = soon.behind or (chain.seq, chain.head)
            header = Header(chain=chain.number, opened_ns=chain.opened_ns, seq=seq, head=head)
            spooler.start(header)
            for each in soon:
                spooler.put(each)
        return spooler.put(item)

    async def flush(self) -> None:
        """Wait until all that was put is on the disk."""
        if self.spooler is not None:
            await self.spooler.flush()

    async def leave(self) -> None:
        """Leave the file to whoever posts what is in it."""
        if self.spooler is not None:
            await self.spooler.leave(ended=False)

    async def aclose(self, *, ended: bool) -> None:
        """Let go of the file; delete it where its chain is `ended`."""
        if self.spooler is not None:
            await self.spooler.aclose(ended=ended)

    @property
    def _is_over(self) -> bool:
        """Whether it has stood in for as long as it may."""
        since_s = self._since_s
        return since_s is not None and self._now_s() - since_s >= self._spool_s
