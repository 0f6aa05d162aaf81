"""Resident memory of a process and of all below it, as the kernel says."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from soak.model import Sample

_PROC: Final = Path("/proc")
_KIB: Final = 1024


def sample(pid: int, requests: int) -> Sample:
    """Take a sample of a server and its children, apart."""
    children = sum(_rss_bytes(child) for child in _descendants(pid))
    return Sample(requests, _rss_bytes(pid), children)


def _rss_bytes(pid: int) -> int:
    """Give what is resident; 0 for a process that is gone."""
    with contextlib.suppress(OSError):
        status = (_PROC / str(pid) / "status").read_text()
        _, found, rest = status.partition("VmRSS:")
        return int(rest.split()[0]) * _KIB if found else 0
    return 0


def _descendants(pid: int) -> list[int]:
    """Give the ids of all processes below a process, its threads' children included."""
    found: list[int] = []
    line = [pid]
    while line:
        for listed in (_PROC / str(line.pop()) / "task").glob("*/children"):
            with contextlib.suppress(OSError):
                children = [int(word) for word in listed.read_text().split()]
                found += children
                line += children
    return found
