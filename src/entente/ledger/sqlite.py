"""The journal on SQLite, as the ledger sees it: entries in, word of what is written out.

The writing is done by a process of its own (`writer`). Here is the line to it: entries of
one turn of the event loop go together, each has a number, and is remembered until the
writer says what became of it. Should the writer die, another one begins: it tells what
stands in the file behind the last entry that was heard of, and is sent all the rest again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeAlias

from entente.domain.errors import IdempotencyConflict, LedgerError, LedgerUnavailable
from entente.ledger.frames import (
    RECEIVE_BYTES,
    Append,
    Changed,
    Failed,
    Foreign,
    FromWriter,
    Item,
    Ready,
    Seen,
    Stop,
    ToWriter,
    Trouble,
    Written,
    frame,
    from_writer,
)
from entente.ledger.journal import decode, encode
from entente.ledger.model import AnyEntry, Hold, Settlement
from entente.ledger.store import Durability, OnForeign, OnWritten
from entente.telemetry.trouble import Trouble as Outage

RESTART_S: Final = 0.25

_log = logging.getLogger("entente.ledger")


class Process(Protocol):
    """A running writer."""

    def wait(self) -> object:
        """Wait until it has ended; its ends of the pipes are closed by then, or about to be."""


class Ends(NamedTuple):
    """One side of two pipes. They cost half of what a socket does, each time one is woken."""

    reads: int
    writes: int

    def close(self) -> None:
        """Close both."""
        os.close(self.reads)
        os.close(self.writes)


Launch: TypeAlias = Callable[[Ends, Path, int, bytes], Process]
"""Starts a writer with its ends of the pipes, the file, and where the journal stands."""

LaunchProcess: TypeAlias = Callable[[Ends, Path, int, bytes], subprocess.Popen[bytes]]


def launch_process(kept_open: Sequence[int] = ()) -> LaunchProcess:
    """Give the `Launch` of real processes, which inherit the descriptors `kept_open`."""

    def launch(ends: Ends, path: Path, seq: int, head: bytes) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  (our own interpreter and module)
            [
                *(sys.executable, "-P", "-m", "entente.ledger.writer"),
                *(str(ends.reads), str(ends.writes), str(path.absolute()), str(seq), head.hex()),
            ],
            pass_fds=(*ends, *kept_open),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=os.sep,
        )

    return launch


def _pipes() -> tuple[Ends, Ends]:
    """Make two pipes: our ends, which never block, and the writer's."""
    down, up = os.pipe(), os.pipe()
    for end in (up[0], down[1]):
        os.set_blocking(end, False)
    return Ends(up[0], down[1]), Ends(down[0], up[1])


class _Pending:
    """An entry that the writer has not told the end of, and who waits for it."""

    __slots__ = ("done", "entry", "item", "on_its_way")

    def __init__(self, entry: AnyEntry, item: Item, done: asyncio.Future[None]) -> None:
        self.entry = entry
        self.item = item
        self.done = done
        self.on_its_way = True


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
        launch: Launch,
    ) -> None:
        """Continue the journal at `path` behind entry `seq`, whose hash is `head`.

        Must be made on the running event loop, on which `on_foreign` is told of entries
        by other processes, `on_written` of all that stand in the file, and `on_change`
        that another process wrote anything at all.
        """
        self._loop = asyncio.get_running_loop()
        self._path = path
        self.seq, self.head = seq, head
        self._fsync = durability is not Durability.ASYNC
        self._fsync_holds = durability is Durability.FULL
        self._on_foreign, self._on_change = on_foreign, on_change
        self._on_written = on_written
        self._launch = launch
        self._numbers = 0
        self._pending: dict[int, _Pending] = {}
        self._line: list[Item] = []
        self._on_their_way = 0
        self._unsent = bytearray()
        self._closing = False
        self._ended = self._loop.create_future()
        self.trouble: str | None = None
        self._outage = Outage(
            _log,
            "the journal cannot be written: %s",
            "the journal can be written again",
            logging.ERROR,
        )
        self._start()

    def append(self, entry: AnyEntry) -> asyncio.Future[None]:
        """Put an entry in line; see `Journal.append`."""
        done = self._loop.create_future()
        fsync = self._fsync_holds if isinstance(entry, Hold) else self._fsync
        number = self._numbers
        self._numbers = number + 1
        keep = isinstance(entry, Settlement)
        item = Item(number, entry.idempotency_key, encode(entry), fsync, keep)
        self._pending[number] = _Pending(entry, item, done)
        if not self._line and not self._on_their_way:
            self._loop.call_soon(self._send_line)
        self._line.append(item)
        return done

    async def aclose(self) -> None:
        """Have written what is in line, then let the writer end."""
        if not self._closing:
            self._closing = True
            if self._ready:
                self._send_line()
                self._send(Stop())
        await asyncio.shield(self._ended)

    # ---- the link ----

    def _start(self) -> None:
        """Start a writer behind the last entry that is known to be written."""
        self._frames = from_writer()
        self._ready = False
        ours, theirs = _pipes()
        try:
            self._process = self._launch(theirs, self._path, self.seq, self.head)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._link = ours
        self._loop.add_reader(ours.reads, self._receive)

    def _send_line(self) -> None:
        """Send what was appended since the last time."""
        if self._line and self._ready:
            self._on_their_way += len(self._line)
            self._send(Append(self._line))
        self._line = []

    def _answered(self, entries: Iterable[_Pending]) -> None:
        """Take note that the writer has an answer for entries; when it has for all, send more.

        What comes meanwhile gathers here, so that the writer is woken once a batch.
        """
        for each in entries:
            self._on_their_way -= each.on_its_way
            each.on_its_way = False
        if not self._on_their_way:
            self._send_line()

    def _send(self, message: ToWriter) -> None:
        """Send a message, or as much as the pipe takes now and the rest later."""
        data = frame(message)
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = os.write(self._link.writes, data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the writer has died; what is pending is sent again to the next one
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._link.writes, self._send_rest)

    def _send_rest(self) -> None:
        """Go on sending."""
        try:
            sent = os.write(self._link.writes, self._unsent)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._link.writes)

    def _receive(self) -> None:
        """Take what the writer says, or that it is gone."""
        try:
            data = os.read(self._link.reads, RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        for message in self._frames.feed(data):
            self._take(message)
        if not data:
            self._lost()

    def _lost(self) -> None:
        """Let go of a writer that has ended; unless that was asked for, start another."""
        self._loop.remove_reader(self._link.reads)
        self._loop.remove_writer(self._link.writes)
        self._link.close()
        self._unsent.clear()
        self._ready = False
        self._process.wait()
        if self._closing and all(each.done.done() for each in self._pending.values()):
            self._ended.set_result(None)
            return
        self.trouble = self.trouble or "The journal's writer ended. Another one is being started."
        _log.error("the journal's writer ended, another one is started: %s", self.trouble)
        self._loop.call_later(RESTART_S, self._restart)

    def _restart(self) -> None:
        """Start another writer, now or, if the system refuses, later."""
        try:
            self._start()
        except OSError as error:
            self.trouble = f"The journal's writer cannot be started: {error}."
            self._loop.call_later(RESTART_S, self._restart)

    # ---- what the writer says ----

    def _take(self, message: FromWriter) -> None:
        """Act on a message."""
        match message:
            case Written():
                self._written(message.numbers, message.seq, message.head)
            case Failed():
                kind = IdempotencyConflict if message.conflict else LedgerUnavailable
                self._fail(message.numbers, kind(message.message))
            case Foreign():
                self._see(message.lines, message.seq, message.head)
            case Changed():
                self._on_change()
            case Trouble():
                self._told(message.text)
            case Ready():
                self._resume(message)

    def _told(self, trouble: str | None) -> None:
        """Take note of why the journal cannot be written, or that it can be."""
        self.trouble = trouble
        if trouble is None:
            self._outage.end()
        else:
            self._outage.begin(trouble)

    def _written(self, numbers: Iterable[int], seq: int, head: bytes) -> None:
        """Tell of entries that stand in the journal."""
        pending = self._pending
        written = [pending.pop(number) for number in numbers]
        self._answered(written)
        self._tell_written(written, [], seq, head)

    def _fail(self, numbers: Iterable[int], error: LedgerError) -> None:
        """Tell who waits that entries are not written; the writer keeps some of them."""
        entries = [self._pending[number] for number in numbers]
        self._answered(entries)
        for failed in entries:
            if not failed.item.keep:
                del self._pending[failed.item.number]
            if not failed.done.done():
                failed.done.set_exception(error)
                failed.done.exception()  # who waited may have been cancelled

    def _see(self, lines: Iterable[bytes], seq: int, head: bytes) -> None:
        """Apply what other processes wrote, and let the writer know that it is."""
        self.seq, self.head = seq, head
        foreign = [decode(line) for line in lines]
        self._on_foreign(foreign)
        self._on_written(foreign, seq, head)
        self._send_line()
        self._send(Seen(seq))

    def _resume(self, found: Ready) -> None:
        """Begin with a writer: see what stands in the file, send what does not.

        What a writer that died had written, and did not live to tell of, is among the
        lines that this one found; each of ours is known by its bytes.
        """
        ours = {each.item.line: number for number, each in self._pending.items()}
        written = [self._pending.pop(ours[line]) for line in found.lines if line in ours]
        foreign = [decode(line) for line in found.lines if line not in ours]
        self._line = []
        self._ready = True
        self._told(None)
        if foreign:
            self._on_foreign(foreign)
        self._tell_written(written, foreign, found.seq, found.head)
        self._on_change()  # it tells of changes from now on, not of those before
        self._on_their_way = len(self._pending)
        for each in self._pending.values():
            each.on_its_way = True
        if self._pending:
            self._send(Append([each.item for each in self._pending.values()]))
        if foreign:
            self._send(Seen(found.seq))
        if self._closing:
            self._send(Stop())

    def _tell_written(
        self, written: list[_Pending], foreign: list[AnyEntry], seq: int, head: bytes
    ) -> None:
        """Tell of entries that stand in the journal, and who waits for ours."""
        self.seq, self.head = seq, head
        self._on_written([*foreign, *(each.entry for each in written)], seq, head)
        for each in written:
            if not each.done.done():
                each.done.set_result(None)
