"""The way to stored objects: a principal goes in with every call, a thread does the work.

They have a file of their own, beside the ledger's: what clients store must not stand in
line with money. SQLite's errors leave here as StorageUnavailable.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from entente.db import connect, migrate
from entente.domain.errors import StorageUnavailable
from entente.domain.ids import NowNs
from entente.domain.principal import Principal
from entente.objects.model import BODY_BYTES_MAX, PAGE_MAX, Item, Page, StoredObject, Wanted
from entente.objects.schema import MIGRATIONS
from entente.objects.table import Table

OBJECTS_NAME: Final = "objects.db"

T = TypeVar("T")


class Objects:
    """The objects of all projects, each for its own principals only.

    Every method raises StorageUnavailable when the disk does not do as it is asked.
    """

    def __init__(self, table: Table, thread: ThreadPoolExecutor, now_ns: NowNs) -> None:
        """Work on `table`, in the one thread that may touch its connection."""
        self._table = table
        self._thread = thread
        self._now_ns = now_ns

    async def create(self, who: Principal, made: StoredObject, items: Iterable[Item] = ()) -> None:
        """Keep a new object; it is on the disk when this returns."""
        _own(who, made)
        await self._run(lambda: self._table.create(made, items))

    async def get(self, who: Principal, kind: str, id: str) -> StoredObject | None:
        """Give an object; None where it is not the principal's, has expired or never was."""
        return await self._run(lambda: self._table.get((id, kind, who.project), self._now_ns()))

    async def replace(
        self, who: Principal, changed: StoredObject, items: Iterable[Item] = ()
    ) -> bool:
        """Put a changed object in the place of the one it was made from, and add items.

        Compare and set: False if another change came first, or the object is gone.
        """
        _own(who, changed)
        return await self._run(lambda: self._table.replace(changed, items))

    async def delete(self, who: Principal, kind: str, id: str) -> bool:
        """Delete an object with its items; False if there is none for this principal."""
        return await self._run(lambda: self._table.delete((id, kind, who.project)))

    async def page(self, who: Principal, kind: str, wanted: Wanted) -> Page[StoredObject]:
        """Give a part of the project's objects of a kind."""
        asked = _bounded(wanted)
        return await self._run(lambda: self._table.page(who.project, kind, asked, self._now_ns()))

    async def append(self, who: Principal, kind: str, id: str, items: Sequence[Item]) -> bool:
        """Add items to an object; False if there is none for this principal."""
        return await self._run(lambda: self._table.append((id, kind, who.project), items))

    async def items(self, who: Principal, kind: str, id: str, wanted: Wanted) -> Page[Item]:
        """Give a part of an object's items; none where there is no such object."""
        asked = _bounded(wanted)
        return await self._run(lambda: self._table.items((id, kind, who.project), asked))

    async def item(self, who: Principal, kind: str, id: str, item_id: str) -> Item | None:
        """Give one item of an object."""
        return await self._run(lambda: self._table.item((id, kind, who.project), item_id))

    async def delete_item(self, who: Principal, kind: str, id: str, item_id: str) -> bool:
        """Delete one item of an object; False if there is none."""
        return await self._run(lambda: self._table.delete_item((id, kind, who.project), item_id))

    async def of_all(self, kind: str, wanted: Wanted) -> Page[StoredObject]:
        """Give a part of all projects' objects of a kind: for the platform's own work only.

        What a server that died left half done is found so. Never in answer to a client.
        """
        asked = _bounded(wanted)
        return await self._run(lambda: self._table.page(None, kind, asked, self._now_ns()))

    async def sweep(self) -> list[StoredObject]:
        """Delete some objects that have expired; give them, for what hangs on them."""
        return await self._run(lambda: self._table.sweep(self._now_ns()))

    async def _run(self, work: Callable[[], T]) -> T:
        """Work in the thread. What was begun ends, even if who asked is gone."""
        done = asyncio.get_running_loop().run_in_executor(self._thread, work)
        with _errors_mapped():
            return await asyncio.shield(done)


@contextlib.contextmanager
def open_objects(path: Path, now_ns: NowNs) -> Iterator[Objects]:
    """Open the file, bring it forward, and close it in the end.

    Raises StorageUnavailable or StartError.
    """
    with contextlib.closing(connect(path)) as connection:
        migrate(connection, MIGRATIONS)
        with ThreadPoolExecutor(1, "entente-objects") as thread:
            yield Objects(Table(connection), thread, now_ns)


def _own(who: Principal, kept: StoredObject) -> None:
    """Keep code from storing in another project, or more than the bound."""
    if kept.project != who.project:
        message = "an object is stored by a principal of its own project"
        raise ValueError(message)
    if len(kept.body) > BODY_BYTES_MAX:
        message = f"The object is larger than {BODY_BYTES_MAX} bytes, which is too large to store."
        raise StorageUnavailable(message)


def _bounded(wanted: Wanted) -> Wanted:
    """Keep a page within its bound."""
    if not 1 <= wanted.limit <= PAGE_MAX:
        message = f"a page has 1 to {PAGE_MAX}, not {wanted.limit}"
        raise ValueError(message)
    return wanted


@contextlib.contextmanager
def _errors_mapped() -> Iterator[None]:
    """Turn SQLite's errors into StorageUnavailable."""
    try:
        yield
    except sqlite3.Error as error:
        message = f"Stored objects cannot be used now: {error}. Run `entente doctor`."
        raise StorageUnavailable(message) from error
