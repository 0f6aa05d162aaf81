"""The way to stored objects: a principal goes in with every call, a thread does the work.

They have a file of their own, beside the ledger's: what clients store must not stand in
line with money. Changes that wait for the disk at the same time share one transaction, and
so one wait. SQLite's errors leave here as StorageUnavailable.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from entente.db import connect, migrate
from entente.domain.errors import IdTaken, InvalidParameter, StorageUnavailable
from entente.domain.ids import NowNs
from entente.domain.principal import Principal
from entente.objects.model import (
    BODY_BYTES_MAX,
    PAGE_MAX,
    Item,
    Lineage,
    Page,
    StoredObject,
    Wanted,
)
from entente.objects.schema import MIGRATIONS
from entente.objects.table import Table

OBJECTS_NAME: Final = "objects.db"
GROUP_MAX: Final = 256
"""Changes that share a transaction at most."""

T = TypeVar("T")


class _Change(NamedTuple):
    """A change that waits for its turn, and who waits for it."""

    work: Callable[[], Any]
    done: asyncio.Future[Any]


class Objects:
    """The objects of all projects, each for its own principals only.

    Every method raises StorageUnavailable when the disk does not do as it is asked.
    """

    def __init__(
        self,
        table: Table,
        thread: ThreadPoolExecutor,
        now_ns: NowNs,
        *,
        project_bytes_max: int | None = None,
    ) -> None:
        """Work on `table`, in the one thread that may touch its connection.

        A project may store `project_bytes_max` bytes; None bounds it by the disk only.
        """
        self._project_bytes_max = project_bytes_max
        self._table = table
        self._thread = thread
        self._now_ns = now_ns
        self._waiting: deque[_Change] = deque()
        self._changing = False

    async def create(
        self,
        who: Principal,
        made: StoredObject,
        items: Iterable[Item] = (),
        names: Iterable[str] = (),
    ) -> None:
        """Keep a new object; it is on the disk when this returns.

        `names` are those of things in it, by which `named` finds it. Raises IdTaken if there
        is an object with its id, in any project.
        """
        _own(who, made)
        await self._change(lambda: self._table.create(made, items, names))

    async def check_room(self, who: Principal, more: int) -> None:
        """Refuse to store so many bytes more, with InvalidParameter, where that is too much.

        What was begun within the bound is kept when it has become longer: nothing that a client
        has paid for is lost.
        """
        most = self._project_bytes_max
        if most is None:
            return
        used = await self._run(lambda: self._table.stored_bytes(who.project))
        if used + more > most:
            message = (
                f"The project has stored {used} bytes and may have {most} "
                f"(storage.project_bytes_max); {more} more have no room. Delete files, responses, "
                "conversations or completions, ask for answers with `store` false, or have an "
                "administrator make room."
            )
            raise InvalidParameter(message, param=None, code="storage_quota_exceeded")

    async def get(self, who: Principal, kind: str, id: str) -> StoredObject | None:
        """Give an object; None where it is not the principal's, has expired or never was."""
        return await self._run(lambda: self._table.get((id, kind, who.project), self._now_ns()))

    async def lineage(
        self, who: Principal, kind: str, id: str, *, links_max: int, bytes_max: int
    ) -> Lineage | None:
        """Give an object and all that it continues, whatever its age; None as `get` does."""
        ref = (id, kind, who.project)
        return await self._run(
            lambda: self._table.lineage(
                ref, self._now_ns(), links_max=links_max, bytes_max=bytes_max
            )
        )

    async def named(self, who: Principal, kind: str, name: str) -> StoredObject | None:
        """Give the newest object in which something has this name."""
        return await self._run(lambda: self._table.named(who.project, kind, name, self._now_ns()))

    async def is_taken(self, id: str) -> bool:
        """Say whether any project has an object with this id."""
        return await self._run(lambda: self._table.is_taken(id))

    async def replace(
        self,
        who: Principal,
        changed: StoredObject,
        items: Iterable[Item] = (),
        names: Iterable[str] = (),
        *,
        making: StoredObject | None = None,
    ) -> bool:
        """Put a changed object in the place of the one it was made from; add items and names.

        Compare and set: False if another change came first, or the object is gone. `making` is
        a new object, kept in the same step or not at all.
        """
        _own(who, changed)
        if making is None:
            return await self._change(lambda: self._table.replace(changed, items, names))
        new = making
        _own(who, new)

        def both() -> bool:
            done = self._table.replace(changed, items, names)
            if done:
                self._table.create(new, (), ())
            return done

        return await self._change(both)

    async def delete(self, who: Principal, kind: str, id: str) -> bool:
        """Delete an object with its items; False if there is none for this principal."""
        return await self._change(
            lambda: self._table.delete((id, kind, who.project), self._now_ns())
        )

    async def page(self, who: Principal, kind: str, wanted: Wanted) -> Page[StoredObject]:
        """Give a part of the project's objects of a kind."""
        asked = _bounded(wanted)
        return await self._run(lambda: self._table.page(who.project, kind, asked, self._now_ns()))

    async def append(
        self,
        who: Principal,
        kind: str,
        id: str,
        items: Sequence[Item],
        *,
        items_max: int | None = None,
    ) -> bool:
        """Add items to an object; False if there is none for this principal, or no room for all.

        Raises IdTaken if it has an item with the id of one of them.
        """
        ref = (id, kind, who.project)
        return await self._change(lambda: self._table.append(ref, items, items_max))

    async def items(self, who: Principal, kind: str, id: str, wanted: Wanted) -> Page[Item]:
        """Give a part of an object's items; none where there is no such object."""
        asked = _bounded(wanted)
        return await self._run(lambda: self._table.items((id, kind, who.project), asked))

    async def item(self, who: Principal, kind: str, id: str, item_id: str) -> Item | None:
        """Give one item of an object."""
        return await self._run(lambda: self._table.item((id, kind, who.project), item_id))

    async def item_ids(self, who: Principal, kind: str, id: str) -> list[str]:
        """Give the ids of all items of an object, whose number its maker has bounded."""
        return await self._run(lambda: self._table.item_ids((id, kind, who.project)))

    async def clear(self, who: Principal, kind: str, id: str) -> None:
        """Delete all items of an object."""
        await self._change(lambda: self._table.clear((id, kind, who.project)))

    async def delete_item(self, who: Principal, kind: str, id: str, item_id: str) -> bool:
        """Delete one item of an object; False if there is none."""
        ref = (id, kind, who.project)
        return await self._change(lambda: self._table.delete_item(ref, item_id, self._now_ns()))

    async def of_all(self, kind: str, wanted: Wanted) -> Page[StoredObject]:
        """Give a part of all projects' objects of a kind: for the platform's own work only.

        What a server that died left half done is found so. Never in answer to a client.
        """
        asked = _bounded(wanted)
        return await self._run(lambda: self._table.page(None, kind, asked, self._now_ns()))

    async def version(self) -> int:
        """Give a number that changes when another process writes."""
        return await self._run(self._table.version)

    async def sweep(self) -> list[StoredObject]:
        """Delete some objects that have expired; give them, for what hangs on them."""
        return await self._change(lambda: self._table.sweep(self._now_ns()))

    async def _run(self, work: Callable[[], T]) -> T:
        """Look something up in the thread. What was begun ends, even if who asked is gone."""
        done = asyncio.get_running_loop().run_in_executor(self._thread, work)
        with _errors_mapped():
            return await asyncio.shield(done)

    async def _change(self, work: Callable[[], T]) -> T:
        """Change something, together with all that waits when its turn comes."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Change(work, done))
        if not self._changing:
            self._begin()
        with _errors_mapped():
            return await asyncio.shield(done)

    def _begin(self) -> None:
        """Hand what waits to the thread."""
        count = min(len(self._waiting), GROUP_MAX)
        group = [self._waiting.popleft() for _ in range(count)]
        self._changing = True
        loop = asyncio.get_running_loop()
        works = [change.work for change in group]
        job = loop.run_in_executor(self._thread, self._table.together, works)
        job.add_done_callback(lambda ended: self._end(group, ended))

    def _end(self, group: list[_Change], ended: asyncio.Future[list[Any]]) -> None:
        """Tell everybody what came of their changes, and go on with the next."""
        self._changing = False
        failure = ended.exception()
        results = [failure] * len(group) if failure is not None else ended.result()
        for change, result in zip(group, results, strict=True):
            if isinstance(result, BaseException):
                change.done.set_exception(result)
            else:
                change.done.set_result(result)
        if self._waiting:
            self._begin()


@contextlib.contextmanager
def open_objects(
    path: Path, now_ns: NowNs, *, project_bytes_max: int | None = None
) -> Iterator[Objects]:
    """Open the file, bring it forward, and close it in the end.

    Raises StorageUnavailable or StartError.
    """
    with contextlib.closing(connect(path)) as connection:
        migrate(connection, MIGRATIONS)
        with ThreadPoolExecutor(1, "entente-objects") as thread:
            yield Objects(Table(connection), thread, now_ns, project_bytes_max=project_bytes_max)


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
    except sqlite3.IntegrityError as error:
        message = "An object or item with this id is stored already."
        raise IdTaken(message) from error
    except sqlite3.Error as error:
        message = f"Stored objects cannot be used now: {error}. Run `entente doctor`."
        raise StorageUnavailable(message) from error
