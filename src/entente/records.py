"""What a server stands on, opened in order: journal, keys, price book, stored objects.

The database is opened by `records_sqlite` or `records_postgres`; what is the same is here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from entente.auth import KeyRing
from entente.config import Config
from entente.config.pricing import names_in_books
from entente.db import Database
from entente.domain.errors import StorageUnavailable
from entente.domain.secret import Secret
from entente.gateway.pricing import Pricing
from entente.host import Host
from entente.ledger.ledger import Ledger
from entente.ledger.places import Place
from entente.metering.prices import PriceBook, compile_price, price_book
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


class Shared(NamedTuple):
    """The database, for those parts of a server that have a connection of their own."""

    database: Callable[[], Database]
    """Opens another connection."""
    place: Callable[[], Place]
    """Where the journal is, for whoever reads it as a whole."""
    reached: Callable[[], int]
    """The number of the last entry of other writers that the ledger has seen, or a later one."""


def _nothing() -> dict[str, str]:
    return {}


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
    shared: Shared
    notices: Callable[[], Mapping[str, str]]
    """What somebody should look at, though it stands against nothing yet."""
    spooled: Callable[[], int] | None
    """How many entries only our spool has; None where there is no spool."""


class Opened(NamedTuple):
    """What stands in the database itself."""

    ledger: Ledger
    ring: Callable[[], KeyRing]
    rules: Callable[[], RuleBook]
    admin_key: Secret | None
    shared: Shared
    notices: Callable[[], Mapping[str, str]] = _nothing
    spooled: Callable[[], int] | None = None
    """How many entries only our spool has; None where there is no spool."""


class Opening(NamedTuple):
    """What opening a database takes."""

    config: Config
    environ: Mapping[str, str]
    host: Host
    news: News
    """Is told of what other processes change."""
    prices: Pricing
    """Is renewed whenever another price book is in force, or a rate of exchange is known."""
    stack: contextlib.AsyncExitStack


OpenDatabase: TypeAlias = Callable[[Opening], Awaitable[Opened]]
"""Opens a kind of database, brings it forward, and settles what a crash left open."""


async def open_records(
    config: Config,
    environ: Mapping[str, str],
    host: Host,
    news: News,
    stack: contextlib.AsyncExitStack,
    open_database: OpenDatabase,
) -> Records:
    """Open the database, and what clients store. `news` is told of what others change."""
    prices = Pricing(_price_book(config), names_in_books(config))
    opening = Opening(config, environ, host, news, prices, stack)
    opened = await open_database(opening)
    objects, blobs = await _open_objects(config, host, stack)
    return Records(
        opened.ledger,
        opened.ring,
        opened.rules,
        prices,
        objects,
        blobs,
        opened.admin_key,
        opened.shared,
        opened.notices,
        opened.spooled,
    )


async def _open_objects(
    config: Config, host: Host, stack: contextlib.AsyncExitStack
) -> tuple[Objects, Blobs]:
    """Open what clients store, and begin to sweep what expires or belongs to nobody.

    One process of a host sweeps, and only before any other serves it can tell what belongs to
    nobody from what is just being made.
    """
    data_dir = config.server.data_dir
    objects = stack.enter_context(
        open_objects(
            data_dir / OBJECTS_NAME,
            time.time_ns,
            project_bytes_max=config.storage.project_bytes_max,
        )
    )
    blobs = stack.enter_context(
        open_blobs(data_dir / FOLDER_NAME, free_bytes_min=config.files.free_bytes_min)
    )
    if not host.is_chief:
        return objects, blobs
    owners = await blobs.owners() if host.is_first else ()
    sweeper = asyncio.get_running_loop().create_task(_sweep(objects, blobs, owners))

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


def _price_book(config: Config) -> PriceBook:
    """Compile the prices of the configuration."""
    return price_book(
        {
            name: compile_price(price.currency, price.rates(), price.per.units, unit=price.per.unit)
            for name, model in config.models.items()
            if (price := model.price) is not None
        }
    )
