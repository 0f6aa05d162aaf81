"""The sessions over which a chain is written, one after the other, and their locks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from entente.db.postgres_async import close_session, open_session
from entente.domain.errors import LedgerUnavailable, StartError
from entente.ledger.postgres_chain import ALONE_LOCK, CHAIN_LOCKS, take_lock

if TYPE_CHECKING:
    from entente.db.address import Address
    from entente.db.postgres_async import Session


class Sessions:
    """Makes the sessions of one writer; `on_end` is told when one ends."""

    def __init__(self, address: Address, on_end: Callable[[], None], *, alone: bool) -> None:
        """Nothing is connected yet. `alone`: no other server may write at the same time."""
        self._address = address
        self._on_end = on_end
        self._alone = alone
        self.pid: int | None = None
        """The process that served the last session."""

    async def connect(self) -> Session:
        """Make a session, and see that no other server writes that is alone, or none if we are.

        Raises one of FAILURES, and StartError where there is one.
        """
        session = await open_session(self._address)
        try:
            is_ours = await take_lock(session, ALONE_LOCK, self.pid, shared=not self._alone)
        except BaseException:
            session.terminate()
            raise
        if is_ours:
            return session
        await close_session(session)
        message = (
            f"Another entente serves from the database {self._address.place}. Stop it, or name "
            "another database as ledger.url; servers share one only with `--workers` of 2 or more "
            "each."
        )
        raise StartError(message)

    async def hold(self, session: Session, chain: int) -> None:
        """Take the lock of a chain that we wrote before. Raises LedgerUnavailable."""
        if not await take_lock(session, CHAIN_LOCKS + chain, self.pid):
            message = "The journal's chain is being taken over by another worker."
            raise LedgerUnavailable(message)

    def watch(self, session: Session) -> None:
        """Have the end of a session be known at once, not at the next write."""
        self.pid = session.get_server_pid()
        session.add_termination_listener(lambda _: self._on_end())
