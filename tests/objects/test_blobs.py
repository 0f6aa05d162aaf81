"""Blobs are there whole or not at all, under names of ours only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from entente.domain.errors import StorageUnavailable
from entente.objects import open_blobs
from entente.objects.blobs import PIECE_BYTES, Blobs
from tests.support.loops import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

NAME: Final = f"file-{'a' * 32}"


def _with(folder: Path, test: Callable[[Blobs], Awaitable[None]], free_bytes_min: int = 0) -> None:
    async def go() -> None:
        with open_blobs(folder / "files", free_bytes_min=free_bytes_min) as blobs:
            await test(blobs)

    run(go())


async def _write(blobs: Blobs, name: str, *pieces: bytes) -> None:
    async with blobs.writing(name) as file:
        for piece in pieces:
            await file.write(piece)
        await file.seal()
        assert file.bytes == sum(map(len, pieces))


async def _read(blobs: Blobs, name: str, offset: int = 0) -> bytes:
    return b"".join([piece async for piece in blobs.read(name, offset)])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Whole, from an offset, and in parts."""

    async def test(blobs: Blobs) -> None:
        data = bytes(range(256)) * (PIECE_BYTES // 100)
        await _write(blobs, NAME, data[:1000], data[1000:])
        assert await _read(blobs, NAME) == data
        assert await _read(blobs, NAME, 12345) == data[12345:]
        assert await blobs.read_part(NAME, 5, 10) == data[5:15]
        assert await blobs.size(NAME) == len(data)

    _with(tmp_path, test)


def test_what_is_not_sealed_was_never_there(tmp_path: Path) -> None:
    """However its writing ends, and an older blob of the name stays."""

    async def break_off(blobs: Blobs) -> None:
        async with blobs.writing(NAME) as file:
            await file.write(b"new")
            raise ZeroDivisionError

    async def test(blobs: Blobs) -> None:
        await _write(blobs, NAME, b"old")
        with pytest.raises(ZeroDivisionError):
            await break_off(blobs)
        assert await _read(blobs, NAME) == b"old"
        assert [path.name for path in (tmp_path / "files").iterdir()] == [NAME]

    _with(tmp_path, test)


def test_a_second_name_outlives_the_first(tmp_path: Path) -> None:
    """Deleting an object deletes its blobs with suffixes, and no other's."""

    async def test(blobs: Blobs) -> None:
        batch = f"batch_{'b' * 32}"
        await _write(blobs, NAME, b"x")
        await blobs.share(NAME, f"{batch}.in")
        await blobs.share(NAME, f"{batch}.in")
        await blobs.delete(NAME)
        assert await _read(blobs, f"{batch}.in") == b"x"
        await _write(blobs, f"{batch}.results", b"y")
        assert await blobs.owners() == {batch}
        await blobs.delete_suffix(batch, "in")
        await blobs.delete_suffix(batch, "in")
        assert await _read(blobs, f"{batch}.results") == b"y"
        await blobs.delete(batch)
        assert await blobs.owners() == set()

    _with(tmp_path, test)


def test_what_is_missing_is_a_clear_error(tmp_path: Path) -> None:
    """Not an OSError."""

    async def test(blobs: Blobs) -> None:
        for look in (_read(blobs, NAME), blobs.read_part(NAME, 0, 1), blobs.size(NAME)):
            with pytest.raises(StorageUnavailable, match="cannot be read"):
                await look

    _with(tmp_path, test)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "file-1", f"{NAME}/x", f"{NAME}.A", "/x"])
def test_names_are_ours(tmp_path: Path, name: str) -> None:
    """Anything else is a defect of the caller's, whatever it would mean as a path."""

    async def test(blobs: Blobs) -> None:
        with pytest.raises(ValueError, match="no name of a blob"):
            await blobs.delete(name)

    _with(tmp_path, test)


def test_the_last_of_the_disk_is_not_for_blobs(tmp_path: Path) -> None:
    """The setting is named, and nothing is left behind."""

    async def test(blobs: Blobs) -> None:
        with pytest.raises(StorageUnavailable, match=r"files\.free_bytes_min"):
            await _write(blobs, NAME, b"x")
        assert await blobs.owners() == set()

    _with(tmp_path, test, free_bytes_min=2**60)
