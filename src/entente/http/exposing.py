"""What `/metrics` says: of one process, or of all workers of a host, whichever is asked.

Counters must not fall when a worker dies, or whoever reads them would count twice. So each
worker leaves what it has told in a file before it tells it, and the one that comes after it
goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from entente.gateway.client import Headers
from entente.http.neighbours import Neighbours
from entente.telemetry.summing import counters, summed

KEEP_S: Final = 5.0
"""How often counts are left behind although nobody has asked."""
FETCH_S: Final = 2.0
"""A worker that does not answer for so long is counted as it was last."""
PATH: Final = "/metrics"
HTTP_OK: Final = 200


class Exposition:
    """The metrics of the host."""

    def __init__(
        self, render: Callable[[], bytes], neighbours: Neighbours, folder: Path | None, number: int
    ) -> None:
        """Take what renders our own, and where counts are left: a folder, None for nowhere."""
        self._render = render
        self._neighbours = neighbours
        self._folder = folder
        self._number = number
        self._before = self._left_by(number)

    def own(self) -> bytes:
        """Give this worker's, and those of the workers that it came after."""
        if self._folder is None:
            return self._render()
        text = summed((self._render(), self._before))
        path = self._file_of(self._folder, self._number)
        unfinished = path.with_suffix(".new")
        with contextlib.suppress(OSError):
            unfinished.write_bytes(text)
            unfinished.replace(path)
        return text

    async def of_all(self, headers: Headers) -> bytes:
        """Give those of all workers, asked with the credentials of whoever asks."""
        told = await asyncio.gather(
            *(self._told_by(number, headers) for number in self._neighbours.others)
        )
        return summed((self.own(), *told)) if told else self.own()

    async def keep(self) -> None:
        """Leave counts behind now and then, for as long as the server runs."""
        while True:
            await asyncio.sleep(KEEP_S)
            self.own()

    async def _told_by(self, number: int, headers: Headers) -> bytes:
        """Ask another worker; take what it has left where it does not answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FETCH_S):
                answer = await self._neighbours.fetch(number, PATH, headers)
                if answer is not None and answer.status == HTTP_OK:
                    return answer.body
        return self._left_by(number)

    def _left_by(self, number: int) -> bytes:
        """Read what a worker that is gone, or busy, had counted."""
        if self._folder is None:
            return b""
        try:
            return counters(self._file_of(self._folder, number).read_bytes())
        except OSError:
            return b""

    @staticmethod
    def _file_of(folder: Path, number: int) -> Path:
        return folder / f"{number}.metrics"
