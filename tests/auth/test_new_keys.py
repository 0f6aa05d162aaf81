"""A key that another process makes is known together with its budget, not before."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from entente.auth import OPERATOR, KeyStore
from entente.config import Config
from entente.control.budgets import USD, initial_grant
from entente.control.key_forms import KeyWish
from entente.db import DATABASE_NAME, SqliteDatabase, connect, locked
from entente.gateway.pricing import Pricing
from entente.host import Host
from entente.ledger.table import append_now
from entente.metering.prices import price_book
from entente.news import News
from entente.records import Opened, Opening
from entente.records_sqlite import open_sqlite_records
from tests.kit.run import run
from tests.support.server import create_key


@contextlib.asynccontextmanager
async def _records(folder: Path, news: News) -> AsyncIterator[Opened]:
    server = msgspec.structs.replace(Config().server, data_dir=folder)
    config = msgspec.structs.replace(Config(), server=server)
    async with contextlib.AsyncExitStack() as stack:
        host = Host(stack.enter_context(locked(folder)))
        prices = Pricing(price_book({}))
        yield await open_sqlite_records(Opening(config, {}, host, news, prices, stack))


def _grant(folder: Path, nano: int, key: str = "") -> str:
    """Make a key with a budget, or give one more of it, as another process does."""
    with contextlib.closing(connect(folder / DATABASE_NAME)) as connection:
        store = KeyStore(SqliteDatabase(connection))
        with store.transaction():
            made = key or create_key(store, KeyWish(budgeted=True)).id
            granted = initial_grant(OPERATOR, made, nano, at_ns=time.time_ns())
            append_now(connection, [msgspec.structs.replace(granted, id=f"{made}:{nano}")])
    return made


def test_a_key_is_not_known_before_its_budget(tmp_path: Path) -> None:
    """Whatever makes the keys be read again before the journal has looked."""

    async def check() -> None:
        told = asyncio.Event()
        news = News()
        async with _records(tmp_path, news) as records:
            news.listen(told.set)
            await told.wait()  # the writer is ready
            key = _grant(tmp_path, 5)
            news.changed()  # of something else; nothing has been told of the grant
            assert records.ring().named(key) is None
            while records.ring().named(key) is None:
                told.clear()
                await told.wait()
            assert records.ledger.books.available(key, USD) == 5
            _grant(tmp_path, 2, key)
            news.changed()
            assert records.ring().named(key) is not None, "a known key stays, whatever it is given"

    run(check())
