"""Programs that are measured or measure: started, watched, and ended by their ids.

Each gets a process group of its own, so that what it has started in turn is counted with
it and ends with it. What is read of a process (memory, time on a processor) is the
kernel's word from /proc.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

STOP_S: Final = 15.0
"""How long a program may take to stop before it is killed."""
QUIET_S: Final = 20.0
"""How long to wait for a program to work off what a measurement has left in it."""
QUIET_PAUSE_S: Final = 0.1
QUIET_SHARE_MAX: Final = 0.1
"""A program that uses less than this share of a processor is at rest."""
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
LOG_TAIL_CHARS: Final = 2000
_PASSED: Final = ("PATH", "HOME", "LANG", "TMPDIR")
"""What a measured program sees of our environment: no proxy, no key, no option of ours."""


class ProgramFailed(Exception):
    """A program did not start, or ended early; the text has the end of its log."""


class Program:
    """A program that is running, with what it has started."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Take a process that leads its own group."""
        self._process = process
        self._log = log
        self.pid = process.pid

    def pids(self) -> list[int]:
        """Give the ids of all processes of its group."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                # The fields behind the name: state, parent, group.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.pid and fields[0] != "Z":
                    found.append(int(folder.name))
        return found

    def rss_bytes(self) -> int:
        """Give the resident memory of all its processes."""
        page = os.sysconf("SC_PAGE_SIZE")
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
        return total

    def cpu_s(self) -> float:
        """Give the time that all its processes have spent on a processor."""
        ticks = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_PER_S

    def rest(self) -> None:
        """Wait until it does nothing, so that one measurement does not run into the next."""
        deadline = time.monotonic() + QUIET_S
        before = self.cpu_s()
        while time.monotonic() < deadline:
            time.sleep(QUIET_PAUSE_S)
            now = self.cpu_s()
            if now - before <= QUIET_PAUSE_S * QUIET_SHARE_MAX:
                return
            before = now

    def check(self) -> None:
        """Raise ProgramFailed if it has ended."""
        if self._process.poll() is not None:
            message = f"{self._log.stem} has ended ({self._process.returncode}): {self.tail()}"
            raise ProgramFailed(message)

    def tail(self) -> str:
        """Give the end of its log."""
        return self._log.read_text(errors="replace")[-LOG_TAIL_CHARS:].strip()

    def stop(self) -> None:
        """End it: politely, then for good."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Run a program until the context ends; its output goes to `log`."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=clean_environment() | dict(environment or {}),
            start_new_session=True,
        )
    program = Program(process, log)
    try:
        yield program
    finally:
        program.stop()


def clean_environment() -> dict[str, str]:
    """Give what programs may see of our environment."""
    ours = os.environ  # noqa: TID251  (the suite is a program of its own)
    return {name: ours[name] for name in _PASSED if name in ours}


def free_port() -> int:
    """Find a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def needed(*programs: str) -> dict[str, str]:
    """Find programs. Exits with what to install where one is missing."""
    found = {name: shutil.which(name) or shutil.which(name, path="/usr/sbin") for name in programs}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        sys.exit(f"The benchmark needs {', '.join(missing)}: apt-get install {' '.join(missing)}")
    return {name: path for name, path in found.items() if path is not None}


def words(command: Sequence[str], within_s: float = 60.0) -> str:
    """Run a program to its end; give what it said on both outputs."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=within_s,
        env=clean_environment(),
    )
    return (done.stdout + done.stderr).strip()
