"""Opening the embedded database: one file, one journal, one server."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from entente.auth import KeyStore
from entente.control.keys import Keys
from entente.control.price_shelf import PriceShelf
from entente.control.rules import load_rules
from entente.db import DATABASE_NAME, connect, migrate, open_sqlite
from entente.domain.errors import LedgerUnavailable
from entente.domain.ids import Ids
from entente.ledger.checkpoints import Checkpoints
from entente.ledger.ledger import Ledger
from entente.ledger.reader import (
    Position,
    activate,
    granted_behind,
    load,
    save_checkpoint,
)
from entente.ledger.sqlite import SqliteJournal, launch_process
from entente.records import Opened, Opening, Shared, random_bits


async def open_sqlite_records(opening: Opening) -> Opened:
    """Open the database, bring it forward, and settle what a crash left open."""
    config, stack, news = opening.config, opening.stack, opening.news
    path = config.server.data_dir / DATABASE_NAME
    database = stack.enter_context(contextlib.closing(open_sqlite(path)))
    migrate(database.connection)
    opened_file = _file(path)
    store = KeyStore(database)
    ids = Ids(time.time_ns, random_bits())
    keys = Keys(store, now_ns=time.time_ns, ids=ids, token_bytes=secrets.token_bytes)
    admin_key = keys.bootstrap_admin(opening.environ)
    prices = opening.prices.settings
    activate(database, prices.version, prices.encode(), time.time_ns())
    position = load(database.connection)
    rings = [store.load_ring()]
    books = [load_rules(database)]
    shelf = PriceShelf(database)
    opening.prices.renew(*shelf.load(time.time_ns()))

    def reload() -> None:
        ring = store.load_ring()
        # A new key waits for its budget: the journal tells of that next, and of a change again.
        granted = granted_behind(database, journal.seq)
        rings[0] = ring.without({key for key in granted if rings[0].named(key) is None})
        books[0] = load_rules(database)
        opening.prices.renew(*shelf.load(time.time_ns()))

    news.listen(reload)

    def save(reached: Position) -> None:
        # A start needs none, and one of another journal would make it look damaged.
        if _file(path) != opened_file:
            return
        with (
            contextlib.suppress(LedgerUnavailable, sqlite3.Error),
            contextlib.closing(connect(path)) as own,
        ):
            save_checkpoint(own, reached)

    saver = stack.enter_context(ThreadPoolExecutor(1, "entente-checkpoint"))

    def save_soon(reached: Position) -> None:
        saver.submit(save, reached)

    checkpoints = Checkpoints(position, save_soon)
    journal = SqliteJournal(
        path,
        seq=position.seq,
        head=position.head,
        durability=config.ledger.durability,
        on_foreign=lambda entries: ledger.see(entries),  # noqa: PLW0108  (made below)
        on_written=checkpoints.written,
        on_change=news.changed,
        launch=launch_process(kept_open=(opening.host.lock,)),
    )
    ledger = Ledger(
        journal,
        position.books,
        now_ns=time.time_ns,
        budget_wait_s=config.limits.budget_wait_s,
    )

    async def close() -> None:
        await ledger.aclose()
        save(checkpoints.position())

    stack.push_async_callback(close)
    await ledger.recover()
    shared = Shared(lambda: open_sqlite(path), lambda: path, lambda: journal.seq)
    return Opened(ledger, lambda: rings[0], lambda: books[0], admin_key, shared)


def _file(path: Path) -> tuple[int, int] | None:
    """Say which file is at a path now; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
