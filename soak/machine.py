"""Facts of the machine that drills run on, without its name."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Final

from bench.machine import fsyncs_us
from bench.numbers import percentile
from soak.model import Machine

ROOT: Final = Path(__file__).parents[1]
_KIB_PER_GIB: Final = 1024 * 1024


def describe(folder: Path) -> Machine:
    """Describe it; `folder` is on the disk that the ledgers go to."""
    synced_us = fsyncs_us(folder)
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    release = ".".join(platform.release().split(".")[:2])
    return Machine(
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(memory_kib / _KIB_PER_GIB),
        system=f"{platform.system()} {release}",
        fsync_p50_us=round(percentile(synced_us, 50)),
        fsync_p99_us=round(percentile(synced_us, 99)),
        versions={
            "entente": metadata.version("entente"),
            "python": platform.python_version(),
            "uvloop": metadata.version("uvloop"),
            "sqlite": sqlite3.sqlite_version,
        },
        commit=_commit(),
    )


def _cpu() -> str:
    """Name the kind of processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """Name the commit that is drilled, and whether the source differs from it."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", "src")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{commit} with changes" if changed else commit


def _git(*arguments: str) -> str:
    """Ask git about this tree."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
