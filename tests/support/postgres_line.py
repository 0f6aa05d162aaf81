"""A line to PostgreSQL that loses answers and says notices twice, as networks and retries do.

A host's sessions pass through here, so the database sees them come from that host's address.
The line reads along in PostgreSQL's protocol (version 3, without TLS): it knows which writes a
transaction makes, and that it stands when the database says so. An answer is lost after that:
the write is there, and who made it sees its session end and cannot know.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tests.support.loops import LoopThread
from tests.support.rawserver import RawServer

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator

    from tests.support.rawserver import Peer

WRITES: Final = {
    "entries": b"INSERT INTO entries",
    "loans": b"UPDATE meters SET",
    "sums": b"INSERT INTO rollups",
    "rules": b"INSERT INTO rules",
}
"""What a transaction writes, by how its statement begins."""
AGAIN_S_MAX: Final = 0.5
"""A notice comes again within so long, behind others that came later."""
READ_BYTES: Final = 65536

_WITHOUT_TLS: Final = b"N"
_ASKS_FOR_TLS: Final = (80877103, 80877104)
"""Codes in the place of a version: TLS, and its like of Kerberos."""
_LENGTH_BYTES: Final = 4
_HEAD_BYTES: Final = 1 + _LENGTH_BYTES


class PostgresLine(RawServer):
    """Leads from `host`, a loopback address, to the PostgreSQL at a port."""

    def __init__(self, to_port: int, *, host: str, chance: random.Random) -> None:
        """Lose nothing yet; `chance` says how late a notice comes again."""
        super().__init__(self._session, host=host)
        self.lost: Counter[str] = Counter()
        """Answers that were lost, by what had been written."""
        self.doubled = 0
        """Notices that came a second time."""
        self._to_port, self._chance = to_port, chance
        self._wanted: str | None = None

    def through(self, url: str) -> str:
        """Give the address of a database by way of this line."""
        parts = urlsplit(url)
        secret, _, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{secret}@{self.host}:{self.port}").geturl()

    def lose(self, write: str | None) -> None:
        """Lose the answer to the next transaction with this write; None ends that."""
        assert write is None or write in WRITES
        self._wanted = write

    async def _session(self, peer: Peer) -> None:
        """Carry one session both ways, until either side or the line ends it."""
        greeting = await _greeting(peer)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._to_port, local_addr=(self.host, 0)
        )
        writer.write(greeting)
        session = _Session()
        ways = [
            asyncio.ensure_future(_carry_asked(peer, writer, session)),
            asyncio.ensure_future(self._carry_said(peer, reader, session)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.close()

    async def _carry_said(
        self, peer: Peer, reader: asyncio.StreamReader, session: _Session
    ) -> None:
        """Carry what the database says, but for an answer that is to be lost."""
        messages = _Messages()
        while data := await reader.read(READ_BYTES):
            whole = messages.split(data)
            for message in whole:
                if message.startswith(b"A"):
                    delay_s = self._chance.uniform(0, AGAIN_S_MAX)
                    loop = asyncio.get_running_loop()
                    loop.call_later(delay_s, self._say_again, peer.writer, message)
                if self._wanted in session.said(message):
                    self.lost[str(self._wanted)] += 1
                    self._wanted = None
                    peer.reset()
                    return
            await peer.send(b"".join(whole))

    def _say_again(self, writer: asyncio.StreamWriter, notice: bytes) -> None:
        """Say a notice once more; only whole messages are written, so it comes between two."""
        if not writer.is_closing():
            writer.write(notice)
            self.doubled += 1


@contextlib.contextmanager
def postgres_line(to_port: int, *, host: str, chance: random.Random) -> Iterator[PostgresLine]:
    """Run a line in a thread of its own: who blocks may use it, too."""
    line = PostgresLine(to_port, host=host, chance=chance)
    with LoopThread() as aside:
        aside.do(line.__aenter__())
        try:
            yield line
        finally:
            aside.do(line.__aexit__())


class _Messages:
    """Cuts one way of a session into messages: a kind, a length, and the rest."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def split(self, data: bytes) -> list[bytes]:
        """Give the messages that are whole now."""
        rest, found, start = self._rest, [], 0
        rest += data
        while len(rest) - start >= _HEAD_BYTES:
            end = start + 1 + int.from_bytes(rest[start + 1 : start + _HEAD_BYTES])
            if end > len(rest):
                break
            found.append(bytes(rest[start:end]))
            start = end
        del rest[:start]
        return found


class _Session:
    """What a session's transaction has written so far."""

    def __init__(self) -> None:
        self._prepared: dict[bytes, set[str]] = {}
        self._writes: set[str] = set()
        self._failed = False

    def asked(self, messages: Iterable[bytes]) -> None:
        """Note which statements are run: prepared ones by their names, or as they stand."""
        for message in messages:
            body = message[_HEAD_BYTES:]
            match message[:1]:
                case b"P":
                    name, _, statement = body.partition(b"\0")
                    self._prepared[name] = _writes_of(statement)
                case b"B":
                    _, name, _ = body.split(b"\0", 2)
                    self._writes |= self._prepared.get(name, set())
                case b"Q":
                    self._writes |= _writes_of(body)

    def said(self, message: bytes) -> set[str]:
        """Give what is written now: with the last message of a transaction that stands."""
        if message.startswith(b"E"):
            self._failed = True
        if not (message.startswith(b"Z") and message.endswith(b"I")):
            return set()
        stands = set() if self._failed else self._writes
        self._writes, self._failed = set(), False
        return stands


def _writes_of(statement: bytes) -> set[str]:
    return {name for name, text in WRITES.items() if text in statement}


async def _greeting(peer: Peer) -> bytes:
    """Read how a session begins, which has no kind; there is no TLS here."""
    while True:
        length = await peer.reader.readexactly(_LENGTH_BYTES)
        rest = await peer.reader.readexactly(int.from_bytes(length) - _LENGTH_BYTES)
        if int.from_bytes(rest[:_LENGTH_BYTES]) not in _ASKS_FOR_TLS:
            return length + rest
        await peer.send(_WITHOUT_TLS)


async def _carry_asked(peer: Peer, writer: asyncio.StreamWriter, session: _Session) -> None:
    """Carry what the host asks; what it writes is known before the database has it whole."""
    messages = _Messages()
    while data := await peer.reader.read(READ_BYTES):
        session.asked(messages.split(data))
        writer.write(data)
        await writer.drain()
