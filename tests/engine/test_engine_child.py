"""The child alone, as its parent sees it: the protocol on its pipes and its end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import entente.engine
from entente.domain.secret import Secret
from entente.engine import RuntimeOptions
from entente.engine.process import cut_log, first_error, last_line, package_path, settings_line

CHILD = Path(entente.engine.__file__).with_name("child.py")
KEY = "canary-of-the-key"
END_S = 60


def child(log: Path) -> subprocess.Popen[bytes]:
    """Run the child the way the supervisor does."""
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )


def test_it_leaves_when_stdin_ends_before_the_settings(tmp_path: Path) -> None:
    """A parent that died between spawn and settings leaves nothing behind."""
    with child(tmp_path / "log") as process:
        printed, _ = process.communicate(timeout=END_S)
    assert (process.returncode, printed) == (0, b"")


def test_it_leaves_when_stdin_ends_while_it_serves(options: RuntimeOptions, tmp_path: Path) -> None:
    """The portable way to notice the parent's death: it needs no signal of the kernel."""
    with child(tmp_path / "log") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(settings_line(options, package_path(), Secret(KEY)))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["port"] > 0
        process.stdin.close()
        assert process.wait(END_S) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the death signal")
def test_it_leaves_when_its_parent_is_another(options: RuntimeOptions, tmp_path: Path) -> None:
    """A parent that died before the death signal was set is noticed by its id."""
    settings = json.loads(settings_line(options, package_path(), Secret(KEY)))
    settings["parent_pid"] += 1
    with child(tmp_path / "log") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b""
        assert process.wait(END_S) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_key_is_nowhere_to_be_read(options: RuntimeOptions, tmp_path: Path) -> None:
    """Arguments and environment are open to others on the machine, logs to operators."""
    log = tmp_path / "log"
    with child(log) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(settings_line(options, package_path(), Secret(KEY)))
        process.stdin.flush()
        reported = process.stdout.readline()
        seen = [Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
        process.stdin.close()
    assert b"port" in reported
    assert all(KEY.encode() not in text for text in [reported, log.read_bytes(), *seen])


def test_it_says_what_cannot_be_imported(options: RuntimeOptions, tmp_path: Path) -> None:
    """A wheel that cannot be loaded (a missing system library) is named, not traced."""
    with child(tmp_path / "log") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(settings_line(options, tmp_path, Secret(KEY)))
        process.stdin.flush()
        printed = process.stdout.readline()
        assert process.wait(END_S) == 1
    assert json.loads(printed) == {"error": "No module named 'xllamacpp'"}


def test_the_cause_is_the_first_error_of_the_log() -> None:
    """llama.cpp logs the cause first and then one line for each caller that gives up."""
    log = "0.00.1 I loading\n0.00.2 E bad magic\n0.00.3 E failed to load\n\n"
    assert first_error(log) == "bad magic"
    assert first_error("0.00.1 I loading\n") is None
    assert last_line(log) == "0.00.3 E failed to load"
    assert last_line(" \n") is None


def test_a_log_is_cut_only_past_its_bound(tmp_path: Path) -> None:
    """A child that logs all day must not fill the disk; who appends goes on at the start."""
    log = tmp_path / "log"
    with log.open("ab") as writer:
        writer.write(b"12345678")
        writer.flush()
        assert not cut_log(log, 8)
        assert cut_log(log, 7)
        writer.write(b"9")
        writer.flush()
        assert log.read_bytes() == b"9"
    assert not cut_log(tmp_path / "none", 0)
