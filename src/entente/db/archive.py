"""A backup as one file: a manifest, and what it names, each with its length and digest.

The file is a compressed tar. It has key digests and webhooks' secrets in it, so that it is its
owner's alone. It gets its name when it is whole, and never takes the place of another file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final, NoReturn

import msgspec

from entente.domain.errors import LedgerCorrupt, LedgerUnavailable, StartError

FORMAT: Final = "entente-backup/1"
MANIFEST: Final = "manifest.json"
MANIFEST_BYTES_MAX: Final = 64 * 1024 * 1024
PIECE_BYTES: Final = 1024 * 1024
COMPRESSION: Final = 3
PRIVATE_FILE: Final = 0o600
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.db|\.copy)|files/[A-Za-z0-9._-]{1,160}")


class Member(msgspec.Struct, frozen=True):
    """A file in a backup."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a backup says of itself."""

    format: str
    kind: str
    """Of which kind of database it is."""
    made_ns: int
    schema: int
    heads: dict[str, tuple[int, str]]
    """By chain of the journal, the number and the hash of its last entry."""
    members: dict[str, Member]
    columns: dict[str, tuple[str, ...]] = {}
    """By table, where members are tables."""
    span_ns: tuple[int, int] = (0, 0)
    """The times of the first and the last entry, where months have to be made for them."""

    @property
    def entries(self) -> int:
        """How many entries the journal has."""
        return sum(seq for seq, _ in self.heads.values())


def folder_of(out: Path) -> Path:
    """Give the folder that a backup is to be written in. Raises LedgerUnavailable."""
    if not out.parent.is_dir():
        message = f"There is no folder {out.parent}: make it, or name another file."
        raise LedgerUnavailable(message)
    return out.parent


def describe(path: Path) -> Member:
    """Give the length and the digest of a file."""
    with path.open("rb") as file:
        return Member(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def write(out: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Write a backup of `files`, which the manifest describes by the same names.

    Raises LedgerUnavailable where the file is there already, or cannot be written.
    """
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        try:
            with os.fdopen(number, "wb") as file:
                _write(file, manifest, files)
                file.flush()
                os.fsync(file.fileno())
            os.link(part, out)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(out.parent)
    except FileExistsError as error:
        message = f"{out} is there already: name another file."
        raise LedgerUnavailable(message) from error
    except OSError as error:
        message = f"{out} cannot be written ({error.strerror}): name another file."
        raise LedgerUnavailable(message) from error


def _write(file: IO[bytes], manifest: Manifest, files: Mapping[str, Path]) -> None:
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=COMPRESSION) as tar:
        data = msgspec.json.format(msgspec.json.encode(manifest))
        tar.addfile(_info(MANIFEST, len(data)), io.BytesIO(data))
        for name, path in files.items():
            with path.open("rb") as member:
                tar.addfile(_info(name, manifest.members[name].bytes), member)


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, PRIVATE_FILE
    return info


class Archive:
    """A backup that is read, member by member, in its own order."""

    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        """Read the manifest. Raises LedgerCorrupt for what is no backup of this format."""
        self._path, self._tar = path, tar
        first = self._tar.next()
        if first is None or first.name != MANIFEST or first.size > MANIFEST_BYTES_MAX:
            self._wrong("it does not begin with a manifest")
        try:
            self.manifest = msgspec.json.decode(self._read(first), type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._wrong(f"its manifest does not read: {error}")
        if self.manifest.format != FORMAT:
            self._wrong(f"its format is {self.manifest.format}; this program knows {FORMAT}")

    def _wrong(self, what: str) -> NoReturn:
        message = f"{self._path} is no backup that can be used: {what}."
        raise LedgerCorrupt(message)

    def _read(self, info: tarfile.TarInfo | None) -> bytes:
        found = None if info is None else self._tar.extractfile(info)
        return found.read() if found is not None else b""

    def unpack(self, folder: Path) -> None:
        """Write the members under `folder`, and see that each is what the manifest says.

        Raises LedgerCorrupt where one is not, or is missing.
        """
        seen = set()
        while (info := self._tar.next()) is not None:
            expected = self.manifest.members.get(info.name)
            file = self._tar.extractfile(info) if info.isreg() else None
            if expected is None or file is None or not _NAME.fullmatch(info.name):
                self._wrong(f"it has {info.name!r}, of which its manifest does not speak")
            target = folder / info.name
            target.parent.mkdir(exist_ok=True, mode=0o700)
            if _copy(file, target) != expected:
                self._wrong(f"{info.name} is not as it was written")
            seen.add(info.name)
        if seen != set(self.manifest.members):
            missing = ", ".join(sorted(set(self.manifest.members) - seen))
            self._wrong(f"{missing} is missing; it was cut off, perhaps")


def _copy(file: IO[bytes], target: Path) -> Member:
    digest, size = hashlib.sha256(), 0
    number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(number, "wb") as out:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    return Member(size, digest.hexdigest())


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open a backup. Raises LedgerUnavailable, and LedgerCorrupt for one that is damaged."""
    try:
        with tarfile.open(path, "r:gz") as tar:
            yield Archive(path, tar)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        message = f"{path} is no backup that can be used: {error}."
        raise LedgerCorrupt(message) from error
    except OSError as error:
        message = f"{path} cannot be read: {error}."
        raise LedgerUnavailable(message) from error


def check_schema(manifest: Manifest, source: Path, known: int) -> None:
    """Refuse a backup of a later program's schema. Raises StartError."""
    if manifest.schema > known:
        message = (
            f"{source} has schema {manifest.schema}; this program knows {known}. "
            "Restore it with the newer version of entente that wrote it."
        )
        raise StartError(message)


def sync_folder(folder: Path) -> None:
    """Let the folder's new entries reach the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
