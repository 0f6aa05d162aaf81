"""A worker: one process that serves, told what to do by its parent."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
from typing import Final

import uvloop

from entente.agreements import open_agreements
from entente.app import Openers, platform
from entente.domain.errors import EntenteError
from entente.host import Host, allow_open_files, keep_freed_memory, leave_alone_what_stays
from entente.records_postgres import open_postgres_records
from entente.workers.frames import Alive, Begin, Failed, FromWorker, Ready, frame, heard_from_parent
from entente.workers.lent import LentRuntime

ALIVE_S: Final = 1.0


class Worker:
    """Serves until it is told to stop, or until its parent has gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take the link to the parent."""
        self._reader = reader
        self._writer = writer
        self._stop = asyncio.Event()
        self._runtime: LentRuntime | None = None
        self._is_orphan = False

    async def run(self) -> int:
        """Serve; give the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        begin = await heard_from_parent(self._reader)
        if not isinstance(begin, Begin):
            return 1
        if begin.lent is not None:
            self._runtime = LentRuntime(begin.lent)
        aside = [loop.create_task(self._listen()), loop.create_task(self._live())]
        try:
            await self._serve(begin)
        except EntenteError as error:
            self._say(Failed(error.message))
            return 1
        finally:
            for task in aside:
                task.cancel()
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
            if self._is_orphan:
                shutil.rmtree(begin.folder, ignore_errors=True)
        return 0

    async def _serve(self, begin: Begin) -> None:
        """Run the platform. Raises an EntenteError where it cannot start."""
        greetings: list[str] = []
        host = Host(
            lock=begin.lock,
            number=begin.number,
            workers=begin.workers,
            is_first=begin.is_first,
            runtime=self._runtime,
            folder=begin.folder,
            door=begin.door,
            program=begin.program,
        )
        agreed = begin.config.agreement is not None
        openers = Openers(open_postgres_records, open_agreements if agreed else None)
        with socket.socket(fileno=begin.listener) as listener:
            listener.setblocking(False)  # noqa: FBT003
            async with platform(
                begin.config, begin.environ, listener, host, greetings.append, openers
            ):
                leave_alone_what_stays()
                keep_freed_memory()
                self._say(Ready("\n".join(greetings)))
                await self._stop.wait()

    async def _listen(self) -> None:
        """Hear the parent; stop when it has gone."""
        while (message := await heard_from_parent(self._reader)) is not None:
            if self._runtime is not None and not isinstance(message, Begin):
                self._runtime.take(message)
        self._is_orphan = True
        self._stop.set()

    async def _live(self) -> None:
        """Tell the parent that the loop turns."""
        while True:
            self._say(Alive())
            await asyncio.sleep(ALIVE_S)

    def _say(self, message: FromWorker) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame(message))


async def _run(link: int) -> int:
    """Run a worker on its end of the link."""
    joined = socket.socket(fileno=link)
    reader, writer = await asyncio.open_unix_connection(sock=joined)
    return await Worker(reader, writer).run()


def main(link: str) -> int:
    """Run as the process; `link` is the descriptor of the socket to the parent."""
    allow_open_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(int(link)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
