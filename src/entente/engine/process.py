"""One child process from spawn to its end: pipes, log, health and stop."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Final

from entente.domain.errors import StartError
from entente.domain.secret import Secret
from entente.engine.options import Endpoint, RuntimeOptions

PACKAGE: Final = "xllamacpp"
NOT_INSTALLED: Final = "The local runtime is not installed. Run: pip install 'entente[local]'."
KEY_BYTES: Final = 32
REPORT_BYTES_MAX: Final = 65_536
LOG_HINT_BYTES_MAX: Final = 16_384
LOG_HINT_CHARS_MAX: Final = 300
HOST: Final = "127.0.0.1"
HEALTH_REQUEST: Final = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class ChildError(Exception):
    """The child cannot serve. The text is for people; `refused` says that it said so itself."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason
        self.refused = refused


def package_path() -> Path:
    """Find the folder that holds xllamacpp without importing it; `StartError` when none does."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise StartError(NOT_INSTALLED)
    return Path(spec.origin).resolve().parent.parent


def open_log(path: Path, bytes_max: int) -> int:
    """Open the log for appending, after moving one that is past its bound to `.1`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > bytes_max:
        path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def cut_log(path: Path, bytes_max: int) -> bool:
    """Empty a log past its bound and say whether; the child appends, so it goes on at 0."""
    try:
        if path.stat().st_size <= bytes_max:
            return False
        os.truncate(path, 0)
    except OSError:
        return False  # removed by somebody; the next start makes a new one
    return True


def settings_line(options: RuntimeOptions, folder: Path, key: Secret) -> bytes:
    """Encode what the child needs to know, the key included, for its stdin."""
    settings = {
        "alias": options.alias,
        "api_key": key.reveal(),
        "connections_max": options.connections_max,
        "context_tokens": options.context_tokens,
        "model_path": str(options.model_path.resolve()),
        "package_path": str(folder),
        "parallel": options.parallel,
        "parent_pid": os.getpid(),
        "prompt_cache_mib": options.prompt_cache_mib,
        "temperature": options.temperature,
        "threads": options.threads,
    }
    return json.dumps(settings).encode() + b"\n"


async def spawn(options: RuntimeOptions) -> Child:
    """Start a child and hand it its settings; `OSError` when the system refuses.

    A session of its own keeps the terminal's Ctrl-C from it: the parent drains first
    and then stops it. asyncio forks in the thread that runs the loop, so that the
    kernel's death signal means the death of that thread.
    """
    folder = package_path()
    key = Secret(secrets.token_urlsafe(KEY_BYTES))
    log = open_log(options.log_path, options.log_bytes_max)
    try:
        log_start = os.fstat(log).st_size
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", str(Path(__file__).with_name("child.py"))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            limit=REPORT_BYTES_MAX,
        )
    finally:
        os.close(log)
    child = Child(process, options, key, log_start)
    child.send(settings_line(options, folder, key))
    return child


class Child:
    """A running child and its pipes."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        options: RuntimeOptions,
        key: Secret,
        log_start: int,
    ) -> None:
        """Take over a process whose stdin and stdout are pipes."""
        self._process = process
        self._options = options
        self._key = key
        self._log_start = log_start
        self._port = 0

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Write to the child. A child that is gone shows in its report, not here."""
        if self._process.stdin is not None:
            self._process.stdin.write(line)

    async def endpoint(self) -> Endpoint:
        """Wait until the child serves; `ChildError` when it cannot."""
        line = b""
        if self._process.stdout is not None:
            try:
                async with asyncio.timeout(self._options.start_timeout_s):
                    line = await self._process.stdout.readline()
            except TimeoutError:
                reason = f"it was not ready within {self._options.start_timeout_s:g} s"
                raise ChildError(reason, refused=False) from None
        message = json.loads(line) if line.endswith(b"\n") else {}
        if "port" in message:
            self._port = int(message["port"])
            return Endpoint(f"http://{HOST}:{self._port}", self._key)
        if "error" in message:
            reason = first_error(self._log_since_start()) or str(message["error"])
            raise ChildError(reason, refused=True)
        raise ChildError(await self.ended(), refused=False)

    async def ended(self) -> str:
        """Wait for the end of the process and say in words how it was."""
        status = await self._process.wait()
        how = (
            f"signal {-status} ({signal.strsignal(-status)})" if status < 0 else f"status {status}"
        )
        line = last_line(self._log_since_start())
        return f"it ended with {how}" + (f" after: {line}" if line else "")

    async def hung(self) -> str:
        """Return, in words, once the child has been silent for too long.

        One unanswered probe is a hang: it waits as long as `health_timeout_s` says,
        which outlasts idle connections that hold all of the child's threads.
        """
        while True:
            await asyncio.sleep(self._options.health_interval_s)
            if cut_log(self._options.log_path, self._options.log_bytes_max):
                self._log_start = 0
            try:
                async with asyncio.timeout(self._options.health_timeout_s):
                    await probe(self._port)
            except TimeoutError:
                return f"it did not answer within {self._options.health_timeout_s:g} s"
            except ConnectionRefusedError:
                return "it does not accept connections"
            except OSError:
                continue  # our own trouble, such as too many open files, is not the child's

    async def stop(self) -> None:
        """End the process within `stop_timeout_s`, by force if it must be."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(self._options.stop_timeout_s):
                await self._process.wait()
        except TimeoutError:
            pass  # what is still there is killed below
        finally:
            if self._process.returncode is None:
                self._process.kill()
        await self._process.communicate()  # takes the end of the pipes, so that none stays open

    def _log_since_start(self) -> str:
        """Give the beginning and the end of what this child has logged."""
        try:
            with self._options.log_path.open("rb") as log:
                log.seek(self._log_start)
                head = log.read(LOG_HINT_BYTES_MAX)
                log.seek(max(log.tell(), os.fstat(log.fileno()).st_size - LOG_HINT_BYTES_MAX))
                return (head + log.read(LOG_HINT_BYTES_MAX)).decode(errors="replace")
        except OSError:
            return ""


async def probe(port: int) -> None:
    """Ask the child for its health and wait for any answer."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(HEALTH_REQUEST)
        await reader.readline()
    finally:
        writer.close()


def first_error(log: str) -> str | None:
    """Find the first error that llama.cpp logged: the cause, the others are its wake."""
    for line in log.splitlines():
        _, mark, text = line.partition(" E ")
        if mark:
            return text.strip()[:LOG_HINT_CHARS_MAX]
    return None


def last_line(log: str) -> str | None:
    """Find the last line that says something."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1][:LOG_HINT_CHARS_MAX] if lines else None
