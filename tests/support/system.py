"""System programs that tests drive for real: found, or installed once where we may."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

_PORTS: Final = range(20_000, 30_000)
"""Below those from which Linux takes ports by itself."""
STOPPED: Final = "T"
"""The state of a process that a signal has stopped."""
_ENDED: Final = ("", "X", "Z")
_locks: Final[list[int]] = []
"""Kept open, which keeps their ports."""


def program(name: str, package: str) -> str:
    """Return the path of a program; install its Debian package, or skip with the reason."""
    found = _find(name)
    if found is None:
        lock = Path(tempfile.gettempdir()) / f"entente-tests-{package}.lock"
        with lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)  # parallel workers: one installs, others wait
            found = _find(name)
            if found is None:
                _install(package)
                found = _find(name)
    if found is None:
        missing = f"{name} is missing and cannot be installed here: apt-get install {package}"
        if "CI" in os.environ:  # noqa: TID251  (where every test has to run)
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def _find(name: str) -> str | None:
    """Look where ordinary users' paths do not, too."""
    return (
        shutil.which(name)
        or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
        or _of_newest_version(name)
    )


def _of_newest_version(name: str) -> str | None:
    """Look where Debian keeps PostgreSQL's programs, version by version."""
    found = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    by_version = {path.parts[-3]: path for path in found}
    newest = max(by_version, key=lambda version: int(version.partition(".")[0]), default=None)
    return None if newest is None else str(by_version[newest])


def _install(package: str) -> None:
    """Install with apt-get when we are root; failure is seen by what is then missing."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", apt]
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
        subprocess.run([*quiet, *arguments], check=False, capture_output=True)


def children_of(pid: int) -> list[int]:
    """List the processes that a process has started; none if it has ended, at whatever moment."""
    children: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in list(Path(f"/proc/{pid}/task").glob("*/children")):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children += map(int, thread.read_text().split())
    return children


def state_of(pid: int) -> str:
    """Give the letter that Linux has for the state of a process; none if there is no such one."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    return ""


def has_ended(pid: int) -> bool:
    """Say whether nothing of a process is left, but that its parent may not know it yet."""
    return state_of(pid) in _ENDED


def free_port() -> int:
    """Give a loopback port for a program that has to be told one, ours until this process ends.

    It is none that the system gives to others by itself, and a lock keeps it from other
    processes of tests: else two programs could meet on it.
    """
    folder = Path(tempfile.gettempdir()) / "entente-tests-ports"
    folder.mkdir(exist_ok=True)
    start = os.getpid() % len(_PORTS)
    ports: list[int] = [*_PORTS[start:], *_PORTS[:start]]
    for port in ports:
        lock = os.open(folder / str(port), os.O_RDWR | os.O_CREAT, 0o666)
        with contextlib.suppress(OSError), socket.socket() as probe:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.bind(("127.0.0.1", port))
            _locks.append(lock)
            return port
        os.close(lock)
    message = f"no port from {_PORTS[0]} to {_PORTS[-1]} is free"
    raise AssertionError(message)
