"""Reading the journal's chains in PostgreSQL.

Everything here blocks: it is for the command line, for starts, and for threads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import msgspec

from entente.db import Database
from entente.domain.errors import LedgerCorrupt
from entente.ledger.books import Books
from entente.ledger.journal import GENESIS, Row, chain, decode
from entente.ledger.meters import METER, Counter
from entente.ledger.model import AnyEntry, available, held
from entente.ledger.reader import Position

PAGE_ENTRIES: Final = 5000
ACCOUNTS_AT_ONCE: Final = 1000
"""Of one statement."""


class ChainRow(NamedTuple):
    """A chain as it stands in its table."""

    number: int
    name: str
    opened_ns: int
    closed_ns: int | None
    seq: int
    """Its last entry if it is closed, that of its last checkpoint else."""
    head: bytes
    spool: str | None = None
    """The host that alone may end it, as it may have more of it in its spool."""


class Start(NamedTuple):
    """What the chains that are closed add up to, and how far `side_entries` are in it."""

    books: Books
    side: int


def chains(database: Database, *, only_open: bool = False) -> tuple[ChainRow, ...]:
    """Give the chains, oldest first; also of a schema from before there were spools."""
    where = "WHERE closed_ns IS NULL" if only_open else ""
    has_spools = database.execute(
        "SELECT 1 FROM pg_attribute WHERE attrelid = 'chains'::regclass AND attname = 'spool'"
    ).fetchone()
    spool = "spool" if has_spools else "NULL"
    rows = database.execute(
        f"SELECT id, name, opened_ns, closed_ns, seq, head, {spool} FROM chains {where}"  # noqa: S608
        " ORDER BY id"
    ).fetchall()
    return tuple(ChainRow(*row) for row in rows)


def chain_rows(database: Database, number: int, *, after_seq: int = 0) -> Iterator[Row]:
    """Read the entries of one chain behind `after_seq`, page by page."""
    while True:
        page = database.execute(
            "SELECT seq, name, line, hash FROM entries WHERE chain = ? AND seq > ?"
            " ORDER BY seq LIMIT ?",
            (number, after_seq, PAGE_ENTRIES),
        ).fetchall()
        yield from (Row(*row) for row in page)
        if len(page) < PAGE_ENTRIES:
            return
        after_seq = page[-1][0]


def all_rows(database: Database) -> Iterator[Row]:
    """Read the entries of all chains as they stand now, chain by chain."""
    with snapshot(database):
        for each in chains(database):
            yield from chain_rows(database, each.number)


@contextmanager
def snapshot(database: Database) -> Iterator[None]:
    """Read what stands now, whatever is written meanwhile."""
    database.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
    finally:
        database.execute("COMMIT")


def start_books(database: Database, now_ns: int) -> Start:
    """Give the books that a server which is alone begins with."""
    with database.transaction():
        books = Books()
        for account, asset, nano in database.execute("SELECT account, asset, nano FROM balances"):
            if asset == METER:
                books.meters.counters[account] = Counter(used=nano)
            else:
                books.balances.setdefault(account, {})[asset] = nano
        books.meters.prune(now_ns)
        (side,) = database.execute("SELECT coalesce(max(id), 0) FROM side_entries").fetchone()
    return Start(books, side)


def books_of(database: Database, keys: Collection[str]) -> Books:
    """Give the balances of keys as all chains add up now; of open chains what is written."""
    accounts = [name(key) for key in keys for name in (available, held)]
    books = Books()
    for start in range(0, len(accounts), ACCOUNTS_AT_ONCE):
        some = accounts[start : start + ACCOUNTS_AT_ONCE]
        places = ", ".join("?" * len(some))
        for account, asset, nano in database.execute(
            f"SELECT account, asset, nano FROM balances WHERE account IN ({places})",  # noqa: S608
            some,
        ):
            books.balances.setdefault(account, {})[asset] = nano
    for each in chains(database, only_open=True):
        own = load_chain(database, each.number).books.balances
        for account in accounts:
            for asset, nano in own.get(account, {}).items():
                sums = books.balances.setdefault(account, {})
                sums[asset] = sums.get(asset, 0) + nano
    return books


def side_entries(database: Database, after: int, ours: int) -> tuple[int, list[AnyEntry]]:
    """Give what others than chain `ours` appended beside it behind number `after`.

    With it comes the number to go on from.
    """
    rows = database.execute(
        "SELECT id, chain, line FROM side_entries WHERE id > ? ORDER BY id LIMIT ?",
        (after, PAGE_ENTRIES),
    ).fetchall()
    found = [decode(line) for _, number, line in rows if number != ours]
    return (rows[-1][0] if rows else after), found


def save_checkpoint(database: Database, number: int, position: Position) -> None:
    """Keep the books of a chain, so that whoever takes it over need not fold it all."""
    database.execute(
        "UPDATE chains SET seq = ?, head = ?, state = ? WHERE id = ? AND closed_ns IS NULL",
        (position.seq, position.head, msgspec.json.encode(position.books), number),
    )


def load_chain(database: Database, number: int) -> Position:
    """Fold a chain from its last checkpoint on. Raises LedgerCorrupt where it does not hold."""
    seq, head, state = database.execute(
        "SELECT seq, head, state FROM chains WHERE id = ?", (number,)
    ).fetchone()
    position = Position(0, GENESIS, Books())
    if state is not None:
        try:
            position = Position(seq, head, msgspec.json.decode(state, type=Books))
        except msgspec.DecodeError:  # of another program's shape: fold it all
            position = Position(0, GENESIS, Books())
    for row in chain_rows(database, number, after_seq=position.seq):
        if row.seq != position.seq + 1 or chain(position.head, row.line) != row.hash:
            message = (
                f"The journal is damaged at entry {row.seq} of chain {number}: its hash does not "
                "follow from the one before. Run `entente ledger verify`, and restore the "
                "database from a backup."
            )
            raise LedgerCorrupt(message)
        position.books.apply(decode(row.line))
        position.seq, position.head = row.seq, row.hash
    return position
