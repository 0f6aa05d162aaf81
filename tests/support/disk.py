"""A file system of a few megabytes, which can be filled up and freed again."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class CannotMount(Exception):
    """Mounting is not possible here; the text says why."""


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    """Mount a file system of a size at `folder`, which is made. Raises CannotMount."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotMount("there is no mount here, and a full disk needs one of its own") from None
    if done.returncode != 0:
        raise CannotMount(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(file: Path) -> None:
    """Take all the space that is left."""
    with file.open("ab", buffering=0) as handle, contextlib.suppress(OSError):
        while True:
            handle.write(bytes(4096))
