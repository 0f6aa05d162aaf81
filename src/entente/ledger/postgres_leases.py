"""The authority over meters, in PostgreSQL: a row for each meter, and the lender in it.

An exchange is one transaction for all statements of a worker: it holds the rows of their
meters, in the order of their names, lets the lenders hear, and writes back what they have
become. Words for other workers are notices, which reach them when the transaction stands.

What closed chains have used of a meter stands in `balances`, and a chain is closed and its
loans are ended in one transaction; a worker whose chain is closed is not heard any more. So
whatever happens to a worker, what it used counts once, and what it had on loan comes back.

The budget that a key was granted is a meter, too: its limit is what stands on the key's
accounts, grants less what closed chains have spent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from entente.db.postgres_async import FAILURES, close_session, open_session, said_by
from entente.domain.errors import LedgerUnavailable
from entente.ledger.leases import Heard
from entente.ledger.postgres_loans import (
    accounts_of,
    bring_forward,
    channel_of,
    read_lender,
    read_notice,
    write_lender,
    write_notice,
)

if TYPE_CHECKING:
    from entente.db.address import Address
    from entente.db.postgres_async import Session
    from entente.ledger.leases import Said
    from entente.ledger.lending.lender import Lender
    from entente.ledger.lending.messages import Word

MADE_KEPT_MAX: Final = 65_536
"""Meters that are known to have a row; beyond it they are made sure of again."""
_GONE_TRIES: Final = 3

_FENCE: Final = "SELECT closed_ns IS NULL FROM chains WHERE id = $1 FOR SHARE"
_MAKE: Final = (
    "INSERT INTO meters (name, ends_ns, lender)"
    " SELECT u.name, u.ends_ns, '{}' FROM unnest($1::text[], $2::bigint[]) AS u (name, ends_ns)"
    " ON CONFLICT DO NOTHING"
)
_LOCK: Final = (
    'SELECT name, lender FROM meters WHERE name = ANY($1) ORDER BY name COLLATE "C" FOR UPDATE'
)
# Read when the rows are locked, by a statement of its own: who closes a chain holds them, too.
_BALANCES: Final = "SELECT account, asset, nano::text FROM balances WHERE account = ANY($1)"
_WRITE: Final = (
    "WITH lent AS (INSERT INTO loans (chain, meter) SELECT $1, unnest($2::text[])"
    " ON CONFLICT DO NOTHING),"
    " told AS (SELECT pg_notify(t.channel, t.payload)"
    " FROM unnest($3::text[], $4::text[]) AS t (channel, payload))"
    " UPDATE meters SET used = u.used::numeric, lent = u.lent::numeric, lender = u.lender"
    " FROM unnest($5::text[], $6::text[], $7::text[], $8::text[]) AS u (name, used, lent, lender)"
    " WHERE meters.name = u.name AND (SELECT count(*) FROM told) >= 0"
)


class PostgresAuthority:
    """The lenders, for the worker that writes one chain."""

    on_heard: Callable[[list[Heard]], None]
    """Told of words that others have brought about; set before the first exchange."""

    def __init__(self, address: Address, chain: Callable[[], int]) -> None:
        """Nothing is connected yet. `chain` gives the number of the chain that is written."""
        self._address = address
        self._chain = chain
        self._session: Session | None = None
        self._listens = 0
        self._made: set[str] = set()
        """Meters that have a row. Windows pass and users come: it is begun anew when it is full."""

    async def exchange(self, said: Sequence[Said]) -> list[Heard]:
        """Bring statements to their lenders; see `leases.Authority`."""
        try:
            session = await self._connected()
            for _ in range(_GONE_TRIES):
                await self._make(session, said)
                async with session.transaction():
                    heard = await self._hear(session, said)
                if heard is not None:
                    return heard
        except (*FAILURES, asyncio.CancelledError) as error:
            # Half of it may be on its way: only a new session is sure to begin anew.
            if self._session is not None:
                self._session.terminate()
                self._session = None
            if isinstance(error, asyncio.CancelledError):
                raise
            raise LedgerUnavailable(said_by(self._address, error)) from None
        message = "The meters of rules vanish while they are asked. See who deletes them."
        raise LedgerUnavailable(message)

    async def aclose(self) -> None:
        """Let go of the session."""
        await close_session(self._session)
        self._session = None

    async def _connected(self) -> Session:
        """Give the session, a new one where the last was lost; it listens for this chain."""
        if self._session is None or self._session.is_closed():
            self._session = await open_session(self._address)
            self._listens = 0
        if self._listens != self._chain():
            if self._listens:
                await self._session.remove_listener(channel_of(self._listens), self._told)
            self._listens = self._chain()
            await self._session.add_listener(channel_of(self._listens), self._told)
        return self._session

    def _told(self, *told: object) -> None:
        """Take in what another worker's exchange has brought about."""
        self.on_heard([read_notice(str(told[-1]))])

    async def _make(self, session: Session, said: Sequence[Said]) -> None:
        """Make rows for meters that this worker has not seen before."""
        new = sorted((e.meter, e.terms.ends_ns) for e in said if e.meter not in self._made)
        if len(self._made) >= MADE_KEPT_MAX:
            self._made.clear()
        if new:
            await session.execute(_MAKE, [name for name, _ in new], [ends for _, ends in new])
            self._made.update(name for name, _ in new)

    async def _hear(self, session: Session, said: Sequence[Said]) -> list[Heard] | None:
        """Let the lenders hear, in this transaction; None where one of them is gone."""
        chain = self._chain()
        if not await session.fetchval(_FENCE, chain):
            message = "This worker was taken for dead; it begins anew."
            raise LedgerUnavailable(message)
        ours = f"{chain}."
        if not all(each.statement.borrower.startswith(ours) for each in said):
            message = "This worker begins anew."
            raise LedgerUnavailable(message)
        names = [each.meter for each in said]
        rows = await session.fetch(_LOCK, names)
        if len(rows) < len(names):
            self._made.difference_update(names)
            return None
        accounts = [account for name in names for account in accounts_of(name)]
        found = {(row[0], row[1]): int(row[2]) for row in await session.fetch(_BALANCES, accounts)}
        lenders = {row[0]: read_lender(row[1]) for row in rows}
        before = {name: set(lender.loans) for name, lender in lenders.items()}
        heard: list[Heard] = []
        for each in said:
            lender = lenders[each.meter]
            words = _settle_terms(lender, each, found) + lender.hear(each.statement)
            heard += [Heard(each.meter, word) for word in words]
        others = [each for each in heard if not each.word.to.startswith(ours)]
        await session.execute(
            _WRITE,
            chain,
            [name for name, lender in lenders.items() if set(lender.loans) != before[name]],
            [channel_of(int(each.word.to.partition(".")[0])) for each in others],
            [write_notice(each) for each in others],
            list(lenders),
            [str(lender.used) for lender in lenders.values()],
            [str(lender.lent) for lender in lenders.values()],
            [write_lender(lender) for lender in lenders.values()],
        )
        return [each for each in heard if each.word.to.startswith(ours)]


def _settle_terms(
    lender: Lender, said: Said, balances: Mapping[tuple[str, str], int]
) -> list[Word]:
    """Bring a lender up to date with its limit, and with what closed chains have used."""
    granted = bring_forward(lender, said.meter, balances)
    if granted is None:
        return lender.set_limit(said.terms.limit, said.terms.revision)
    # What stands on the accounts is the newest there is.
    return lender.set_limit(granted, lender.revision + 1) if granted != lender.limit else []
