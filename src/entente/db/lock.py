"""The lock on a data folder: one server at a time, and a way to see that one runs.

The lock belongs to whoever has its descriptor open: the server, and the process that
writes its journal, which may outlive a server that was killed by a moment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from entente.domain.errors import StartError

LOCK_NAME: Final = "server.lock"
WAIT_S: Final = 10.0
"""How long what a dead server left behind may take to end."""
POLL_S: Final = 0.01


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Make the folder, for its owner only, and keep other servers out of it.

    Gives the descriptor of the lock. Raises StartError where that cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except (FileExistsError, NotADirectoryError) as error:
        message = (
            f"The data folder {folder} cannot be made: a file is in its place. Move it, or name "
            "another folder as server.data_dir."
        )
        raise StartError(message) from error
    except OSError as error:
        message = (
            f"Cannot write to the data folder {folder}: {error.strerror}. Correct its permissions, "
            "or name another one as server.data_dir."
        )
        raise StartError(message) from error
    try:
        if not _taken(descriptor):
            message = (
                f"Another entente serves from the data folder {folder}. Stop it, or name another "
                "folder as server.data_dir."
            )
            raise StartError(message)
        with contextlib.suppress(OSError):  # a full disk; then nobody waits for us to end
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, b"%d" % os.getpid(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """Take the lock; wait for it only if the server that had it is dead."""
    give_up_s = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up_s or _lives(os.pread(descriptor, 20, 0)):
                return False
            time.sleep(POLL_S)
        else:
            return True


def _lives(pid: bytes) -> bool:
    """Say whether there is a process of this id; when that is not known, there is."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError):
        return True
    return True


def is_locked(folder: Path) -> bool:
    """Say whether a server runs on this folder."""
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
