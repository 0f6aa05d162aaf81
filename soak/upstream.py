"""An upstream in a process of its own, whose count survives even its own `kill -9`.

    python -m soak.upstream CALLS_FILE PORT PAUSE_MS WORDS

It appends the number of each request (its `max_tokens`, see `tests.support.load`) to a file
before it answers; what the kernel has taken stays when the process dies.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from tests.support.server import wait_until
from tests.support.upstream import Upstream, play_words

RECORD_BYTES: Final = 11
"""Ten digits and a line's end."""
ROOT: Final = Path(__file__).parents[1]
_READY: Final = b"port "


class _Recording(Upstream):
    """Keeps numbers in a file instead of whole requests in memory."""

    calls_fd = -1

    def note(self, _: bytes, body: bytes) -> None:
        """Append the request's number."""
        os.write(self.calls_fd, b"%10d\n" % json.loads(body)["max_tokens"])


async def _serve(calls: Path, port: int, pause_s: float, words: int) -> None:
    """Serve until a SIGTERM."""
    play = partial(play_words, pause_s=pause_s, words=(" word",) * words)
    upstream = _Recording(play, port=port)
    upstream.calls_fd = os.open(calls, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with upstream:
        sys.stdout.write(f"{_READY.decode()}{upstream.port}\n")
        sys.stdout.flush()
        await over.wait()
    os.close(upstream.calls_fd)


class UpstreamProcess:
    """The upstream as its drill sees it: it can be killed, started again, and asked its count."""

    def __init__(self, folder: Path, *, pause_s: float, words: int) -> None:
        """Nothing runs yet."""
        self.port = 0
        self._calls = folder / "calls"
        self._out = folder / "upstream.log"
        self._options = (str(pause_s * 1000), str(words))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        """Base URL without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> int:
        """How many requests arrived whole."""
        return self._calls.stat().st_size // RECORD_BYTES if self._calls.exists() else 0

    def numbers(self, after: int) -> list[int]:
        """Give the numbers of the requests behind the first `after` ones."""
        with self._calls.open("rb") as file:
            file.seek(after * RECORD_BYTES)
            return [int(line) for line in file.read().splitlines()]

    def start(self) -> None:
        """Start and wait until it listens: on the same port as before, if there was one."""
        said = self._out.stat().st_size if self._out.exists() else 0
        command = [sys.executable, "-m", "soak.upstream", str(self._calls), str(self.port)]
        with self._out.open("ab") as out:
            self._process = subprocess.Popen(
                [*command, *self._options], cwd=ROOT, stdout=out, stderr=out
            )
        wait_until(lambda: self._listens(said), "the upstream to start")

    def _listens(self, said: int) -> bool:
        """Whether it has said its port behind what it said before."""
        assert self._process is not None
        text = self._out.read_bytes()[said:]
        if self._process.poll() is not None:
            message = f"the upstream ended: {text.decode(errors='replace')}"
            raise AssertionError(message)
        if not (text.startswith(_READY) and text.endswith(b"\n")):
            return False
        self.port = int(text.removeprefix(_READY).split(b"\n")[0])
        return True

    def kill(self) -> None:
        """End it at once, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


if __name__ == "__main__":
    _file, _port, _pause_ms, _words = sys.argv[1:]
    uvloop.run(_serve(Path(_file), int(_port), float(_pause_ms) / 1000, int(_words)))
