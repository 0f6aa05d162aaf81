"""The journal on SQLite: one writer thread, group commit, one statement a batch.

Entries wait in line while the thread commits the batch before; whatever has gathered by
then is the next batch. A batch is one multi-row INSERT in autocommit mode, so it takes
the interpreter's lock once, however many entries it has. `seq` is given explicitly: when
another process (the command line) has written in between, the primary key refuses the
batch, and it is chained anew behind what was found.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from entente.db import connect, transaction
from entente.domain.errors import IdempotencyConflict, LedgerCorrupt, LedgerError, LedgerUnavailable
from entente.ledger.journal import GENESIS, chain, decode, encode
from entente.ledger.model import AnyEntry, Grant, Hold, Settlement
from entente.ledger.store import Durability, OnForeign, OnWritten

BATCH_ENTRIES_MAX: Final = 512
FOREIGN_POLL_S: Final = 0.5
RETRY_S: Final = 0.25
APPLICATION_ID: Final = 0x656E7465
"""`ente`, in the header of the file; writing it shows that the disk takes writes."""

_SELECT_GRANT: Final = (
    "SELECT line FROM entries WHERE idempotency_key = ?"
    " AND idempotency_key >= 'grant:' AND idempotency_key < 'grant;'"
)
"""Says what the index says, so that it is used."""


class _Item:
    """An entry in line, and who waits for it."""

    __slots__ = ("done", "entry", "error", "fsync")

    def __init__(self, entry: AnyEntry, done: asyncio.Future[None], *, fsync: bool) -> None:
        self.entry = entry
        self.done = done
        self.fsync = fsync
        self.error: LedgerError | None = None


class _Seen:
    """Comes back through the line when the event loop has applied foreign entries to `seq`."""

    __slots__ = ("seq",)

    def __init__(self, seq: int) -> None:
        self.seq = seq


class _Stop:
    """The last thing in line."""


class SqliteJournal:
    """A `Journal` in the `entries` table of an entente database."""

    def __init__(
        self,
        path: Path,
        *,
        seq: int,
        head: bytes,
        durability: Durability,
        on_foreign: OnForeign,
        on_written: OnWritten,
        on_change: Callable[[], None],
    ) -> None:
        """Continue the journal at `path` behind entry `seq`, whose hash is `head`.

        Must be made on the running event loop, on which `on_foreign` is told of entries
        by other processes, `on_written` of all that stand in the file, and `on_change`
        that another process wrote anything at all.
        """
        self._loop = asyncio.get_running_loop()
        self._connection = connect(path)
        self._path = path
        self.seq, self.head = seq, head
        self._durability = durability
        self._on_foreign, self._on_change = on_foreign, on_change
        self._on_written = on_written
        self._line: queue.SimpleQueue[_Item | _Seen | _Stop] = queue.SimpleQueue()
        self._kept: list[_Item] = []
        self._shrunk: dict[str, int] = {}
        self._fsync = True
        self._data_version = self._read_data_version()
        self._polled_s = time.monotonic()
        self.trouble: str | None = None
        self._stopped = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="entente-journal", daemon=True)
        self._thread.start()

    def append(self, entry: AnyEntry) -> asyncio.Future[None]:
        """Put an entry in line; see `Journal.append`."""
        done = self._loop.create_future()
        match self._durability:
            case Durability.FULL:
                fsync = True
            case Durability.SETTLE:
                fsync = not isinstance(entry, Hold)
            case Durability.ASYNC:
                fsync = False
        self._line.put(_Item(entry, done, fsync=fsync))
        return done

    async def aclose(self) -> None:
        """Write what is in line, then end the thread and close the file."""
        if self._thread.is_alive():
            self._line.put(_Stop())
            await asyncio.shield(self._stopped)
            self._thread.join()

    # ---- the writer thread ----

    def _run(self) -> None:
        """Commit batch after batch until told to stop."""
        while self._turn():
            pass
        self._connection.close()
        self._loop.call_soon_threadsafe(self._stopped.set_result, None)

    def _turn(self) -> bool:
        """Commit what is in line, look for what others wrote; say whether to go on."""
        batch, mark = self._gather()
        items = [*self._kept, *batch]
        self._kept = []
        if items:
            self._commit_in_order(items)
        if isinstance(mark, _Seen):
            # Only the cuts that the event loop has seen: a later one may have come just now.
            seen = mark.seq
            self._shrunk = {key: seq for key, seq in self._shrunk.items() if seq > seen}
        if time.monotonic() - self._polled_s >= FOREIGN_POLL_S:
            self._poll_foreign()
        return not isinstance(mark, _Stop)

    def _gather(self) -> tuple[list[_Item], _Seen | _Stop | None]:
        """Wait for the first in line, then take what has gathered behind it, up to a mark."""
        batch: list[_Item] = []
        wait_s = RETRY_S if self._kept else FOREIGN_POLL_S
        try:
            item = self._line.get(timeout=wait_s)
            while isinstance(item, _Item):
                batch.append(item)
                if len(batch) == BATCH_ENTRIES_MAX:
                    return batch, None
                item = self._line.get_nowait()
        except queue.Empty:
            return batch, None
        return batch, item

    def _commit_in_order(self, items: list[_Item]) -> None:
        """Commit the items that need no fsync ahead of the first that does, then the rest.

        After a failure nothing overtakes: a hold may count on a settlement before it.
        """
        split = next((i for i, item in enumerate(items) if item.fsync), len(items))
        runs = [(run, False) for run in _batches(items[:split])]
        runs += [(run, True) for run in _batches(items[split:])]
        for number, (run, fsync) in enumerate(runs, start=1):
            if not self._commit(run, fsync=fsync):
                for late, _ in runs[number:]:
                    self._fail(late)
                return
        self.trouble = None

    def _commit(self, items: list[_Item], *, fsync: bool) -> bool:
        """Write items as one transaction, tell who waits for them, say whether it worked."""
        for item in items:
            item.error = None
        try:
            self._set_fsync(on=fsync)
            try:
                if not self._shrunk:
                    self._insert([item.entry for item in items])
                else:
                    self._insert_contended(items)
            except sqlite3.IntegrityError:
                self._insert_contended(items)
        except (sqlite3.Error, LedgerCorrupt) as error:
            self.trouble = f"Cannot write {self._path}: {error}."
            self._fail(items)
            return False
        self._loop.call_soon_threadsafe(self._report, items, self.seq, self.head)
        return True

    def _fail(self, items: list[_Item]) -> None:
        """Tell who waits that it is not written; settlements are kept for the next time."""
        for item in items:
            item.error = LedgerUnavailable(self.trouble or "")
            if isinstance(item.entry, Settlement):
                self._kept.append(item)
        self._loop.call_soon_threadsafe(_resolve, items)

    def _set_fsync(self, *, on: bool) -> None:
        """Choose whether the next commit waits for the disk."""
        if on is not self._fsync:
            self._connection.execute(f"PRAGMA synchronous={'FULL' if on else 'NORMAL'}")
            self._fsync = on

    def _insert(self, entries: Sequence[AnyEntry]) -> None:
        """Insert entries behind the head that is known here."""
        self.seq, self.head = insert(self._connection, entries, self.seq, self.head)

    def _insert_contended(self, items: list[_Item]) -> None:
        """Insert items behind what other processes have written.

        A hold of a key whose budget another process has just cut is refused until the
        event loop has seen the cut: it was admitted against the budget of before.
        """
        with transaction(self._connection):
            self._read_foreign()
            fresh: dict[str, AnyEntry] = {}
            for item in items:
                entry = item.entry
                if isinstance(entry, Hold) and entry.bounded and entry.key in self._shrunk:
                    item.error = LedgerUnavailable("The budget has just changed. Try again.")
                    continue
                try:
                    if not _is_stored(self._connection, entry, fresh):
                        fresh[entry.idempotency_key] = entry
                except IdempotencyConflict as error:
                    item.error = error
            seq, head = insert(self._connection, fresh.values(), self.seq, self.head)
        self.seq, self.head = seq, head

    def _read_foreign(self) -> None:
        """Read what others have written behind our head, move there, tell the event loop."""
        rows = self._connection.execute(
            "SELECT seq, line, hash FROM entries WHERE seq > ? ORDER BY seq", (self.seq,)
        ).fetchall()
        if not rows:
            return
        self.seq, _, self.head = rows[-1]
        foreign = [decode(line) for _, line, _ in rows]
        cuts = (e.key for e in foreign if isinstance(e, Grant) and e.nano < 0)
        self._shrunk.update(dict.fromkeys(cuts, self.seq))
        self._loop.call_soon_threadsafe(self._deliver, foreign, self.seq, self.head)

    def _poll_foreign(self) -> None:
        """Look whether another process has written, and tell the event loop."""
        self._polled_s = time.monotonic()
        try:
            if self.trouble is not None and not self._kept:
                # Without traffic nothing else would find out that the disk works again.
                self._connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                self.trouble = None
            version = self._read_data_version()
            if version == self._data_version:
                return
            self._read_foreign()
        except (sqlite3.Error, LedgerCorrupt) as error:
            self.trouble = f"Cannot read {self._path}: {error}."
            return
        self._data_version = version
        self._loop.call_soon_threadsafe(self._on_change)

    def _report(self, items: list[_Item], seq: int, head: bytes) -> None:
        """Tell of a batch that is written up to `seq`, on the event loop."""
        self._on_written((item.entry for item in items if item.error is None), seq, head)
        _resolve(items)

    def _deliver(self, foreign: list[AnyEntry], seq: int, head: bytes) -> None:
        """Apply foreign entries up to `seq` on the loop, and let the thread know in line."""
        self._on_foreign(foreign)
        self._on_written(foreign, seq, head)
        self._line.put(_Seen(seq))

    def _read_data_version(self) -> int:
        """Give a number that changes when another connection commits."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)


def _batches(items: list[_Item]) -> Iterator[list[_Item]]:
    """Cut a line into batches that one statement can take."""
    for start in range(0, len(items), BATCH_ENTRIES_MAX):
        yield items[start : start + BATCH_ENTRIES_MAX]


def _resolve(items: list[_Item]) -> None:
    """Tell who waits, on the event loop."""
    for item in items:
        if item.done.done():
            continue
        if item.error is None:
            item.done.set_result(None)
        else:
            item.done.set_exception(item.error)
            item.done.exception()  # who waited may have been cancelled


def _is_stored(
    connection: sqlite3.Connection, entry: AnyEntry, fresh: Mapping[str, AnyEntry]
) -> bool:
    """Say whether the journal, or what is `fresh` in this transaction, has the grant.

    Holds and settlements are written once by the process that made their id. Raises
    IdempotencyConflict for another grant under the same key.
    """
    if not isinstance(entry, Grant):
        return False
    row = connection.execute(_SELECT_GRANT, (entry.idempotency_key,)).fetchone()
    before = fresh.get(entry.idempotency_key)
    if before is not None:
        row = (encode(before),)
    if row is not None and row[0] != encode(entry):
        message = f"{entry.idempotency_key} is in the journal with another content."
        raise IdempotencyConflict(message)
    return row is not None


def insert(
    connection: sqlite3.Connection, entries: Collection[AnyEntry], seq: int, head: bytes
) -> tuple[int, bytes]:
    """Insert entries behind (`seq`, `head`) in one statement; give the new head."""
    parameters: list[int | str | bytes] = []
    for entry in entries:
        line = encode(entry)
        head = chain(head, line)
        seq += 1
        parameters += (seq, entry.idempotency_key, line, head)
    if entries:
        rows = ",".join(["(?,?,?,?)"] * len(entries))
        connection.execute(f"INSERT INTO entries VALUES {rows}", parameters)  # noqa: S608
    return seq, head


def append_now(connection: sqlite3.Connection, entries: Iterable[AnyEntry]) -> None:
    """Append entries from a process that is not the server, in one transaction.

    An entry that is there already with the same content is left; with another content
    it raises IdempotencyConflict. Raises LedgerUnavailable when it cannot be written.
    """
    try:
        with transaction(connection):
            fresh: dict[str, AnyEntry] = {}
            for entry in entries:
                if not _is_stored(connection, entry, fresh):
                    fresh[entry.idempotency_key] = entry
            row = connection.execute(
                "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1"
            ).fetchone()
            insert(connection, fresh.values(), *(row or (0, GENESIS)))
    except sqlite3.Error as error:
        message = f"Cannot write the journal: {error}."
        raise LedgerUnavailable(message) from error
