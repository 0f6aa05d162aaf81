"""System programs that tests drive for real: found, or installed once where we may."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest


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
        pytest.skip(f"{name} is missing and cannot be installed here: apt-get install {package}")
    return found


def _find(name: str) -> str | None:
    """Look where ordinary users' paths do not, too."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")


def _install(package: str) -> None:
    """Install with apt-get when we are root; failure is seen by what is then missing."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", apt]
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
        subprocess.run([*quiet, *arguments], check=False, capture_output=True)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
