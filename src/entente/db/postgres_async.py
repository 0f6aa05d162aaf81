"""PostgreSQL on the event loop: sessions of the journal and of what follows the news."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg

from entente.db.address import Address
from entente.db.postgres import CONNECT_S, SETTINGS, worded

if TYPE_CHECKING:
    from asyncpg.connection import Connection

    Session: TypeAlias = Connection[asyncpg.Record]
    """One connection, which waits for one statement at a time."""

COMMAND_S_MAX: Final = 10.0
"""A statement that takes longer is taken for a database that does not answer."""
CLOSE_S_MAX: Final = 2.0

FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What a session can raise; the third is what a statement meets at a session's very end."""


async def open_session(address: Address) -> Session:
    """Connect. Raises one of FAILURES."""
    return await asyncpg.connect(
        address.url.reveal(),
        timeout=CONNECT_S,
        command_timeout=COMMAND_S_MAX,
        server_settings=SETTINGS,
    )


async def close_session(session: Session | None) -> None:
    """Let go of a session, in whatever state it is."""
    if session is None or session.is_closed():
        return
    try:
        async with asyncio.timeout(CLOSE_S_MAX):
            await session.close()
    except FAILURES:
        session.terminate()


def said_by(address: Address, error: BaseException) -> str:
    """Write what went wrong, where, and what to do."""
    if isinstance(error, TimeoutError) and not str(error):
        text = f"no answer within {COMMAND_S_MAX:g} s"
    else:
        text = str(error).strip().partition("\n")[0] or type(error).__name__
    return worded(address, text, getattr(error, "sqlstate", None))
