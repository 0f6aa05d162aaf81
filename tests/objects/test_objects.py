"""Stored objects on a real file: whose they are, what lists give, what changes keep."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.db import connect, migrate
from entente.domain.errors import IdTaken, InvalidParameter, StorageUnavailable
from entente.domain.principal import Principal, Role
from entente.objects import Item, Objects, Order, StoredObject, Wanted, open_objects
from entente.objects.model import PAGE_MAX
from entente.objects.schema import MIGRATIONS

ANNA = Principal(key_id="key_a", name="anna", role=Role.MEMBER, project="red")
ARNO = Principal(key_id="key_b", name="arno", role=Role.MEMBER, project="red")
BERT = Principal(key_id="key_c", name="bert", role=Role.ADMIN, project="blue")


class Clock:
    """Nanoseconds, set by hand."""

    now_ns = 1_000


def made(id: str, who: Principal = ANNA, **more: Any) -> StoredObject:
    """Make an object of the kind `response`."""
    fixed = {"kind": "response", "created_ns": 1, "body": id.encode()}
    return StoredObject(id=id, project=who.project, key=who.key_id, **{**fixed, **more})


def with_objects(
    path: Path, scenario: Callable[[Objects], Awaitable[None]], clock: type[Clock] = Clock
) -> None:
    """Run a scenario on the objects of a file."""

    async def main() -> None:
        with open_objects(path, lambda: clock.now_ns) as objects:
            await scenario(objects)

    asyncio.run(main())


def test_objects_are_there_for_their_project_only(tmp_path: Path) -> None:
    """Another project can neither see, list, change nor delete them, whatever its role."""

    async def scenario(objects: Objects) -> None:
        await objects.create(ANNA, made("r1"), [Item("i1", b"one")])
        found = await objects.get(ARNO, "response", "r1")
        assert found == made("r1")
        wanted = Wanted(limit=9)
        assert await objects.get(BERT, "response", "r1") is None
        assert await objects.get(ANNA, "file", "r1") is None
        assert (await objects.page(BERT, "response", wanted)).found == ()
        assert (await objects.items(BERT, "response", "r1", wanted)).found == ()
        assert await objects.item(BERT, "response", "r1", "i1") is None
        assert not await objects.append(BERT, "response", "r1", [Item("i2", b"two")])
        assert not await objects.delete_item(BERT, "response", "r1", "i1")
        assert not await objects.delete(BERT, "response", "r1")
        with pytest.raises(ValueError, match="own project"):
            await objects.create(BERT, made("r2", ANNA))
        with pytest.raises(ValueError, match="own project"):
            await objects.replace(BERT, found)
        assert (await objects.of_all("response", wanted)).found == (found,)
        assert await objects.delete(ARNO, "response", "r1")
        assert await objects.get(ANNA, "response", "r1") is None

    with_objects(tmp_path / "o.db", scenario)


def test_a_change_counts_once(tmp_path: Path) -> None:
    """Of two changes of one revision the second is refused, with its items."""

    async def scenario(objects: Objects) -> None:
        await objects.create(ANNA, made("r1", state="queued"))
        first = await objects.get(ANNA, "response", "r1")
        assert first is not None
        done = made("r1", state="completed", body=b"done", metadata={"a": "b"})
        assert await objects.replace(ANNA, done, [Item("i1", b"one")])
        assert not await objects.replace(ANNA, done, [Item("i2", b"two")])
        now = await objects.get(ANNA, "response", "r1")
        assert now is not None
        assert (now.revision, now.state, now.body, now.metadata) == (
            2, "completed", b"done", {"a": "b"},
        )  # fmt: skip
        items = await objects.items(ANNA, "response", "r1", Wanted(limit=9))
        assert [item.id for item in items.found] == ["i1"]
        assert not await objects.replace(ANNA, made("r9"))

    with_objects(tmp_path / "o.db", scenario)


def test_what_expires_is_gone_at_once_and_swept_later(tmp_path: Path) -> None:
    """An expired object does not exist, even before it is deleted."""

    class Later(Clock):
        now_ns = 10

    async def scenario(objects: Objects) -> None:
        await objects.create(ANNA, made("r1", expires_ns=11))
        await objects.create(ANNA, made("r2"))
        assert await objects.get(ANNA, "response", "r1") is not None
        Later.now_ns = 11
        assert await objects.get(ANNA, "response", "r1") is None
        page = await objects.page(ANNA, "response", Wanted(limit=9))
        assert [each.id for each in page.found] == ["r2"]
        assert [each.id for each in await objects.sweep()] == ["r1"]
        assert await objects.sweep() == []

    with_objects(tmp_path / "o.db", scenario, Later)


@given(
    count=st.integers(0, 12),
    limit=st.integers(1, 5),
    order=st.sampled_from(Order),
    backwards=st.booleans(),
)
def test_pages_give_each_object_once(
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    limit: int,
    order: Order,
    backwards: bool,
) -> None:
    """Following `after` to the end, or `before` to the start, meets each once and in order."""
    ids = [f"r{n}" for n in range(count)]
    expected = ids if order is Order.ASC else ids[::-1]

    async def walk(ask: Callable[[Wanted], Awaitable[Any]]) -> list[str]:
        met: list[str] = []
        mark: dict[str, Any] = {}
        if backwards:
            if not expected:
                return met
            met, mark = [expected[-1]], {"before": expected[-1]}
        while True:
            page = await ask(Wanted(limit=limit, order=order, **mark))
            found = [each.id for each in page.found]
            met = found + met if backwards else met + found
            if not page.has_more:
                return met
            mark = {"before": met[0]} if backwards else {"after": met[-1]}

    async def scenario(objects: Objects) -> None:
        await objects.create(ANNA, made("list"), [Item(id, b"") for id in ids])
        for id in ids:
            await objects.create(BERT, made(f"of-bert-{id}", BERT))
            await objects.create(ANNA, made(id, kind="file"))
        for ask in (
            lambda wanted: objects.page(ANNA, "file", wanted),
            lambda wanted: objects.items(ANNA, "response", "list", wanted),
        ):
            assert await walk(ask) == expected
        unknown = Wanted(limit=limit, after="nothing")
        assert (await objects.page(ANNA, "file", unknown)).found == ()

    with_objects(tmp_path_factory.mktemp("pages") / "o.db", scenario)


@pytest.mark.parametrize("order", Order)
def test_a_list_goes_on_after_what_was_deleted(tmp_path: Path, order: Order) -> None:
    """Whoever deletes while listing meets every one; what is added then is not skipped."""

    class Later(Clock):
        now_ns = 10

    ids = [f"r{n}" for n in range(7)]
    expected = ids if order is Order.ASC else ids[::-1]

    async def empty(
        ask: Callable[[Wanted], Awaitable[Any]], delete: Callable[[str], Awaitable[bool]]
    ) -> list[str]:
        met: list[str] = []
        after = None
        while True:
            page = await ask(Wanted(limit=2, order=order, after=after))
            for each in page.found:
                met.append(each.id)
                assert await delete(each.id)
                assert not await delete(each.id)
            if not page.has_more:
                return met
            after = met[-1]

    async def scenario(objects: Objects) -> None:
        await objects.create(ANNA, made("list"), [Item(id, b"1") for id in ids])
        for id in ids:
            await objects.create(ANNA, made(id, kind="file", blob_bytes=9), names=[f"n{id}"])
        met = await empty(
            lambda wanted: objects.page(ANNA, "file", wanted),
            lambda id: objects.delete(ANNA, "file", id),
        )
        assert met == expected
        met = await empty(
            lambda wanted: objects.items(ANNA, "response", "list", wanted),
            lambda id: objects.delete_item(ANNA, "response", "list", id),
        )
        assert met == expected
        rising = Wanted(limit=9, order=Order.ASC, after="r6")
        await objects.append(ANNA, "response", "list", [Item("later", b"")])
        await objects.create(ANNA, made("later", kind="file"))
        for page in (
            await objects.page(ANNA, "file", rising),
            await objects.items(ANNA, "response", "list", rising),
        ):
            assert [each.id for each in page.found] == ["later"]
        assert (await objects.page(BERT, "file", rising)).found == ()
        assert await objects.named(ANNA, "file", "nr6") is None
        assert not await objects.is_taken("r6")
        await objects.create(BERT, made("r6", BERT))
        assert await objects.append(ANNA, "response", "list", [Item("r6", b"")])
        assert await objects.delete_item(ANNA, "response", "list", "r6")
        Later.now_ns += 3600 * 1_000_000_000
        assert {one.kind for one in await objects.sweep()} == {"deleted file", "deleted item"}
        assert await objects.sweep() == []
        assert (await objects.page(ANNA, "file", rising)).found == ()

    with_objects(tmp_path / "o.db", scenario, Later)


def test_lists_can_be_searched(tmp_path: Path) -> None:
    """By model, state and metadata, all of them together, with any characters."""
    odd = "a\"b'c%_"

    async def scenario(objects: Objects) -> None:
        await objects.create(ANNA, made("r1", model="m", state="x", metadata={odd: odd}))
        await objects.create(ANNA, made("r2", model="m", state="y", metadata={odd: "other"}))
        await objects.create(ANNA, made("r3", model="n", state="z"))

        async def ids(**wanted: Any) -> list[str]:
            page = await objects.page(ANNA, "response", Wanted(limit=9, order=Order.ASC, **wanted))
            return [each.id for each in page.found]

        assert await ids(model="m") == ["r1", "r2"]
        assert await ids(states=("y", "z")) == ["r2", "r3"]
        assert await ids(metadata={odd: odd}) == ["r1"]
        assert await ids(model="n", metadata={odd: odd}) == []

    with_objects(tmp_path / "o.db", scenario)


def test_bounds_and_a_disk_that_fails(tmp_path: Path) -> None:
    """A page has its bound; a file that is no database says so in our own error."""
    path = tmp_path / "o.db"

    async def scenario(objects: Objects) -> None:
        with pytest.raises(ValueError, match="a page has"):
            await objects.page(ANNA, "response", Wanted(limit=PAGE_MAX + 1))
        await objects.create(ANNA, made("r1"))
        with pytest.raises(IdTaken, match="stored already"):
            await objects.create(ANNA, made("r1"))
        with sqlite3.connect(path) as other:
            other.execute("DROP TABLE items")
        other.close()
        with pytest.raises(StorageUnavailable, match="no such table"):
            await objects.items(ANNA, "response", "r1", Wanted(limit=1))

    with_objects(path, scenario)


def test_changes_share_a_transaction_and_fail_alone(tmp_path: Path) -> None:
    """Of many changes at once each has its own result, and nothing of a failed one stays."""

    async def scenario(objects: Objects) -> None:
        await objects.create(ANNA, made("r1"), [Item("i1", b"")])
        results = await asyncio.gather(
            *(objects.create(ANNA, made(f"n{n}")) for n in range(20)),
            objects.create(ANNA, made("r2"), [Item("i", b""), Item("i", b"")]),
            objects.append(ANNA, "response", "r1", [Item("i1", b"")]),
            objects.append(ANNA, "response", "r1", [Item("i2", b"")]),
            return_exceptions=True,
        )
        assert results[:20] == [None] * 20
        assert isinstance(results[20], IdTaken)
        assert isinstance(results[21], IdTaken)
        assert results[22] is True
        assert await objects.get(ANNA, "response", "r2") is None
        items = await objects.items(ANNA, "response", "r1", Wanted(limit=9, order=Order.ASC))
        assert [item.id for item in items.found] == ["i1", "i2"]

    with_objects(tmp_path / "o.db", scenario)


def test_a_change_that_nobody_waits_for_is_made(tmp_path: Path) -> None:
    """Who asked may go; what was begun is on the disk all the same."""

    async def scenario(objects: Objects) -> None:
        asked = asyncio.ensure_future(objects.create(ANNA, made("r1")))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await objects.create(ANNA, made("r2"))
        assert await objects.is_taken("r1")

    with_objects(tmp_path / "o.db", scenario)


def test_items_have_a_bound(tmp_path: Path) -> None:
    """Items that would exceed it are not added, not one of them."""

    async def scenario(objects: Objects) -> None:
        await objects.create(ANNA, made("r1"), [Item("i1", b"")])
        two = [Item("i2", b""), Item("i3", b"")]
        assert not await objects.append(ANNA, "response", "r1", two, items_max=2)
        assert await objects.append(ANNA, "response", "r1", two, items_max=3)
        assert len((await objects.items(ANNA, "response", "r1", Wanted(limit=9))).found) == 3

    with_objects(tmp_path / "o.db", scenario)


def test_a_lineage_is_kept_as_long_as_it_is_continued(tmp_path: Path) -> None:
    """What an object continues is given with it, though expired, and swept after it."""

    class Later(Clock):
        now_ns = 10

    async def ids(objects: Objects, id: str, **bounds: int) -> tuple[list[str], str | None, bool]:
        most = {"links_max": 9, "bytes_max": 999, **bounds}
        found = await objects.lineage(ANNA, "response", id, **most)
        assert found is not None
        return [link.object.id for link in found.links], found.missing, found.complete

    async def scenario(objects: Objects) -> None:
        await objects.create(ANNA, made("r1", expires_ns=11), [Item("i1", b"one")])
        await objects.create(ANNA, made("r2", expires_ns=12, parent="r1"))
        await objects.create(ANNA, made("r3", expires_ns=20, parent="r2"))
        await objects.create(BERT, made("b3", BERT, parent="r2"))
        Later.now_ns = 15
        assert await objects.sweep() == []
        assert await ids(objects, "r3") == (["r1", "r2", "r3"], None, True)
        found = await objects.lineage(ANNA, "response", "r3", links_max=9, bytes_max=999)
        assert found is not None
        assert found.links[0].items == (Item("i1", b"one", 1),)
        assert await ids(objects, "r3", links_max=2) == (["r2", "r3"], None, False)
        assert await ids(objects, "r3", bytes_max=5) == (["r2", "r3"], None, False)
        assert await objects.lineage(ANNA, "response", "r2", links_max=9, bytes_max=9) is None
        assert await objects.lineage(BERT, "response", "r3", links_max=9, bytes_max=9) is None
        theirs = await objects.lineage(BERT, "response", "b3", links_max=9, bytes_max=9)
        assert theirs is not None
        assert theirs.missing == "r2"
        Later.now_ns = 20
        assert [await objects.sweep() for _ in range(4)] == [
            [made("r3", expires_ns=20, parent="r2")],
            [made("r2", expires_ns=12, parent="r1")],
            [made("r1", expires_ns=11)],
            [],
        ]

    with_objects(tmp_path / "o.db", scenario, Later)


def test_objects_are_found_by_what_is_in_them(tmp_path: Path) -> None:
    """By name, the newest first, for their own project, as long as they are there."""

    async def scenario(objects: Objects) -> None:
        await objects.create(ANNA, made("r1"), names=["msg_1", "msg_1"])
        await objects.create(ANNA, made("r2"), names=["msg_1"])
        await objects.create(BERT, made("r3", BERT), names=["msg_2"])
        assert await objects.named(ANNA, "response", "msg_1") == made("r2")
        assert await objects.named(ANNA, "file", "msg_1") is None
        assert await objects.named(ANNA, "response", "msg_2") is None
        assert await objects.delete(ANNA, "response", "r2")
        assert await objects.named(ANNA, "response", "msg_1") == made("r1")
        assert await objects.replace(ANNA, made("r1"), names=["msg_3"])
        assert (await objects.named(ANNA, "response", "msg_3")) is not None

    with_objects(tmp_path / "o.db", scenario)


def test_what_a_project_has_stored(tmp_path: Path) -> None:
    """Is counted, whatever becomes of it: each byte once, whosever it is, and across a restart."""
    path = tmp_path / "objects.db"

    async def scenario(objects: Objects) -> None:
        async def room(who: Principal) -> int:
            """Find how many bytes would still fit into a bound of 1000."""
            fits = 0
            for step in (512, 256, 128, 64, 32, 16, 8, 4, 2, 1):
                with contextlib.suppress(InvalidParameter):
                    await objects.check_room(who, fits + step)
                    fits += step
            return fits

        assert await room(ANNA) == 1000
        await objects.create(ANNA, made("ab", blob_bytes=100), [Item("i", b"12345")])
        assert await room(ANNA) == 1000 - 2 - 100 - 5
        assert (await room(ARNO), await room(BERT)) == (893, 1000)
        await objects.append(ANNA, "response", "ab", [Item("j", b"678"), Item("k", b"9")])
        assert await room(ANNA) == 889
        await objects.delete_item(ANNA, "response", "ab", "j")
        assert await room(ANNA) == 892
        kept = await objects.get(ANNA, "response", "ab")
        assert kept is not None
        longer = msgspec.structs.replace(kept, body=b"x" * 52, blob_bytes=0)
        assert await objects.replace(ANNA, longer)
        assert await room(ANNA) == 942
        with pytest.raises(InvalidParameter, match="58 bytes and may have 1000") as refused:
            await objects.check_room(ANNA, 943)
        assert refused.value.code == "storage_quota_exceeded"
        await objects.create(BERT, made("cd", BERT, expires_ns=1), [Item("i", b"12")])
        assert await room(BERT) == 996
        await objects.sweep()
        assert await room(BERT) == 1000
        await objects.delete(ANNA, "response", "ab")
        assert await room(ANNA) == 1000

    async def again(objects: Objects) -> None:
        await objects.check_room(ANNA, 1000)

    for each in (scenario, again):
        with open_objects(path, lambda: Clock.now_ns, project_bytes_max=1000) as objects:
            asyncio.run(each(objects))


def test_what_was_stored_before_it_was_counted(tmp_path: Path) -> None:
    """Is counted when the file is brought forward, with the bytes of files."""
    path = tmp_path / "objects.db"
    with contextlib.closing(connect(path)) as connection:
        migrate(connection, MIGRATIONS[:2])
        for seq, kind, body in ((1, "file", b'{"bytes":700}'), (2, "response", b"x" * 20)):
            connection.execute(
                "INSERT INTO objects (seq, id, kind, project, key, created_ns, model, state,"
                " metadata, revision, body) VALUES (?, ?, ?, 'red', 'k', 1, '', '', '{}', 1, ?)",
                (seq, str(seq), kind, body),
            )
        connection.execute("INSERT INTO items VALUES (2, 1, 'i', ?)", (b"12345",))

    async def scenario(objects: Objects) -> None:
        await objects.check_room(ANNA, 1000 - 700 - 13 - 20 - 5)
        with pytest.raises(InvalidParameter):
            await objects.check_room(ANNA, 1000 - 700 - 13 - 20 - 5 + 1)

    with open_objects(path, lambda: Clock.now_ns, project_bytes_max=1000) as objects:
        asyncio.run(scenario(objects))
