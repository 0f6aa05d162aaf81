"""The journal's writer: a process of its own, with group commit, one statement a batch.

It is apart so that commits and requests do not take turns at the interpreter's lock.
Entries come through a pipe and wait in line while the batch before is committed; whatever
has gathered by then is the next batch. `seq` is given explicitly: when another process
(the command line) has written in between, the primary key refuses the batch, and it is
chained anew behind what was found.

When the server is gone, whatever it sent is still written, and then the writer ends. It
holds the lock of the data folder until then, so that no other server can begin before.
"""

from __future__ import annotations

import os
import select
import signal
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from entente.db import connect, transaction
from entente.domain.errors import IdempotencyConflict, LedgerCorrupt, LedgerError
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
    Trouble,
    Written,
    frame,
    to_writer,
)
from entente.ledger.journal import decode
from entente.ledger.model import Grant, Hold
from entente.ledger.table import insert, is_stored

BATCH_ENTRIES_MAX: Final = 512
FOREIGN_POLL_S: Final = 0.5
RETRY_S: Final = 0.25
APPLICATION_ID: Final = 0x656E7465
"""`ente`, in the header of the file; writing it shows that the disk takes writes."""


class Writer:
    """Writes the journal at `path`, on its only connection, for the ledger behind two pipes."""

    def __init__(self, reads: int, writes: int, path: Path, seq: int, head: bytes) -> None:
        """Continue behind entry `seq`, whose hash is `head`. Raises LedgerUnavailable.

        `reads` and `writes` are our ends of the pipes, ours to close.
        """
        self._reads, self._writes = reads, writes
        self._path = path
        self.connection = connect(path)
        self._seq, self._head = seq, head
        self._frames = to_writer()
        self._line: deque[Item | Seen | Stop] = deque()
        self._kept: list[Item] = []
        self._shrunk: dict[str, int] = {}
        """Keys whose budget another process has cut, with the number of that entry."""
        self._fsync = True
        self._trouble: str | None = None
        self._data_version = self._read_data_version()
        self._polled_s = time.monotonic()

    def run(self) -> None:
        """Commit batch after batch until told to stop, or until the ledger is gone."""
        try:
            self.begin()
            while self.turn():
                pass
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file and the pipes."""
        self.connection.close()
        os.close(self._reads)
        os.close(self._writes)

    def begin(self) -> None:
        """Tell what stands behind the entry that we were told of."""
        try:
            lines = self._read_foreign()
        except (sqlite3.Error, LedgerCorrupt) as error:
            self._set_trouble(f"Cannot read {self._path}: {error}.")
            raise
        self._tell(Ready(lines, self._seq, self._head))

    def turn(self) -> bool:
        """Commit what is in line, look for what others wrote; say whether to go on."""
        batch, mark = self._gather()
        items = [*self._kept, *batch]
        self._kept = []
        if items:
            self._commit_in_order(items)
        if isinstance(mark, Seen):
            # Only the cuts that the ledger has seen: a later one may have come just now.
            seen = mark.seq
            self._shrunk = {key: seq for key, seq in self._shrunk.items() if seq > seen}
        if time.monotonic() - self._polled_s >= FOREIGN_POLL_S:
            self.poll_foreign()
        return not isinstance(mark, Stop)

    def _gather(self) -> tuple[list[Item], Seen | Stop | None]:
        """Wait for something to write, then take what is in line, up to a mark."""
        line = self._line
        wait_s = 0.0 if line else RETRY_S if self._kept else FOREIGN_POLL_S
        self._receive(wait_s)
        batch: list[Item] = []
        while line and len(batch) < BATCH_ENTRIES_MAX:
            item = line.popleft()
            if not isinstance(item, Item):
                return batch, item
            batch.append(item)
        return batch, None

    def _receive(self, wait_s: float) -> None:
        """Put what the ledger has sent in line; its end is a `Stop`."""
        readable, _, _ = select.select((self._reads,), (), (), wait_s)
        if not readable:
            return
        data = os.read(self._reads, RECEIVE_BYTES)
        if not data:
            self._line.append(Stop())
        for message in self._frames.feed(data):
            if isinstance(message, Append):
                self._line.extend(message.items)
            else:
                self._line.append(message)

    def _tell(self, message: FromWriter) -> None:
        """Send a message; nobody may be there to hear it."""
        try:
            send(self._writes, frame(message))
        except OSError:
            self._line.append(Stop())

    def _set_trouble(self, text: str | None) -> None:
        """Tell what is wrong, or that nothing is any more, when that is news."""
        if text != self._trouble:
            self._trouble = text
            self._tell(Trouble(text))

    # ---- committing ----

    def _commit_in_order(self, items: list[Item]) -> None:
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
        self._set_trouble(None)

    def _commit(self, items: list[Item], *, fsync: bool) -> bool:
        """Write items as one transaction, tell of it, say whether it worked."""
        try:
            self._set_fsync(on=fsync)
            try:
                if self._shrunk:
                    items = self._insert_contended(items)
                else:
                    lines = [(item.name, item.line) for item in items]
                    self._seq, self._head = insert(self.connection, lines, self._seq, self._head)
            except sqlite3.IntegrityError:
                items = self._insert_contended(items)
        except (sqlite3.Error, LedgerCorrupt) as error:
            self._set_trouble(f"Cannot write {self._path}: {error}.")
            self._fail(items)
            return False
        self._tell(Written([item.number for item in items], self._seq, self._head))
        return True

    def _fail(self, items: list[Item]) -> None:
        """Tell that items are not written, and keep those that have to be."""
        self._kept += [item for item in items if item.keep]
        self._tell(Failed([item.number for item in items], self._trouble or ""))

    def _set_fsync(self, *, on: bool) -> None:
        """Choose whether the next commit waits for the disk."""
        if on is not self._fsync:
            self.connection.execute(f"PRAGMA synchronous={'FULL' if on else 'NORMAL'}")
            self._fsync = on

    def _insert_contended(self, items: list[Item]) -> list[Item]:
        """Insert items behind what other processes have written; give those that stand there.

        A hold of a key whose budget another process has just cut is refused until the
        ledger has seen the cut: it was admitted against the budget of before.
        """
        refused: list[FromWriter] = []
        passed: list[Item] = []
        with transaction(self.connection):
            self._tell_foreign()
            fresh: dict[str, bytes] = {}
            for item in items:
                if self._shrunk and self._is_overtaken(item.line):
                    refused.append(Failed([item.number], _CUT))
                    continue
                try:
                    if not is_stored(self.connection, item.name, item.line, fresh):
                        fresh[item.name] = item.line
                except IdempotencyConflict as error:
                    refused.append(Failed([item.number], error.message, conflict=True))
                else:
                    passed.append(item)
            seq, head = insert(self.connection, fresh.items(), self._seq, self._head)
        self._seq, self._head = seq, head
        for message in refused:
            self._tell(message)
        return passed

    def _is_overtaken(self, line: bytes) -> bool:
        """Say whether a line is a hold against a budget that has been cut since."""
        entry = decode(line)
        return isinstance(entry, Hold) and entry.bounded and entry.key in self._shrunk

    # ---- what other processes write ----

    def _read_foreign(self) -> list[bytes]:
        """Read what others have written behind our head, and move there."""
        rows = self.connection.execute(
            "SELECT seq, line, hash FROM entries WHERE seq > ? ORDER BY seq", (self._seq,)
        ).fetchall()
        lines = [line for _, line, _ in rows]
        for seq, line, _ in rows:
            entry = decode(line)
            if isinstance(entry, Grant) and entry.nano < 0:
                self._shrunk[entry.key] = seq
        if rows:
            self._seq, _, self._head = rows[-1]
        return lines

    def _tell_foreign(self) -> None:
        """Tell what others have written behind our head."""
        lines = self._read_foreign()
        if lines:
            self._tell(Foreign(lines, self._seq, self._head))

    def poll_foreign(self) -> None:
        """Look whether another process has written, and tell of it."""
        self._polled_s = time.monotonic()
        try:
            if self._trouble is not None and not self._kept:
                # Without traffic nothing else would find out that the disk works again.
                self.connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                self._set_trouble(None)
            version = self._read_data_version()
            if version == self._data_version:
                return
            self._tell_foreign()
        except (sqlite3.Error, LedgerCorrupt) as error:
            self._set_trouble(f"Cannot read {self._path}: {error}.")
            return
        self._data_version = version
        self._tell(Changed())

    def _read_data_version(self) -> int:
        """Give a number that changes when another connection commits."""
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        return int(version)


_CUT: Final = "The budget has just changed. Try again."


def _batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Cut a line into batches that one statement can take."""
    for start in range(0, len(items), BATCH_ENTRIES_MAX):
        yield list(items[start : start + BATCH_ENTRIES_MAX])


def send(writes: int, data: bytes) -> None:
    """Write all of it, however long the other side takes to read. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(writes, rest) :]


def main(reads: str, writes: str, path: str, seq: str, head: str) -> int:
    """Run as the process: the pipes' descriptors, the file, and where its journal stands.

    Signals for the whole group are for the server, which stops this one when it is done.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        writer = Writer(int(reads), int(writes), Path(path), int(seq), bytes.fromhex(head))
    except (LedgerError, sqlite3.Error) as error:
        send(int(writes), frame(Trouble(str(error))))
        return 1
    try:
        writer.run()
    except (LedgerError, sqlite3.Error):
        return 1  # it has told why
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
