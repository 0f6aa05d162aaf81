"""A writer's chain of entries in PostgreSQL: opened, fenced, appended to, read back.

Each process that writes has a chain of its own, so nobody waits for anybody. The session
that writes holds an advisory lock on its chain: while it lives nobody else touches the
chain, and whoever gets the lock of a chain that is not closed knows that its writer is dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from entente.db.postgres_schema import CHANGES_LOCK
from entente.domain.errors import IdempotencyConflict
from entente.ledger.journal import GENESIS
from entente.ledger.journal import chain as hash_of
from entente.ledger.spool import ChainId

if TYPE_CHECKING:
    import asyncpg

    from entente.db.postgres_async import Session
    from entente.ledger.spooling import Spooler

CHAIN_LOCKS: Final = 0x656E7465 << 32
"""`ente`, then the number of the chain."""
ALONE_LOCK: Final = CHAIN_LOCKS
"""No chain has the number 0: it stands for being the only server."""
STATE_READ_S_MAX: Final = 60.0
LOCK_TRIES: Final = 100
LOCK_RETRY_S: Final = 0.05

REPEATABLE: Final = ("grant:", "adjust:")
"""What can be said twice; ids of requests are made by the one who writes."""

_INSERT: Final = (
    "INSERT INTO entries (chain, seq, at_ns, name, line, hash)"
    " SELECT $1, $2 + u.n, u.at_ns, u.name, u.line, u.hash"
    " FROM unnest($3::bigint[], $4::text[], $5::bytea[], $6::bytea[])"
    " WITH ORDINALITY AS u (at_ns, name, line, hash, n)"
)
_INSERT_SOON: Final = (
    "WITH mode AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"
    f" {_INSERT}, mode"
)
"""As above, but the commit does not wait for the disk."""
_OPEN: Final = "INSERT INTO chains (name, opened_ns, spool) VALUES ($1, $2, $3) RETURNING id"
_END: Final = "SELECT name, line, hash, seq FROM entries WHERE chain = $1 AND seq > $2 ORDER BY seq"
_LAST: Final = "SELECT seq, hash FROM entries WHERE chain = $1 ORDER BY seq DESC LIMIT 1"
_HOLDER: Final = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND ((classid::bigint << 32) | objid::bigint) = $1"
)


class Line(NamedTuple):
    """An entry to write."""

    at_ns: int
    name: str
    """Its idempotency key."""
    line: bytes


class Chain:
    """The chain that a session writes; `seq` and `head` are of its last entry."""

    def __init__(
        self, session: Session, number: int, opened_ns: int, seq: int, head: bytes
    ) -> None:
        """Go on behind entry `seq`, whose hash is `head`."""
        self.session = session
        self.number, self.opened_ns = number, opened_ns
        self.seq, self.head = seq, head
        self._now: asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record] | None = None
        self._soon: asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record] | None = None

    async def prepare(self) -> None:
        """Have the statements planned once, and commits wait for the disk."""
        if await self.session.fetchval("SHOW synchronous_commit") == "off":
            await self.session.execute("SET synchronous_commit = on")
        self._now = await self.session.prepare(_INSERT)
        self._soon = await self.session.prepare(_INSERT_SOON)

    async def append(self, lines: Sequence[Line], *, fsync: bool) -> None:
        """Write lines in one statement, which is one transaction."""
        insert = self._now if fsync else self._soon
        assert insert is not None  # noqa: S101  (prepared before anything is written)
        head, hashes = self.head, []
        for line in lines:
            head = hash_of(head, line.line)
            hashes.append(head)
        await insert.fetch(
            self.number,
            self.seq,
            [line.at_ns for line in lines],
            [line.name for line in lines],
            [line.line for line in lines],
            hashes,
        )
        self.seq, self.head = self.seq + len(lines), head

    async def append_once(self, line: Line) -> None:
        """Write a line that may have been written before. Raises IdempotencyConflict."""
        before = self.seq, self.head
        try:
            async with self.session.transaction():
                await self.session.execute("SELECT pg_advisory_xact_lock($1)", CHANGES_LOCK)
                found = await self.session.fetchval(
                    "SELECT line FROM side_entries WHERE name = $1", line.name
                )
                if found is None:
                    await self.append([line], fsync=True)
                    await self.session.execute(
                        "INSERT INTO side_entries (name, chain, line) VALUES ($1, $2, $3)",
                        *(line.name, self.number, line.line),
                    )
        except BaseException:
            self.seq, self.head = before
            raise
        if found is not None and found != line.line:
            message = f"{line.name} is in the journal with another content."
            raise IdempotencyConflict(message)

    async def read_end(self, seq: int) -> list[tuple[str, bytes, bytes, int]]:
        """Give name, line, hash and number of each entry behind `seq`."""
        rows = await self.session.fetch(_END, self.number, seq, timeout=STATE_READ_S_MAX)
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    async def last(self) -> tuple[int, bytes]:
        """Give number and hash of the last entry."""
        row = await self.session.fetchrow(_LAST, self.number)
        return (0, GENESIS) if row is None else (row[0], row[1])

    async def try_to_write(self) -> None:
        """See that the database takes writes, and that the disk has them."""
        await self.session.execute("UPDATE chains SET name = name WHERE id = $1", self.number)

    async def is_closed(self) -> bool:
        """Say whether somebody has taken the chain over and ended it."""
        closed = "SELECT closed_ns IS NOT NULL FROM chains WHERE id = $1"
        return bool(await self.session.fetchval(closed, self.number))


async def open_chain(
    session: Session, name: str, now_ns: int, spooler: Spooler | None = None
) -> Chain:
    """Begin a chain of our own, and hold its lock; with a spool, its file is there before."""
    async with session.transaction():
        host = None if spooler is None else spooler.folder.host
        number = int(await session.fetchval(_OPEN, name, now_ns, host))
        await session.execute("SELECT pg_advisory_lock($1)", CHAIN_LOCKS + number)
        if spooler is not None:
            spooler.begin(ChainId(number, now_ns))
    opened = Chain(session, number, now_ns, 0, GENESIS)
    await opened.prepare()
    return opened


async def take_lock(
    session: Session, key: int, former_pid: int | None, *, shared: bool = False
) -> bool:
    """Take an advisory lock for as long as the session lives; say whether it is ours.

    One that is `shared` only keeps out who wants it alone. A session that we had and lost
    without the server noticing may hold it: `former_pid` is its process, which is ended then.
    """
    take = "SELECT pg_try_advisory_lock_shared($1)" if shared else "SELECT pg_try_advisory_lock($1)"
    for _ in range(LOCK_TRIES):
        if await session.fetchval(take, key):
            return True
        if former_pid is not None and await session.fetchval(_HOLDER, key) == former_pid:
            await session.execute("SELECT pg_terminate_backend($1)", former_pid)
        await asyncio.sleep(LOCK_RETRY_S)
    return False
