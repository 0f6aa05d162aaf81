"""The bytes of files, beside the objects that own them: each is there whole or not at all.

A blob is written under a temporary name, synced, and then renamed, so that a crash leaves
nothing that could be taken for it. Names are ours: an object's id, or that and a suffix
after a dot. Who may see a blob is decided where its owner is looked up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from entente.domain.errors import StorageUnavailable

FOLDER_NAME: Final = "files"
PIECE_BYTES: Final = 256 * 1024
THREADS: Final = 4
UNFINISHED: Final = ".new"
_NAME: Final = re.compile(r"[a-z]+[-_][0-9a-f]{32}(\.[a-z0-9_-]{1,64})?")

T = TypeVar("T")


class Blobs:
    """The folder of blobs. Every method raises StorageUnavailable if the disk does not obey."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor, *, free_bytes_min: int) -> None:
        """Work in `folder`; keep so many bytes of its disk free for the ledger."""
        self._folder = folder
        self._pool = pool
        self._free_bytes_min = free_bytes_min

    @contextlib.asynccontextmanager
    async def writing(self, name: str) -> AsyncIterator[Writing]:
        """Write a blob, piece by piece. Unless it is sealed, nothing remains of it."""
        path = self._path(name)
        descriptor = await self._run(lambda: os.open(_unfinished(path), _NEW, 0o600))
        begun = Writing(self, path, descriptor)
        try:
            yield begun
        finally:
            await self._run(begun.close)

    async def read(self, name: str, offset: int = 0) -> AsyncGenerator[bytes]:
        """Give a blob's bytes from `offset` on, in pieces."""
        path = self._path(name)
        descriptor = await self._run(lambda: os.open(path, os.O_RDONLY))
        try:
            at = offset
            while piece := await self._run(lambda: os.pread(descriptor, PIECE_BYTES, at)):  # noqa: B023
                at += len(piece)
                yield piece
        finally:
            os.close(descriptor)

    async def read_part(self, name: str, offset: int, length: int) -> bytes:
        """Give `length` bytes of a blob."""
        path = self._path(name)
        return await self._run(lambda: _read_part(path, offset, length))

    async def size(self, name: str) -> int:
        """Count a blob's bytes."""
        path = self._path(name)
        return await self._run(lambda: path.stat().st_size)

    async def share(self, name: str, other: str) -> None:
        """Give a blob a second name, of which it lives on when the first is deleted."""
        path, second = self._path(name), self._path(other)

        def link() -> None:
            second.unlink(missing_ok=True)
            second.hardlink_to(path)

        await self._run(link)

    async def delete(self, owner: str) -> None:
        """Delete an object's blobs: that of its name, and those with a suffix."""
        path = self._path(owner)

        def delete() -> None:
            path.unlink(missing_ok=True)
            for other in self._folder.glob(f"{path.name}.*"):
                other.unlink(missing_ok=True)

        await self._run(delete)

    async def delete_suffix(self, owner: str, suffix: str) -> None:
        """Delete one of an object's blobs, if it is there."""
        path = self._path(f"{owner}.{suffix}")
        await self._run(lambda: path.unlink(missing_ok=True))

    async def owners(self) -> set[str]:
        """Name the objects that there are blobs of; unfinished ones go. For the start only."""

        def look() -> set[str]:
            found = set()
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.endswith(UNFINISHED):
                        Path(entry).unlink()
                    elif _NAME.fullmatch(entry.name):  # what others have put there stays
                        found.add(entry.name.partition(".")[0])
            return found

        return await self._run(look)

    def append(self, descriptor: int, data: bytes) -> None:
        """Write on, while enough of the disk stays free. In a thread."""
        disk = os.fstatvfs(descriptor)
        if disk.f_bavail * disk.f_frsize - len(data) < self._free_bytes_min:
            message = (
                f"Less than {self._free_bytes_min} bytes of the disk would stay free "
                "(files.free_bytes_min). Delete files, or ask an administrator for more room."
            )
            raise StorageUnavailable(message)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    async def run(self, work: Callable[[], T]) -> T:
        """Do something to a blob in a thread."""
        return await self._run(work)

    async def _run(self, work: Callable[[], T]) -> T:
        done = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            return await asyncio.shield(done)
        except OSError as error:
            message = f"Files cannot be read or written now: {error.strerror or error}."
            raise StorageUnavailable(message) from error

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            message = f"{name!r} is no name of a blob"
            raise ValueError(message)
        return self._folder / name


class Writing:
    """A blob that is being written."""

    def __init__(self, blobs: Blobs, path: Path, descriptor: int) -> None:
        """Begin with nothing."""
        self._blobs = blobs
        self._path = path
        self._descriptor = descriptor
        self._sealed = False
        self.bytes = 0

    async def write(self, data: bytes) -> None:
        """Write on."""
        await self._blobs.run(lambda: self._blobs.append(self._descriptor, data))
        self.bytes += len(data)

    async def seal(self) -> None:
        """Make it durable, whole, under its name."""

        def seal() -> None:
            os.fsync(self._descriptor)
            _unfinished(self._path).replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

        await self._blobs.run(seal)
        self._sealed = True

    def close(self) -> None:
        """End; what was not sealed goes."""
        os.close(self._descriptor)
        if not self._sealed:
            _unfinished(self._path).unlink(missing_ok=True)


@contextlib.contextmanager
def open_blobs(folder: Path, *, free_bytes_min: int) -> Iterator[Blobs]:
    """Make the folder if need be, and work in it. Raises StorageUnavailable."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        message = f"Cannot make the folder {folder}: {error.strerror}."
        raise StorageUnavailable(message) from error
    with ThreadPoolExecutor(THREADS, "entente-files") as pool:
        yield Blobs(folder, pool, free_bytes_min=free_bytes_min)


_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + UNFINISHED)


def _read_part(path: Path, offset: int, length: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)
