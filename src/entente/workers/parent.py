"""The parent: starts workers, starts them again when they die, and ends them.

The first worker starts alone: it brings the database forward, and what is wrong with port,
settings or database is said once. From then on each is looked after by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Final

import uvloop

from entente.config import Config
from entente.db import locked
from entente.domain.errors import StartError
from entente.engine import Runtime
from entente.host import allow_open_files, start_runtime
from entente.workers.frames import (
    Begin,
    Failed,
    FromParent,
    Lent,
    Ready,
    frame,
    heard_from_worker,
)
from entente.workers.lent import told_of
from entente.workers.ports import Sockets, doors, port_of

BACKOFF_S_MIN: Final = 0.25
BACKOFF_S_MAX: Final = 30.0
QUEUE_S: Final = 1.0
"""Connections wait for a worker that is started again within so long; else others get them."""
STABLE_S: Final = 60.0
"""A worker that has served for so long is started again without a wait when it dies."""
START_S: Final = 120.0
"""From its process to its first answer; past it a worker is killed."""
HANG_S: Final = 30.0
"""A worker whose event loop has not turned for so long is killed."""
END_S: Final = 15.0
"""Beyond `server.shutdown_s`, for settlements to be written; then a worker is killed."""

_log = logging.getLogger("entente.workers")


def serve_many(config: Config, *, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Serve by `server.workers` processes until a signal says stop.

    Raises StartError, or what a worker could not start for, once.
    """
    allow_open_files()
    with (
        locked(config.server.data_dir) as lock,
        port_of(config, config.server.workers) as ports,
        doors(config.server.data_dir, config.server.workers) as (folder, own),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(Parent(config, dict(environ), Sockets(ports, own, folder, lock), say).run())


class _Process:
    """One worker's process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process, link: socket.socket) -> None:
        self.process = process
        self.ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.link: asyncio.StreamWriter | None = None
        self.hearing: asyncio.Task[None] | None = None
        self._socket = link
        self._heard_s = asyncio.get_running_loop().time()

    async def listen(self, begin: FromParent) -> None:
        """Tell it to begin, and hear it to its end."""
        loop = asyncio.get_running_loop()
        reader, self.link = await asyncio.open_unix_connection(sock=self._socket)
        self.tell(begin)
        try:
            while (message := await heard_from_worker(reader)) is not None:
                self._heard_s = loop.time()
                if self.ready.done():
                    continue
                if isinstance(message, Ready):
                    self.ready.set_result(message.greeting)
                elif isinstance(message, Failed):
                    self.ready.set_exception(StartError(message.message))
            await self.process.wait()
            if not self.ready.done():
                status = _ended(self.process.returncode)
                self.ready.set_exception(StartError(f"A worker {status} before it could serve."))
        finally:
            self.link.close()
            self.ready.cancel()

    def tell(self, message: FromParent) -> None:
        """Send a message; one that has gone does not hear it."""
        if self.link is not None and not self.link.is_closing():
            self.link.write(frame(message))

    def is_hung(self, now_s: float) -> bool:
        """Say whether it is to be killed: its loop does not turn, or it never began."""
        bound_s = HANG_S if self.ready.done() else START_S
        return now_s - self._heard_s > bound_s

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it lives."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


class Parent:
    """Looks after the workers of one host."""

    def __init__(
        self,
        config: Config,
        environ: dict[str, str],
        sockets: Sockets,
        say: Callable[[str], None],
    ) -> None:
        """Take what the workers are to inherit, and what prints a line for people."""
        self._config = config
        self._environ = environ
        self._sockets = sockets
        self._say = say
        self._runtime: Runtime | None = None
        self._running: dict[int, _Process] = {}
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Start all, keep them, and end them on SIGTERM or SIGINT. Raises StartError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        async with contextlib.AsyncExitStack() as stack:
            self._runtime = await start_runtime(self._config, stack)
            keepers: list[asyncio.Task[None]] = []
            aside = [loop.create_task(self._watch()), loop.create_task(self._lend())]
            began = loop.create_task(self._begin(keepers))
            stopped = loop.create_task(self._stop.wait())
            try:
                await asyncio.wait((began, stopped), return_when=asyncio.FIRST_COMPLETED)
                if began.done():
                    self._say(f"{began.result()}\n{self._about()}")
                await stopped
                self._say("Stopping: running requests finish, nothing new is taken.")
            finally:
                self._stop.set()
                began.cancel()
                await self._end(keepers)
                for task in aside:
                    task.cancel()

    def _about(self) -> str:
        """Say who serves."""
        count = self._config.server.workers
        return f"{count} workers serve, kept by process {os.getpid()}: send signals to that one."

    async def _begin(self, keepers: list[asyncio.Task[None]]) -> str:
        """Start the first worker, then the others; give what the first says."""
        numbers = range(1, self._config.server.workers + 1)
        greeting = ""
        for group in (numbers[:1], numbers[1:]):
            loop = asyncio.get_running_loop()
            began: list[asyncio.Future[str]] = [loop.create_future() for _ in group]
            keepers += [
                asyncio.create_task(self._keep(number, first))
                for number, first in zip(group, began, strict=True)
            ]
            greetings = await asyncio.gather(*began)
            greeting = greeting or greetings[0]
        return greeting

    async def _keep(self, number: int, began: asyncio.Future[str]) -> None:
        """Keep one worker serving; `began` is how its first start went."""
        loop = asyncio.get_running_loop()
        wait_s, told = BACKOFF_S_MIN, ""
        while not self._stop.is_set():
            since_s = loop.time()
            text = await self._run(number, began)
            self._running.pop(number, None)
            if self._stop.is_set() or began.exception() is not None:
                return
            if loop.time() - since_s >= STABLE_S:
                wait_s = BACKOFF_S_MIN
            if text != told:
                _log.error("worker %d %s; another one is started in %g s", number, text, wait_s)
                told = text
            if wait_s > QUEUE_S:
                self._sockets.ports[number - 1].close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait_s)
            wait_s = min(2 * wait_s, BACKOFF_S_MAX)

    async def _run(self, number: int, began: asyncio.Future[str]) -> str:
        """Run one process of a worker to its end; say what that was."""
        is_first = not began.done()
        try:
            worker = await self._launch(number, is_first=is_first)
        except (StartError, OSError) as error:
            if is_first:
                began.set_exception(StartError(f"A worker cannot be started: {error}"))
            return f"cannot be started: {error}"
        try:
            greeting = await worker.ready
        except StartError as error:
            if is_first and not began.done():
                began.set_exception(error)
            await worker.process.wait()
            return f"cannot start: {error.message}"
        if is_first and not began.done():
            began.set_result(greeting)
        status = await worker.process.wait()
        return f"(process {worker.process.pid}) {_ended(status)}"

    async def _launch(self, number: int, *, is_first: bool) -> _Process:
        """Start a worker's process."""
        ours, theirs = socket.socketpair()
        sockets = self._sockets
        listener = sockets.ports[number - 1].open().fileno()
        door = sockets.doors[number - 1].fileno()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "entente.workers.worker", str(theirs.fileno())),
                pass_fds=(theirs.fileno(), listener, door, sockets.lock),
                stdin=subprocess.DEVNULL,
            )
        ours.setblocking(False)  # noqa: FBT003
        worker = self._running[number] = _Process(process, ours)
        begin = Begin(
            config=self._config,
            environ=self._environ,
            number=number,
            workers=self._config.server.workers,
            is_first=is_first and number == 1,
            listener=listener,
            door=door,
            folder=sockets.folder,
            lock=sockets.lock,
            lent=self._lent(),
            program=sys.argv[0],
        )
        worker.hearing = asyncio.create_task(worker.listen(begin))
        return worker

    # ---- what is told to workers ----

    def _lent(self) -> Lent | None:
        return told_of(self._runtime) if self._runtime is not None else None

    async def _lend(self) -> None:
        """Tell all workers whenever the local runtime changes."""
        while self._runtime is not None:
            await self._runtime.changed()
            lent = self._lent()
            for worker in self._running.values():
                if lent is not None:
                    worker.tell(lent)

    async def _watch(self) -> None:
        """Kill workers that hang."""
        while True:
            await asyncio.sleep(1)
            now_s = asyncio.get_running_loop().time()
            for number, worker in self._running.items():
                if worker.is_hung(now_s):
                    _log.error("worker %d does not answer any more and is killed", number)
                    worker.send(signal.SIGKILL)

    async def _end(self, keepers: list[asyncio.Task[None]]) -> None:
        """Have all workers stop in order; kill those that do not."""
        for port in self._sockets.ports:
            port.close()
        for worker in self._running.values():
            worker.send(signal.SIGTERM)
        if keepers:
            within_s = self._config.server.shutdown_s + END_S
            _, late = await asyncio.wait(keepers, timeout=within_s)
            for worker in self._running.values() if late else ():
                worker.send(signal.SIGKILL)
            await asyncio.gather(*keepers, return_exceptions=True)


def _ended(status: int | None) -> str:
    """Say how a process ended."""
    if status is None or status >= 0:
        return f"ended with status {status}"
    return f"was ended by {signal.Signals(-status).name}"
