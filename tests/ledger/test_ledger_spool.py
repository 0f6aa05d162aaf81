"""The spool's files: what is written reads back, what is not whole does not, one process each."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente.domain.errors import StartError
from entente.ledger.spool import (
    ChainId,
    Header,
    SpoolFile,
    SpoolFolder,
    frame,
    open_folder,
    parse,
)
from tests.kit.run import PROPERTY

HEADER = Header(chain=7, opened_ns=11, seq=3, head=b"\x01" * 32)
ID = ChainId(7, 11)
LINES = st.lists(st.binary(max_size=40), max_size=6)


@pytest.fixture
def folder(tmp_path: Path) -> SpoolFolder:
    """Give the spools of a host."""
    opened = open_folder(tmp_path, make=True, machine="web 1", token="00ff")
    assert opened is not None
    return opened


def filled(folder: SpoolFolder, *batches: list[bytes]) -> SpoolFile:
    """Make a spool with some lines in it."""
    file = folder.begin(ID)
    for number, batch in enumerate(batches):
        file.write(None if number else HEADER, batch, fsync=True)
    return file


def test_what_is_written_is_read(folder: SpoolFolder) -> None:
    """Batch by batch, for its owner only; emptied, it begins anew."""
    file = filled(folder, [b"a", b""], [b"c" * 5000])
    assert file.read() == (HEADER, (b"a", b"", b"c" * 5000), 0)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    file.clear()
    assert file.path.stat().st_size == 0
    assert file.read() == (None, (), 0)
    file.write(HEADER, [b"d"], fsync=False)
    assert file.read() == (HEADER, (b"d",), 0)
    file.remove()
    assert not file.path.exists()


def _written(*batches: list[bytes]) -> bytes:
    data, checksum = b"", 0
    header = [b'{"chain":7,"opened_ns":11,"seq":3,"head":"AQ=="}']
    for line in (*header, *(line for batch in batches for line in batch)):
        piece, checksum = frame(line, checksum)
        data += piece
    return data


@given(lines=LINES, cut=st.integers(0, 400))
@PROPERTY
def test_a_torn_end_is_passed_over(lines: list[bytes], cut: int) -> None:
    """Wherever a write broke off: what is before it reads, and nothing else."""
    data = _written(lines)[:cut]
    spooled = parse(data)
    assert spooled.lines == tuple(lines[: len(spooled.lines)])
    if spooled.header is not None:
        whole = _written(list(spooled.lines))
        assert data.startswith(whole)
        assert spooled.torn_bytes == len(data) - len(whole)
    else:
        assert (spooled.lines, spooled.torn_bytes) == ((), len(data))


@given(lines=st.lists(st.binary(min_size=1, max_size=40), min_size=1), at=st.integers(0, 10_000))
@PROPERTY
def test_a_flipped_bit_is_seen(lines: list[bytes], at: int) -> None:
    """Nothing from there on reads as an entry."""
    data = bytearray(_written(lines))
    data[at % len(data)] ^= 1
    spooled = parse(bytes(data))
    assert len(spooled.lines) < len(lines)
    assert spooled.lines == tuple(lines[: len(spooled.lines)])


def test_what_was_there_before_does_not_come_back(folder: SpoolFolder) -> None:
    """A checksum goes on from the one before: old frames behind new ones do not fit."""
    file = filled(folder, [b"old-1", b"old-2", b"old-3"])
    before = file.path.read_bytes()
    file.clear()
    file.write(HEADER, [b"new-1"], fsync=True)
    after = file.path.read_bytes()
    assert parse(after + before[len(after) :]).lines == (b"new-1",)
    assert parse(after + bytes(64)).lines == (b"new-1",)


def test_a_write_that_fails_leaves_nothing(
    folder: SpoolFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it was on the disk; what was there before is whole, and more can follow."""
    file = filled(folder, [b"a"])
    real = os.pwrite

    def half(descriptor: int, data: memoryview, offset: int) -> int:
        if len(data) > 20:
            return real(descriptor, data[:20], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(OSError, match="No space"):
        file.write(None, [b"b" * 40], fsync=True)
    monkeypatch.undo()
    assert file.read() == (HEADER, (b"a",), 0)
    file.write(None, [b"c"], fsync=True)
    assert file.read().lines == (b"a", b"c")


FULL = """
import resource, sys
from pathlib import Path
from entente.ledger.spool import ChainId, Header, SpoolFolder
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
file = SpoolFolder(Path(sys.argv[1]), "h").begin(ChainId(7, 11))
header = Header(chain=7, opened_ns=11, seq=3, head=bytes(32))
file.write(header, [b"x" * 1_000], fsync=True)
try:
    file.write(None, [b"y" * 5_000], fsync=True)
except OSError as error:
    print(error.strerror)
file.write(None, [b"z"], fsync=True)
"""


def test_a_disk_that_takes_no_more(folder: SpoolFolder) -> None:
    """A real limit of a real process: it is told, and what fitted reads."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, folder.path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "File too large\n"), done.stderr
    file = folder.claim(ID)
    assert file is not None
    assert file.read().lines == (b"x" * 1_000, b"z")
    file.close()


def test_the_lock_is_its_process(folder: SpoolFolder) -> None:
    """While it is held nobody claims it; whoever does finds what is there, and who deletes ends it.

    A file that is gone had nothing in it.
    """
    file = filled(folder, [b"a"])
    assert folder.chains() == [ID]
    assert folder.claim(ID) is None
    file.close()
    again = folder.claim(ID)
    assert again is not None
    assert again.read().lines == (b"a",)
    assert folder.claim(ID) is None
    again.remove()
    assert folder.chains() == []
    empty = folder.claim(ID)
    assert empty is not None
    assert empty.read().header is None
    empty.close()


def test_a_host_keeps_its_name(folder: SpoolFolder, tmp_path: Path) -> None:
    """It has the machine's in it; a second process, or a later one, gets the same."""
    assert folder.host == "web-1-00ff"
    for make in (True, False):
        again = open_folder(tmp_path, make=make, machine="other", token="11")
        assert again is not None
        assert again.host == "web-1-00ff"
    assert folder.chains() == []


def test_a_host_without_a_spool(tmp_path: Path) -> None:
    """Nothing is made where nobody asked for it; what cannot be read is said."""
    assert open_folder(tmp_path, make=False, machine="m", token="00") is None
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "spool").write_text("a file where the folder should be")
    with pytest.raises(StartError, match="cannot be used"):
        open_folder(tmp_path, make=True, machine="m", token="00")
    (tmp_path / "spool").unlink()
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "host").write_text("")
    with pytest.raises(StartError, match="does not name a host"):
        open_folder(tmp_path, make=True, machine="m", token="00")
