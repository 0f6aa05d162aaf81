"""What stands of loans in PostgreSQL: meters, lenders and notices, and the end of a chain's loans.

The command line and threads use it, too; it needs no event loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from entente.ledger.leases import Heard
from entente.ledger.lending.lender import Lender
from entente.ledger.lending.messages import Word
from entente.ledger.meters import METER, granted_by
from entente.ledger.model import available, held

if TYPE_CHECKING:
    from entente.db import Database

PRUNE_AFTER_NS: Final = 24 * 3600 * 1_000_000_000
"""A meter is kept so long after its window: clocks differ."""

_encoder = msgspec.json.Encoder()
_lenders = msgspec.json.Decoder(Lender)
_notices = msgspec.json.Decoder(Heard)


def channel_of(chain: int) -> str:
    """Name the channel on which the worker that writes `chain` is told."""
    return f"entente_leases_{chain}"


def read_lender(text: str) -> Lender:
    """Read a lender from its row."""
    return _lenders.decode(text)


def write_lender(lender: Lender) -> str:
    """Write a lender for its row."""
    return _encoder.encode(lender).decode()


def read_notice(text: str) -> Heard:
    """Read a word of another worker's doing."""
    return _notices.decode(text)


def write_notice(heard: Heard) -> str:
    """Write a word for the worker that it is for."""
    return _encoder.encode(heard).decode()


def accounts_of(meter: str) -> tuple[str, ...]:
    """Name the accounts that say what closed chains have used of a meter."""
    grant = granted_by(meter)
    return (meter,) if grant is None else (available(grant.key), held(grant.key))


def bring_forward(
    lender: Lender, meter: str, balances: Mapping[tuple[str, str], int]
) -> int | None:
    """Note what closed chains have used; give the limit where that is in it."""
    grant = granted_by(meter)
    if grant is None:
        lender.closed = balances.get((meter, METER), 0)
        return None
    return sum(balances.get((account, grant.asset), 0) for account in accounts_of(meter))


def end_loans(database: Database, chain: int) -> None:
    """End the loans of a chain; call it where the chain is closed, in the same transaction.

    What the chain has used has been added to the balances of closed chains by then.
    """
    rows = database.execute(
        "SELECT m.name, m.lender FROM meters m JOIN loans l ON l.meter = m.name"
        ' WHERE l.chain = ? ORDER BY m.name COLLATE "C" FOR UPDATE OF m',
        (chain,),
    ).fetchall()
    for name, text in rows:
        lender = read_lender(text)
        balances = {
            (account, asset): nano
            for account in accounts_of(name)
            for asset, nano in database.execute(
                "SELECT asset, nano FROM balances WHERE account = ?", (account,)
            )
        }
        limit = bring_forward(lender, name, balances)
        if limit is not None:
            lender.limit, lender.revision = limit, lender.revision + 1
        own = [loan for loan in lender.loans if loan.startswith(f"{chain}.")]
        words = lender.forfeit(own, 0)
        database.execute(
            "UPDATE meters SET used = ?, lent = ?, lender = ? WHERE name = ?",
            (lender.used, lender.lent, write_lender(lender), name),
        )
        _notify(database, name, words)
    database.execute("DELETE FROM loans WHERE chain = ?", (chain,))


def _notify(database: Database, meter: str, words: Iterable[Word]) -> None:
    """Tell workers."""
    for word in words:
        channel = channel_of(int(word.to.partition(".")[0]))
        payload = write_notice(Heard(meter, word))
        database.execute("SELECT pg_notify(?, ?)", (channel, payload))


def prune_meters(database: Database, now_ns: int) -> int:
    """Drop meters whose window has long been over; give how many."""
    return database.execute(
        "DELETE FROM meters WHERE ends_ns < ? AND lent = 0", (now_ns - PRUNE_AFTER_NS,)
    ).rowcount
