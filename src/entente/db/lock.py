"""The lock on a data folder: one server at a time, and a way to see that one runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from entente.domain.errors import StartError

LOCK_NAME: Final = "server.lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, for its owner only, and keep other servers out of it.

    Raises StartError where that cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        message = (
            f"Cannot write to the data folder {folder}: {error.strerror}. Correct its permissions, "
            "or name another one as server.data_dir."
        )
        raise StartError(message) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = (
            f"Another entente serves from the data folder {folder}. Stop it, or name another "
            "folder as server.data_dir."
        )
        raise StartError(message) from None
    else:
        yield
    finally:
        os.close(descriptor)


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
