"""The machine that is measured on: what it is, and what else it was doing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from bench import entente, model, peers
from bench.numbers import percentile
from bench.process import words

FSYNCS: Final = 200
PAGE_BYTES: Final = 4096
NS_PER_US: Final = 1000
KIB_PER_GIB: Final = 1024 * 1024
ROOT: Final = Path(__file__).parents[1]


class OthersWatch:
    """Tells how many processors were busy with what is not ours, since it was made.

    What the kernel counts as work of all, less what it counts for us and for the processes
    that we have started and seen end. Interrupts are left out: they are nobody's.
    """

    def __init__(self) -> None:
        """Begin now."""
        self._began_s = time.monotonic()
        self._all_s = _busy_s()
        self._ours_s = _ours_s()

    def processors(self) -> float:
        """Give the number so far. All that we have started must have ended."""
        others_s = _busy_s() - self._all_s - (_ours_s() - self._ours_s)
        return round(max(others_s, 0.0) / (time.monotonic() - self._began_s), 2)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep other measurements away. Exits if one is under way."""
    peers.CACHE.mkdir(parents=True, exist_ok=True)
    with (peers.CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("Another measurement is under way. Two would measure each other.")
        yield


def raise_limits() -> None:
    """Allow as many open files as the system lets us; every stream takes some."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _busy_s() -> float:
    """Give the time that all processors together have spent on processes."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:4]
    return sum(int(field) for field in fields) / os.sysconf("SC_CLK_TCK")


def _ours_s() -> float:
    """Give the time that we and our processes that have ended have spent on processors."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        total += used.ru_utime + used.ru_stime
    return total


def fsyncs_us(folder: Path) -> list[float]:
    """Time how long the disk takes to have a page for sure, many times."""
    taken = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            began_ns = time.perf_counter_ns()
            file.write(bytes(PAGE_BYTES))
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter_ns() - began_ns) / NS_PER_US)
    return taken


def describe(
    programs: dict[str, str],
    versions: dict[str, str],
    busy_before: float,
    folder: Path,
) -> model.Machine:
    """Describe the machine without naming it. `folder` is on the disk that ledgers go to."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    synced_us = fsyncs_us(folder)
    memory = Path("/proc/meminfo").read_text().split()[1]
    release = ".".join(platform.release().split(".")[:2])
    return model.Machine(
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        cpu=cpu,
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(int(memory) / KIB_PER_GIB),
        system=f"{platform.system()} {release}",
        busy_before=busy_before,
        busy_during=0.0,
        fsync_p50_us=percentile(synced_us, 50),
        fsync_p99_us=percentile(synced_us, 99),
        versions={
            "entente": entente.version(),
            "python": platform.python_version(),
            "uvloop": metadata.version("uvloop"),
            "httptools": metadata.version("httptools"),
            "sqlite": sqlite3.sqlite_version,
            "nginx": words([programs["nginx"], "-v"]).rpartition("/")[2].split()[0],
            "wrk": words([programs["wrk"], "-v"]).split()[1],
            "node": peers.node_version(),
            **versions,
        },
        commit=_commit(),
    )


def _commit() -> str:
    """Name the commit that is measured, and whether the source differs from it."""
    try:
        git = ["git", "-C", str(ROOT)]
        commit = words([*git, "rev-parse", "--short", "HEAD"])
        changed = words([*git, "status", "--porcelain", "--", "src"])
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{commit} with changes" if changed else commit
