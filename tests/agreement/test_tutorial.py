"""The tutorial, followed word by word: its files written, its commands run, its answers compared.

Nothing here knows what the page is about. What stands under "Write `x`:" is written to x, what
stands behind a `$` is run in one shell, and what is shown has to come. Only these differ from the
page: its port is a free one, its November 2026 is this month, and `…` stands for anything.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from entente.agreement.decide import Rules, decide
from entente.agreement.load import Texts, load
from entente.agreement.occasions import NOTHING
from entente.agreement.values import instant_ns
from tests.support.server import WAIT_S_MAX, wait_until
from tests.support.system import free_port

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "agreement" / "tutorial.md"
FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHANGE: Final = re.compile(r"[Ii]n `([^`]+)`, change `([^`]+)` to `([^`]+)`")
FILE: Final = re.compile(r"(Write|Add to) `([^`]+)`:$")
SERVE: Final = "entente serve"
PAUSE: Final = "sleep "
MARK: Final = "-- done --"
MONTHS: Final = 12


class Step(NamedTuple):
    """What a reader does next, or sees."""

    line: int
    verb: str
    what: str
    content: str = ""


def steps(page: str) -> Iterator[Step]:
    """Read a page: its files, changes, commands, and what a server has said."""
    end = 0
    for found in FENCE.finditer(page):
        prose = " ".join(page[end : found.start()].split())
        line, end = page[: found.start()].count("\n") + 1, found.end()
        for name, old, new in CHANGE.findall(prose):
            yield Step(line, "Change", name, f"{old}\n{new}")
        kind, content = found.groups()
        file = FILE.search(prose)
        if kind == "console":
            yield from commands(line + 1, content)
        elif kind == "text":
            yield Step(line, "See", "", content)
        else:
            assert file, f"line {line}: nothing says what this is for"
            yield Step(line, file[1], file[2], content)


def commands(line: int, block: str) -> Iterator[Step]:
    """Give each command of a block with what is shown for it."""
    before, *parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert not before, f"line {line}: a block begins with its command"
    for part in parts:
        command, _, shown = part.partition("\n")
        yield Step(line, "Run", command, shown)
        line += part.count("\n")


def looks_like(shown: str) -> re.Pattern[str]:
    """Make what is shown a pattern: `…` is anything in its line, or whole lines."""
    lines = (
        r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"
        for line in shown.splitlines()
    )
    return re.compile("".join(lines))


class Shell:
    """A terminal: one shell that remembers what was exported."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        """Open it in a folder."""
        self._process = subprocess.Popen(
            ["bash"], cwd=folder, env=environ, text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, command: str) -> str:
        """Run a command, and give what it has written to either stream."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{{ {command}\n}} </dev/null\necho '{MARK}'\n")
        self._process.stdin.flush()
        said = ""
        while not said.endswith(f"{MARK}\n"):
            line = self._process.stdout.readline()
            assert line, f"the shell has ended:\n{said}"
            said += line
        return said.removesuffix(f"{MARK}\n")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(WAIT_S_MAX)


class Server:
    """The second terminal, in which the server runs."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        """Start it."""
        self._out, self._err = folder / "terminal.out", folder / "terminal.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                SERVE.split(), cwd=folder, env=environ, stdout=out, stderr=err
            )

    @property
    def told(self) -> str:
        """What it has said to its user."""
        assert self._process.poll() is None, self._err.read_text(encoding="utf-8")
        return self._out.read_text(encoding="utf-8")

    @property
    def logged(self) -> str:
        """What it has logged."""
        return self._err.read_text(encoding="utf-8")

    def interrupt(self) -> int:
        """Press Ctrl-C, and give the exit status."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(WAIT_S_MAX)

    def close(self) -> None:
        """Kill it, if it still runs."""
        self._process.kill()
        self._process.wait(WAIT_S_MAX)


class Reader:
    """Somebody who follows the page in an empty folder."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        """Sit down."""
        self._folder, self._stack = folder, stack
        self._environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # noqa: TID251
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),  # noqa: TID251
            "LC_ALL": "C.UTF-8",
        }
        self._shell = Shell(folder, self._environ)
        stack.callback(self._shell.close)
        self.server: Server | None = None
        self._paused = False

    def follow(self, step: Step) -> None:
        """Do what the page says."""
        path = self._folder / step.what
        match step.verb:
            case "Write":
                empty = not path.exists() or not path.stat().st_size
                assert empty, f"line {step.line}: {step.what} is there already"
                path.write_text(step.content, encoding="utf-8")
            case "Add to":
                with path.open("a", encoding="utf-8") as file:
                    file.write(step.content)
            case "Change":
                old, new = step.content.split("\n")
                text = path.read_text(encoding="utf-8")
                assert text.count(old) == 1, f"line {step.line}: {old!r} stands not once"
                path.write_text(text.replace(old, new), encoding="utf-8")
            case "See":
                assert self.server is not None
                compare(step, self.server.logged)
            case _:
                self._run(step)

    def _run(self, step: Step) -> None:
        if step.what.startswith(PAUSE):
            self._paused = True
        elif step.what == SERVE:
            server = self.server = Server(self._folder, self._environ)
            self._stack.callback(server.close)
            shown = looks_like(step.content)
            wait_until(lambda: shown.fullmatch(server.told) is not None, step.content)
        elif self._paused:
            # A pause is for something to happen, which is waited for as long as it takes.
            shown, self._paused = looks_like(step.content), False
            wait_until(lambda: bool(shown.fullmatch(self._shell.run(step.what))), step.content)
        else:
            compare(step, self._shell.run(step.what))


def compare(step: Step, said: str) -> None:
    """Fail with both texts where what was said is not what is shown."""
    place = f"{PAGE.name}:{step.line}: {step.what}"
    assert looks_like(step.content).fullmatch(said), f"{place}\n{said}\nis not\n{step.content}"


def this_month() -> str:
    """Give the month in which the commands run."""
    return time.strftime("%Y-%m", time.gmtime())


def here(page: str, port: int, month: str) -> str:
    """Give the page as it is for a reader of this month, with a port that is free."""
    year, number = map(int, month.split("-"))
    after = f"{year + 1}-01" if number == MONTHS else f"{year}-{number + 1:02d}"
    for name, own in (("2026-12", after), ("2026-11", month), ("8080", str(port))):
        assert name in page
        page = page.replace(name, own)
    return page


def read_through(folder: Path, month: str) -> Sequence[Step]:
    """Follow the whole page, and stop the server as it says at its end."""
    folder.mkdir()
    page = here(PAGE.read_text(encoding="utf-8"), free_port(), month)
    made = list(steps(page))
    with contextlib.ExitStack() as stack:
        reader = Reader(folder, stack)
        for step in made:
            reader.follow(step)
        assert reader.server is not None
        assert "Stop the server with Ctrl-C." in page
        assert reader.server.interrupt() == 0
    return made


def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    """Every file, command and answer; twice where a month ends meanwhile."""
    month = this_month()
    try:
        made = read_through(tmp_path / "first", month)
    except AssertionError:
        if this_month() == month:
            raise
        made = read_through(tmp_path / "second", this_month())
    verbs = [step.verb for step in made]
    assert set(verbs) == {"Write", "Add to", "Change", "Run", "See"}
    words = {step.what.split(" agreement.yaml")[0] for step in made if step.verb == "Run"}
    every = {f"entente agreement {name}" for name in ("check", "decide", "settle", "simulate")}
    assert words >= every


def test_the_six_lines_of_the_readme_are_an_agreement() -> None:
    """They load, and bar what they are there to bar."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (document,) = (content for kind, content in FENCE.findall(text) if kind == "yaml")
    assert document.count("\n") == 6
    book = load(Texts({"pact.yaml": document}), "pact.yaml")
    rules, at_ns = Rules(book.versions()), instant_ns("2026-07-01", book.zone)
    own, third = (
        decide(rules, NOTHING, {"model": "frontier", "host": host}, at_ns)
        for host in ("lab-hosts", "third-hosts")
    )
    assert own.allowed
    assert (third.allowed, third.clauses) == (False, ("X1",))
