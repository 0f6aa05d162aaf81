"""What stands on the data folder, opened in order: journal, keys, price book, stored objects."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from entente.auth import KeyRing, KeyStore
from entente.config import Config
from entente.control.keys import Keys
from entente.control.rules import load_rules
from entente.db import DATABASE_NAME, SqliteDatabase, connect, migrate
from entente.domain.errors import LedgerUnavailable, StorageUnavailable
from entente.domain.ids import Ids
from entente.domain.secret import Secret
from entente.gateway.pricing import Pricing
from entente.ledger.checkpoints import Checkpoints
from entente.ledger.ledger import Ledger
from entente.ledger.reader import Position, activate, load, save_checkpoint
from entente.ledger.sqlite import SqliteJournal, launch_process
from entente.metering.prices import compile_price, price_book
from entente.news import News
from entente.objects import (
    FOLDER_NAME,
    OBJECTS_NAME,
    Blobs,
    Objects,
    open_blobs,
    open_objects,
)
from entente.policy.rules import RuleBook

SWEEP_S: Final = 3600.0
"""Stored objects that have expired are gone for clients at once, and from the disk so soon."""

_log = logging.getLogger("entente.records")


def random_bits() -> Callable[[int], int]:
    """Give a source of bits for ids, which have to differ, not to be secret."""
    return random.Random(secrets.randbits(128)).getrandbits  # noqa: S311


WITH_BYTES: Final = frozenset({"file", "upload", "batch", "message_batch"})
"""Kinds of objects that own blobs."""


class Records(NamedTuple):
    """What stands on the database."""

    ledger: Ledger
    ring: Callable[[], KeyRing]
    rules: Callable[[], RuleBook]
    prices: Pricing
    objects: Objects
    blobs: Blobs
    admin_key: Secret | None
    """The first admin key, if it has just been made."""


async def open_records(
    config: Config,
    environ: Mapping[str, str],
    lock: int,
    news: News,
    stack: contextlib.AsyncExitStack,
) -> Records:
    """Open the database, bring it forward, and settle what a crash left open.

    `news` is told of what other processes change.
    """
    path = config.server.data_dir / DATABASE_NAME
    connection = stack.enter_context(contextlib.closing(connect(path)))
    migrate(connection)
    database = SqliteDatabase(connection, str(path))
    store = KeyStore(database)
    ids = Ids(time.time_ns, random_bits())
    keys = Keys(store, now_ns=time.time_ns, ids=ids, token_bytes=secrets.token_bytes)
    admin_key = keys.bootstrap_admin(environ)
    prices = _pricing(config, connection)
    position = load(connection)
    rings = [store.load_ring()]
    books = [load_rules(database)]

    def reload() -> None:
        rings[0] = store.load_ring()
        books[0] = load_rules(database)

    news.listen(reload)

    def save(reached: Position) -> None:
        with contextlib.closing(connect(path)) as own, contextlib.suppress(LedgerUnavailable):
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
        launch=launch_process(kept_open=(lock,)),
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
    objects, blobs = await _open_objects(config, stack)
    return Records(ledger, lambda: rings[0], lambda: books[0], prices, objects, blobs, admin_key)


async def _open_objects(config: Config, stack: contextlib.AsyncExitStack) -> tuple[Objects, Blobs]:
    """Open what clients store, and begin to sweep what expires or belongs to nobody."""
    data_dir = config.server.data_dir
    objects = stack.enter_context(open_objects(data_dir / OBJECTS_NAME, time.time_ns))
    blobs = stack.enter_context(
        open_blobs(data_dir / FOLDER_NAME, free_bytes_min=config.files.free_bytes_min)
    )
    sweeper = asyncio.get_running_loop().create_task(_sweep(objects, blobs, await blobs.owners()))

    async def close() -> None:
        sweeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeper

    stack.push_async_callback(close)
    return objects, blobs


async def _sweep(objects: Objects, blobs: Blobs, owners: Iterable[str]) -> None:
    """Delete bytes that a crash left without an owner, then, once an hour, what has expired.

    `owners` are those whose bytes were there before anything new could be.
    """
    try:
        for owner in owners:
            if not await objects.is_taken(owner):
                await blobs.delete(owner)
    except StorageUnavailable as error:
        _log.warning("bytes without an owner stay for now: %s", error.message)
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            while gone := await objects.sweep():
                for one in gone:
                    if one.kind in WITH_BYTES:
                        await blobs.delete(one.id)
        except StorageUnavailable as error:
            _log.warning("expired objects stay for now: %s", error.message)


def _pricing(config: Config, connection: sqlite3.Connection) -> Pricing:
    """Compile the prices of the configuration, and keep them under their version."""
    settings = price_book(
        {
            name: compile_price(price.currency, price.rates(), price.per.units, unit=price.per.unit)
            for name, model in config.models.items()
            if (price := model.price) is not None
        }
    )
    activate(connection, settings.version, settings.encode(), time.time_ns())
    return Pricing(settings)
