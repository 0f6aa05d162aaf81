"""The spool: a file on a host's own disk that stands in for a database that is away.

There is one for each chain that a host writes, empty as long as the database is there. The
process that writes the chain holds a lock on its file for as long as it lives, so whoever
gets that lock knows that the process is dead, and that nothing will be added.

A file begins with what it is of, then has a frame for each entry: its length and a checksum
in eight bytes, then the entry's line. A checksum goes on from the one before, so what a write
left half done, or what was there before the file was emptied, does not read as an entry. What
follows the last whole frame was never answered for, and is passed over.

Everything here blocks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from entente.domain.errors import StartError

FOLDER_NAME: Final = "spool"
HOST_NAME: Final = "host"
"""The file that says what the host of this folder is called."""
HOST_CHARS_MAX: Final = 128
LENGTH_BYTES: Final = 4
CHECKSUM_BYTES: Final = 4
FRAME_HEAD_BYTES: Final = LENGTH_BYTES + CHECKSUM_BYTES

_FILE: Final = re.compile(r"chain-([0-9]{1,19})-([0-9]{1,19})")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9.-]+")

_encoder = msgspec.json.Encoder()


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a spool's entries follow: an entry of a chain that the database was known to have."""

    chain: int
    opened_ns: int
    """When the chain was begun: another database may have one of the same number."""
    seq: int
    head: bytes
    """The hash of that entry."""


class Spooled(NamedTuple):
    """What a spool has in it."""

    header: Header | None
    """None where it is empty."""
    lines: tuple[bytes, ...] = ()
    torn_bytes: int = 0
    """What follows the last whole frame."""


class ChainId(NamedTuple):
    """A chain, whichever database it is in."""

    number: int
    opened_ns: int

    @property
    def file(self) -> str:
        """The name of its spool."""
        return f"chain-{self.number}-{self.opened_ns}"


def frame(line: bytes, checksum: int) -> tuple[bytes, int]:
    """Write a line with its head, behind a frame with this checksum; give its own, too."""
    checksum = zlib.crc32(line, checksum)
    head = len(line).to_bytes(LENGTH_BYTES, "big") + checksum.to_bytes(CHECKSUM_BYTES, "big")
    return head + line, checksum


def parse(data: bytes) -> Spooled:
    """Read a spool, up to what is not whole."""
    found: list[bytes] = []
    at = checksum = 0
    while len(data) - at >= FRAME_HEAD_BYTES:
        body = at + FRAME_HEAD_BYTES
        end = body + int.from_bytes(data[at : at + LENGTH_BYTES], "big")
        line = data[body:end]
        checksum = zlib.crc32(line, checksum)
        if end > len(data) or checksum != int.from_bytes(data[at + LENGTH_BYTES : body], "big"):
            break
        found.append(line)
        at = end
    if not found:
        return Spooled(None, (), len(data))
    try:
        header = msgspec.json.decode(found[0], type=Header)
    except msgspec.DecodeError:
        return Spooled(None, (), len(data))
    return Spooled(header, tuple(found[1:]), len(data) - at)


class SpoolFile:
    """One chain's spool, locked by whoever has this."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Take a file that is locked."""
        self.path = path
        self._descriptor: int | None = descriptor
        self._size = self._checksum = 0
        self._is_named = False
        """The folder on the disk is known to have the file in it."""

    def write(self, header: Header | None, lines: Iterable[bytes], *, fsync: bool) -> None:
        """Append lines, behind a header where the file is empty. Raises OSError.

        When that fails nothing of it is left, as far as the disk lets us see to that.
        """
        assert self._descriptor is not None  # noqa: S101  (nobody writes once it is closed)
        pieces, checksum = [], self._checksum
        for line in (*([] if header is None else [_encoder.encode(header)]), *lines):
            data, checksum = frame(line, checksum)
            pieces.append(data)
        written = b"".join(pieces)
        try:
            _write_all(self._descriptor, written, self._size)
            if fsync:
                os.fdatasync(self._descriptor)
                self._name()
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
                os.fdatasync(self._descriptor)
            raise
        self._size += len(written)
        self._checksum = checksum

    def clear(self) -> None:
        """Forget everything: the chain has it. Raises OSError."""
        assert self._descriptor is not None  # noqa: S101
        self._size = self._checksum = 0
        os.ftruncate(self._descriptor, 0)

    def read(self) -> Spooled:
        """Give what is in it. Raises OSError."""
        return parse(self.path.read_bytes())

    def remove(self) -> None:
        """Delete the file, then let go of it."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self.close()

    def set_aside(self) -> None:
        """Keep what does not read, under a name that nobody looks for, and let go of it."""
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(self.path.with_suffix(".torn"))
        self.close()

    def close(self) -> None:
        """Let go of the file, and leave it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _name(self) -> None:
        """Have the disk know the file's name, once."""
        if not self._is_named:
            sync_folder(self.path.parent)
            self._is_named = True


class SpoolFolder:
    """The spools of one host: `host` is a name that no other has."""

    def __init__(self, path: Path, host: str) -> None:
        """Take a folder that is there."""
        self.path = path
        self.host = host

    def begin(self, chain: ChainId) -> SpoolFile:
        """Make the spool of a chain that is just being begun, and lock it. Raises OSError.

        Under its name it is seen locked only.
        """
        path = self.path / chain.file
        draft = path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.rename(path)
        except OSError:
            os.close(descriptor)
            raise
        return SpoolFile(path, descriptor)

    def claim(self, chain: ChainId) -> SpoolFile | None:
        """Lock the spool of a chain whose process is dead; None where it lives. Raises OSError.

        One that is gone had nothing in it: an empty one takes its place.
        """
        path = self.path / chain.file
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except OSError:
                os.close(descriptor)
                raise
            if os.fstat(descriptor).st_nlink:
                return SpoolFile(path, descriptor)
            os.close(descriptor)  # who had it has just deleted it

    def chains(self) -> list[ChainId]:
        """Name the chains that have a spool here. Raises OSError."""
        found = (_FILE.fullmatch(each.name) for each in self.path.iterdir())
        return sorted(ChainId(int(each[1]), int(each[2])) for each in found if each)


def open_folder(data_dir: Path, *, make: bool, machine: str, token: str) -> SpoolFolder | None:
    """Open a host's spools; None where there are none, and none are to be made.

    A new folder gets a name from that of the machine and a random `token`. Raises
    StartError.
    """
    folder = data_dir / FOLDER_NAME
    named = folder / HOST_NAME
    try:
        if not named.exists():
            if not make:
                return None
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make_name(named, f"{_UNFIT.sub('-', machine)[:64]}-{token}")
        host = named.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = (
            f"The spool {folder} cannot be used: {error}. Correct the permissions of the folder, "
            "or leave ledger.spool_s out."
        )
        raise StartError(message) from error
    if not host or len(host) > HOST_CHARS_MAX:
        message = (
            f"{named} does not name a host. Restore it; or give its chains up with `entente db "
            f"release`, and delete {folder}."
        )
        raise StartError(message)
    return SpoolFolder(folder, host)


def _make_name(path: Path, host: str) -> None:
    """Write the host's name, whole or not at all; of several workers the first one wins."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(descriptor, f"{host}\n".encode("ascii"), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    sync_folder(path.parent)
    sync_folder(path.parent.parent)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of it, however little the disk takes at once. Raises OSError."""
    rest = memoryview(data)
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[count:], offset + count


def sync_folder(path: Path) -> None:
    """Have the disk know the names in a folder. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
